/**
 * Events of this process that are not stored yet, or may occur again: repeats of one are counted in it. Pure.
 *
 * Promises  Taking an event down neither waits nor fails. A repeat within `repeatMs` of the first occurrence is counted in
 *           that one's row: the same code about the same thing.
 * Limits    `EVENT_LIMITS`: beyond them events are dropped and counted.
 */
import { parseEventId } from "@hayloft/base/ids.js"
import type { EventLevel } from "@hayloft/engine/format/event-record.js"
import type { StoredEvent } from "./event-rows-core.js"

export const EVENT_LIMITS = {
  /** The limit is for one process. */
  keptMax: 500,
  newPerMinuteMax: 60,
  repeatMs: 10 * 60_000,
  /** The count of repeats is stored this often at most. */
  recountMs: 30_000,
  fieldsCharactersMax: 2_000,
} as const

const MINUTE_MS = 60_000

/** Fields that say what an event is about, in this order. */
const ABOUT = ["device", "bucket", "node", "service", "job", "sink", "operation", "file", "target", "place"] as const

/** Events about events: there are few, and they are not dropped. */
const OWN: ReadonlySet<string> = new Set(["events_dropped", "events_not_stored"])

/** A line of the log that is an event, as plain data. */
export interface EventLine {
  readonly level: EventLevel
  readonly code: string
  readonly fields: Readonly<Record<string, string | number | boolean | undefined>>
}

interface Kept {
  event: StoredEvent
  /** The count that is stored; 0: it is not. */
  storedCount: number
  storedMs: number
}

export class EventBuffer {
  /** By code and thing; the oldest first. */
  private readonly kept = new Map<string, Kept>()
  private minute = -1
  private newInMinute = 0
  private dropped = 0

  constructor(private readonly randomLetters: () => string) {}

  note(nowMs: number, node: string, { level, code, fields }: EventLine): void {
    const about = ABOUT.find(name => fields[name] !== undefined)
    const key = `${code} ${about === undefined ? "" : String(fields[about])}`
    const found = this.kept.get(key)
    if (found !== undefined && Math.abs(nowMs - found.event.atMs) < EVENT_LIMITS.repeatMs) {
      found.event = { ...found.event, lastMs: Math.max(nowMs, found.event.lastMs), count: found.event.count + 1 }
      return
    }
    if (!OWN.has(code) && !this.mayAdd(nowMs)) {
      this.dropped += 1
      return
    }
    const id = parseEventId(`${String(nowMs).padStart(13, "0")}-${this.randomLetters()}`)
    const event = { id, atMs: nowMs, lastMs: nowMs, count: 1, level, code, node, fields: jsonOf(fields) }
    // The event of an earlier time is stored under its own id.
    if (found !== undefined) this.kept.set(`${key} ${found.event.id}`, found)
    this.kept.delete(key)
    this.kept.set(key, { event, storedCount: 0, storedMs: -Infinity })
  }

  /** Returns what is to be stored now, at most `max`; with `isLast` all that is not stored. */
  due(nowMs: number, max: number, isLast: boolean): readonly StoredEvent[] {
    const due: StoredEvent[] = []
    for (const { event, storedCount, storedMs } of this.kept.values()) {
      const mayWait = storedCount > 0 && !isLast && Math.abs(nowMs - storedMs) < EVENT_LIMITS.recountMs
      if (storedCount < event.count && !mayWait && due.push(event) === max) break
    }
    return due
  }

  /** These are stored, as they are here. */
  stored(nowMs: number, events: readonly StoredEvent[]): void {
    const counts = new Map(events.map(({ id, count }) => [id, count]))
    for (const [key, kept] of this.kept) {
      kept.storedCount = counts.get(kept.event.id) ?? kept.storedCount
      if (counts.has(kept.event.id)) kept.storedMs = nowMs
      if (this.isDone(kept, nowMs)) this.kept.delete(key)
    }
  }

  /** The latest first. */
  get unstored(): readonly StoredEvent[] {
    const events = [...this.kept.values()].flatMap(({ event, storedCount }) =>
      storedCount < event.count ? [event] : [],
    )
    return events.sort((a, b) => b.atMs - a.atMs)
  }

  /** How many have been dropped since this was asked last. */
  takeDropped(): number {
    const { dropped } = this
    this.dropped = 0
    return dropped
  }

  /** It is stored, and a further occurrence is a new event. */
  private isDone({ event, storedCount }: Kept, nowMs: number): boolean {
    return storedCount === event.count && Math.abs(nowMs - event.atMs) >= EVENT_LIMITS.repeatMs
  }

  private mayAdd(nowMs: number): boolean {
    const minute = Math.floor(nowMs / MINUTE_MS)
    if (minute !== this.minute) this.newInMinute = 0
    this.minute = minute
    if (this.newInMinute >= EVENT_LIMITS.newPerMinuteMax) return false
    if (this.kept.size >= EVENT_LIMITS.keptMax && !this.makeRoom()) return false
    this.newInMinute += 1
    return true
  }

  /** Gives up counting the repeats of the oldest event that is stored. */
  private makeRoom(): boolean {
    for (const [key, { event, storedCount }] of this.kept) if (storedCount === event.count) return this.kept.delete(key)
    return false
  }
}

function jsonOf(fields: EventLine["fields"]): string {
  const json = JSON.stringify(fields)
  if (json.length <= EVENT_LIMITS.fieldsCharactersMax) return json
  const short = Object.entries(fields).map(([name, value]) => [
    name,
    typeof value === "string" ? value.slice(0, 100) : value,
  ])
  const cut = JSON.stringify(Object.fromEntries(short))
  return cut.length <= EVENT_LIMITS.fieldsCharactersMax ? cut : "{}"
}
