/**
 * Rule: the object core, and what reads its rows, do not name features. The list has the words of those that are behind the door
 * (`packages/objects/src/door`); it gets longer with each feature that moves to `packages/features/src`.
 */
import { isCheck, isStandIn, pathOf } from "./paths.mjs"

/** By feature: its words in names and comments. The fields of records are the format's. */
const FEATURE_WORDS = {
  undelete: /undelete(?!Days\b)/i,
  history: /has_?history|histor(?:ies|yof|ysince|ybegins|yrows)|restart_?history/i,
  packing: /packing|unpack|packed(?!Record)|packer/i,
  lifecycle: /lifecycle/i,
  quota: /quota/i,
  dedup: /dedup(?!load)/i,
  appends: /append(?:s|ed|able|ing)|concatenation/i,
  copies: /copy_?log|has_?copies|(?:pause|restart)_?copies/i,
  items: /k2v|(?:found|backed_?up)_?items|item_?(?:key|portion)/i,
  queues: /queue/i,
  transactions: /transaction/i,
  "storage-classes": /archive|restored_?until|accepted_?classes|storage_?classes/i,
  locks: /require_?fence|coordination|coord_?(?:file|path)|small_?file/i,
  transforms: /transform/i,
  "remote-buckets": /remote_?bucket/i,
  "user-jobs": /inventor|started_?jobs/i,
  "hot-copies": /hot_?cop(?:y|ies)/i,
}

const allBut = (...names) => Object.keys(FEATURE_WORDS).filter(name => !names.includes(name))

/**
 * Where which features are not named. To a rescue a pack is a kind of body, and a restore of an archive a field of it. In a node
 * the calls of a device have a queue, the database has transactions, nodes are coordinated, and blocks are told how many hot copies
 * they keep. Its settings are those of the process, with the addresses of all protocols.
 */
const PLACES = [
  [/^packages\/objects\/src\//, allBut()],
  [/^packages\/node\/src\/rescue\//, allBut("packing", "storage-classes")],
  [/^packages\/node\/src\/(?!config\/)/, allBut("queues", "transactions", "locks", "hot-copies")],
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
      context.report({
        loc,
        message: `the core does not know the feature ${feature}: ask it through packages/objects/src/door`,
      })
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
