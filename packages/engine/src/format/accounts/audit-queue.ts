/**
 * Which records of the audit log are to be delivered (family `auditQueue`): the number of the latest record, the record of
 * each number, and up to which number each sink has them.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { parseAuditId, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { NUMBER, optional, parsed, record, row, TEXT } from "../encoding/fields.js"
import { u32Text } from "../row-key.js"

const AUDIT_QUEUE = record("audit queue", {
  /** From 1 on, without gaps. */
  number: NUMBER,
  /** The record that has the number; undefined in a row of the latest number or of a sink. */
  queued: optional(row({ atMs: NUMBER, id: parsed(TEXT, parseAuditId) })),
})
export const { encode: encodeAuditQueue, decode: decodeAuditQueue } = AUDIT_QUEUE

export const AUDIT_LATEST: RowKey = rowKeyOf("latest")
export const auditNumberRowKey = (number: number): RowKey =>
  rowKeyOf(`n${u32Text(Math.floor(number / 0x1_0000_0000))}${u32Text(number % 0x1_0000_0000)}`)
export const auditSinkRowKey = (sink: string): RowKey => rowKeyOf(`sink ${sink}`)
