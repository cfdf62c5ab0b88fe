/**
 * Read buffers: memory that pieces of reads are lent from, again and again. A fresh buffer of a
 * megabyte costs more in page faults and collection than reading the bytes into it. They are hashed where
 * they lie.
 *
 * Limits  `bytesMax` in all; who asks for more gets a buffer that is left to the collector.
 */
import { KIB } from "../base/limits.js"
import { whenFree } from "../base/memory-in-use.js"
import { xxh64Memory } from "../base/xxh64.js"
import type { Allocate } from "../volume/contract.js"
import { PIECE_BYTES_MAX } from "./read-plan-core.js"

/** A piece, and the header of its needle where both are fetched at once. */
const BUFFER_BYTES = PIECE_BYTES_MAX + 64 * KIB
/** Smaller pieces are cheap to allocate. */
const LENT_BYTES_MIN = 32 * KIB

export class ReadBuffers {
  /** From the first read on. Of it, what was never lent is never touched, and costs nothing. */
  private memory: Uint8Array | undefined
  /** Where free buffers begin; the one that was used last is lent first. */
  private readonly idle: number[] = []
  private readonly count: number

  constructor(bytesMax: number) {
    this.count = Math.floor(bytesMax / BUFFER_BYTES)
    for (let i = this.count - 1; i >= 0; i -= 1) this.idle.push(i * BUFFER_BYTES)
  }

  /** A buffer of this length, with whatever it held before. */
  take(lengthBytes: number): Uint8Array {
    const isLent = lengthBytes >= LENT_BYTES_MIN && lengthBytes <= BUFFER_BYTES
    const at = isLent ? this.idle.pop() : undefined
    if (at === undefined) return Buffer.allocUnsafeSlow(lengthBytes)
    this.memory ??= xxh64Memory(this.count * BUFFER_BYTES)
    return this.memory.subarray(at, at + lengthBytes)
  }

  /** Takes back what any view of it shows; nobody may look at it any more. Does nothing for a buffer that is not from here. */
  give(view: Uint8Array): void {
    if (view.buffer !== this.memory?.buffer) return
    const at = view.byteOffset - (view.byteOffset % BUFFER_BYTES)
    whenFree(view, () => this.idle.push(at))
  }

  /** What `read` gives, in what it took last. All else that it took is given back; where it fails, that too. */
  async during(read: (take: Allocate) => Promise<Uint8Array>): Promise<Uint8Array> {
    const taken: Uint8Array[] = []
    try {
      const bytes = await read(this.noting(taken))
      taken.pop()
      return bytes
    } finally {
      for (const lent of taken) this.give(lent)
    }
  }

  /** The same of a read on the calling thread, which may give nothing. */
  now(read: (take: Allocate) => Uint8Array | undefined): Uint8Array | undefined {
    const taken: Uint8Array[] = []
    const bytes = read(this.noting(taken))
    if (bytes !== undefined) taken.pop()
    for (const lent of taken) this.give(lent)
    return bytes
  }

  private noting(taken: Uint8Array[]): Allocate {
    return lengthBytes => {
      const lent = this.take(lengthBytes)
      taken.push(lent)
      return lent
    }
  }
}
