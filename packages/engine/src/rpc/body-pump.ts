/**
 * Draws the pieces of a body from its source, one when the send queue asks for it.
 *
 * Promises  Every piece is passed on or given back. The source is closed when it ends, fails or is stopped.
 * Refuses   A source whose pieces do not add up to its declared length, with `incompleteBody`.
 */
import { fail } from "@hayloft/base/failures.js"
import type { LentBytes } from "@hayloft/base/memory/pieces.js"
import type { RpcBodySource } from "./contract.js"

interface PumpEvents {
  piece(piece: LentBytes | undefined, isLast: boolean): void
  failed(error: unknown): void
}

type Drawn = IteratorResult<LentBytes, unknown>

export class BodyPump {
  private readonly iterator: Iterator<LentBytes> | AsyncIterator<LentBytes>
  private readonly lengthBytes: number | undefined
  private passedBytes = 0
  private isOver = false

  constructor(
    private readonly source: RpcBodySource,
    private readonly events: PumpEvents,
  ) {
    const { lengthBytes, pieces } = source
    this.lengthBytes = lengthBytes
    this.iterator = Symbol.asyncIterator in pieces ? pieces[Symbol.asyncIterator]() : pieces[Symbol.iterator]()
  }

  /** Passes on the next piece, now or later. */
  next(): void {
    if (this.isOver) return
    try {
      const drawn: Drawn | Promise<Drawn> = this.iterator.next()
      if (drawn instanceof Promise) drawn.then(it => this.pass(it)).catch((error: unknown) => this.fail(error))
      else this.pass(drawn)
    } catch (error) {
      this.fail(error)
    }
  }

  /** The rest is not needed. */
  stop(): void {
    if (this.isOver) return
    this.isOver = true
    this.closeSource()
  }

  private pass({ done, value }: Drawn): void {
    if (done === true) {
      if (this.isOver) return
      if (this.lengthBytes !== undefined && this.passedBytes !== this.lengthBytes) throw this.wrongLength()
      this.isOver = true
      this.source.close?.()
      this.events.piece(undefined, true)
      return
    }
    if (this.isOver) {
      value.giveBack()
      return
    }
    const { length } = value.bytes
    this.passedBytes += length
    if (this.lengthBytes !== undefined && this.passedBytes > this.lengthBytes) {
      value.giveBack()
      throw this.wrongLength()
    }
    if (length === 0) {
      value.giveBack()
      this.next()
      return
    }
    const isLast = this.passedBytes === this.lengthBytes
    if (isLast) this.stop()
    this.events.piece(value, isLast)
  }

  private wrongLength() {
    return fail("incompleteBody", { declared: this.lengthBytes, passed: this.passedBytes })
  }

  private fail(error: unknown): void {
    if (this.isOver) return
    this.stop()
    this.events.failed(error)
  }

  private closeSource(): void {
    const closed = this.iterator.return?.()
    if (closed instanceof Promise) closed.catch(() => undefined)
    this.source.close?.()
  }
}
