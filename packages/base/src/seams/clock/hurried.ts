/**
 * A hurried clock: its monotonic time and its sleeps run several times as fast as those of another clock. Tests count the
 * times of a store's nodes by it: they wait less, and every time keeps its proportion to all others.
 */
import type { Clock } from "./contract.js"

export const hurried = (clock: Clock, haste: number): Clock =>
  haste === 1
    ? clock
    : {
        wallMs: () => clock.wallMs(),
        monotonicMs: () => clock.monotonicMs() * haste,
        sleep: (durationMs, signal) => clock.sleep(durationMs / haste, signal),
        alarm: (durationMs, ring) => clock.alarm(durationMs / haste, ring),
        atEndOfTurn: call => clock.atEndOfTurn(call),
      }
