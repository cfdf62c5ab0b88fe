/**
 * Which records of the audit log are to be delivered (family `auditQueue`): the number of the latest record, the record of
 * each number, and up to which number each sink has them.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { parseAuditId, rowKeyOf, type AuditId, type RowKey } from "../base/ids.js"
import { packRecord, RecordReader } from "./pack.js"
import { u32Text } from "./row-key.js"

interface AuditQueueRecord {
  /** From 1 on, without gaps. */
  readonly number: number
  /** The record that has the number; undefined in a row of the latest number or of a sink. */
  readonly queued: { readonly atMs: number; readonly id: AuditId } | undefined
}

export const encodeAuditQueue = ({ number, queued }: AuditQueueRecord): Uint8Array =>
  packRecord(1, [number, queued ? [queued.atMs, queued.id] : null])

export function decodeAuditQueue(bytes: Uint8Array): AuditQueueRecord {
  const row = RecordReader.open("audit queue", bytes, 1)
  const number = row.number()
  const queued = row.optional(() => {
    const entry = row.row()
    return { atMs: entry.number(), id: parseAuditId(entry.text()) }
  })
  return { number, queued }
}

export const AUDIT_LATEST: RowKey = rowKeyOf("latest")
export const auditNumberRowKey = (number: number): RowKey =>
  rowKeyOf(`n${u32Text(Math.floor(number / 0x1_0000_0000))}${u32Text(number % 0x1_0000_0000)}`)
export const auditSinkRowKey = (sink: string): RowKey => rowKeyOf(`sink ${sink}`)
