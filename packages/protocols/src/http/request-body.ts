/**
 * The body of one request as it arrives: a stream that applies back pressure to its sender.
 *
 * Promises  The body ends cleanly only where the sender ended it. Bytes after its end belong to the next request.
 * Limits    `streamBufferBytes` are buffered in memory; then `isFull`, and the connection stops reading.
 */
import { assert } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { freePiece } from "@hayloft/base/memory/free-memory.js"
import { ClientPace } from "@hayloft/base/pace.js"
import type { PieceOwner } from "@hayloft/base/memory/pieces.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { ChunkDecoder } from "./chunk-decoder.js"
import type { HttpLimits } from "./limits.js"

/** Shorter pieces are merged while they wait. */
const SMALL_PIECE_BYTES = 1 * KIB
const MERGED_PIECE_BYTES = 8 * KIB

/** A body that has arrived whole. */
export async function* oncePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}

interface BodyHooks {
  /** More of the body, or its end, has arrived after a reader waited for it. */
  readonly onArrival: () => void
  /** `isFull` may have changed. */
  readonly onFlow: () => void
}

export class RequestBody {
  /** Bytes received, without framing. */
  receivedBytes = 0
  /** The time since which a reader waits for the next piece. */
  awaitedSinceMs: number | undefined
  /** The decoder is undefined if the length is declared. */
  private readonly chunks: ChunkDecoder | undefined
  private remainingBytes: number
  private readonly pace: ClientPace
  private readonly waiting: Uint8Array[] = []
  private waitingBytes = 0
  /** The last of `waiting`, if small pieces were copied into it. */
  private merged: Uint8Array | undefined
  private failure: Failure | undefined
  private isCut = false
  private isOpened = false
  /** How much of an unread body is read and dropped before the connection closes; undefined while it may be read. */
  private discardBytes: number | undefined
  private onDiscarded: (() => void) | undefined
  private wake: () => void = () => undefined
  private readonly take = (piece: Uint8Array): void => this.takePiece(piece)

  constructor(
    private readonly clock: Clock,
    private readonly limits: HttpLimits,
    private readonly hooks: BodyHooks,
    framing: { readonly contentLength: number | undefined; readonly isChunked: boolean },
  ) {
    this.pace = new ClientPace(limits.bytesPerSecondMin, limits.sendWindowMs)
    this.chunks = framing.isChunked ? new ChunkDecoder() : undefined
    this.remainingBytes = framing.contentLength ?? 0
  }

  /** All of the body has arrived. */
  get isComplete(): boolean {
    return this.chunks === undefined ? this.remainingBytes === 0 : this.chunks.isEnd
  }

  /** The body will stay incomplete: its framing is broken, or its sender stopped or was too slow. */
  get isBroken(): boolean {
    return this.failure !== undefined || this.isCut
  }

  get isFull(): boolean {
    return this.waitingBytes >= this.limits.streamBufferBytes
  }

  /** Consumes the bytes of this body from the front of `bytes`; returns their number. A broken body consumes all. */
  receive(bytes: Buffer): number {
    if (this.isComplete) return 0
    if (this.isBroken) return bytes.length
    if (this.chunks === undefined) return this.receiveDeclared(bytes)
    const usedBytes = this.chunks.read(bytes, this.take)
    if (this.chunks.isBroken) {
      this.fail(fail("invalidRequest", { message: "the body's framing is broken" }))
      return bytes.length
    }
    if (this.isComplete) this.settle()
    return usedBytes
  }

  private receiveDeclared(bytes: Buffer): number {
    const usedBytes = Math.min(bytes.length, this.remainingBytes)
    this.remainingBytes -= usedBytes
    if (usedBytes > 0) this.takePiece(usedBytes === bytes.length ? bytes : bytes.subarray(0, usedBytes))
    if (this.isComplete) this.settle()
    return usedBytes
  }

  /** Breaks the body, unless it is complete. */
  fail(failure: Failure): void {
    if (this.isComplete) return
    this.failure ??= failure
    this.settle()
  }

  /** The connection is closed. */
  cut(): void {
    this.isCut = true
    this.settle()
  }

  /** Breaks the body if its sender is too slow. */
  sweep(nowMs: number): void {
    if (!this.isComplete && !this.isBroken && this.pace.isTooSlow(nowMs)) this.fail(fail("requestTimeout"))
  }

  /** `paused`: the wait before a piece is passed on, if there is one. */
  async *stream(
    pieces: PieceOwner,
    paused: (piece: Uint8Array) => Promise<void> | undefined,
  ): AsyncGenerator<Uint8Array> {
    assert(!this.isOpened, "a body is opened once")
    this.isOpened = true
    for (;;) {
      const piece = this.waiting.shift()
      if (piece !== undefined) {
        this.waitingBytes -= piece.length
        this.hooks.onFlow()
        const pausing = paused(piece)
        if (pausing !== undefined) await pausing
        yield piece
        if (pieces === "reader") freePiece(piece)
      } else if (this.failure !== undefined) throw this.failure
      else if (this.isComplete) return
      else if (this.isCut) throw fail("incompleteBody", { message: "the connection ended within the body" })
      else await this.more()
    }
  }

  /** Drops what has arrived and what still arrives, up to `bytesMax`; calls `done` once, at the end or at the limit. */
  discard(bytesMax: number, done: () => void): void {
    this.waiting.length = 0
    this.waitingBytes = 0
    this.discardBytes = bytesMax
    this.onDiscarded = done
    if (this.isComplete || this.isBroken) this.settle()
  }

  private takePiece(piece: Uint8Array): void {
    this.receivedBytes += piece.length
    if (this.discardBytes !== undefined) {
      this.discardBytes -= piece.length
      if (this.discardBytes <= 0) this.settle()
      return
    }
    this.pace.moved(piece.length)
    this.waitingBytes += piece.length
    if (piece.length >= SMALL_PIECE_BYTES) this.waiting.push(piece)
    else this.merge(piece)
    this.wake()
  }

  /** Appends a small piece to the previous ones: a view for each byte would use a hundred times its memory. */
  private merge(piece: Uint8Array): void {
    const last = this.waiting.at(-1)
    if (
      last === undefined ||
      last !== this.merged ||
      last.byteOffset + last.length + piece.length > last.buffer.byteLength
    ) {
      const memory = Buffer.allocUnsafeSlow(MERGED_PIECE_BYTES)
      memory.set(piece)
      this.merged = memory.subarray(0, piece.length)
      this.waiting.push(this.merged)
      return
    }
    const grown = Buffer.from(last.buffer, 0, last.length + piece.length)
    grown.set(piece, last.length)
    this.waiting[this.waiting.length - 1] = grown
    this.merged = grown
  }

  private async more(): Promise<void> {
    this.awaitedSinceMs = this.clock.monotonicMs()
    this.pace.wait(this.awaitedSinceMs)
    await new Promise<void>(resolve => (this.wake = resolve))
    this.awaitedSinceMs = undefined
    this.pace.rest(this.clock.monotonicMs())
    this.hooks.onArrival()
  }

  private settle(): void {
    this.wake()
    const done = this.onDiscarded
    this.onDiscarded = undefined
    done?.()
  }
}
