/** Queues in memory, for tests of the admin API. */
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { Queues } from "@hayloft/features/queues/index.js"
import type { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"

const PREPARED = Promise.resolve()

export function queuesInMemory(clock: SimClock): Queues {
  const metadata = new MemoryMetadata()
  metadata.before = () => {
    metadata.aheadMs = clock.wallMs() - 1_700_000_000_000 - metadata.position
  }
  const random = new SimRandom(5)
  const seams = { clock, storeClock: { shownMs: clock.wallMs(), isDoubtful: false }, random, metadata }
  return new Queues({ ...seams, prepare: () => PREPARED, isShared: false, node: "0000002a" })
}
