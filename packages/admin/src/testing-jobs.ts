/** Jobs of callers over rows in memory, for tests of the admin API: they follow work, and find no objects to work on. */
import { FEATURE_ROW_JOBS } from "@hayloft/features/index.js"
import { StartedJobs, type FollowedWork, type OpenWork } from "@hayloft/features/user-jobs/index.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"

/** The work that a drain of the device shows. */
export const DRAINING: FollowedWork = {
  kind: "drain",
  target: "device 00000000000000aa (/d2)",
  phase: "moving its shards",
  sinceMs: 5,
  progress: { done: 40, total: 100, unit: "bytes" },
  rate: 10,
  endsInSeconds: 6,
  lastError: undefined,
  cancelBy: "hayloft device use 00000000000000aa takes the device back into use",
  isNoted: true,
}

export const NO_OBJECTS: Awaited<ReturnType<OpenWork>> = {
  prepare: async () => undefined,
  itemsAfter: async () => ({ items: [], bytes: 0, scanned: 0, next: undefined }),
  work: async () => undefined,
  describe: () => ({ key: "", versionId: "" }),
}

export function jobsOver(works: () => readonly FollowedWork[]): StartedJobs {
  const jobs = new StartedJobs({
    clock: new SimClock(),
    random: new SimRandom(1),
    log: new SimTelemetry().log,
    metadata: new MemoryMetadata(),
    prepare: async () => undefined,
    dueTimeMs: () => undefined,
    rowKinds: new Set(FEATURE_ROW_JOBS.flatMap(({ kinds }) => kinds)),
  })
  jobs.attach(
    async () => NO_OBJECTS,
    works,
    () => undefined,
  )
  return jobs
}
