/**
 * The number of places while accounts compete: how many requests may be under way before the others wait where they can
 * be put into a fair order. Pure.
 *
 * A queue that forms behind admission, in the event loop, is in order of arrival: the client that sends most gets most. So the
 * number shrinks while turns of the event loop are long, and grows while they are short and requests wait (additive
 * increase, multiplicative decrease, as in Chiu and Jain, "Analysis of the increase and decrease algorithms", 1989).
 * Each request of one account waits for whole turns of the other, so turns are to be short.
 */
import { must } from "@hayloft/base/assert.js"

/** The 90th percentile of turns above which the number shrinks, and below which it may grow. */
const [LONG_MS, SHORT_MS] = [0.5, 0.25]
const [SHRINK_BY, GROW_BY, PLACES_MIN] = [0.8, 1, 2]

interface Load {
  /** How long turns were; empty: nothing waited for one. */
  readonly turnsMs: readonly number[]
  /** Requests wait for a place. */
  readonly isWaiting: boolean
}

export function nextPlaces(places: number, placesMax: number, { turnsMs, isWaiting }: Load): number {
  if (turnsMs.length === 0) return places
  const sorted = [...turnsMs].sort((a, b) => a - b)
  const turnMs = must(sorted[Math.floor(0.9 * (sorted.length - 1))], "there are samples")
  if (turnMs > LONG_MS) return Math.max(Math.min(PLACES_MIN, placesMax), Math.floor(places * SHRINK_BY))
  return turnMs < SHORT_MS && isWaiting ? Math.min(placesMax, places + GROW_BY) : places
}
