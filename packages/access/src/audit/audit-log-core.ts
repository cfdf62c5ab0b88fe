/** Commands on and queries of the audit log. Pure. */
import { parseAuditId, rowKeyOf, type AuditId, type RowKey, rowKeyAfter } from "@hayloft/base/ids.js"
import { decodeAudit, encodeAudit, type AuditRecord } from "@hayloft/engine/format/accounts/audit-record.js"
import { AUDIT_LATEST, auditNumberRowKey, auditSinkRowKey } from "@hayloft/engine/format/accounts/audit-queue.js"
import { decodeAuditQueue, encodeAuditQueue } from "@hayloft/engine/format/accounts/audit-queue.js"
import { latestFirstRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query, type CommandView, type RowView } from "@hayloft/engine/metadata/index.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"

/** Records that one query looks at. */
const EXAMINED_MAX = 250
/** Old records that are removed at a time. */
const DROPPED_MAX = 8
const LAST = rowKeyOf("\xff".repeat(9))

const rowOf = (id: AuditId): RowKey => {
  const [atMs = "", random = ""] = id.split("-")
  return latestFirstRowKey(Number(atMs), random)
}

const idOf = (key: RowKey, { atMs }: AuditRecord): AuditId =>
  parseAuditId(`${String(atMs).padStart(13, "0")}-${key.slice(8)}`)

type AuditEntry = AuditRecord & { readonly id: AuditId }

const latestIn = (view: Pick<RowView, "get">): number => {
  const row = view.get("auditQueue", AUDIT_LATEST)
  return row === undefined ? 0 : decodeAuditQueue(row.value).number
}

/** Gives a record the next number, by which sinks find it. */
function enqueue(view: CommandView, id: AuditId, atMs: number): readonly EntryWrite[] {
  const number = latestIn(view) + 1
  return [
    { family: "auditQueue", key: AUDIT_LATEST, value: encodeAuditQueue({ number, queued: undefined }) },
    { family: "auditQueue", key: auditNumberRowKey(number), value: encodeAuditQueue({ number, queued: { atMs, id } }) },
  ]
}

/** Writes a record before the change is made. */
export const beginAudit = command<[entry: AuditEntry], void>({
  name: "BeginAudit",
  touches: ({ id }) => [
    ["audit", rowOf(id)],
    ["auditQueue", AUDIT_LATEST],
  ],
  decide(view, _time, { id, ...record }) {
    // The same record again: its first commit was not confirmed.
    if (view.get("audit", rowOf(id)) !== undefined) return { writes: [], result: undefined }
    const writes: EntryWrite[] = [{ family: "audit", key: rowOf(id), value: encodeAudit(record) }]
    return { writes: [...writes, ...enqueue(view, id, record.atMs)], result: undefined }
  },
})

/** Records from before this time, a few at a time. */
export const oldAudit = query("OldAudit", (view, beforeMs: number): readonly AuditId[] => {
  const old: AuditId[] = []
  const range = { start: latestFirstRowKey(Math.max(0, beforeMs - 1), ""), end: LAST, expectedRows: DROPPED_MAX }
  for (const [key, { value }] of view.range("audit", range)) {
    if (old.push(idOf(key, decodeAudit(value))) === DROPPED_MAX) break
  }
  return old
})

/** Numbers of records from before this time, and of those beyond the latest `countMax`; a few at a time. */
export const oldQueued = query(
  "OldQueuedAudit",
  (view, beforeMs: number, countMax: number): readonly { readonly number: number; readonly id: AuditId }[] => {
    const old: { readonly number: number; readonly id: AuditId }[] = []
    const latest = latestIn(view)
    for (const { number, queued } of numbersFrom(view, 0, DROPPED_MAX)) {
      if (queued.atMs >= beforeMs && number > latest - countMax) break
      if (old.push({ number, id: queued.id }) === DROPPED_MAX) break
    }
    return old
  },
)

interface Numbered {
  readonly number: number
  readonly queued: { readonly atMs: number; readonly id: AuditId }
}

function* numbersFrom(view: RowView, after: number, expectedRows: number): Generator<Numbered> {
  const range = { start: auditNumberRowKey(after + 1), end: rowKeyOf("o"), expectedRows }
  for (const [, { value }] of view.range("auditQueue", range)) {
    const { number, queued } = decodeAuditQueue(value)
    if (queued !== undefined) yield { number, queued }
  }
}

export const dropAudit = command<[ids: readonly AuditId[], numbers: readonly number[]], void>({
  name: "DropAudit",
  grows: false,
  touches: (ids, numbers) => [
    ...ids.map(id => ["audit", rowOf(id)] as const),
    ...numbers.map(number => ["auditQueue", auditNumberRowKey(number)] as const),
  ],
  decide(view, _time, ids, numbers) {
    const rows = [
      ...ids.map(id => ["audit", rowOf(id)] as const),
      ...numbers.map(number => ["auditQueue", auditNumberRowKey(number)] as const),
    ]
    const there = rows.filter(([family, key]) => view.ifPresent(family, key) !== undefined)
    return { writes: there.map(([family, key]) => ({ family, key, value: undefined })), result: undefined }
  },
})

