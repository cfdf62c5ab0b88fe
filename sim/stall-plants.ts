/** Planted bugs of stalls, when all disks stop to answer together, which tests must catch. */
import type { TestedPlant } from "./plants.js"

const STALLS = "packages/engine/src/device/stalls.ts"

const FAILING_DEVICES = "packages/node/src/failing-devices"

const plant = (bug: string, file: string, find: string, put: string, caughtBy = FAILING_DEVICES): TestedPlant => ({
  bug: `stalls: ${bug}`,
  edits: [{ file, find, put }],
  caughtBy,
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
  plant(
    "an answer that has begun waits without end",
    "packages/protocols/src/http/listener.ts",
    "< limits.stalledBodyMs",
    "< Infinity",
    "packages/protocols/src/http/stalled",
  ),
]
