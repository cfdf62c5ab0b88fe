/** Limits of quotas hold exactly while three nodes write: on the simulated database, and on a real PostgreSQL. */
import { after, before, test } from "node:test"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { StoreDatabase } from "@hayloft/engine/sql/index.js"
import { noPostgres } from "../harness/postgres.js"
import { Databases } from "./databases.js"
import { loseRow, raceForRoom, startWhileWriting, turnover, type OpenEngine } from "./quota-bodies.js"
import { SimulatedWorld, SLOW } from "./simulated-world.js"

const BODIES: Readonly<Record<string, (open: OpenEngine) => Promise<void>>> = {
  "three nodes put more than there is room for: exactly as many succeed as fit": raceForRoom,
  "while three nodes replace and remove objects, what is used stays exact and within the limit": turnover,
  "a count that begins while three nodes write becomes exact": startWhileWriting,
  "a lost row refuses what grows, and nothing else": loseRow,
}

let databases: Databases

if (noPostgres === false) {
  before(async () => {
    databases = await Databases.start()
  })
  after(() => databases.stop())
}

for (const [name, body] of Object.entries(BODIES)) {
  test(name, async () => {
    for (const seed of seedsOf(5)) {
      const world = new SimulatedWorld(seed, SLOW)
      await world.run(() => body(node => world.open(node)))
    }
  })

  test(`${name}, on a real PostgreSQL`, { skip: noPostgres }, async () => {
    const database = await StoreDatabase.open(await databases.create())
    const seams = { clock: new RealClock(), random: new RealRandom(), log: new SimTelemetry().log }
    await body(node => database.open(seams, node))
  })
}
