/** The time by which jobs permanently remove what has come due. */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { StoreClock } from "./store-clock.js"

interface Clocks {
  readonly clock: Pick<Clock, "wallMs">
  readonly storeClock: Pick<StoreClock, "nowMs" | "isDoubtful">
}

/**
 * Returns the earlier one of the store's clock and the wall clock, since nothing brings back what goes too early. It is
 * undefined while the store's clock is not known, or was set ahead at the start: nothing goes then.
 */
export function dueTimeMs({ clock, storeClock }: Clocks): number | undefined {
  if (storeClock.isDoubtful) return undefined
  const clockMs = storeClock.nowMs()
  return clockMs === 0 ? undefined : Math.min(clockMs, clock.wallMs())
}
