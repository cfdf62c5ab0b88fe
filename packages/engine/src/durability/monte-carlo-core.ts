/**
 * Monte Carlo next to the closed form: plays the chain of chain-core.ts with random numbers.
 *
 * A cycle begins with a whole group and ends when it is whole again or lost, so the mean time to loss is the mean length
 * of a cycle over the chance that it ends in a loss. Losses are rare: for their chance, cycles are played in which
 * failures come as often as repairs, and each counts by how likely it really is (importance sampling). Weights stay at
 * or below 1, so the estimate has no heavy tail.
 *
 * Promises  The same numbers give the same result. Yields after CYCLES_PER_STEP cycles, so that the caller can let other
 *           work run.
 */
import { lossShare, ratesOut, type GroupRates } from "./chain-core.js"
import { CYCLES_PER_STEP } from "./limits.js"

/** Returns a number above 0 and below 1. */
type Uniform = () => number

export interface Estimate {
  readonly hours: number
  /** The standard error of the hours. */
  readonly standardError: number
  readonly cycles: number
}

/** Mean and variance, as numbers come in (Welford). */
class Moments {
  mean = 0
  #squares = 0
  #count = 0

  add(value: number): void {
    this.#count += 1
    const off = value - this.mean
    this.mean += off / this.#count
    this.#squares += off * (value - this.mean)
  }

  /** The variance of the mean, over its square. */
  get relative(): number {
    if (this.#squares === 0) return 0
    return this.#squares / (this.#count - 1) / this.#count / this.mean ** 2
  }
}

export function* estimateHoursToLoss(
  group: GroupRates,
  cycles: number,
  uniform: Uniform,
): Generator<undefined, Estimate> {
  const [lengths, losses] = [new Moments(), new Moments()]
  for (let cycle = 1; cycle <= cycles; cycle += 1) {
    lengths.add(cycleHours(group, uniform))
    losses.add(lossWeight(group, uniform))
    if (cycle % CYCLES_PER_STEP === 0) yield
  }
  const hours = lengths.mean / losses.mean
  return { hours, standardError: hours * Math.sqrt(lengths.relative + losses.relative), cycles }
}

/** The length of a cycle. */
function cycleHours(group: GroupRates, uniform: Uniform): number {
  const tolerated = group.shards - group.needed
  let [lost, hours] = [0, 0]
  do {
    const { fail, repair } = ratesOut(group, lost)
    hours -= Math.log(uniform()) / (fail + repair)
    if (uniform() * (fail + repair) >= fail) lost -= 1
    else if (uniform() < lossShare(group, lost)) return hours
    else lost += 1
  } while (lost > 0 && lost <= tolerated)
  return hours
}

/** Returns how much a cycle with frequent failures counts as a loss. */
function lossWeight(group: GroupRates, uniform: Uniform): number {
  const tolerated = group.shards - group.needed
  let [lost, weight, loss] = [0, 1, 0]
  do {
    const { fail, repair } = ratesOut(group, lost)
    const real = fail / (fail + repair)
    const chosen = Math.max(real, 1 / 2)
    if (uniform() >= chosen) {
      weight *= (1 - real) / (1 - chosen)
      lost -= 1
    } else {
      weight *= real / chosen
      // Both outcomes are followed: the loss is counted, and the rest goes on with what is left of the weight.
      const share = lossShare(group, lost)
      loss += weight * share
      weight *= 1 - share
      lost += 1
    }
  } while (lost > 0 && lost <= tolerated)
  return lost > tolerated ? loss + weight : loss
}
