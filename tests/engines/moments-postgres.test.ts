/** Reads at a moment while two processes write to a real PostgreSQL. */
import { after, before, test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Postgres, SqlMetadata } from "@hayloft/engine/sql/index.js"
import { noPostgres } from "../harness/postgres.js"
import { Databases } from "../sql/databases.js"
import { checkMoments, playMoments } from "./moments.js"

let databases: Databases

if (noPostgres === false) {
  before(async () => {
    databases = await Databases.start()
  })
  after(() => databases.stop())
}

test("on PostgreSQL a read at a moment shows exactly what was committed up to it", { skip: noPostgres }, async () => {
  const url = await databases.create()
  const clock = new RealClock()
  const open = (node: string) =>
    SqlMetadata.open({
      clock,
      random: new RealRandom(),
      log: new SimTelemetry().log,
      database: new Postgres(url),
      node,
    })
  const metadata = [await open("a"), await open("b")]
  try {
    const pause = async (ms: number): Promise<void> => later(ms)
    const processes = metadata.map(engine => ({ metadata: engine }))
    checkMoments(await playMoments(processes, new SimRandom(1), { rounds: 60, wallMs: () => clock.wallMs(), pause }))
  } finally {
    for (const engine of metadata) await engine.stop()
  }
})
