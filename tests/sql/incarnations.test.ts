/** Incarnations on a real PostgreSQL: one that is ended commits nothing more, and its process begins another. */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseStoreId, rowKeyOf, type Incarnation } from "@hayloft/base/ids.js"
import { command } from "@hayloft/engine/metadata/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Postgres, SqlMetadata, StoreDatabase } from "@hayloft/engine/sql/index.js"
import { HAYLOFT_SCHEMA, migrationsOf, SCHEMA_VERSION, versionTableOf } from "@hayloft/engine/sql/postgres/schema.js"
import { noPostgres } from "../harness/postgres.js"
import { Databases } from "./databases.js"

const KEY = rowKeyOf("number")

const increment = command<[], number>({
  name: "Increment",
  touches: () => [["accounts", KEY]],
  decide(view) {
    const number = Number(Buffer.from(view.get("accounts", KEY)?.value ?? Buffer.from("0")).toString()) + 1
    return { writes: [{ family: "accounts", key: KEY, value: Buffer.from(String(number)) }], result: number }
  },
})

let databases: Databases

if (noPostgres === false) {
  before(async () => {
    databases = await Databases.start()
  })
  after(() => databases.stop())
}

const openOn = (url: string, node: string) =>
  SqlMetadata.open({
    clock: new RealClock(),
    random: new RealRandom(),
    log: new SimTelemetry().log,
    database: new Postgres(url),
    node,
  })

test("a process whose incarnation was ended is refused, and continues in another", { skip: noPostgres }, async () => {
  const url = await databases.create()
  const engine = await openOn(url, "a")
  const other = await openOn(url, "b")
  const { own } = engine.incarnations
  assert.equal(await engine.run(increment()), 1)
  const session = await new Postgres(url).connect()
  await session.end(own)
  await session.close()
  let refused = 0
  const isCommitted = async (): Promise<boolean> => {
    try {
      assert.equal(await engine.run(increment()), 2)
      return true
    } catch (error) {
      assert.ok(isFailure(error, "tooManyInFlight"))
      refused += 1
      return false
    }
  }
  await until("it commits as another incarnation", isCommitted, 5)
  assert.ok(refused > 0 && engine.incarnations.own > own)
  assert.equal(engine.trouble, undefined)
  assert.equal(await other.run(increment()), 3)
  const stop = new AbortController()
  const upkeep = other.keepUp(stop.signal)
  await until("the other notices", () => other.incarnations.isOver(own), 5)
  assert.ok(!other.incarnations.isOver(engine.incarnations.own))
  stop.abort()
  await upkeep
  await engine.stop()
  await other.stop()
})

test("a process that is asked nothing notices its end, and continues in another", { skip: noPostgres }, async () => {
  const url = await databases.create()
  const engine = await openOn(url, "a")
  const { own } = engine.incarnations
  const stop = new AbortController()
  const upkeep = engine.keepUp(stop.signal)
  const session = await new Postgres(url).connect()
  await session.end(own)
  await session.close()
  await until("it is another incarnation", () => engine.incarnations.own !== own, 5)
  assert.ok(engine.incarnations.isOver(own))
  assert.equal(await engine.run(increment()), 1)
  stop.abort()
  await upkeep
  await engine.stop()
})

test(
  "a process of the same node takes over: what the earlier one commits is refused",
  { skip: noPostgres },
  async () => {
    const url = await databases.create()
    const earlier = await openOn(url, "a")
    assert.equal(await earlier.run(increment()), 1)
    const later = await openOn(url, "a")
    assert.equal(await later.run(increment()), 2)
    await assert.rejects(earlier.run(increment()), error => isFailure(error, "tooManyInFlight"))
    await until("the earlier one notices", () => earlier.trouble === "another process runs as this node", 5)
    await assert.rejects(earlier.run(increment()), error => isFailure(error, "stopping"))
    assert.equal(await later.run(increment()), 3)
    await earlier.stop()
    await later.stop()
  },
)

test("a process that stops ends its incarnation", { skip: noPostgres }, async () => {
  const url = await databases.create()
  const [stopped, other] = [await openOn(url, "a"), await openOn(url, "b")]
  assert.equal(await stopped.run(increment()), 1)
  await stopped.stop()
  const session = await new Postgres(url).connect()
  const { live } = await session.incarnations()
  await session.close()
  assert.deepEqual(
    live.map(({ node }) => node),
    ["b"],
  )
  await other.stop()
})

test("a database that has lost acknowledged commits is neither read nor written", { skip: noPostgres }, async () => {
  const url = await databases.create()
  const engine = await openOn(url, "a")
  for (let number = 1; number <= 3; number += 1) assert.equal(await engine.run(increment()), number)
  const session = await new Postgres(url).connect()
  await session.script("UPDATE hayloft.lanes SET number = greatest(0, number - 1)")
  await session.close()
  await assert.rejects(engine.run(increment()), error => isFailure(error, "databaseRolledBack"))
  await assert.rejects(engine.run(increment()), error => isFailure(error, "databaseRolledBack"))
  assert.match(engine.trouble ?? "", /lost changes/)
  await engine.stop()
})

