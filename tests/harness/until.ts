/** Waits of tests for changes that raise no event: the test looks again and again. */
import assert from "node:assert/strict"
import { setTimeout as later } from "node:timers/promises"

/** Events that a test waits for take moments, and minutes on a busy machine: only an endless wait is a failure. */
export const UNTIL_MS_MAX = 180_000
const LOOK_MS = 50

/** Resolves once it is so. `what` is the event, or a function that says what was found instead. */
export async function until(
  what: string | (() => string | Promise<string>),
  isSo: () => boolean | Promise<boolean>,
  lookMs = LOOK_MS,
): Promise<void> {
  for (const endMs = performance.now() + UNTIL_MS_MAX; !(await isSo()); await later(lookMs))
    assert.ok(performance.now() < endMs, `it never was so: ${typeof what === "string" ? what : await what()}`)
}
