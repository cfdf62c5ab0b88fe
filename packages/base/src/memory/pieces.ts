/** The owner of a stream's pieces: the caller, or the reader, which lends each until the next one is requested. */
export type PieceOwner = "caller" | "reader"

/** Bytes in memory that is reused. */
export interface LentBytes {
  readonly bytes: Uint8Array
  /** Returns the memory; the bytes must not be read afterwards. */
  readonly giveBack: () => void
}

/** Bytes that were read: all of them if they were available, else a stream. */
export type ReadBytes = LentBytes | AsyncIterable<Uint8Array>

export const isLent = (read: ReadBytes): read is LentBytes => "giveBack" in read

/** The bytes as a stream; lent bytes are returned when the next piece is requested. */
export const streamOf = (read: ReadBytes): AsyncIterable<Uint8Array> => (isLent(read) ? lentPiece(read) : read)

async function* lentPiece({ bytes, giveBack }: LentBytes): AsyncGenerator<Uint8Array> {
  try {
    yield bytes
  } finally {
    giveBack()
  }
}
