/** What nodes share, on a simulated database: read before any incarnation has begun, and ending another's. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../../src/base/failures.js"
import { PARTITIONS, SHARDS_MAX } from "../../src/base/limits.js"
import { changeControl, controlRow, layoutTable, leaseRows, takeLease } from "../../src/coordination/index.js"
import { RealClock } from "../../src/seams/clock/real.js"
import { RealRandom } from "../../src/seams/random/real.js"
import { SimTelemetry } from "../../src/seams/telemetry/sim.js"
import { StoreDatabase, type SqlMetadata } from "../../src/sql/index.js"
import { noPostgres } from "../harness/postgres.js"
import { Databases } from "./databases.js"
import { SimulatedWorld, SLOW } from "./simulated-world.js"

const record = Buffer.from("record")

test("the control record is read before any incarnation has begun", () => {
  const world = new SimulatedWorld(1, SLOW)
  const database = StoreDatabase.over(world.database, "simulated")
  return world.run(async () => {
    assert.equal(await database.control(), undefined)
    const engine = await world.open("a")
    assert.equal(await database.control(), undefined)
    await engine.run(changeControl({ before: 0, generation: 1, record, layouts: { put: [], drop: [] } }))
    assert.deepEqual(await database.control(), { generation: 1, record })
  })
})

/** The control record and the largest partition table, each read alone. */
async function keepLargestTable(engine: SqlMetadata): Promise<void> {
  const table = Buffer.alloc(PARTITIONS * SHARDS_MAX * 2, 7)
  await engine.run(changeControl({ before: 0, generation: 1, record, layouts: { put: [[1, table]], drop: [] } }))
  assert.deepEqual(await engine.ask(layoutTable(1)), table)
  assert.deepEqual(await engine.ask(controlRow()), { generation: 1, record })
  await engine.run(changeControl({ before: 1, generation: 2, record, layouts: { put: [], drop: [1] } }))
  assert.equal(await engine.ask(layoutTable(1)), undefined)
}

test("the largest partition table is one row", () => {
  const world = new SimulatedWorld(1, SLOW)
  return world.run(async () => keepLargestTable(await world.open("a")))
})

test("the largest partition table is one row of a real PostgreSQL", { skip: noPostgres }, async () => {
  const databases = await Databases.start()
  try {
    const database = await StoreDatabase.open(await databases.create())
    assert.equal(await database.control(), undefined)
    const seams = { clock: new RealClock(), random: new RealRandom(), log: new SimTelemetry().log }
    const engine = await database.open(seams, "a")
    try {
      await keepLargestTable(engine)
    } finally {
      await engine.stop()
    }
    assert.deepEqual(await database.control(), { generation: 2, record })
  } finally {
    await databases.stop()
  }
})

test("a process knows the live ones, and ends another: it commits nothing more", () => {
  const world = new SimulatedWorld(1, SLOW)
  return world.run(async () => {
    const [a, b] = [await world.open("a"), await world.open("b")]
    const upkeep = new AbortController()
    const kept = a.keepUp(upkeep.signal)
    await world.pass(10_000)
    const [ownOfA, ownOfB] = [a.incarnations.own, b.incarnations.own]
    assert.deepEqual(a.live, {
      highest: ownOfB,
      nodes: [
        { node: "a", incarnation: ownOfA },
        { node: "b", incarnation: ownOfB },
      ],
    })
    await a.endIncarnation(ownOfB)
    assert.deepEqual(a.live.nodes, [{ node: "a", incarnation: ownOfA }])
    assert.ok(a.incarnations.isOver(ownOfB))
    await assert.rejects(b.run(takeLease("steward", undefined)), isFailure)
    assert.deepEqual(await a.ask(leaseRows()), [])
    upkeep.abort()
    await kept
  })
})
