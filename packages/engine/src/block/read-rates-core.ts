/**
 * Read rates: about how often each of any number of keys was read in the last minute. Pure.
 *
 * A count-min sketch of this minute and one of the minute before: the rate is the count of this minute and the share of
 * the one before that lies within the last sixty seconds.
 *
 * Promises  A rate is never too low, but for the assumption that the reads of the minute before were spread evenly, and
 *           for rates of more than 65,535 a minute. A key that is no longer read has the rate 0 after two minutes.
 * Limits    1 MiB of counters, whatever is read. A rate is too high if other keys share all of the counters of a key.
 */
import { fnv1a } from "@hayloft/base/fnv.js"

export const RATE_WINDOW_MS = 60_000

const ROWS = 4
const CELL_BITS = 16
const CELLS = 2 ** CELL_BITS
const COUNT_MAX = 0xffff

export class ReadRates {
  private current = new Uint16Array(ROWS * CELLS)
  private previous = new Uint16Array(ROWS * CELLS)
  private minute = 0
  /** The counters of the key that was hashed last, one in each row. */
  private readonly cells = new Uint32Array(ROWS)

  /** Counts a read, and returns the rate with it. */
  note(key: string, nowMs: number): number {
    this.advance(nowMs)
    this.hash(key)
    const { cells, current } = this
    const least = this.leastOf(current)
    // Counters that are higher already count other keys too.
    if (least < COUNT_MAX) for (const cell of cells) if (current[cell] === least) current[cell] = least + 1
    return this.rate(nowMs)
  }

  /** Reads a minute. */
  of(key: string, nowMs: number): number {
    this.advance(nowMs)
    this.hash(key)
    return this.rate(nowMs)
  }

  private rate(nowMs: number): number {
    const passed = (nowMs % RATE_WINDOW_MS) / RATE_WINDOW_MS
    return this.leastOf(this.current) + this.leastOf(this.previous) * (1 - passed)
  }

  private leastOf(counts: Uint16Array): number {
    let least = COUNT_MAX
    for (const cell of this.cells) least = Math.min(least, counts[cell] ?? 0)
    return least
  }

  private advance(nowMs: number): void {
    const minute = Math.floor(nowMs / RATE_WINDOW_MS)
    if (minute === this.minute) return
    const { previous } = this
    previous.fill(0)
    if (minute === this.minute + 1) this.previous = this.current
    else this.current.fill(0)
    if (minute === this.minute + 1) this.current = previous
    this.minute = minute
  }

  private hash(key: string): void {
    const first = mixed(fnv1a(key))
    const step = mixed(first ^ 0x9e3779b9) | 1
    for (let row = 0; row < ROWS; row += 1) {
      this.cells[row] = row * CELLS + ((first + Math.imul(row, step)) >>> (32 - CELL_BITS))
    }
  }
}

/** The last step of MurmurHash3: every bit of the result depends on every bit of the input. */
function mixed(hash: number): number {
  let bits = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}
