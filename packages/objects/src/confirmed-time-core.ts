/**
 * The confirmed time of a store: nothing is dated before it while the wall clock is behind, since rules that count days
 * would remove young objects as old ones once the wall clock is right. Pure.
 *
 * Promises  A wall clock is believed once a process has seen it for `believeMs`: one that agrees with the store's clock
 *           confirms its time, and one that is behind the confirmed time sets that back.
 * Limits    CONFIRMED_TIME_LIMITS, by the monotonic clock of one process.
 */

const HOUR_MS = 3_600_000

export const CONFIRMED_TIME_LIMITS = {
  /** Clocks that differ by no more agree. */
  toleranceMs: HOUR_MS,
  /** Most wrong clocks are noticed, or corrected by a time service, in that time; a laptop runs longer on most days. */
  believeMs: 6 * HOUR_MS,
} as const

interface Clocks {
  readonly wallMs: number
  readonly storeMs: number
  /** When they were read, by the monotonic clock. */
  readonly atMs: number
}

export interface ConfirmedTime {
  /** 0: none is confirmed yet. */
  readonly confirmedMs: number
  readonly wallClock: "unknown" | "agrees" | "differs" | "behind"
  /** Since when the wall clock is like that, by the monotonic clock. */
  readonly sinceMs: number
}

export const confirmedBefore = (confirmedMs: number): ConfirmedTime => ({
  confirmedMs,
  wallClock: "unknown",
  sinceMs: 0,
})

/** The earliest time that decisions are told now; 0: they are told the wall clock. */
export const earliestTimeMs = ({ confirmedMs, wallClock, sinceMs }: ConfirmedTime, atMs: number): number =>
  wallClock === "behind" ? confirmedMs + Math.floor(atMs - sinceMs) : 0

/**
 * The confirmed time after the row was read that all processes of the store share. A process that is behind takes over the row:
 * while others confirm later times its wall clock is not believed, and once one of them has believed an earlier one, so does it.
 */
export function withRow(before: ConfirmedTime, rowMs: number, atMs: number): ConfirmedTime {
  if (rowMs > before.confirmedMs) {
    const sinceMs = before.wallClock === "behind" ? atMs : before.sinceMs
    return { ...before, confirmedMs: rowMs, sinceMs }
  }
  const isOther = before.confirmedMs - rowMs > CONFIRMED_TIME_LIMITS.toleranceMs
  return isOther && before.wallClock === "behind" ? { ...before, confirmedMs: rowMs, sinceMs: atMs } : before
}

function wallClockIn({ confirmedMs }: ConfirmedTime, { wallMs, storeMs }: Clocks): ConfirmedTime["wallClock"] {
  const { toleranceMs } = CONFIRMED_TIME_LIMITS
  if (wallMs < confirmedMs - toleranceMs) return "behind"
  return Math.abs(wallMs - storeMs) <= toleranceMs ? "agrees" : "differs"
}

/** The confirmed time once the clocks have been compared; they are compared from time to time, in any rhythm. */
export function withClocks(before: ConfirmedTime, clocks: Clocks): ConfirmedTime {
  const { wallMs, storeMs, atMs } = clocks
  const wallClock = wallClockIn(before, clocks)
  if (wallClock !== before.wallClock) return { confirmedMs: before.confirmedMs, wallClock, sinceMs: atMs }
  if (atMs - before.sinceMs < CONFIRMED_TIME_LIMITS.believeMs) return before
  if (wallClock === "agrees")
    return { ...before, confirmedMs: Math.max(before.confirmedMs, Math.floor(Math.min(wallMs, storeMs))) }
  if (wallClock === "behind") return { confirmedMs: Math.floor(wallMs), wallClock: "differs", sinceMs: atMs }
  return before
}
