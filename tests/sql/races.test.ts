/** The races of two engines on one real PostgreSQL. */
import { after, before, test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Postgres, SqlMetadata } from "@hayloft/engine/sql/index.js"
import { noPostgres } from "../harness/postgres.js"
import { Databases } from "./databases.js"
import { RACES } from "./race-bodies.js"

const ROUNDS = runsOf(20)

let databases: Databases

if (noPostgres === false) {
  before(async () => {
    databases = await Databases.start()
  })
  after(() => databases.stop())
}

async function headStart(round: number): Promise<void> {
  for (let turns = 0; turns < round % 4; turns += 1) await new Promise(resolve => setImmediate(resolve))
}

for (const { name, run } of RACES) {
  test(name, { skip: noPostgres }, async t => {
    const url = await databases.create()
    const open = (node: string) =>
      SqlMetadata.open({
        clock: new RealClock(),
        random: new RealRandom(),
        log: new SimTelemetry().log,
        database: new Postgres(url),
        node,
      })
    const engines = [await open("a"), await open("b")] as const
    try {
      await run({ engines, rounds: ROUNDS, headStart })
      const deadlocks = await databases.server.sql("SELECT sum(deadlocks) FROM pg_stat_database")
      t.diagnostic(`${deadlocks.trim()} deadlocks so far`)
    } finally {
      for (const engine of engines) await engine.stop()
    }
  })
}
