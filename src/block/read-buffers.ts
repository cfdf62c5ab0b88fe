/**
 * Read buffers: memory that pieces of reads are lent from, again and again. A fresh buffer of a
 * megabyte costs more in page faults and collection than reading the bytes into it.
 *
 * Limits  `idleBytesMax` are kept for later; what is given back beyond is left to the collector.
 */
import { KIB } from "../base/limits.js"
import { PIECE_BYTES_MAX } from "./read-plan-core.js"

/** A piece, and the header of its needle where both are fetched at once. */
const BUFFER_BYTES = PIECE_BYTES_MAX + 64 * KIB
/** Smaller pieces are cheap to allocate. */
const LENT_BYTES_MIN = 32 * KIB

export class ReadBuffers {
  private readonly idle: Uint8Array[] = []

  constructor(private readonly idleBytesMax: number) {}

  /** A buffer of this length, with whatever it held before. */
  take(lengthBytes: number): Uint8Array {
    if (lengthBytes < LENT_BYTES_MIN || lengthBytes > BUFFER_BYTES) return Buffer.allocUnsafeSlow(lengthBytes)
    return (this.idle.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES)).subarray(0, lengthBytes)
  }

  /** Takes back what any view of it shows; nobody may look at it any more. Does nothing for a buffer that is not from here. */
  give(view: Uint8Array): void {
    const { buffer } = view
    if (buffer.byteLength !== BUFFER_BYTES || !(buffer instanceof ArrayBuffer)) return
    if ((this.idle.length + 1) * BUFFER_BYTES <= this.idleBytesMax) this.idle.push(new Uint8Array(buffer))
  }
}
