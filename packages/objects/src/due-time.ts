/** The time by which jobs permanently remove what has come due. */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { StoreClock } from "./store-clock.js"

interface Clocks<Shown extends keyof StoreClock> {
  readonly clock: Pick<Clock, "wallMs">
  readonly storeClock: Pick<StoreClock, Shown | "isDoubtful">
}

function earlierMs({ clock, storeClock }: Clocks<never>, clockMs: number): number | undefined {
  if (storeClock.isDoubtful) return undefined
  return clockMs === 0 ? undefined : Math.min(clockMs, clock.wallMs())
}

/**
 * Returns the earlier one of the store's clock and the wall clock, since nothing brings back what goes too early. It is
 * undefined while the store's clock is not known, or was set ahead at the start: nothing goes then.
 */
export const dueTimeMs = (clocks: Clocks<"nowMs">): number | undefined => earlierMs(clocks, clocks.storeClock.nowMs())

/** Returns the same time for jobs that ask often: an idle disk does not wake for them, and a restart may set it back a little. */
export const shownDueTimeMs = (clocks: Clocks<"shownMs">): number | undefined =>
  earlierMs(clocks, clocks.storeClock.shownMs)
