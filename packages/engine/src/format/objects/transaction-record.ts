/**
 * Rows of transactions (family `transactions`): the outcome that a client's token stands for, and the keys whose absence a
 * transaction has guarded with rows of objects that have no version.
 */
import { rowKeyOf, type AccountId, type RowKey } from "@hayloft/base/ids.js"
import { absent, BYTES, MARK, NUMBER, record, rowsOf, TEXT, type ValueOf } from "../encoding/fields.js"
import { BUCKET_ID, OBJECT_KEY, VERSION_ID } from "../encoding/id-fields.js"

const RESULTS = rowsOf({
  /** The version made or removed; undefined in a bucket that was never versioned, and for a check. */
  versionId: absent(VERSION_ID),
  /** The ETag of an object that was put or renamed. */
  etag: absent(TEXT),
  /** A delete marker was made, or the version that was removed was one. */
  deleteMarker: MARK,
})
/** The result of one operation. */
export type OperationResult = ValueOf<typeof RESULTS>[number]

/** A client's name for a transaction. */
export interface TransactionToken {
  readonly account: AccountId
  /** The client's token, without 0x00. */
  readonly token: string
  /** The digest of everything that a repeated request must have in common with the first. */
  readonly digest: Uint8Array
}

export const transactionRowKey = ({ account, token }: TransactionToken): RowKey => rowKeyOf(`${account}\x00${token}`)
const GUARDS = "\x00"
export const guardsRowKey = (decisionId: string): RowKey => rowKeyOf(GUARDS + decisionId)
export const isGuardsRowKey = (key: RowKey): boolean => key.startsWith(GUARDS)

const TRANSACTION = record("transaction", {
  /** The digest of the request; a repeated request must have the same. */
  digest: BYTES,
  atMs: NUMBER,
  /** In the order of the operations. */
  results: RESULTS,
})
export const { encode: encodeTransaction, decode: decodeTransaction } = TRANSACTION

/** Objects that were absent. */
const GUARDED_KEYS = rowsOf({ bucketId: BUCKET_ID, key: OBJECT_KEY })
export type GuardedKey = ValueOf<typeof GUARDED_KEYS>[number]

const GUARDS_RECORD = record("guards", { atMs: NUMBER, keys: GUARDED_KEYS })
export const { encode: encodeGuards, decode: decodeGuards } = GUARDS_RECORD
