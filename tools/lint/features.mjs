/**
 * Rule: the object core, and what reads its rows, do not name features. The list has the words of those that are behind the door
 * (`src/object/door`); it gets longer with each feature that moves to `src/features`.
 */
import { isCheck, isStandIn, pathOf } from "./paths.mjs"

/** By feature: its words in names and comments. The fields of records are the format's. */
const FEATURE_WORDS = {
  undelete: /undelete(?!Days\b)/i,
  history: /has_?history|histor(?:ies|yof|ysince|ybegins|yrows)|restart_?history/i,
  packing: /packing|unpack|packed(?!Record)|packer/i,
  copies: /copy_?log|has_?copies|(?:pause|restart)_?copies/i,
}

/**
 * Where which features are not named. The upkeep of shared bytes still undoes packs itself, and to a rescue a pack is a
 * kind of body.
 */
const PLACES = [
  [/^src\/object\/(?!dedup-upkeep\/)/, Object.keys(FEATURE_WORDS)],
  [/^src\/rescue\//, ["undelete", "history", "copies"]],
]

/** The features that a file does not name. */
const unnamedIn = path => PLACES.find(([place]) => place.test(path))?.[1] ?? []

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    const unnamed = isCheck(path) || isStandIn(path) ? [] : unnamedIn(path)
    if (unnamed.length === 0) return {}
    const report = (loc, feature) =>
      context.report({ loc, message: `the core does not know the feature ${feature}: ask it through src/object/door` })
    const check = (loc, text) => {
      const feature = unnamed.find(name => FEATURE_WORDS[name].test(text))
      if (feature !== undefined) report(loc, feature)
    }
    return {
      Program() {
        for (const comment of context.sourceCode.getAllComments()) check(comment.loc, comment.value)
      },
      Identifier: node => check(node.loc, node.name),
      Literal(node) {
        if (unnamed.includes(node.value)) report(node.loc, node.value)
      },
    }
  },
}
