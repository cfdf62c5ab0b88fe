/**
 * Tests of what nodes share in a database: the control record, live incarnations, and counters of those that are over.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseBucketId } from "@hayloft/base/ids.js"
import { PARTITIONS, SHARDS_MAX } from "@hayloft/base/limits.js"
import { changeControl, controlRow, layoutTable, leaseRows, takeLease } from "@hayloft/engine/coordination/index.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query } from "@hayloft/engine/metadata/index.js"
import { readCounters } from "@hayloft/objects/commands/bucket-rows-core.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { StoreDatabase, type SqlMetadata } from "@hayloft/engine/sql/index.js"
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

/** Counts objects of a bucket that exists. */
const count = command<[objects: number], void>({
  name: "Count",
  touches: () => [["buckets", bucketRowKey(BUCKET)]],
  decide(view, _time, objects) {
    const row = view.get("buckets", bucketRowKey(BUCKET))
    const change = { objects, versions: 1, bytes: 10, uploads: 0 }
    const value = Buffer.from("bucket")
    const writes = row ? [] : [{ family: "buckets" as const, key: bucketRowKey(BUCKET), value }]
    return { writes, counts: [{ bucketId: BUCKET, change }], result: undefined }
  },
})
const BUCKET = parseBucketId(7)
const countersOf = query("CountersOf", view => readCounters(view, BUCKET))

/** Processes count, end and are replaced while others fold what the ended ones have counted. */
async function foldWhileCounting(open: (node: string) => Promise<SqlMetadata>): Promise<void> {
  const reader = await open("reader")
  await reader.run(count(1))
  let counted = 1
  for (let round = 0; round < 4; round += 1) {
    const engines = [await open("a"), await open("b")]
    const counting = engines.flatMap(engine => Array.from({ length: 5 }, () => engine.run(count(1))))
    const folding = [reader.foldCounters(2), reader.foldCounters(1), ...engines.map(engine => engine.foldCounters(3))]
    await Promise.all([...counting, ...folding])
    counted += counting.length
    const expected = { objects: counted, versions: counted, bytes: 10 * counted, uploads: 0 }
    assert.deepEqual(await reader.ask(countersOf()), expected)
    await Promise.all(engines.map(engine => engine.stop()))
  }
  const [a, b] = [await open("a"), await open("b")]
  let folded = 0
  for (let now = 1; now > 0; folded += now) now = await reader.foldCounters(100)
  assert.ok(folded > 0)
  const expected = { objects: counted, versions: counted, bytes: 10 * counted, uploads: 0 }
  assert.deepEqual(await reader.ask(countersOf()), expected)
  await Promise.all([a.stop(), b.stop(), reader.stop()])
}

test("counters of processes that are over are added up while others count: sums stay as they are", async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const world = new SimulatedWorld(seed, SLOW)
    await world.run(() => foldWhileCounting(node => world.open(node)))
    const { counters } = world.database.copy()
    assert.ok(counters.length <= 3, `${counters.length} rows are left: one folded, and those of the reader`)
  }
})

test("the same on a real PostgreSQL", { skip: noPostgres }, async () => {
  const databases = await Databases.start()
  try {
    const database = await StoreDatabase.open(await databases.create())
    const seams = { clock: new RealClock(), random: new RealRandom(), log: new SimTelemetry().log }
    await foldWhileCounting(node => database.open(seams, node))
  } finally {
    await databases.stop()
  }
})
