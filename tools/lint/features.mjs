/**
 * Rule: the object core, the jobs that keep objects whole, and what reads its rows, do not name features. The list has the
 * words of those that are behind the door (`packages/objects/src/door`); it gets longer with each feature that moves to
 * `packages/features/src`.
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
  appends: /append(?:s|ed|able|ing|[-_]seal)|concatenation/i,
  copies: /copy_?log|has_?copies|(?:pause|restart)_?copies/i,
  items: /k2v|(?:found|backed_?up)_?items|item_?(?:key|portion)/i,
  queues: /message_?queue|queue_?(?:expiry|sizes|watch|restoring|messages)|sqs/i,
  "any queue": /queue/i,
  transactions: /transaction/i,
  "storage-classes": /archive|restored_?until|accepted_?classes|storage_?classes/i,
  locks: /require_?fence|coord_?(?:file|path)|small_?file/i,
  coordination: /coordination/i,
  transforms: /transform/i,
  "remote-buckets": /remote_?bucket/i,
  "user-jobs": /inventor|started_?jobs/i,
  "hot-copies": /hot_?cop(?:y|ies)/i,
}

const allBut = (...names) => Object.keys(FEATURE_WORDS).filter(name => !names.includes(name))

/**
 * Which features a place does not name; the first place of a file counts. To a rescue a pack is a kind of body. In a node the calls of a device have a queue, the database has transactions, nodes are coordinated,
 * and the engine is told how many hot copies it keeps. Its settings are those of the process, with the addresses of all
 * protocols. The engine keeps hot copies of blocks and guards the rows of all features; its log has appends, and its frames are
 * packed.
 */
const PLACES = [
  [/^packages\/(?:objects|upkeep)\/src\//, allBut()],
  [/^packages\/node\/src\/rescue\//, allBut("packing")],
  [/^packages\/node\/src\/config\//, []],
  [/^packages\/node\/src\/engine\.ts$/, allBut("any queue", "coordination", "hot-copies")],
  [/^packages\/node\/src\/status\//, allBut("any queue", "coordination", "transactions")],
  [/^packages\/node\/src\//, allBut("any queue", "coordination")],
  [/^packages\/engine\/src\/(?:format\/|metadata\/guards\.ts$)/, []],
  [/^packages\/engine\/src\//, ["undelete", "lifecycle", "dedup", "copies", "items", "remote-buckets", "user-jobs"]],
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
      PrivateIdentifier: node => check(node.loc, node.name),
      // Names of jobs, metrics and events are strings without a space. Sentences for people may name a feature.
      TemplateElement: node => /\s/.test(node.value.raw) || check(node.loc, node.value.raw),
      Literal(node) {
        const isModule = /^(?:Import|Export)/.test(node.parent?.type ?? "")
        if (typeof node.value === "string" && !isModule && !/\s/.test(node.value)) check(node.loc, node.value)
      },
    }
  },
}
