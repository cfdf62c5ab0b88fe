/**
 * Waits of tests for changes that raise no event: the test looks again and again, in real time.
 *
 * A wait ends by itself, even if a look does not, and says what it waited for; it leaves no timer behind.
 */
import assert from "node:assert/strict"
import type { Clock } from "./contract.js"
import { RealClock } from "./real.js"
import { within } from "./within.js"

/** Events that a test waits for take moments, and minutes on a busy machine: only an endless wait is a failure. */
export const UNTIL_MS_MAX = 180_000
/** The limit of the time in which a function says what was found. */
const WHAT_MS_MAX = 10_000
const LOOK_MS = 50
/** Unless the test says how often it looks, looks use a quarter of the time at most: many of them compute a whole status. */
const REST_OF_LOOKS = 3

const never = new AbortController().signal

/** Resolves once it is so. `what` is the event, or a function that says what was found instead. `lookMs`: between two looks. */
export async function until(
  what: string | (() => string | Promise<string>),
  isSo: () => boolean | Promise<boolean>,
  lookMs?: number,
  clock: Clock = new RealClock(),
): Promise<void> {
  const look = async (): Promise<boolean> => isSo()
  const found = async (): Promise<string> => (typeof what === "string" ? what : what())
  for (const endMs = clock.monotonicMs() + UNTIL_MS_MAX; ;) {
    const beganMs = clock.monotonicMs()
    const seen = await within(clock, Math.max(lookMs ?? LOOK_MS, endMs - beganMs), look())
    if (seen === true) return
    const restMs = lookMs ?? Math.max(LOOK_MS, REST_OF_LOOKS * (clock.monotonicMs() - beganMs))
    if (seen === false && clock.monotonicMs() + restMs < endMs) {
      await clock.sleep(restMs, never)
      continue
    }
    const which = seen === "late" ? "the look did not end" : "it never was so"
    const why = await within(clock, WHAT_MS_MAX, found())
    assert.fail(`${which}: ${why === "late" ? "no text of what was found" : why}`)
  }
}
