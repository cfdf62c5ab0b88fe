/** Whose the pieces of a stream are: the caller's for good, or only lent until it asks for the next one. */
export type PieceOwner = "caller" | "reader"

/** Bytes in memory that is used again. */
export interface LentBytes {
  readonly bytes: Uint8Array
  /** Nobody looks at them any more. */
  giveBack(): void
}
