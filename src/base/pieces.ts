/** Whose the pieces of a stream are: the caller's for good, or only lent until it asks for the next one. */
export type PieceOwner = "caller" | "reader"

/** Bytes in memory that is used again. */
export interface LentBytes {
  readonly bytes: Uint8Array
  /** Nobody looks at them any more. */
  readonly giveBack: () => void
}

/** Bytes that were read: all of them, if there was nothing to wait for, or a stream. */
export type ReadBytes = LentBytes | AsyncIterable<Uint8Array>

export const isLent = (read: ReadBytes): read is LentBytes => "giveBack" in read

/** The bytes as a stream in any case; those that are lent are given back when the next piece is asked for. */
export const streamOf = (read: ReadBytes): AsyncIterable<Uint8Array> => (isLent(read) ? lentPiece(read) : read)

async function* lentPiece({ bytes, giveBack }: LentBytes): AsyncGenerator<Uint8Array> {
  try {
    yield bytes
  } finally {
    giveBack()
  }
}
