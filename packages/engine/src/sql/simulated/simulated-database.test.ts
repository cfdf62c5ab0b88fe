/** The SQL engine passes the suite of all metadata engines on the simulated database, also while connections are lost. */
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { metadataSuite, type MetadataUnderTest } from "../../metadata/suite.js"
import { SqlMetadata } from "../sql-metadata.js"
import { NO_FAULTS, type FaultPlan } from "./faults.js"
import { SimulatedDatabase } from "./simulated-database.js"

const LOSSES: FaultPlan = {
  ...NO_FAULTS,
  requestMs: 2,
  partMs: 1,
  commitMs: 2,
  answerMs: 2,
  stalls: 0.01,
  stallMs: 100,
  lostBefore: 0.01,
  late: 0.01,
  lateMs: 1_000,
  lostDuring: 0.02,
  lostAfter: 0.02,
  aborted: 0.02,
  warned: 0.01,
}

/** An engine whose simulated time passes by itself until it is disposed of. */
async function open(faults: FaultPlan): Promise<MetadataUnderTest> {
  const clock = new SimClock()
  const random = new SimRandom(TEST_SEED)
  const database = new SimulatedDatabase({ clock, random })
  let stop: () => void = () => undefined
  const running = clock.runUntil(new Promise<void>(resolve => (stop = resolve)))
  const start = async (): Promise<MetadataUnderTest> => {
    database.faults = NO_FAULTS
    const metadata = await SqlMetadata.open({ clock, random, log: new SimTelemetry().log, database, node: "node" })
    database.faults = faults
    return {
      metadata,
      async reopen() {
        await metadata.stop()
        return start()
      },
      async dispose() {
        await metadata.stop()
        stop()
        await running
      },
    }
  }
  return start()
}

metadataSuite("simulated database", () => open(NO_FAULTS))
metadataSuite("simulated database that loses connections", () => open(LOSSES))