test("a database keeps the metadata of one store", { skip: noPostgres }, async () => {
  const database = await StoreDatabase.open(await databases.create())
  const [own, foreign] = [parseStoreId("1".repeat(32)), parseStoreId("2".repeat(32))]
  assert.equal(await database.storeId(), undefined)
  assert.equal(await database.claim(own), own)
  assert.equal(await database.claim(foreign), own)
  assert.equal(await database.storeId(), own)
})

test("a database that cannot be used is named without its password", { skip: noPostgres }, async () => {
  const { port } = databases.server
  const [wrongDatabase, nobody] = [`127.0.0.1:${port}/none`, "127.0.0.1:1/none"]
  for (const place of [wrongDatabase, nobody]) {
    await assert.rejects(StoreDatabase.open(`postgres://postgres:geheim@${place}`), error => {
      assert.ok(isFailure(error, "databaseUnreachable"))
      assert.match(error.message, new RegExp(`postgres://postgres:\\*\\*\\*@${place} cannot be reached`))
      return !error.message.includes("geheim")
    })
  }
})

/** Another process has read that the incarnation is over. */
const isOverFor = async (other: SqlMetadata, incarnation: Incarnation): Promise<boolean> => {
  await other.learn()
  return other.incarnations.isOver(incarnation)
}

test("a thread is live for all until it is ended, or its process is", { skip: noPostgres }, async () => {
  const url = await databases.create()
  const [engine, other] = [await openOn(url, "a"), await openOn(url, "b")]
  const [first, second] = [await engine.beginThread(), await engine.beginThread()]
  assert.deepEqual([first.process, second.process], [engine.incarnations.own, engine.incarnations.own])
  assert.ok(first.thread > other.incarnations.own && second.thread > first.thread)
  for (const { thread } of [first, second]) {
    assert.equal(await isOverFor(other, thread), false)
    assert.equal(await isOverFor(engine, thread), false)
  }
  // Heartbeats, layouts and epochs are those of processes.
  const processes = other.live.nodes.map(({ incarnation }) => incarnation).sort()
  assert.deepEqual(processes, [engine.incarnations.own, other.incarnations.own].sort())
  const ended = other.incarnations.ended ?? 0
  await engine.endThread(first.thread)
  assert.equal(await isOverFor(other, first.thread), true)
  assert.equal(await isOverFor(other, second.thread), false)
  assert.equal(other.incarnations.ended, ended + 1)
  assert.deepEqual(other.seenIncarnations.live.includes(second.thread), true)

  // Its process ends, as one that was silent for too long.
  await other.endIncarnation(engine.incarnations.own)
  assert.equal(await isOverFor(other, second.thread), true)
  await engine.stop()
  await other.stop()
})

test("a thread does not begin in an incarnation of the process that has ended", { skip: noPostgres }, async () => {
  const url = await databases.create()
  const engine = await openOn(url, "a")
  const session = await new Postgres(url).connect()
  const { own } = engine.incarnations
  const thread = await session.beginThread(own)
  assert.equal(thread, own + 1)
  assert.equal(await session.beginThread(thread ?? 0), undefined, "a thread has none")
  await session.end(own)
  assert.equal(await session.beginThread(own), undefined)
  assert.deepEqual((await session.incarnations()).live, [])
  await session.close()
  await engine.stop()
})

test(
  "a process of the same node that takes over ends the threads of the earlier one",
  { skip: noPostgres },
  async () => {
    const url = await databases.create()
    const earlier = await openOn(url, "a")
    const { thread } = await earlier.beginThread()
    const later = await openOn(url, "a")
    assert.equal(await isOverFor(later, thread), true)
    await later.stop()
    await earlier.stop()
  },
)

test("programs of before threads do not run beside those that may have them", { skip: noPostgres }, async () => {
  const database = "of_before"
  await databases.server.sql(`CREATE DATABASE ${database}`)
  const url = databases.server.urlOf(database)
  const BEFORE = 4
  const script = [versionTableOf(HAYLOFT_SCHEMA), ...migrationsOf(HAYLOFT_SCHEMA).slice(0, BEFORE)].join(";\n")
  await databases.server.sql(`${script}; UPDATE hayloft.schema_version SET version = ${BEFORE}`, database)
  const began = `UPDATE hayloft.store SET last_incarnation = 1;
    INSERT INTO hayloft.incarnations (incarnation, node, process) VALUES (1, 'a', 'p')`
  await databases.server.sql(began, database)
  await assert.rejects(
    new Postgres(url).migrate(),
    error => isFailure(error, "conflict") && /node a runs/.test(error.message),
  )
  await databases.server.sql("UPDATE hayloft.incarnations SET ended = true", database)
  await new Postgres(url).migrate()
  // Such a program accepts a schema that is one version newer, at most.
  assert.ok(SCHEMA_VERSION > BEFORE + 1)
  const engine = await openOn(url, "a")
  assert.equal((await engine.beginThread()).process, engine.incarnations.own)
  await engine.stop()
})
