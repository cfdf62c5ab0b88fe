/**
 * Tests of what a database says about itself: a real PostgreSQL, also to a role without any right to watch it, a server
 * that refuses some of the questions, and the simulated database.
 */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { Client } from "pg"
import { must } from "@hayloft/base/assert.js"
import { changeControl, controlRow } from "@hayloft/engine/coordination/index.js"
import type { DatabaseHealth } from "@hayloft/engine/format/nodes/database-health.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Postgres, SqlMetadata } from "@hayloft/engine/sql/index.js"
import { HAYLOFT_SCHEMA } from "@hayloft/engine/sql/postgres/schema.js"
import { statementsOf } from "@hayloft/engine/sql/postgres/statements.js"
import { DATABASE_LIMITS, databaseTrouble } from "@hayloft/node/status/database-core.js"
import { noPostgres } from "../harness/postgres.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { Databases } from "./databases.js"
import { SimulatedWorld, SLOW } from "./simulated-world.js"

const DEAD_ROWS = 60_000
const NO_LAYOUTS = { put: [], drop: [] }

let databases: Databases

/** Rows that no transaction can see, which autovacuum leaves alone. */
const MAKE_DEAD_ROWS = `
ALTER TABLE hayloft.counters SET (autovacuum_enabled = false);
BEGIN;
INSERT INTO hayloft.counters SELECT n, 0, 0, 0, 0, 0, 0 FROM generate_series(1, ${DEAD_ROWS}) n;
ROLLBACK`

async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: "a test" })
  await client.connect()
  return client
}

async function healthOf(database: Postgres): Promise<DatabaseHealth> {
  const session = await database.connect()
  try {
    return await session.health()
  } finally {
    await session.close()
  }
}

/** Statistics reach the views a moment after their transactions. */
async function healthSays(url: string, isSo: (health: DatabaseHealth) => boolean): Promise<DatabaseHealth> {
  const database = new Postgres(url)
  let health = await healthOf(database)
  const isThere = async (): Promise<boolean> => isSo((health = await healthOf(database)))
  await until(() => JSON.stringify(health), isThere)
  return health
}

const deadIn = ({ tables }: DatabaseHealth): number => tables?.find(({ name }) => name === "counters")?.deadRows ?? 0

const realTest = (name: string, work: () => Promise<void>): void => void test(name, { skip: noPostgres }, work)

before(async () => {
  if (noPostgres === false) databases = await Databases.start({ max_connections: "40", max_prepared_transactions: "2" })
})
after(() => databases?.stop())

realTest("PostgreSQL names an open transaction, dead rows and connections, and what is wrong with them", async () => {
  const url = await databases.create()
  const before = await healthOf(new Postgres(url))
  assert.match(before.version ?? "", /^PostgreSQL \d+/)
  assert.deepEqual([before.isInRecovery, before.connectionsMax], [false, 40])
  assert.deepEqual([before.standbys, before.unusedSlots, before.holders], [[], [], []])
  assert.ok((before.bytes ?? 0) > 1e6 && (before.unfrozenTransactions ?? 0) > 0)
  assert.deepEqual(
    before.tables?.map(({ name }) => name),
    ["counters", "incarnations", "lanes", "rows", "schema_version", "store", "usage"],
  )
  const worker = await connected(url)
  await worker.query(MAKE_DEAD_ROWS)
  // The end of its session publishes its statistics.
  await worker.end()
  const clients = await Promise.all(Array.from({ length: 32 }, () => connected(url)))
  try {
    const client = must(clients[0], "clients are connected")
    const { rows } = await client
      .query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_backend_pid() AS pid")
      .then(results => (Array.isArray(results) ? results[1] : results) as { rows: { pid: number }[] })
    const health = await healthSays(url, found => deadIn(found) >= DEAD_ROWS && (found.holders?.length ?? 0) > 0)
    const [holder] = health.holders ?? []
    assert.deepEqual([holder?.kind, holder?.name, holder?.owner], ["session", String(rows[0]?.pid), "hayloft, a test"])
    assert.ok((holder?.seconds ?? -1) >= 0 && health.holders?.length === 1)
    const left = health.connectionsLeft ?? Infinity
    assert.ok(left <= 4 && left >= 0, String(left))
    // An age of some seconds counts here.
    const limits = { ...DATABASE_LIMITS, snapshotSeconds: 0 }
    const checks = databaseTrouble(health, [], limits).map(({ check }) => check)
    assert.deepEqual(checks, ["durability", "connections", "oldSnapshot", "deadRows"])
  } finally {
    await Promise.all(clients.map(client => client.end()))
  }
})

realTest("a prepared transaction holds back vacuum", async () => {
  const url = await databases.create()
  const client = await connected(url)
  await client.query("BEGIN; CREATE TABLE x (y integer); PREPARE TRANSACTION 'forgotten'")
  const { holders } = await healthOf(new Postgres(url))
  assert.deepEqual(
    holders?.map(({ kind, name }) => [kind, name]),
    [["prepared", "forgotten"]],
  )
  await client.query("ROLLBACK PREPARED 'forgotten'")
  await client.end()
})

