/**
 * How much memory the next piece of a reader may hold. Pure.
 *
 * All readers together hold at most `readBytesMax` (or this thread's part of it) in long pieces, from the request to the device until the client has
 * consumed the piece. Read-ahead stops at half of that. Beyond it, long pieces are only for readers whose clients have
 * consumed more than socket buffers hold: a stalled client cannot have done so. Every other reader holds one sub-block,
 * which is not counted, since the number of requests is limited elsewhere.
 */
import { MIB, SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { BLOCK_LIMITS } from "./limits.js"
import { PIECE_BYTES_MAX } from "./read-plan-core.js"

/** Linux lets the send buffer of a socket grow to 4 MiB by itself. */
export const SOCKET_BYTES = 4 * MIB

interface ReaderState {
  /** Pieces that were or are being read, and not yet handed out. */
  readonly aheadPieces: number
  /** Bytes handed out and consumed by the client. */
  readonly takenBytes: number
  /** No piece has been requested yet: the first piece is short so that the first byte leaves early. */
  readonly isFirst: boolean
}

/**
 * Maximum length of the next piece; undefined: no further piece yet. `heldBytes`: long pieces of all readers, which
 * `readBytesMax` limits.
 */
export type PieceRule = (reader: ReaderState, heldBytes: number, readBytesMax: number) => number | undefined

/** With less, no reader would read ahead. */
export const READ_BYTES_MIN = 2 * PIECE_BYTES_MAX

export const nextPieceBytes: PieceRule = ({ aheadPieces, takenBytes, isFirst }, heldBytes, readBytesMax) => {
  const { readAheadPiecesMax } = BLOCK_LIMITS
  const isPlenty = heldBytes + PIECE_BYTES_MAX <= readBytesMax / 2
  if (aheadPieces > 0 && (!isPlenty || aheadPieces >= readAheadPiecesMax)) return undefined
  if (isFirst) return SUB_BLOCK_BYTES
  const isTaking = takenBytes > SOCKET_BYTES && heldBytes + PIECE_BYTES_MAX <= readBytesMax
  return isPlenty || isTaking ? PIECE_BYTES_MAX : SUB_BLOCK_BYTES
}
