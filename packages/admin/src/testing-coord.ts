/** Coordination in memory, for tests of the admin API. */
import { Coordination } from "@hayloft/features/locks/index.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import type { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"

const PREPARED = Promise.resolve()

export function coordinationInMemory(clock: SimClock): Coordination {
  const metadata = new MemoryMetadata()
  metadata.before = () => {
    metadata.aheadMs = clock.wallMs() - 1_700_000_000_000 - metadata.position
  }
  const random = new SimRandom(6)
  return new Coordination({ clock, random, metadata, prepare: () => PREPARED, isShared: false })
}
