/**
 * Notable events of nodes (family `events`): what the log says at warn and above, and of the life of nodes and devices.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { packRecord, pick, RecordReader } from "./pack.js"

/** Numbers are on disk: append only. */
const LEVELS = ["info", "warn", "error"] as const
export type EventLevel = (typeof LEVELS)[number]

export interface EventRecord {
  /** The time of the first occurrence. */
  readonly atMs: number
  /** The time of the last occurrence, and how many there were. */
  readonly lastMs: number
  readonly count: number
  readonly level: EventLevel
  /** The event of the log line. */
  readonly code: string
  /** Empty on one machine. */
  readonly node: string
  /** JSON of the fields of the first line, without secrets. */
  readonly fields: string
}

export const encodeEvent = ({ atMs, lastMs, count, level, code, node, fields }: EventRecord): Uint8Array =>
  packRecord(1, [atMs, lastMs, count, LEVELS.indexOf(level), code, node, fields])

export function decodeEvent(bytes: Uint8Array): EventRecord {
  const row = RecordReader.open("event", bytes, 1)
  const [atMs, lastMs, count] = [row.number(), row.number(), row.number()]
  const level = pick(LEVELS, row.number(), "level")
  return { atMs, lastMs, count, level, code: row.text(), node: row.text(), fields: row.text() }
}
