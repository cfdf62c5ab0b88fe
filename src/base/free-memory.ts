/**
 * Memory of pieces of bodies, freed as soon as a piece has been used.
 *
 * Node hands out each piece in a buffer of its own. Left to the collector, a gigabyte of them makes it
 * walk the whole heap some forty times, which costs more than hashing the bytes; and a process that has nothing to do
 * does not collect at all. Moving a buffer to a port whose other end is closed frees it at once.
 */
import { KIB } from "./limits.js"

/** Smaller pieces cost less to collect than to move. */
const PIECE_BYTES_MIN = 16 * KIB

const { port1: nowhere, port2: closed } = new MessageChannel()
closed.close()
nowhere.unref()

/** Frees the memory of a piece, which has length 0 afterwards. Does nothing where other bytes share it. */
export function freePiece(piece: Uint8Array): void {
  const { buffer, length } = piece
  if (length === buffer.byteLength && buffer instanceof ArrayBuffer) freeBuffer(buffer)
}

/** Frees a whole buffer; all views of it have length 0 afterwards. Does nothing for a small one. */
export function freeBuffer(buffer: ArrayBuffer): void {
  if (buffer.byteLength >= PIECE_BYTES_MIN) nowhere.postMessage(undefined, [buffer])
}
