/**
 * Rule: the object core does not name its features. The list has the words of those that are behind the door
 * (`src/object/door`); it gets longer with each feature that moves to `src/features`.
 */
import { isCheck, isStandIn, pathOf } from "./paths.mjs"

/** The upkeep of shared bytes still undoes packs itself. */
const CORE = /^src\/object\/(?!dedup-upkeep\/)/

/** By feature: its words in names and comments. The fields of records are the format's. */
export const FEATURE_WORDS = {
  undelete: /undelete(?!Days\b)/i,
  history: /has_?history|histor(?:ies|yof|ysince|ybegins|yrows)|restart_?history/i,
  packing: /packing|unpack|packed(?!Record)|packer/i,
  copies: /copy_?log|has_?copies|(?:pause|restart)_?copies/i,
}

/** The feature whose word is in a text; undefined: none. */
export const featureIn = text => Object.keys(FEATURE_WORDS).find(feature => FEATURE_WORDS[feature].test(text))

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    if (!CORE.test(path) || isCheck(path) || isStandIn(path)) return {}
    const report = (loc, text) => {
      const feature = featureIn(text)
      if (feature === undefined) return
      context.report({ loc, message: `the core does not know the feature ${feature}: ask it through src/object/door` })
    }
    return {
      Program() {
        for (const comment of context.sourceCode.getAllComments()) report(comment.loc, comment.value)
      },
      Identifier: node => report(node.loc, node.name),
    }
  },
}
