/**
 * Read buffers: memory that pieces of reads are lent from, again and again. A fresh buffer of a
 * megabyte costs more in page faults and collection than reading the bytes into it. They are hashed where
 * they lie.
 *
 * Promises  What is given back is lent again, or freed at once.
 * Limits    `longBuffers` and `shortBuffers`; who asks for more gets a buffer of its own, which its giving back frees.
 *           How much is asked for, `ReadAhead` bounds.
 */
import { freeBuffer } from "../base/free-memory.js"
import { KIB, SYNC_READ_BYTES_MAX } from "../base/limits.js"
import { whenFree } from "../base/memory-in-use.js"
import { after, lastly, type Soon } from "../base/soon.js"
import { xxh64Memory } from "../simd/xxh64.js"
import type { Allocate } from "../volume/contract.js"
import { PIECE_BYTES_MAX } from "./read-plan-core.js"

/** The header of a needle, where it is fetched with the piece. */
const HEADER_BYTES = 64 * KIB
const LONG_BYTES = PIECE_BYTES_MAX + HEADER_BYTES
const SHORT_BYTES = SYNC_READ_BYTES_MAX + HEADER_BYTES
/** Smaller pieces are cheap to allocate. */
const LENT_BYTES_MIN = 32 * KIB

export interface ReadBufferCounts {
  readonly longBuffers: number
  readonly shortBuffers: number
}

export class ReadBuffers {
  /** From the first read on. Of it, what was never lent is never touched, and costs nothing. */
  private memory: Uint8Array | undefined
  /** Where free buffers begin; the one that was used last is lent first. */
  private long: number[] = []
  private short: number[] = []
  /** Behind the short ones. */
  private readonly longFrom: number
  /** Of those who get one of their own. */
  private readonly own = new WeakSet<ArrayBufferLike>()

  constructor(private readonly counts: ReadBufferCounts) {
    this.longFrom = counts.shortBuffers * SHORT_BYTES
    this.fill()
  }

  /** A buffer of this length, with whatever it held before. */
  take(lengthBytes: number): Uint8Array {
    const at = lengthBytes < LENT_BYTES_MIN ? undefined : this.placeFor(lengthBytes)
    if (at === undefined) {
      const bytes = Buffer.allocUnsafeSlow(lengthBytes)
      this.own.add(bytes.buffer)
      return bytes
    }
    this.memory ??= xxh64Memory(this.longFrom + this.counts.longBuffers * LONG_BYTES)
    return this.memory.subarray(at, at + lengthBytes)
  }

  /** Takes back what any view of it shows; nobody may look at it any more. Does nothing for a buffer that is not from here. */
  give(view: Uint8Array): void {
    const { buffer } = view
    if (this.memory !== undefined && buffer === this.memory.buffer) whenFree(view, () => this.takeBack(view.byteOffset))
    else if (this.own.has(buffer) && buffer instanceof ArrayBuffer) {
      this.own.delete(buffer)
      whenFree(view, () => freeBuffer(buffer))
    }
  }

  private placeFor(lengthBytes: number): number | undefined {
    if (lengthBytes <= SHORT_BYTES) return this.short.pop()
    return lengthBytes <= LONG_BYTES ? this.long.pop() : undefined
  }

  private takeBack(byteOffset: number): void {
    const { longFrom } = this
    if (byteOffset < longFrom) this.short.push(byteOffset - (byteOffset % SHORT_BYTES))
    else this.long.push(byteOffset - ((byteOffset - longFrom) % LONG_BYTES))
  }

  private fill(): void {
    const { longBuffers, shortBuffers } = this.counts
    for (let i = longBuffers - 1; i >= 0; i -= 1) this.long.push(this.longFrom + i * LONG_BYTES)
    for (let i = shortBuffers - 1; i >= 0; i -= 1) this.short.push(i * SHORT_BYTES)
  }

  /**
   * Returns what `read` does, which lies in what it took last. All else that it took is given back; if it fails or
   * returns nothing, that too.
   */
  during<Bytes extends Uint8Array | undefined>(read: (take: Allocate) => Soon<Bytes>): Soon<Bytes> {
    const taken: Uint8Array[] = []
    const take: Allocate = lengthBytes => {
      const lent = this.take(lengthBytes)
      taken.push(lent)
      return lent
    }
    const keepLast = (bytes: Bytes): Bytes => {
      if (bytes !== undefined) taken.pop()
      return bytes
    }
    return lastly(
      () => after(read(take), keepLast),
      () => {
        for (const lent of taken) this.give(lent)
      },
    )
  }
}
