/**
 * Disorder: pseudo-random numbers, the same for the same seed, so that data spreads over
 * devices without a pattern while two programs still plan the same layout. Not for keys.
 */
import { assert } from "@hayloft/base/assert.js"

/** A generator after splitmix32: each state is mixed into 32 bits. */
export class Disorder {
  private state: number

  constructor(seed: number) {
    this.state = Math.imul(seed, 0x85eb_ca6b) | 0
  }

  /** From 0 up to, not including, 1. */
  fraction(): number {
    this.state = (this.state + 0x9e37_79b9) | 0
    let z = Math.imul(this.state ^ (this.state >>> 16), 0x21f0_aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a_2d97)
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32
  }

  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number {
    assert(limit >= 1, "there is something to draw from")
    return Math.floor(this.fraction() * limit)
  }

  /** Shuffles the first `count` members in place (Fisher and Yates). */
  shuffle(items: Uint8Array | Uint32Array, count = items.length): void {
    for (let i = count - 1; i > 0; i -= 1) {
      const other = this.below(i + 1)
      const kept = items[i] ?? 0
      items[i] = items[other] ?? 0
      items[other] = kept
    }
  }

  /** 0 … count-1, shuffled. */
  order(count: number): Uint32Array {
    const order = new Uint32Array(count)
    for (let i = 0; i < count; i += 1) order[i] = i
    this.shuffle(order)
    return order
  }
}
