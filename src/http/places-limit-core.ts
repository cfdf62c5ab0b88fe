/**
 * The number of places that follows the load: how many requests may be under way before the others wait where they can
 * be put into a fair order. Pure.
 *
 * A queue that forms behind admission, in the event loop, is in order of arrival: the client that sends most gets most. So the
 * number shrinks while turns of the event loop are long, and grows while they are short and requests wait (additive
 * increase, multiplicative decrease, as in Chiu and Jain, "Analysis of the increase and decrease algorithms", 1989).
 * While accounts compete, turns must be shorter: each request of one waits for whole turns of the other.
 */
import { must } from "../base/assert.js"

/** The 90th percentile of turns above which the number shrinks, and below which it may grow. */
interface Bounds {
  readonly longMs: number
  readonly shortMs: number
  readonly growBy: number
  readonly placesMin: number
}

export const ALONE: Bounds = { longMs: 8, shortMs: 3, growBy: 8, placesMin: 16 }
const CONTENDED: Bounds = { longMs: 0.5, shortMs: 0.25, growBy: 1, placesMin: 2 }
const SHRINK_BY = 0.8

interface Load {
  /** How long turns were; empty: nothing waited for one. */
  readonly turnsMs: readonly number[]
  /** Requests wait for a place. */
  readonly isWaiting: boolean
  /** Accounts or addresses compete. */
  readonly isContended: boolean
}

export function nextPlaces(places: number, placesMax: number, { turnsMs, isWaiting, isContended }: Load): number {
  if (turnsMs.length === 0) return places
  const { longMs, shortMs, growBy, placesMin } = isContended ? CONTENDED : ALONE
  const sorted = [...turnsMs].sort((a, b) => a - b)
  const turnMs = must(sorted[Math.floor(0.9 * (sorted.length - 1))], "there are samples")
  if (turnMs > longMs) return Math.max(Math.min(placesMin, placesMax), Math.floor(places * SHRINK_BY))
  return turnMs < shortMs && isWaiting ? Math.min(placesMax, places + growBy) : places
}
