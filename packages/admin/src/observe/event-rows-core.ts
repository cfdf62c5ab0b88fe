/** Commands on and queries of the rows of events. Pure. */
import { parseEventId, rowKeyOf, type EventId, type RowKey, rowKeyAfter } from "@hayloft/base/ids.js"
import { decodeEvent, encodeEvent, type EventLevel, type EventRecord } from "@hayloft/engine/format/event-record.js"
import { latestFirstRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query } from "@hayloft/engine/metadata/index.js"

export interface StoredEvent extends EventRecord {
  readonly id: EventId
}

/** Rows that one query looks at. */
const EXAMINED_MAX = 500
/** Rows that are removed at a time. */
export const EVENTS_DROPPED_MAX = 50
const FIRST = rowKeyOf("\x00")
const LAST = rowKeyOf("\xff".repeat(9))

const rowOf = (id: EventId): RowKey => {
  const [atMs = "", random = ""] = id.split("-")
  return latestFirstRowKey(Number(atMs), random)
}

const idOf = (key: RowKey, { atMs }: EventRecord): EventId =>
  parseEventId(`${String(atMs).padStart(13, "0")}-${key.slice(8)}`)

/** Writes events, or how often those that are there have occurred by now. The same again changes nothing. */
export const noteEvents = command<[events: readonly StoredEvent[]], void>({
  name: "NoteEvents",
  // Their number is limited, and a full store is what they are about.
  grows: false,
  touches: events => events.map(({ id }) => ["events", rowOf(id)] as const),
  decide(view, _time, events) {
    const changed = events.filter(({ id, count }) => {
      const row = view.get("events", rowOf(id))
      return row === undefined || decodeEvent(row.value).count < count
    })
    const writes = changed.map(
      ({ id, ...record }) => ({ family: "events", key: rowOf(id), value: encodeEvent(record) }) as const,
    )
    return { writes, result: undefined }
  },
})

export const dropEvents = command<[ids: readonly EventId[]], void>({
  name: "DropEvents",
  grows: false,
  touches: ids => ids.map(id => ["events", rowOf(id)] as const),
  decide(view, _time, ids) {
    const there = ids.map(rowOf).filter(key => view.ifPresent("events", key) !== undefined)
    return { writes: there.map(key => ({ family: "events", key, value: undefined })), result: undefined }
  },
})

/** Events from before this time, and those beyond the latest `countMax`; some at a time. */
export const oldEvents = query("OldEvents", (view, beforeMs: number, countMax: number): readonly EventId[] => {
  const old: EventId[] = []
  let count = 0
  for (const [key, { value }] of view.range("events", { start: FIRST, end: LAST, expectedRows: countMax })) {
    count += 1
    const record = decodeEvent(value)
    if (count <= countMax && record.atMs >= beforeMs) continue
    if (old.push(idOf(key, record)) === EVENTS_DROPPED_MAX) break
  }
  return old
})

/** Members that are undefined let everything through. */
export interface EventFilter {
  readonly code?: string | undefined
  /** The least. */
  readonly level?: EventLevel | undefined
  readonly node?: string | undefined
  readonly sinceMs?: number | undefined
}

const RANK: Readonly<Record<EventLevel, number>> = { info: 0, warn: 1, error: 2 }

export const isWanted = ({ code, level, node, sinceMs = 0 }: EventFilter, event: EventRecord): boolean =>
  event.lastMs >= sinceMs &&
  (code === undefined || event.code === code) &&
  (level === undefined || RANK[event.level] >= RANK[level]) &&
  (node === undefined || event.node === node)

export interface EventPage {
  /** The latest first. */
  readonly events: readonly StoredEvent[]
  readonly next: EventId | undefined
}

/**
 * The events that match before `after`, which is `next` of the page before; from the latest if that is undefined. Looks at
 * `EXAMINED_MAX` rows: a page may be short, or empty, and have a `next`.
 */
export const readEvents = query(
  "ReadEvents",
  (view, after: EventId | undefined, max: number, filter: EventFilter): EventPage => {
    const start = after === undefined ? FIRST : rowKeyAfter(rowOf(after))
    const events: StoredEvent[] = []
    let examined: EventId | undefined
    let count = 0
    const expectedRows = Math.min(max, EXAMINED_MAX) + 1
    for (const [key, { value }] of view.range("events", { start, end: LAST, expectedRows })) {
      if (events.length === max || count === EXAMINED_MAX) return { events, next: examined }
      const record = decodeEvent(value)
      examined = idOf(key, record)
      if (isWanted(filter, record)) events.push({ id: examined, ...record })
      count += 1
    }
    return { events, next: undefined }
  },
)
