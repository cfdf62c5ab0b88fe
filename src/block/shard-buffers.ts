/**
 * Shard buffers: memory for whole shards, lent again and again while blocks are mended. Fresh buffers of
 * a megabyte each keep the garbage collector as busy as the disks.
 *
 * Limits  `idleBytesMax` are kept for later.
 */
import { roundUp } from "../base/bytes.js"
import { KIB } from "../base/limits.js"

/** Shards of one store are of few lengths; with their headers they fit the same buffers. */
const STEP_BYTES = 256 * KIB

export class ShardBuffers {
  private readonly idle = new Map<number, Uint8Array[]>()
  /** Weakly: a buffer that nobody gives back is the collector's. */
  private readonly lent = new WeakSet<ArrayBufferLike>()
  private idleBytes = 0

  constructor(private readonly idleBytesMax: number) {}

  /** A buffer of this length, with whatever it held before. */
  take(lengthBytes: number): Uint8Array {
    const capacity = roundUp(lengthBytes, STEP_BYTES)
    const found = this.idle.get(capacity)?.pop()
    if (found) this.idleBytes -= capacity
    const buffer = found ?? Buffer.allocUnsafeSlow(capacity)
    this.lent.add(buffer.buffer)
    return buffer.subarray(0, lengthBytes)
  }

  /** Takes back what any view of it shows; nobody may look at it any more. Does nothing for a buffer that is not from here. */
  give({ buffer }: Uint8Array): void {
    if (!this.lent.delete(buffer) || this.idleBytes + buffer.byteLength > this.idleBytesMax) return
    const others = this.idle.get(buffer.byteLength) ?? []
    this.idle.set(buffer.byteLength, others)
    others.push(new Uint8Array(buffer))
    this.idleBytes += buffer.byteLength
  }
}
