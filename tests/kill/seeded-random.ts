/** Random numbers from a seed, so that a failed run can be repeated with the same choices. */
export class SeededRandom {
  private state: number

  constructor(seed: number) {
    this.state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) >>> 0
  }

  /** Returns a whole number from 0, below `limit`. */
  below(limit: number): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new Error("nothing to pick from")
    return item
  }

  /** Returns a key of the table; its probability is proportional to its weight. */
  weighted<K extends string>(weights: readonly (readonly [K, number])[]): K {
    let left = this.below(weights.reduce((sum, [, weight]) => sum + weight, 0))
    for (const [item, weight] of weights) {
      left -= weight
      if (left < 0) return item
    }
    throw new Error("weights add up")
  }
}
