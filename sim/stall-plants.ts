/** Planted bugs of stalls, when all disks stop to answer together, which tests must catch, and one for a scenario. */
import type { Plant, TestedPlant } from "./plants.js"

const STALLS = "packages/engine/src/device/calls/stalls.ts"

const FAILING_DEVICES = "packages/node/src/failing-devices"

const plant = (bug: string, file: string, find: string, put: string, caughtBy = FAILING_DEVICES): TestedPlant => ({
  bug: `stalls: ${bug}`,
  edits: [{ file, find, put }],
  caughtBy,
})

const ALONE = plant(
  "each device is judged alone",
  STALLS,
  "return this.isEnding || mayGiveUp(this.judged(), waitedMs >= STALL_MS_MAX)",
  "return waitedMs >= 0",
)

/** The scenario sees what the bug does to starts and slow disks. */
export const STALL_SCENARIO_PLANTS: readonly Plant[] = [
  { ...ALONE, bug: `${ALONE.bug}, also at a start`, scenario: "stalled disks", caughtBy: ["writesContinue"] },
]

export const STALL_PLANTS: readonly TestedPlant[] = [
  ALONE,
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
