/**
 * Bugs planted into the engines, each with the histories that must catch it. The product contains none of them:
 * `planted.test.ts` builds a changed copy.
 */
import type { PlantedEdit } from "../harness/planted-copies.js"

/**
 * On the embedded engine, alone or with fronts; or on the SQL engine, with one command after the other or several at the same
 * time.
 */
type CaughtBy = "embedded" | "fronts" | "alone" | "together"

interface EnginePlant {
  readonly bug: string
  readonly edits: readonly PlantedEdit[]
  readonly caughtBy: CaughtBy
}

const batch = "packages/engine/src/sql/batch-core.ts"
const rows = "packages/engine/src/sql/rows-core.ts"
const host = "packages/engine/src/thread/metadata-host.ts"
const primary = "packages/engine/src/tablet/primary-core.ts"

export const ENGINE_PLANTS: readonly EnginePlant[] = [
  {
    bug: "a payload is lost when its row moves",
    edits: [
      { file: rows, find: "return payloadOf(this.fetched.row(stored, key)?.payload)?.bytes", put: "return undefined" },
    ],
    caughtBy: "alone",
  },
  {
    bug: "a range that is as long as the fetch counts as whole",
    edits: [{ file: rows, find: "isWhole: rows.length < max", put: "isWhole: rows.length <= max" }],
    caughtBy: "alone",
  },
  {
    bug: "the head of an object is not written",
    edits: [
      {
        file: batch,
        find: 'if (column === "head") row.head = value',
        put: 'if (column === "head") row.head = row.base?.head',
      },
    ],
    caughtBy: "alone",
  },
  {
    bug: "a range of counters is empty",
    edits: [{ file: rows, find: "for (const key of keys) yield [key, this.countersRow(key)]", put: "" }],
    caughtBy: "alone",
  },
  {
    bug: "of the commands of a batch only the last one counts",
    edits: [
      { file: batch, find: "const before = this.counts.get(bucketId) ?? NO_COUNTS", put: "const before = NO_COUNTS" },
    ],
    caughtBy: "together",
  },
  {
    bug: "a range does not show what the batch has changed",
    edits: [
      {
        file: rows,
        find: "if (changed === stored && key >= range.start && key < range.end) throw new LaterBatch()",
        put: "if (changed === stored && key === range.end) throw new LaterBatch()",
      },
    ],
    caughtBy: "together",
  },
  {
    bug: "the embedded engine loses payloads of rows that move before they are committed",
    edits: [
      {
        file: primary,
        find: "this.head.set(family, key, { value: value ?? DELETED, payload: inMemory, position })",
        put: "this.head.set(family, key, { value: value ?? DELETED, payload: undefined, position })",
      },
    ],
    caughtBy: "embedded",
  },
  {
    bug: "commands of a front are decided as those of the engine thread",
    edits: [
      {
        file: host,
        find: "return this.command.decide(rows, { ...time, incarnations: this.incarnations })",
        put: "return this.command.decide(rows, time)",
      },
    ],
    caughtBy: "fronts",
  },
  {
    bug: "a front keeps results about objects",
    edits: [{ file: host, find: "if (!isOfGeneration(family)) this.areOfGeneration = false", put: "" }],
    caughtBy: "fronts",
  },
]
