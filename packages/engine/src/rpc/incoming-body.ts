/**
 * A body as it arrives: a bounded queue between the connection and one reader.
 *
 * Promises  Bytes are returned to the sender's window when the reader takes them, so a reader that pauses holds back
 *           the sender. The pieces belong to the reader. A body ends with its last byte or with a failure, and is never
 *           cut silently.
 * Refuses   `malformedFrame` if the sender exceeds its window or the declared length.
 */
import { assert } from "@hayloft/base/assert.js"
import { concatBytes } from "@hayloft/base/bytes.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { Soon } from "@hayloft/base/soon.js"

/** The events for the owner of the connection. */
interface BodyEvents {
  /** The reader has taken so many bytes, or they were dropped; `wantsMore` if the sender may continue. */
  consumed(bytes: number, wantsMore: boolean): void
  /** The reader does not want the rest. */
  discarded(): void
}

/** Chunks that are kept after they were taken. */
const TAKEN_CHUNKS_MAX = 64

const over = (): Failure => fail("incompleteBody", { message: "the body was discarded before its end" })

interface Reading {
  readonly resolve: (bytes: Uint8Array | undefined) => void
  readonly reject: (failure: Failure) => void
}

export class IncomingBody implements AsyncIterable<Uint8Array> {
  private chunks: Uint8Array[] = []
  /** The first chunk that is not taken. */
  private at = 0
  private reading: Reading | undefined
  private receivedBytes = 0
  private isEnded = false
  private isDiscarded = false
  private failure: Failure | undefined

  constructor(
    readonly lengthBytes: number | undefined,
    private windowBytes: number,
    private readonly events: BodyEvents,
  ) {
    this.isEnded = lengthBytes === 0
  }

  /** Everything has arrived. */
  get isComplete(): boolean {
    return this.isEnded
  }

  /** The next bytes; undefined at the end. One read at a time. */
  read(): Soon<Uint8Array | undefined> {
    assert(this.reading === undefined, "a body has one read at a time")
    if (this.failure !== undefined) throw this.failure
    const chunk = this.chunks[this.at]
    if (chunk !== undefined) return this.take(chunk)
    if (this.isDiscarded) throw over()
    if (this.isEnded) return undefined
    return new Promise<Uint8Array | undefined>((resolve, reject) => {
      this.reading = { resolve, reject }
    })
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const next = this.read()
        const chunk = next instanceof Promise ? await next : next
        if (chunk === undefined) return
        yield chunk
      }
    } finally {
      this.discard()
    }
  }

  /** All bytes. Throws `entityTooLarge` if there are more than `bytesMax`. */
  async whole(bytesMax: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    let bytes = 0
    for await (const chunk of this) {
      bytes += chunk.length
      if (bytes > bytesMax) throw fail("entityTooLarge", { message: "a body between nodes is too large", bytesMax })
      chunks.push(chunk)
    }
    return concatBytes(chunks)
  }

  /** Drops what has not been read, and what still arrives. */
  discard(): void {
    if (this.isDiscarded) return
    this.isDiscarded = true
    this.drop()
    this.reading?.reject(over())
    this.reading = undefined
    if (!this.isEnded) this.events.discarded()
  }

  /** For the connection: bytes that arrived. */
  push(bytes: Uint8Array, isLast: boolean): void {
    if (this.isEnded) throw fail("malformedFrame", { reason: "body after its end" })
    this.receivedBytes += bytes.length
    this.windowBytes -= bytes.length
    if (this.windowBytes < 0) throw fail("malformedFrame", { reason: "body beyond its window" })
    const { lengthBytes } = this
    if (lengthBytes !== undefined && (isLast ? this.receivedBytes !== lengthBytes : this.receivedBytes > lengthBytes)) {
      throw fail("malformedFrame", { reason: "body of another length" })
    }
    this.isEnded = isLast
    if (this.isDiscarded || this.failure !== undefined) this.consume(bytes.length)
    else if (this.reading === undefined) {
      if (bytes.length > 0) this.chunks.push(bytes)
    } else if (bytes.length > 0 || isLast) {
      const { resolve } = this.reading
      this.reading = undefined
      if (bytes.length > 0) this.consume(bytes.length)
      resolve(bytes.length > 0 ? bytes : undefined)
    }
  }

  /** For the connection: the rest will not come. What was not read is dropped. */
  fail(failure: Failure): void {
    if (this.failure !== undefined || (this.isEnded && this.at === this.chunks.length)) return
    this.failure = failure
    this.isEnded = true
    this.drop()
    this.reading?.reject(failure)
    this.reading = undefined
  }

  private take(chunk: Uint8Array): Uint8Array {
    this.at += 1
    if (this.at === this.chunks.length || this.at >= TAKEN_CHUNKS_MAX) {
      this.chunks = this.chunks.slice(this.at)
      this.at = 0
    }
    this.consume(chunk.length)
    return chunk
  }

  private drop(): void {
    let bytes = 0
    for (let i = this.at; i < this.chunks.length; i += 1) bytes += this.chunks[i]?.length ?? 0
    this.chunks = []
    this.at = 0
    if (bytes > 0) this.consume(bytes)
  }

  private consume(bytes: number): void {
    this.windowBytes += bytes
    this.events.consumed(bytes, !this.isEnded)
  }
}
