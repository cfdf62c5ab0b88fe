/**
 * Pace: computes the rest of a job after a step. Pure.
 *
 * After a busy step the rest is proportional to the step's duration (Garage's tranquilizer): with throttle 4 a job
 * works one fifth of the time, whatever a step costs on this machine and under this load. The rest grows while an
 * idle job finds no work.
 */
import type { StepOutcome } from "./contract.js"

const REST_MS_MAX = 30_000
const THROTTLED_MS = 1_000
const IDLE_LIMITS = { firstMs: 1_000, mostMs: 60_000 } as const
export const THROTTLE_MAX = 1_000

export interface JobPace {
  readonly state: StepOutcome
  /** Consecutive steps that ended in this state. */
  readonly inARow: number
  /** Rest before the next step. */
  readonly restMs: number
}

export const PACE_AT_START: JobPace = { state: "busy", inARow: 0, restMs: 0 }

/** Returns a rest that doubles from the first (`inARow` 1) to the longest. */
export const doubledMs = (inARow: number, limits: { readonly firstMs: number; readonly mostMs: number }): number =>
  Math.min(limits.mostMs, limits.firstMs * 2 ** Math.min(inARow - 1, 30))

function restMsAfter(state: JobPace["state"], inARow: number, tookMs: number, throttle: number): number {
  switch (state) {
    case "busy":
      return Math.min(REST_MS_MAX, tookMs * throttle)
    case "throttled":
      return THROTTLED_MS
    case "idle":
      return doubledMs(inARow, IDLE_LIMITS)
    case "done":
      return 0
  }
}

/** Returns the pace after a step that took `tookMs` and ended in `state`. */
export function nextPace(before: JobPace, state: JobPace["state"], tookMs: number, throttle: number): JobPace {
  const inARow = state === before.state ? before.inARow + 1 : 1
  return { state, inARow, restMs: restMsAfter(state, inARow, tookMs, throttle) }
}
