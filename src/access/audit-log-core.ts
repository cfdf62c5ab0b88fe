/** Commands on and queries of the audit log. Pure. */
import { parseAuditId, rowKeyOf, type AuditId, type RowKey } from "../base/ids.js"
import { decodeAudit, encodeAudit, type AuditRecord } from "../format/audit-record.js"
import { auditRowKey } from "../format/row-key.js"
import { command, query } from "../metadata/index.js"
import { behind } from "./record-pages-core.js"

/** Old records that are removed at a time. */
const DROPPED_MAX = 8
const LAST = rowKeyOf("\xff".repeat(9))

const rowOf = (id: AuditId): RowKey => {
  const [atMs = "", random = ""] = id.split("-")
  return auditRowKey(Number(atMs), random)
}

const idOf = (key: RowKey, { atMs }: AuditRecord): AuditId =>
  parseAuditId(`${String(atMs).padStart(13, "0")}-${key.slice(8)}`)

type AuditEntry = AuditRecord & { readonly id: AuditId }

/** Writes a record before the change is made. */
export const beginAudit = command<[entry: AuditEntry], void>({
  name: "BeginAudit",
  touches: ({ id }) => [["audit", rowOf(id)]],
  decide(view, _time, { id, ...record }) {
    view.get("audit", rowOf(id))
    return { writes: [{ family: "audit", key: rowOf(id), value: encodeAudit(record) }], result: undefined }
  },
})

/** Records from before this time, a few at a time. */
export const oldAudit = query("OldAudit", (view, beforeMs: number): readonly AuditId[] => {
  const old: AuditId[] = []
  const range = { start: auditRowKey(Math.max(0, beforeMs - 1), ""), end: LAST, expectedRows: DROPPED_MAX }
  for (const [key, { value }] of view.range("audit", range)) {
    if (old.push(idOf(key, decodeAudit(value))) === DROPPED_MAX) break
  }
  return old
})

export const dropAudit = command<[ids: readonly AuditId[]], void>({
  name: "DropAudit",
  grows: false,
  touches: ids => ids.map(id => ["audit", rowOf(id)] as const),
  decide(view, _time, ids) {
    const there = ids.map(rowOf).filter(row => view.ifPresent("audit", row) !== undefined)
    return { writes: there.map(key => ({ family: "audit", key, value: undefined })), result: undefined }
  },
})

interface AuditEnd {
  readonly after: string | undefined
  readonly ended: AuditRecord["ended"]
}

/** Says how a change has ended. A record that was removed meanwhile stays so. */
export const endAudit = command<[id: AuditId, end: AuditEnd], void>({
  name: "EndAudit",
  touches: id => [["audit", rowOf(id)]],
  decide(view, _time, id, end) {
    const row = view.ifPresent("audit", rowOf(id))
    if (row === undefined) return { writes: [], result: undefined }
    const value = encodeAudit({ ...decodeAudit(row.value), ...end })
    return { writes: [{ family: "audit", key: rowOf(id), value }], result: undefined }
  },
})

export interface AuditPage {
  /** The latest first. */
  readonly entries: readonly AuditEntry[]
  readonly next: AuditId | undefined
}

/** The entries before `after`, which is the last one of the page before; from the latest if that is undefined. */
export const readAudit = query("ReadAudit", (view, after: AuditId | undefined, max: number): AuditPage => {
  const start = after === undefined ? rowKeyOf("\x00") : behind(rowOf(after))
  const entries: AuditEntry[] = []
  for (const [key, { value }] of view.range("audit", { start, end: LAST, expectedRows: max + 1 })) {
    if (entries.length === max) return { entries, next: entries.at(-1)?.id }
    const record = decodeAudit(value)
    entries.push({ id: idOf(key, record), ...record })
  }
  return { entries, next: undefined }
})
