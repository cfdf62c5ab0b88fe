/**
 * Limits of rates of one account or access key: when a request is refused, and when bytes move. Pure: the caller passes
 * the time.
 *
 * Both are token buckets, kept as the time at which the bucket is full again (the virtual scheduling algorithm of ITU-T
 * I.371, annex A). A request that finds no token is refused. Bytes are never refused: a piece moves once the bucket is
 * not empty, and may overdraw it, so that a piece of any size moves and the next ones wait for it. Pieces move in the
 * order in which they asked.
 *
 * Promises  Over any time t at most `burst` + t × `requestsPerSecond` requests pass, and at most (t + `aheadMs`) ×
 *           `bytesPerSecond` bytes plus one piece.
 * Limits    `RATE_BOUNDS`. While bytes wait, further requests of the holder wait before they begin, so that they hold
 *           no memory for answers that nobody may send.
 */
import type { RateLimits } from "@hayloft/engine/format/accounts/rate-limits.js"

export const RATE_BOUNDS = {
  /** The amount that may move at once after a pause, as the time that it takes at the limit. */
  aheadMs: 1_000,
  /** Requests of one holder that are under way while its bytes wait. */
  activeMax: 16,
  /** Requests of one holder that wait to begin; more are refused. */
  beginningMax: 1_024,
  /** If all active requests are slow for other reasons, one that waits begins this often. */
  beginEveryMs: 10,
  /** After this time a refused request is answered: the shortest `Retry-After`, for clients that ignore it. */
  refusedAfterMs: 1_000,
  /** Refusals of one holder that are held back; further ones are answered at once. */
  refusalsMax: 1_024,
} as const

export type Cancel = () => void

interface Move {
  readonly bytes: number
  readonly go: () => void
}

/** Sums of fractions are not exact: a difference below this is none. */
const ROUNDING_MS = 1e-6
const SECOND_MS = 1_000

export class HolderRates {
  /** Requests and bytes that were refused or had to wait, since the holder is known. */
  refused = 0
  paced = 0
  /** Refusals that are not answered yet. */
  heldRefusals = 0
  private requestsFullAtMs = -Infinity
  private bytesFullAtMs = -Infinity
  private requestMs = 0
  private requestsAheadMs = 0
  private byteMs = 0
  private active = 0
  private readonly beginning = new Set<{ readonly go: () => void }>()
  private readonly moves = new Set<Move>()

  /** These limits apply from now on, each divided by the number of nodes. @returns whether that changes anything. */
  setLimits(
    { requestsPerSecond, burst = requestsPerSecond, bytesPerSecond }: RateLimits,
    nodes: number,
    nowMs: number,
  ): boolean {
    const { requestMs, byteMs } = this
    this.requestMs = requestsPerSecond === undefined ? 0 : (SECOND_MS * nodes) / requestsPerSecond
    this.requestsAheadMs = Math.max(0, (burst ?? 1) / nodes - 1) * this.requestMs
    this.byteMs = bytesPerSecond === undefined ? 0 : (SECOND_MS * nodes) / bytesPerSecond
    // The amount that was used stays used, at the new rate.
    this.requestsFullAtMs = rescaled(this.requestsFullAtMs, nowMs, requestMs, this.requestMs)
    this.bytesFullAtMs = rescaled(this.bytesFullAtMs, nowMs, byteMs, this.byteMs)
    return requestMs !== this.requestMs || byteMs !== this.byteMs
  }

  /** Nothing is under way or waits: only the fill of the buckets would be forgotten. */
  get isIdle(): boolean {
    return this.active === 0 && this.waiting === 0 && this.heldRefusals === 0
  }

  get mayHoldRefusal(): boolean {
    return this.heldRefusals < RATE_BOUNDS.refusalsMax
  }

  get waiting(): number {
    return this.beginning.size + this.moves.size
  }

  /** When the next request passes, in milliseconds from now; 0: now. */
  untilRequest(nowMs: number): number {
    if (this.beginning.size >= RATE_BOUNDS.beginningMax) return SECOND_MS
    if (this.requestMs === 0) return 0
    const waitMs = this.requestsFullAtMs - this.requestsAheadMs - nowMs
    return waitMs <= ROUNDING_MS ? 0 : waitMs
  }

  countRequest(nowMs: number): void {
    if (this.requestMs > 0) this.requestsFullAtMs = Math.max(this.requestsFullAtMs, nowMs) + this.requestMs
  }

  /** A request begins now, or `go` is called once it does. `end` follows what has begun. */
  begin(nowMs: number, go: () => void): Cancel | undefined {
    if (this.mayBegin(nowMs)) {
      this.active += 1
      return undefined
    }
    this.paced += 1
    const waiting = { go }
    this.beginning.add(waiting)
    return () => void this.beginning.delete(waiting)
  }

  end(nowMs: number): void {
    this.active -= 1
    this.wake(nowMs)
  }

  /** The bytes move now, or `go` is called once they may. */
  move(bytes: number, nowMs: number, go: () => void): Cancel | undefined {
    if (this.byteMs === 0 || (this.moves.size === 0 && !this.isOver(nowMs))) {
      this.charge(bytes, nowMs)
      return undefined
    }
    this.paced += 1
    const move = { bytes, go }
    this.moves.add(move)
    return () => void this.moves.delete(move)
  }

  /** Calls back what may go on now. */
  wake(nowMs: number): void {
    for (const move of this.moves) {
      if (this.isOver(nowMs)) break
      this.moves.delete(move)
      this.charge(move.bytes, nowMs)
      move.go()
    }
    for (const waiting of this.beginning) {
      if (this.active >= RATE_BOUNDS.activeMax && this.isHeldUp(nowMs)) break
      const isSurplus = this.active >= RATE_BOUNDS.activeMax
      this.beginning.delete(waiting)
      this.active += 1
      waiting.go()
      if (isSurplus) break
    }
  }

  /** When to call `wake` next, in milliseconds from now; undefined if nothing waits for time. */
  untilWake(nowMs: number): number | undefined {
    if (this.waiting === 0) return undefined
    const overMs = this.bytesFullAtMs - RATE_BOUNDS.aheadMs - nowMs
    return Math.max(overMs, RATE_BOUNDS.beginEveryMs)
  }

  private mayBegin(nowMs: number): boolean {
    if (!this.isHeldUp(nowMs)) return this.beginning.size === 0
    return this.active < RATE_BOUNDS.activeMax && this.beginning.size === 0
  }

  /** Bytes wait, or would. */
  private isHeldUp(nowMs: number): boolean {
    return this.moves.size > 0 || this.isOver(nowMs)
  }

  private isOver(nowMs: number): boolean {
    return this.byteMs > 0 && this.bytesFullAtMs - nowMs > RATE_BOUNDS.aheadMs + ROUNDING_MS
  }

  private charge(bytes: number, nowMs: number): void {
    this.bytesFullAtMs = Math.max(this.bytesFullAtMs, nowMs) + bytes * this.byteMs
  }
}

/** The time at which a bucket is full that fills at another rate from now on. */
const rescaled = (fullAtMs: number, nowMs: number, beforeMs: number, afterMs: number): number =>
  beforeMs === afterMs || beforeMs === 0 ? fullAtMs : nowMs + (Math.max(0, fullAtMs - nowMs) * afterMs) / beforeMs
