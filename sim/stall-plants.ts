/** Planted bugs of stalls, when all disks stop to answer together, which tests must catch. */
import type { TestedPlant } from "./plants.js"

const STALLS = "packages/engine/src/device/stalls.ts"

const plant = (bug: string, file: string, find: string, put: string): TestedPlant => ({
  bug: `stalls: ${bug}`,
  edits: [{ file, find, put }],
  caughtBy: "packages/node/src/failing-devices",
})

export const STALL_PLANTS: readonly TestedPlant[] = [
  plant(
    "each device is judged alone",
    STALLS,
    "return this.isEnding || mayGiveUp(this.judged(), waitedMs >= STALL_MS_MAX)",
    "return waitedMs >= 0",
  ),
  plant(
    "a group of devices is waited for too long",
    STALLS,
    "waitedMs >= STALL_MS_MAX",
    "waitedMs >= 20 * STALL_MS_MAX",
  ),
  plant("a device that answers slowly after a stall is late alone", STALLS, "RECENT_MS)", "0)"),
  plant(
    "nothing tells that requests wait",
    STALLS,
    "if (!isWaitedFor || !isStalled(judged)) return undefined",
    "if (isStalled(judged)) return undefined",
  ),
]
