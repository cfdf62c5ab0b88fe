/**
 * Rows of transactions (family `transactions`): the outcome that a client's token stands for, and the keys whose absence a
 * transaction has guarded with rows of objects that have no version.
 */
import {
  parseBucketId,
  parseVersionId,
  rowKeyOf,
  type AccountId,
  type BucketId,
  type ObjectKey,
  type RowKey,
  type VersionId,
} from "../base/ids.js"
import { RecordReader, packRecord } from "./pack.js"
import { parseStoredKey } from "./records.js"

/** The result of one operation. */
export interface OperationResult {
  /** The version made or removed; undefined in a bucket that was never versioned, and for a check. */
  readonly versionId?: VersionId
  /** The ETag of an object that was put or renamed. */
  readonly etag?: string
  /** A delete marker was made, or the version that was removed was one. */
  readonly deleteMarker?: true
}

/** A client's name for a transaction. */
export interface TransactionToken {
  readonly account: AccountId
  /** The client's token, without 0x00. */
  readonly token: string
  /** The digest of everything that a repeated request must have in common with the first. */
  readonly digest: Uint8Array
}

interface TransactionRecord {
  /** The digest of the request; a repeated request must have the same. */
  readonly digest: Uint8Array
  readonly atMs: number
  /** In the order of the operations. */
  readonly results: readonly OperationResult[]
}

export const transactionRowKey = ({ account, token }: TransactionToken): RowKey => rowKeyOf(`${account}\x00${token}`)
const GUARDS = "\x00"
export const guardsRowKey = (decisionId: string): RowKey => rowKeyOf(GUARDS + decisionId)
export const isGuardsRowKey = (key: RowKey): boolean => key.startsWith(GUARDS)

export const encodeTransaction = ({ digest, atMs, results }: TransactionRecord): Uint8Array =>
  packRecord(1, [
    digest,
    atMs,
    results.map(({ versionId, etag, deleteMarker }) => [versionId ?? null, etag ?? null, deleteMarker ? 1 : 0]),
  ])

export function decodeTransaction(bytes: Uint8Array): TransactionRecord {
  const row = RecordReader.open("transaction", bytes, 1)
  return { digest: row.bytes(), atMs: row.number(), results: row.rows(resultIn) }
}

function resultIn(row: RecordReader): OperationResult {
  const versionId = row.optional(() => row.text())
  const etag = row.optional(() => row.text())
  const deleteMarker = row.number() === 1
  return {
    ...(versionId !== undefined && { versionId: parseVersionId(versionId) }),
    ...(etag !== undefined && { etag }),
    ...(deleteMarker && { deleteMarker }),
  }
}

interface GuardsRecord {
  readonly atMs: number
  readonly keys: readonly GuardedKey[]
}

/** An object that was absent. */
export interface GuardedKey {
  readonly bucketId: BucketId
  readonly key: ObjectKey
}

export const encodeGuards = ({ atMs, keys }: GuardsRecord): Uint8Array =>
  packRecord(1, [atMs, keys.map(({ bucketId, key }) => [bucketId, Buffer.from(key, "latin1")])])

export function decodeGuards(bytes: Uint8Array): GuardsRecord {
  const row = RecordReader.open("guards", bytes, 1)
  const keyIn = (each: RecordReader): GuardedKey => ({
    bucketId: parseBucketId(each.number()),
    key: parseStoredKey(each.bytes()),
  })
  return { atMs: row.number(), keys: row.rows(keyIn) }
}
