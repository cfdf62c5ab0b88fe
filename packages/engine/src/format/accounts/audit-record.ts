/**
 * Changes by the admin API, by S3 (of buckets), IAM and KMS (family `audit`): who asked for what, how it ended, and what
 * there was before and after.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { NUMBER, oneOf, optional, record, row, TEXT, type ValueOf } from "../encoding/fields.js"

/** Numbers are on disk: append only. */
const CALLERS = ["operator", "token", "key", "anonymous"] as const

const CALLER = row({
  /** With the token of the data folders, with one that has an id and a name, with an access key, or with nothing. */
  kind: oneOf(CALLERS),
  /** The id of the token, or the access key. */
  id: TEXT,
  /** The name of the token, or the ARN of the principal. */
  name: TEXT,
  address: TEXT,
})
export type AuditCaller = ValueOf<typeof CALLER>

const AUDIT = record("audit record", {
  atMs: NUMBER,
  caller: CALLER,
  requestId: TEXT,
  /** The id of the operation of the admin API, or as `s3:PutBucketPolicy`, `iam:CreateUser`; what it was applied to. */
  operation: TEXT,
  target: TEXT,
  /** JSON, without secrets; undefined: there was none. */
  request: optional(TEXT),
  before: optional(TEXT),
  after: optional(TEXT),
  /** It is undefined if the operation was begun and its process has not reported how it ended. */
  ended: optional(row({ atMs: NUMBER, outcome: TEXT })),
})
export type AuditRecord = ValueOf<typeof AUDIT>
export const { encode: encodeAudit, decode: decodeAudit } = AUDIT
