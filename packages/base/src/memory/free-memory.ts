/**
 * Frees the memory of body pieces as soon as they have been used.
 *
 * Node returns each piece in its own buffer. If the garbage collector frees them, a gigabyte of pieces makes it
 * walk the whole heap some forty times, which costs more than hashing the bytes; and an idle process
 * does not collect at all. Moving a buffer to a port whose other end is closed frees it immediately.
 */
import { KIB } from "../limits.js"

/** Smaller pieces cost less to collect than to move. */
const PIECE_BYTES_MIN = 16 * KIB

const { port1: nowhere, port2: closed } = new MessageChannel()
closed.close()
nowhere.unref()

/** Frees the memory of a piece, which has length 0 afterwards. Does nothing if other bytes share its buffer. */
export function freePiece(piece: Uint8Array): void {
  const { buffer, length } = piece
  if (length === buffer.byteLength && buffer instanceof ArrayBuffer) freeBuffer(buffer)
}

/** Frees a whole buffer; all views of it have length 0 afterwards. Does nothing for a small one. */
export function freeBuffer(buffer: ArrayBuffer): void {
  if (buffer.byteLength >= PIECE_BYTES_MIN) nowhere.postMessage(undefined, [buffer])
}