realTest("a standby shows while it follows, and its query holds back vacuum", async () => {
  const url = await databases.create()
  const standby = await databases.server.standby()
  try {
    const { standbys } = await healthSays(url, health => health.standbys?.[0]?.lagBytes !== undefined)
    const [first] = standbys ?? []
    assert.deepEqual([standbys?.length, first?.state, first?.sync], [1, "streaming", "async"])
    assert.ok((first?.lagBytes ?? -1) >= 0 && first?.goneSeconds === undefined)
    await standby.sql("ALTER SYSTEM SET hot_standby_feedback = on")
    await standby.sql("ALTER SYSTEM SET wal_receiver_status_interval = '1s'")
    await standby.sql("SELECT pg_reload_conf()")
    const reader = await connected(standby.urlOf(new URL(url).pathname.slice(1)))
    await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    const { holders } = await healthSays(url, health => (health.holders?.length ?? 0) > 0)
    assert.equal(holders?.[0]?.kind, "standby")
    await reader.end()
  } finally {
    await standby.dispose()
  }
  const gone = await healthSays(url, health => health.standbys?.length === 0)
  assert.deepEqual(gone.holders, [])
})

realTest("a role that may not watch others sees what everyone sees", async () => {
  const url = await databases.create()
  const owner = await connected(url)
  const name = new URL(url).pathname.slice(1)
  await owner.query(`CREATE ROLE plain LOGIN; GRANT CREATE ON DATABASE ${name} TO plain; DROP SCHEMA hayloft CASCADE`)
  await owner.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
  const plain = new URL(url)
  plain.username = "plain"
  const database = new Postgres(plain.href)
  await database.migrate()
  const health = await healthOf(database)
  assert.equal(health.tables?.length, 7)
  assert.ok((health.connectionsLeft ?? 0) > 0 && (health.bytes ?? 0) > 0)
  const [holder] = health.holders ?? []
  assert.equal(holder?.kind, "session")
  assert.equal(holder?.seconds, undefined)
  assert.ok((holder?.transactions ?? 0) > 0)
  await owner.end()
})

realTest("a statement that the server refuses, or that takes too long, leaves its facts unknown", async () => {
  const url = await databases.create()
  const statements = statementsOf(HAYLOFT_SCHEMA)
  const asking = (text: string) =>
    healthOf(new Postgres(url, { statements: { ...statements, tables: { ...statements.tables, text } } }))
  for (const text of ["SELECT * FROM hayloft.no_such_view", "SELECT pg_sleep(60)"]) {
    const health = await asking(text)
    assert.equal(health.tables, undefined)
    assert.equal(health.connectionsMax, 40)
    assert.ok((health.bytes ?? 0) > 0)
  }
})

/** A clock that is a minute late. */
class LateClock extends RealClock {
  override wallMs(): number {
    return super.wallMs() - 60_000
  }
}

realTest("clocks are compared, and answers are timed", async () => {
  const seams = { clock: new LateClock(), random: new RealRandom(), log: new SimTelemetry().log }
  const database = new Postgres(await databases.create())
  const metadata = await SqlMetadata.open({ ...seams, database, node: "n" })
  try {
    const { aheadMs, uncertainMs } = await metadata.compareClocks()
    // The wall clock shows whole milliseconds.
    assert.ok(Math.abs(aheadMs + 60_000) <= uncertainMs + 2, `${aheadMs} ± ${uncertainMs}`)
    const times = () => metadata.responseTimes
    const atStart = times()
    assert.equal(atStart.commits, undefined)
    await metadata.run(changeControl({ before: 0, generation: 1, record: Buffer.from("x"), layouts: NO_LAYOUTS }))
    await metadata.ask(controlRow())
    const { commits, reads } = times()
    assert.equal(commits?.count, 1)
    assert.ok(reads)
    assert.equal(reads.count - (atStart.reads?.count ?? 0), 2)
    assert.ok(reads.medianMs > 0 && reads.medianMs <= reads.slowMs)
  } finally {
    await metadata.stop()
  }
})

test("the simulated database knows its clock and its connections", async () => {
  const world = new SimulatedWorld(1, SLOW)
  await world.run(async () => {
    const engine = await world.open("a")
    const { aheadMs, uncertainMs } = await engine.compareClocks()
    assert.ok(Math.abs(aheadMs) <= uncertainMs, `${aheadMs} ± ${uncertainMs}`)
    const first = await engine.databaseHealth()
    const session = await world.database.connect()
    const second = await engine.databaseHealth()
    assert.equal((first.connectionsLeft ?? 0) - 1, second.connectionsLeft)
    assert.equal(second.tables, undefined)
    assert.deepEqual(databaseTrouble(second, []), [])
    await session.close()
    const record = Buffer.from("x")
    for (let before = 0; before < 30; before += 1)
      await engine.run(changeControl({ before, generation: before + 1, record, layouts: NO_LAYOUTS }))
    const { commits } = engine.responseTimes
    assert.ok(commits !== undefined && commits.count >= 30 && commits.medianMs > 1, JSON.stringify(commits))
  })
})
