/** Random choices of the generator, all from one seed. */
import { SimRandom } from "@hayloft/base/seams/random/sim.js"

export class Chance {
  private readonly random: SimRandom

  constructor(seed: number, chapter: number) {
    this.random = new SimRandom((BigInt(seed) << 32n) + BigInt(chapter))
  }

  below(limit: number): number {
    return this.random.below(limit)
  }

  /** Returns true with a probability of `times` out of 100. */
  percent(times: number): boolean {
    return this.random.below(100) < times
  }

  of<const T>(choices: readonly [T, ...T[]]): T {
    return choices[this.random.below(choices.length)] ?? choices[0]
  }

  /** Returns undefined only for an empty list. */
  any<const T>(choices: readonly T[]): T | undefined {
    return choices.length === 0 ? undefined : choices[this.random.below(choices.length)]
  }

  /** Returns one of the values; its probability is proportional to its weight. */
  weighted<T>(choices: readonly (readonly [weight: number, choice: T])[]): T {
    let left = this.random.below(choices.reduce((sum, [weight]) => sum + weight, 0))
    for (const [weight, choice] of choices) {
      if (left < weight) return choice
      left -= weight
    }
    throw new Error("nothing to choose from")
  }
}
