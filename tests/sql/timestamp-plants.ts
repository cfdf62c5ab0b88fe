/** Bugs planted into commit timestamps and closed moments: see `plants.ts`. */
import type { SqlPlant } from "./plant.js"

const statements = "packages/engine/src/sql/simulated/statements.ts"
const incarnation = "packages/engine/src/sql/incarnation.ts"
const batch = "packages/engine/src/sql/batch-core.ts"

export const TIMESTAMP_PLANTS: readonly SqlPlant[] = [
  {
    bug: "timestamps are taken from the wall clock of the node",
    edits: [{ file: incarnation, find: "Math.max(clockUs, latestUs + 1, this.lastUs + 1)", put: "nowMs * 1000" }],
    caughtBy: "timestampsAreAnOrder",
  },
  {
    bug: "timestamps are taken from the clock of the database alone",
    edits: [{ file: incarnation, find: "Math.max(clockUs, latestUs + 1, this.lastUs + 1)", put: "clockUs" }],
    caughtBy: "timestampsAreAnOrder",
  },
  {
    bug: "what a second fetch shows does not raise the timestamp",
    edits: [{ file: incarnation, find: "if (latestUs < firstUs) return", put: "if (firstUs > 0) return" }],
    caughtBy: "timestampsAreAnOrder",
  },
  {
    bug: "a lane does not keep the timestamp of its last commit",
    edits: [
      {
        file: statements,
        find: "{ ...row, number: row.number + 1n, committed: lastUs }",
        put: "{ ...row, number: row.number + 1n }",
      },
    ],
    caughtBy: "timestampsAreAnOrder",
  },
  {
    bug: "objects that a batch relies on close no lanes",
    edits: [{ file: batch, find: "(reliesOnObjects && changesObjects)", put: "false" }],
    caughtBy: "timestampsAreAnOrder",
  },
  {
    bug: "guards of absent objects close no lanes",
    edits: [{ file: batch, find: "this.guardsAbsence || (", put: "(" }],
    caughtBy: "guardsComeBeforeTheirObjects",
  },
  {
    bug: "an object that is made and removed in one batch leaves no trace",
    edits: [{ file: batch, find: "    this.requireTrace(writes)\n", put: "" }],
    caughtBy: "guardsComeBeforeTheirObjects",
  },
  {
    bug: "a moment is closed without the lanes",
    edits: [{ file: statements, find: "closed: Math.max(row.closed, us)", put: "closed: row.closed" }],
    caughtBy: "closedMomentsStay",
  },
  {
    bug: "a commit does not look whether its lane is closed",
    edits: [{ file: statements, find: "isUnchanged(row) && row.closed < firstUs", put: "isUnchanged(row)" }],
    caughtBy: "closedMomentsStay",
  },
  {
    bug: "later batches do not see up to where the store is closed",
    edits: [
      {
        file: statements,
        find: "row => ({ ...row, timestamps: Math.max(row.timestamps, us) })",
        put: "row => ({ ...row })",
      },
    ],
    caughtBy: "closedMomentsStay",
  },
  {
    bug: "a moment is closed without waiting for commits under way",
    edits: [
      {
        file: statements,
        find: "    row => !row.isEnded,\n    row => ({ ...row, closed: Math.max(row.closed, us) }),",
        put: "    row => !row.isEnded && [...on.tables.lanes.scan(on.transaction)].every(({ locks }) => locks.size === 0),\n    row => ({ ...row, closed: Math.max(row.closed, us) }),",
      },
    ],
    caughtBy: "closedMomentsStay",
  },
]
