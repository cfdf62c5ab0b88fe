/**
 * Changes by the admin API, by S3 (of buckets), IAM and KMS (family `audit`): who asked for what, how it ended, and what
 * there was before and after.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { packRecord, pick, RecordReader } from "./pack.js"

/** Numbers are on disk: append only. */
const CALLERS = ["operator", "token", "key", "anonymous"] as const

export interface AuditCaller {
  /** With the token of the data folders, with one that has an id and a name, with an access key, or with nothing. */
  readonly kind: (typeof CALLERS)[number]
  /** The id of the token, or the access key. */
  readonly id: string
  /** The name of the token, or the ARN of the principal. */
  readonly name: string
  readonly address: string
}

export interface AuditRecord {
  readonly atMs: number
  readonly caller: AuditCaller
  readonly requestId: string
  /** The id of the operation of the admin API, or as `s3:PutBucketPolicy`, `iam:CreateUser`; what it was applied to. */
  readonly operation: string
  readonly target: string
  /** JSON, without secrets; undefined: there was none. */
  readonly request: string | undefined
  readonly before: string | undefined
  readonly after: string | undefined
  /** It is undefined if the operation was begun and its process has not reported how it ended. */
  readonly ended: { readonly atMs: number; readonly outcome: string } | undefined
}

export const encodeAudit = ({ caller, ended, ...record }: AuditRecord): Uint8Array =>
  packRecord(1, [
    record.atMs,
    [CALLERS.indexOf(caller.kind), caller.id, caller.name, caller.address],
    ...[record.requestId, record.operation, record.target],
    ...[record.request ?? null, record.before ?? null, record.after ?? null],
    ended ? [ended.atMs, ended.outcome] : null,
  ])

export function decodeAudit(bytes: Uint8Array): AuditRecord {
  const row = RecordReader.open("audit record", bytes, 1)
  const atMs = row.number()
  const who = row.row()
  const caller = { kind: pick(CALLERS, who.number(), "caller"), id: who.text(), name: who.text(), address: who.text() }
  return {
    ...{ atMs, caller, requestId: row.text(), operation: row.text(), target: row.text() },
    request: row.optional(() => row.text()),
    before: row.optional(() => row.text()),
    after: row.optional(() => row.text()),
    ended: row.optional(() => {
      const end = row.row()
      return { atMs: end.number(), outcome: end.text() }
    }),
  }
}
