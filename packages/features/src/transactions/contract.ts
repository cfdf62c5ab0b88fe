/** Transactions for protocols: several operations of one moment, or none of them. */
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { OperationResult, TransactionToken } from "@hayloft/engine/format/objects/transaction-record.js"
import type { Bucket, CompleteRequest, Conditions, DeleteRequest, RenameRequest } from "@hayloft/objects/contract.js"

export type { OperationResult, TransactionToken }

/** One of the operations of a transaction. Each key may be in one of them only. */
export type TransactionOperation =
  /** The upload is completed. */
  | { readonly kind: "put"; readonly complete: CompleteRequest }
  | { readonly kind: "delete"; readonly remove: DeleteRequest }
  | { readonly kind: "rename"; readonly rename: RenameRequest }
  | {
      readonly kind: "check"
      readonly bucket: Bucket
      readonly key: ObjectKey
      readonly conditions: Conditions
    }

export interface TransactionRequest {
  readonly operations: readonly TransactionOperation[]
  /** Recognises a repeated request; without it, a repeated request is done again. */
  readonly token: TransactionToken | undefined
}

export interface Transactions {
  /** Returns the results of the transaction with this token; undefined if there was no such transaction. Throws `idempotencyMismatch`. */
  find(token: TransactionToken): Promise<readonly OperationResult[] | undefined>
  /**
   * Does all operations of one moment, or none. What is thrown because of one operation has its number, from 0, in the details
   * (`operation`). Throws what its operations throw; `invalidRequest`, `idempotencyMismatch`, `notImplemented` for
   * remote buckets, and `conflict` if objects keep changing.
   */
  run(request: TransactionRequest): Promise<readonly OperationResult[]>
}
