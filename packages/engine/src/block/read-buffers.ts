/**
 * Read buffers: reusable memory for the pieces of reads. A fresh buffer of a megabyte costs more in page faults and
 * garbage collection than reading the bytes into it. Pieces are hashed in place.
 *
 * Promises  A returned buffer is reused or freed immediately.
 * Limits    `longBuffers` and `shortBuffers`. Beyond them a caller gets its own buffer, which is freed when returned.
 *           `ReadAhead` limits how much is requested.
 */
import { freeBuffer } from "@hayloft/base/memory/free-memory.js"
import { KIB, SYNC_READ_BYTES_MAX } from "@hayloft/base/limits.js"
import { whenFree } from "@hayloft/base/memory/memory-in-use.js"
import { after, lastly, type Soon } from "@hayloft/base/soon.js"
import { xxh64Memory } from "@hayloft/base/simd/xxh64.js"
import type { Allocate } from "../volume/contract.js"
import { PIECE_BYTES_MAX } from "./read-plan-core.js"

/** The header of a needle, if it is fetched with the piece. */
const HEADER_BYTES = 64 * KIB
const LONG_BYTES = PIECE_BYTES_MAX + HEADER_BYTES
const SHORT_BYTES = SYNC_READ_BYTES_MAX + HEADER_BYTES
/** Smaller pieces are cheap to allocate. */
const LENT_BYTES_MIN = 32 * KIB

interface ReadBufferCounts {
  readonly longBuffers: number
  readonly shortBuffers: number
}

export class ReadBuffers {
  /** Reserved at the first read. Pages that were never lent are never touched, and cost nothing. */
  private memory: Uint8Array | undefined
  /** Offsets of free buffers; the last used one is lent first. */
  private long: number[] = []
  private short: number[] = []
  /** Offset of the long buffers, behind the short ones. */
  private readonly longFrom: number
  /** Buffers outside the reusable memory. */
  private readonly own = new WeakSet<ArrayBufferLike>()

  constructor(private readonly counts: ReadBufferCounts) {
    this.longFrom = counts.shortBuffers * SHORT_BYTES
    this.fill()
  }

  /** A buffer of this length with arbitrary contents. */
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

  /** Takes back the buffer behind a view, which must not be used any more. Ignores buffers that are not from here. */
  give(view: Uint8Array): void {
    const { buffer } = view
    if (this.memory !== undefined && buffer === this.memory.buffer) whenFree(view, () => this.takeBack(view.byteOffset))
    else if (this.own.has(buffer) && buffer instanceof ArrayBuffer) {
      this.own.delete(buffer)
      whenFree(view, () => freeBuffer(buffer))
    }
  }

  /** Like `give`, for a buffer from which an abandoned write may still read: memory of its own is not freed early. */
  abandon(view: Uint8Array): void {
    if (!this.own.has(view.buffer)) this.give(view)
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
   * Returns the result of `read`, which is in the last buffer that it took. Its other buffers are freed; if it fails or
   * returns undefined, the last one too.
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
