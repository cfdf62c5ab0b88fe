/**
 * The body of one request as a stream that holds its sender back.
 *
 * Promises  Nothing is taken from the socket before the body is opened. It ends cleanly only where
 *           the sender ended it.
 * Limits    `streamBufferBytes` wait in memory.
 */
import type { IncomingMessage } from "node:http"
import { assert } from "../base/assert.js"
import { fail } from "../base/failures.js"
import type { Failure } from "../base/failures.js"
import type { PieceOwner } from "../base/pieces.js"
import type { Clock } from "../seams/clock/contract.js"
import { freePiece } from "../base/free-memory.js"
import type { HttpLimits } from "./limits.js"
import { Pace } from "../base/pace.js"

/** A body that is there already. */
export async function* oncePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}

export class RequestBody {
  /** Bytes that have arrived. */
  receivedBytes = 0
  /** Since when the next piece has been waited for. */
  awaitedSinceMs: number | undefined
  private readonly pace: Pace
  private readonly waiting: Uint8Array[] = []
  private waitingBytes = 0
  private ended = false
  private failure: Failure | undefined
  private isCut = false
  private opened = false
  /** Set once nobody wants the rest: how much of it is still taken. */
  private forgetBytes: number | undefined
  private onForgotten: (() => void) | undefined
  private wake: () => void = () => undefined

  constructor(
    private readonly clock: Clock,
    private readonly request: IncomingMessage,
    private readonly limits: HttpLimits,
    private readonly onArrival: () => void,
  ) {
    this.pace = new Pace(limits.bytesPerSecondMin, limits.sendWindowMs)
    request.on("end", () => this.finish())
    request.on("error", () => this.cut())
    request.on("close", () => this.cut())
  }

  get isOpened(): boolean {
    return this.opened
  }

  isTooSlow(nowMs: number): boolean {
    return !this.ended && !this.isCut && this.failure === undefined && this.pace.isTooSlow(nowMs)
  }

  /** Ends the body with a failure, unless it is over already. */
  fail(failure: Failure): void {
    if (this.ended) return
    this.failure ??= failure
    this.settle()
  }

  /** The connection ended; within the body, if that has not ended before. */
  cut(): void {
    this.isCut = true
    this.settle()
  }

  async *stream(pieces: PieceOwner): AsyncGenerator<Uint8Array> {
    assert(!this.opened, "a body is opened once")
    this.opened = true
    this.listen()
    for (;;) {
      const piece = this.waiting.shift()
      if (piece !== undefined) {
        this.waitingBytes -= piece.length
        if (this.waitingBytes < this.limits.streamBufferBytes) this.request.resume()
        yield piece
        if (pieces === "reader") freePiece(piece)
      } else if (this.failure !== undefined) throw this.failure
      else if (this.ended) return
      else if (this.isCut) throw fail("incompleteBody", { message: "the connection ended within the body" })
      else await this.more()
    }
  }

  /** Takes and forgets what still comes, up to `bytesMax`; `done` is called once, at its end or at the limit. */
  discard(bytesMax: number, done: () => void): void {
    this.waiting.length = 0
    this.forgetBytes = bytesMax
    this.onForgotten = done
    if (this.ended || this.isCut || this.failure !== undefined) this.settle()
    else {
      if (!this.opened) this.listen()
      this.request.resume()
    }
  }

  private listen(): void {
    this.request.on("data", (piece: Uint8Array) => this.take(piece))
  }

  private take(piece: Uint8Array): void {
    this.receivedBytes += piece.length
    if (this.forgetBytes !== undefined) {
      this.forgetBytes -= piece.length
      if (this.forgetBytes <= 0) this.settle()
      return
    }
    if (this.failure !== undefined) return
    this.pace.moved(piece.length)
    this.waiting.push(piece)
    this.waitingBytes += piece.length
    if (this.waitingBytes >= this.limits.streamBufferBytes) this.request.pause()
    this.wake()
  }

  private async more(): Promise<void> {
    this.awaitedSinceMs = this.clock.monotonicMs()
    this.pace.wait(this.awaitedSinceMs)
    await new Promise<void>(resolve => (this.wake = resolve))
    this.awaitedSinceMs = undefined
    this.pace.rest(this.clock.monotonicMs())
    this.onArrival()
  }

  private finish(): void {
    if (this.failure === undefined) this.ended = true
    this.settle()
  }

  private settle(): void {
    this.wake()
    const done = this.onForgotten
    this.onForgotten = undefined
    done?.()
  }
}
