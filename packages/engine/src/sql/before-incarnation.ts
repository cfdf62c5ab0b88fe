/** Rows that a session reads for a process without a lane: before its incarnation has begun. */
import type { RowKey } from "@hayloft/base/ids.js"
import { CONVERSION_ROW_KEY, decodeConversionRow, type ConversionRow } from "../format/nodes/cluster-rows.js"
import type { LaneId, Session } from "./database.js"

/** Incarnations begin with 1. */
const NO_LANE: LaneId = { incarnation: 0, lane: 0 }

export async function clusterRowIn(session: Session, key: RowKey): Promise<Uint8Array | undefined> {
  const keys = [{ family: "cluster", key } as const]
  const { rows } = await session.fetch({ lane: NO_LANE, keys, ranges: [], counters: [], usage: [] })
  return rows[0]?.value
}

export async function conversionIn(session: Session): Promise<ConversionRow | undefined> {
  const value = await clusterRowIn(session, CONVERSION_ROW_KEY)
  return value && decodeConversionRow(value)
}
