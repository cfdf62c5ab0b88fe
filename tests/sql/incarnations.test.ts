/** Incarnations on a real PostgreSQL: one that is ended commits nothing more, and its process begins another. */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { isFailure } from "@hayloft/base/failures.js"
import { parseStoreId, rowKeyOf } from "@hayloft/base/ids.js"
import { command } from "@hayloft/engine/metadata/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Postgres, SqlMetadata, StoreDatabase } from "@hayloft/engine/sql/index.js"
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
  for (;;) {
    try {
      assert.equal(await engine.run(increment()), 2)
      break
    } catch (error) {
      assert.ok(isFailure(error, "tooManyInFlight"))
      refused += 1
      await wait(5)
    }
  }
  assert.ok(refused > 0 && engine.incarnations.own > own)
  assert.equal(engine.trouble, undefined)
  assert.equal(await other.run(increment()), 3)
  const stop = new AbortController()
  const upkeep = other.keepUp(stop.signal)
  while (!other.incarnations.isOver(own)) await wait(5)
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
  while (engine.incarnations.own === own) await wait(5)
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
    while (earlier.trouble !== "another process runs as this node") await wait(5)
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
