/** Draws from a distribution, for studies, and figures over samples. All from one seed. */
import type { Random } from "@hayloft/base/seams/random/contract.js"

const FINE = 2 ** 32

/** From 0 up to, not including, 1. */
export const fraction = (random: Random): number => random.below(FINE) / FINE

export const isDrawn = (random: Random, chance: number): boolean => fraction(random) < chance

export const between = (random: Random, least: number, most: number): number =>
  least + (most - least) * fraction(random)

/** Exponential with this mean. */
export const exponential = (random: Random, mean: number): number => -mean * Math.log(1 - fraction(random))

export function pick<T>(random: Random, from: readonly T[]): T | undefined {
  return from.length === 0 ? undefined : from[random.below(from.length)]
}

/** In a random order. */
export function shuffled<T>(random: Random, from: Iterable<T>): T[] {
  const items = [...from]
  for (let left = items.length - 1; left > 0; left -= 1) {
    const other = random.below(left + 1)
    const [a, b] = [items[left], items[other]]
    if (a !== undefined && b !== undefined) [items[left], items[other]] = [b, a]
  }
  return items
}

export const sum = (samples: readonly number[]): number => samples.reduce((total, each) => total + each, 0)

export const mean = (samples: readonly number[]): number => (samples.length === 0 ? 0 : sum(samples) / samples.length)

export const highest = (samples: readonly number[]): number => samples.reduce((most, each) => Math.max(most, each), 0)

/** The smallest sample that at least this share of the samples does not exceed. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = Float64Array.from(samples).sort()
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
}
