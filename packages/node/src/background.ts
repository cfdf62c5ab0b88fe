/** Background work of an engine that concerns one device, or keeps up with other processes. Decides nothing itself. */
import type { Job, BackgroundService } from "@hayloft/base/life/index.js"
import type { CoreServices } from "@hayloft/objects/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Primary } from "@hayloft/engine/tablet/index.js"
import { EachDevice } from "./devices/each-device.js"
import type { DeviceStack } from "./devices/device-stack.js"
import type { SharedMetadata } from "./metadata/database.js"

/** Background work of this process on each device; `encryption`: of their files. */
export const tendingJobs = (devices: () => readonly DeviceStack[], encryption: Job | undefined): readonly Job[] => [
  ...(encryption === undefined ? [] : [encryption]),
  new EachDevice("compaction", devices, stack => stack.tending.compaction),
  new EachDevice("scrub", devices, stack => stack.tending.scrub),
  new EachDevice("scrub metadata", devices, stack => stack.tending.scrubMetadata),
  new EachDevice("scrub log", devices, stack => stack.tending.scrubLog),
]

/** Verifies the metadata of each replica after a start and on request. */
export const verifyingReplicas = (tablet: Primary): Job => ({
  name: "verify metadata",
  progress: () => tablet.verificationProgress,
  step: async signal => ((await tablet.verifyReplicas(signal)) ? "busy" : "idle"),
})

const READ_POLICIES_EVERY_MS = 10_000

/** Keeps up with policies that other nodes set for buckets: layouts must have slots for them. */
export const bucketPolicies = (services: CoreServices, clock: Clock): BackgroundService => ({
  name: "policies of buckets",
  run: async signal => {
    while (!signal.aborted) {
      await services.buckets.readPolicies().catch(() => undefined)
      await clock.sleep(READ_POLICIES_EVERY_MS, signal)
    }
  },
})

/** Keeps up with the other processes of a database. */
export const upkeepOf = (metadata: SharedMetadata): BackgroundService => ({
  name: "metadata in the database",
  run: signal => metadata.keepUp(signal),
})
