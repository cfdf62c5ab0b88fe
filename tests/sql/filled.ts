/** Rows in an empty database, without an engine. */
import assert from "node:assert/strict"
import type { LaneId, NewRow, Session } from "@hayloft/engine/sql/database.js"

export const FIRST_LANE: LaneId = { incarnation: 1, lane: 0 }

/** Adds rows to an empty database, as its first process. */
export async function fillRows(session: Session, rows: readonly NewRow[]): Promise<void> {
  await session.begin({ node: "node", process: "process" }, 1, 0)
  const outcome = await session.makeChanges({
    lane: FIRST_LANE,
    from: { number: 0n, generation: 1n },
    version: 1n,
    firstUs: 1,
    lastUs: 2,
    closesLanes: false,
    raisesGeneration: false,
    expected: [],
    replaced: [],
    deleted: [],
    added: rows,
    counts: [],
    droppedCounters: [],
    usage: [],
    newUsage: [],
    droppedUsage: [],
  })
  assert.equal(outcome, "committed")
}
