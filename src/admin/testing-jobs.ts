/** Jobs of callers over rows in memory, for tests of the admin API: they follow work, and find no objects to work on. */
import { StartedJobs, type FollowedWork, type OpenWork } from "../features/user-jobs/index.js"
import { MemoryMetadata } from "../metadata/testing-engine.js"
import { SimClock } from "../seams/clock/sim.js"
import { SimRandom } from "../seams/random/sim.js"
import { SimTelemetry } from "../seams/telemetry/sim.js"

/** The work that a drain of the device shows. */
export const DRAINING: FollowedWork = {
  ...{ kind: "drain", target: "device 00000000000000aa (/d2)", phase: "moving its shards", sinceMs: 5 },
  ...{ progress: { done: 40, total: 100, unit: "bytes" }, rate: 10, endsInSeconds: 6, lastError: undefined },
  ...{ cancelBy: "hayloft device use 00000000000000aa takes the device back into use", isNoted: true },
}

const NO_OBJECTS: Awaited<ReturnType<OpenWork>> = {
  prepare: async () => undefined,
  itemsAfter: async () => ({ items: [], bytes: 0, scanned: 0, next: undefined }),
  work: async () => undefined,
  describe: () => ({ key: "", versionId: "" }),
}

export function jobsOver(works: () => readonly FollowedWork[]): StartedJobs {
  const jobs = new StartedJobs({
    ...{ clock: new SimClock(), random: new SimRandom(1), log: new SimTelemetry().log },
    ...{ metadata: new MemoryMetadata(), prepare: async () => undefined },
  })
  jobs.attach(
    async () => NO_OBJECTS,
    works,
    () => undefined,
  )
  return jobs
}
