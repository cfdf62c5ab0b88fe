/**
 * Beats: the whole multiples of a period by the monotonic clock.
 *
 * What looks at something again and again does so at beats: all that look wake in the same moment, and between the beats
 * an idle process sleeps. To wake up costs more than most looks.
 */
import type { Clock } from "./contract.js"

/** A beat so near is over: timers ring a little early. */
const EARLY_MS = 5

export function untilBeatMs(clock: Pick<Clock, "monotonicMs">, periodMs: number): number {
  const leftMs = periodMs - (clock.monotonicMs() % periodMs)
  return Math.ceil(leftMs > EARLY_MS ? leftMs : leftMs + periodMs)
}

/** Resolves at the next beat, or when the signal fires. */
export const nextBeat = (clock: Pick<Clock, "monotonicMs" | "sleep">, periodMs: number, signal: AbortSignal) =>
  clock.sleep(untilBeatMs(clock, periodMs), signal)
