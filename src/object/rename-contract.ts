/** Renames: the part of the contract for protocols that gives objects another key. */
import type { ObjectKey } from "../base/ids.js"
import type { Bucket, Conditions, EncryptionCheck, PutResult } from "./contract.js"

export interface RenameRequest {
  readonly bucket: Bucket
  readonly from: ObjectKey
  readonly to: ObjectKey
  /** On the source: false always throws `preconditionFailed`. */
  readonly sourceConditions: Conditions
  /** On the destination: all of them, as on the source. */
  readonly conditions: Conditions
  /** Recognises a repeated request. */
  readonly clientToken: string | undefined
  /** Nothing is renamed: only an earlier request with the token can have done it. */
  readonly isRepeated?: boolean
  /** As in `GetRequest`, of the source. No key of SSE-C is needed. */
  readonly checkEncryption?: EncryptionCheck
  readonly signal: AbortSignal
}

export interface Renames {
  /**
   * The latest version gets another key, of one moment: no reader sees both keys with it, or neither. Throws `noSuchKey`,
   * `preconditionFailed`, `idempotencyMismatch`, `invalidObjectState`, `invalidRequest`, `quotaExceeded` (in a bucket with
   * versions), and `conflict` if the source keeps changing.
   */
  rename(request: RenameRequest): Promise<PutResult>
}