export interface QueuedAudit {
  readonly number: number
  readonly atMs: number
  /** The entry is undefined if the log has removed it. */
  readonly entry: AuditEntry | undefined
}

export interface Undelivered {
  readonly queued: readonly QueuedAudit[]
  /** Up to which number the sink has the records, and the latest number. */
  readonly delivered: number
  readonly latest: number
}

/** The next records for a sink. */
export const undeliveredAudit = query("UndeliveredAudit", (view, sink: string, max: number): Undelivered => {
  const row = view.get("auditQueue", auditSinkRowKey(sink))
  const delivered = row === undefined ? 0 : decodeAuditQueue(row.value).number
  const queued: QueuedAudit[] = []
  for (const {
    number,
    queued: { atMs, id },
  } of numbersFrom(view, delivered, max)) {
    const record = view.get("audit", rowOf(id))
    queued.push({ number, atMs, entry: record && { id, ...decodeAudit(record.value) } })
    if (queued.length === max) break
  }
  return { queued, delivered, latest: latestIn(view) }
})

/** A sink has the records up to this number. */
export const auditDelivered = command<[sink: string, number: number], void>({
  name: "AuditDelivered",
  grows: false,
  touches: sink => [["auditQueue", auditSinkRowKey(sink)]],
  decide(view, _time, sink, number) {
    const key = auditSinkRowKey(sink)
    const row = view.get("auditQueue", key)
    if (row !== undefined && decodeAuditQueue(row.value).number >= number) return { writes: [], result: undefined }
    return {
      writes: [{ family: "auditQueue", key, value: encodeAuditQueue({ number, queued: undefined }) }],
      result: undefined,
    }
  },
})

interface AuditEnd {
  readonly after: string | undefined
  readonly ended: AuditRecord["ended"]
}

/** After this time a record is delivered without how its change ended, and once more when it has. */
export const AUDIT_SETTLED_MS = 60_000

/** Says how a change has ended. A record that was removed meanwhile stays so. */
export const endAudit = command<[id: AuditId, end: AuditEnd], void>({
  name: "EndAudit",
  touches: id => [
    ["audit", rowOf(id)],
    ["auditQueue", AUDIT_LATEST],
  ],
  decide(view, _time, id, end) {
    const row = view.ifPresent("audit", rowOf(id))
    if (row === undefined) return { writes: [], result: undefined }
    const record = decodeAudit(row.value)
    const writes: EntryWrite[] = [{ family: "audit", key: rowOf(id), value: encodeAudit({ ...record, ...end }) }]
    const isLate = end.ended !== undefined && end.ended.atMs - record.atMs >= AUDIT_SETTLED_MS / 2
    return { writes: isLate ? [...writes, ...enqueue(view, id, record.atMs)] : writes, result: undefined }
  },
})

export interface AuditPage {
  /** The latest first. */
  readonly entries: readonly AuditEntry[]
  readonly next: AuditId | undefined
}

/** The conditions that entries must match; a pattern may contain `*`. */
export interface AuditFilter {
  /** The id or the name of the caller, or the kind of one that has none. */
  readonly caller?: string | undefined
  readonly operation?: string | undefined
  readonly target?: string | undefined
  readonly sinceMs?: number | undefined
  readonly untilMs?: number | undefined
}

/** Returns true if a text matches a pattern, in which `*` stands for any characters. */
function isLike(pattern: string | undefined, text: string): boolean {
  if (pattern === undefined || pattern === text) return true
  const [first = "", ...rest] = pattern.split("*")
  const last = rest.pop()
  if (last === undefined || !text.startsWith(first)) return false
  let at = first.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return text.length - last.length >= at && text.endsWith(last)
}

const matches = ({ caller, operation, target }: AuditFilter, entry: AuditRecord): boolean =>
  [entry.caller.kind, entry.caller.id, entry.caller.name].some(text => isLike(caller, text)) &&
  isLike(operation, entry.operation) &&
  isLike(target, entry.target)

/**
 * The entries that match before `after`, which is `next` of the page before; from the latest if that is undefined. Looks at
 * `EXAMINED_MAX` records: a page may be short, or empty, and have a `next`.
 */
export const readAudit = query(
  "ReadAudit",
  (view, after: AuditId | undefined, max: number, filter: AuditFilter): AuditPage => {
    const { sinceMs = 0, untilMs } = filter
    const latest = untilMs === undefined ? rowKeyOf("\x00") : latestFirstRowKey(untilMs, "")
    const start = after === undefined ? latest : rowKeyAfter(rowOf(after))
    const entries: AuditEntry[] = []
    let examined: AuditId | undefined
    let count = 0
    const expectedRows = Math.min(max, EXAMINED_MAX) + 1
    for (const [key, { value }] of view.range("audit", { start, end: LAST, expectedRows })) {
      if (entries.length === max || count === EXAMINED_MAX) return { entries, next: examined }
      const record = decodeAudit(value)
      if (record.atMs < sinceMs) break
      examined = idOf(key, record)
      if (matches(filter, record)) entries.push({ id: examined, ...record })
      count += 1
    }
    return { entries, next: undefined }
  },
)
