/**
 * Notable events of nodes (family `events`): what the log says at warn and above, and of the life of nodes and devices.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { NUMBER, oneOf, record, TEXT, type ValueOf } from "./encoding/fields.js"

/** Numbers are on disk: append only. */
const LEVELS = ["info", "warn", "error"] as const
export type EventLevel = (typeof LEVELS)[number]

const EVENT = record("event", {
  /** The time of the first occurrence. */
  atMs: NUMBER,
  /** The time of the last occurrence, and how many there were. */
  lastMs: NUMBER,
  count: NUMBER,
  level: oneOf(LEVELS),
  /** The event of the log line. */
  code: TEXT,
  /** Empty on one machine. */
  node: TEXT,
  /** JSON of the fields of the first line, without secrets. */
  fields: TEXT,
})
export type EventRecord = ValueOf<typeof EVENT>
export const { encode: encodeEvent, decode: decodeEvent } = EVENT
