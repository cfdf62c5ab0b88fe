/**
 * Results of engines as text. Where an engine keeps a payload is its own matter; whether a row has one is not. Counters
 * of zero count as absent, and members that are undefined too.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import { TIMESTAMPS_ROW } from "@hayloft/engine/format/commit-timestamps.js"
import { OPENINGS_ROW } from "@hayloft/engine/format/openings.js"
import { decodeCounters } from "@hayloft/engine/format/records.js"

/** A row of the family `counters` that says as much as no row. */
export const isZero = (family: Family, value: Uint8Array): boolean =>
  family === "counters" && Object.values(decodeCounters(value)).every(count => count === 0)

/** The embedded engine alone has rows with reserved timestamps and with its processes. */
export const isOfEngine = (family: unknown, key: unknown): boolean =>
  family === "clock" && (key === TIMESTAMPS_ROW || key === OPENINGS_ROW)

/** A row among others of a slice that means the same as no row. */
function isNothing(item: unknown): boolean {
  if (typeof item !== "object" || item === null || !("family" in item)) return false
  if ("key" in item && isOfEngine(item.family, item.key)) return true
  if (item.family !== "counters" || !("row" in item) || typeof item.row !== "object" || item.row === null) return false
  return "value" in item.row && item.row.value instanceof Uint8Array && isZero("counters", item.row.value)
}

const textOf = (bytes: Uint8Array): string =>
  `bytes ${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex")}`

function plain(value: unknown, name?: string): unknown {
  if (value instanceof Uint8Array) return textOf(value)
  if (typeof value !== "object" || value === null) return value
  if (name === "payload") return "a payload"
  if (value instanceof Map) return ["map", ...Array.from(value, pair => plain(pair))]
  if (value instanceof Set) return ["set", ...Array.from(value, item => plain(item))]
  if (Array.isArray(value)) return value.filter(item => !isNothing(item)).map(item => plain(item))
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  const sorted = members.sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(sorted.map(([key, member]) => [key, plain(member, key)]))
}

export const comparable = (value: unknown): string => JSON.stringify(plain(value)) ?? "nothing"
