/**
 * How much the next piece of a reader may hold. Pure.
 *
 * All readers together hold at most `readBytesMax` in long pieces, from the moment a piece is asked of its device until
 * the client has taken it. Reading ahead stops at half of that. From there on long pieces are only for readers whose
 * clients have taken more than sockets hold by themselves: a client that takes nothing cannot have done so. Every other
 * reader holds one sub-block, which is not counted, since the number of requests is bounded elsewhere.
 */
import { MIB, SUB_BLOCK_BYTES } from "../base/limits.js"
import { BLOCK_LIMITS } from "./limits.js"
import { PIECE_BYTES_MAX } from "./read-plan-core.js"

/** Linux lets the send buffer of a socket grow to 4 MiB by itself. */
export const SOCKET_BYTES = 4 * MIB

export interface ReaderState {
  /** Pieces that were read, or are being read, and not yet handed out. */
  readonly aheadPieces: number
  /** Handed out, and taken by the client. */
  readonly takenBytes: number
  /** Nothing has been asked for yet: the first byte leaves early. */
  readonly isFirst: boolean
}

/** The length of the next piece at most; undefined: no further piece yet. `heldBytes` are those of long pieces, of all readers. */
export type PieceRule = (reader: ReaderState, heldBytes: number) => number | undefined

export const nextPieceBytes: PieceRule = ({ aheadPieces, takenBytes, isFirst }, heldBytes) => {
  const { readBytesMax, readAheadPiecesMax } = BLOCK_LIMITS
  const isPlenty = heldBytes + PIECE_BYTES_MAX <= readBytesMax / 2
  if (aheadPieces > 0 && (!isPlenty || aheadPieces >= readAheadPiecesMax)) return undefined
  if (isFirst) return SUB_BLOCK_BYTES
  const isTaking = takenBytes > SOCKET_BYTES && heldBytes + PIECE_BYTES_MAX <= readBytesMax
  return isPlenty || isTaking ? PIECE_BYTES_MAX : SUB_BLOCK_BYTES
}
