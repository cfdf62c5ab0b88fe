/**
 * The simulated database does what PostgreSQL does: random scripts of overlapping statements end alike on both. Where a
 * real server may continue in several orders, its outcome is among those of the simulated one.
 */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { Client } from "pg"
import { must } from "@hayloft/base/assert.js"
import { FAMILIES } from "@hayloft/base/rows/families.js"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { StoredKey } from "@hayloft/engine/sql/database.js"
import { Postgres } from "@hayloft/engine/sql/index.js"
import { NO_FAULTS } from "@hayloft/engine/sql/simulated/faults.js"
import { SimulatedDatabase } from "@hayloft/engine/sql/simulated/simulated-database.js"
import { noPostgres } from "../harness/postgres.js"
import { Databases } from "./databases.js"
import { liveGenerations, prepare, randomScript, runScript, SCRIPTS_BY_NAME, SESSIONS } from "./statement-scripts.js"
import type { Ground, Hold, Script } from "./statement-scripts.js"

/** Orders in which the simulated database continues. */
const ORDERS_MAX = 200
/** Each script runs in so many orders, to know whether its outcome is certain. */
const ORDERS_MIN = 6
/** Scripts whose outcome does not depend on an order: there the simulated database does only what PostgreSQL does. */
const CERTAIN_SHARE = 0.9

async function simulated(script: Script, order: number): Promise<string> {
  const clock = new SimClock()
  const random = new SimRandom(order)
  const database = new SimulatedDatabase({ clock, random })
  const sessions = []
  for (let at = 0; at < SESSIONS; at += 1) sessions.push(await database.connect())
  const [first] = sessions
  assert.ok(first)
  await prepare(first)
  // The first order is that of the waits, without anything between the parts of statements.
  const upTo = (ms: number): number => (order === 0 ? 0 : random.below(ms))
  const faults = { ...NO_FAULTS, requestMs: upTo(30), partMs: upTo(10), commitMs: upTo(10), answerMs: upTo(30) }
  const ground: Ground = {
    sessions,
    async hold(hold) {
      const held = database.hold()
      await holdSimulated(held, hold)
      return held
    },
    async settle() {
      database.faults = faults
      do await clock.advance(random.below(2) === 0 ? 500 : 5_000)
      while (database.isDeadlocked)
      database.faults = NO_FAULTS
    },
  }
  return runScript(script, ground)
}

async function holdSimulated(held: ReturnType<SimulatedDatabase["hold"]>, hold: Hold): Promise<void> {
  switch (hold.kind) {
    case "lock":
      return held.lockRow(hold.key, "exclusive")
    case "share":
      return held.lockRow(hold.key, "share")
    case "delete":
      return held.deleteRow(hold.key)
    case "add":
      return held.addRow(hold.key, hold.version, Buffer.from("held"))
    case "replace":
      return held.replaceRow(hold.key, hold.version, Buffer.from("held"))
    case "lane":
      return held.lockLane(hold.lane)
    case "store":
      return held.lockStore()
  }
}

/** Columns of a row's key, as the engine stores it. */
function columnsOf({ family, key }: StoredKey): unknown[] {
  const bytes = Buffer.from(key, "latin1")
  if (family !== "current") return [FAMILIES[family], "0", bytes]
  return [FAMILIES[family], String(bytes.readBigInt64BE()), bytes.subarray(8)]
}

const WHERE = "WHERE family = $1 AND bucket = $2 AND key = $3"

async function holdReal(client: Client, hold: Hold): Promise<void> {
  await client.query("BEGIN")
  switch (hold.kind) {
    case "lock":
      return void (await client.query(`SELECT FROM hayloft.rows ${WHERE} FOR UPDATE`, columnsOf(hold.key)))
    case "share":
      return void (await client.query(`SELECT FROM hayloft.rows ${WHERE} FOR SHARE`, columnsOf(hold.key)))
    case "delete":
      return void (await client.query(`DELETE FROM hayloft.rows ${WHERE}`, columnsOf(hold.key)))
    case "add": {
      const values = [...columnsOf(hold.key), String(hold.version), Buffer.from("held")]
      return void (await client.query(
        "INSERT INTO hayloft.rows (family, bucket, key, version, value) VALUES ($1, $2, $3, $4, $5)",
        values,
      ))
    }
    case "replace": {
      const values = [...columnsOf(hold.key), String(hold.version), Buffer.from("held")]
      return void (await client.query(`UPDATE hayloft.rows SET version = $4, value = $5 ${WHERE}`, values))
    }
    case "lane": {
      const { incarnation, lane } = hold.lane
      return void (await client.query("SELECT FROM hayloft.lanes WHERE incarnation = $1 AND lane = $2 FOR UPDATE", [
        incarnation,
        lane,
      ]))
    }
    case "store":
      return void (await client.query("SELECT FROM hayloft.store FOR UPDATE"))
  }
}

const RESET = `
TRUNCATE hayloft.rows, hayloft.lanes, hayloft.incarnations, hayloft.counters, hayloft.usage;
UPDATE hayloft.store SET generation = 1, last_incarnation = 0, timestamps = 0`

const WAITING = "SELECT DISTINCT pid, pg_blocking_pids(pid) AS blockers FROM pg_locks WHERE NOT granted"

interface Waiting {
  readonly pid: number
  readonly blockers: readonly number[]
}

/**
 * Returns true if all wait for transactions that are held, or for others that wait: nothing happens until one is ended.
 */
function isSettled(waiting: readonly Waiting[], held: ReadonlySet<number>): boolean {
  const pids = new Set(waiting.map(({ pid }) => pid))
  return (
    !isDeadlocked(waiting) && waiting.every(({ blockers }) => blockers.every(pid => held.has(pid) || pids.has(pid)))
  )
}

/** Returns true if some wait in a circle, which the server breaks within moments. */
function isDeadlocked(waiting: readonly Waiting[]): boolean {
  let left = waiting
  for (;;) {
    const pids = new Set(left.map(({ pid }) => pid))
    const next = left.filter(({ blockers }) => blockers.some(blocker => pids.has(blocker)))
    if (next.length === left.length) return left.length > 0
    left = next
  }
}

/** A real server, on which one script after the other runs. */
class RealGround {
  private constructor(
    private readonly monitor: Client,
    private readonly holders: readonly Client[],
    /** The processes of the server for them. */
    private readonly held: ReadonlySet<number>,
    private readonly sessions: Ground["sessions"],
  ) {}

  static async open(url: string): Promise<RealGround> {
    const clients = Array.from({ length: 4 }, () => new Client({ connectionString: url }))
    for (const client of clients) await client.connect()
    const [monitor, ...holders] = clients
    assert.ok(monitor)
    const sessions = []
    for (let at = 0; at < SESSIONS; at += 1) sessions.push(await new Postgres(url).connect())
    const held = new Set<number>()
    for (const holder of holders) {
      const { rows } = await holder.query<{ readonly pid: number }>("SELECT pg_backend_pid() AS pid")
      for (const { pid } of rows) held.add(pid)
    }
    return new RealGround(monitor, holders, held, sessions)
  }

  async run(script: Script): Promise<string> {
    const { monitor, held, sessions } = this
    await monitor.query(RESET)
    const [first] = sessions
    assert.ok(first)
    await prepare(first)
    const free = [...this.holders]
    return runScript(script, {
      sessions,
      async hold(hold) {
        const client = free.pop()
        assert.ok(client, "a connection for each transaction")
        await holdReal(client, hold)
        return { end: async how => void (await client.query(how === "commit" ? "COMMIT" : "ROLLBACK")) }
      },
      async settle(underWay) {
        const isSo = async (): Promise<boolean> => {
          const before = underWay()
          const { rows } = await monitor.query<Waiting>(WAITING)
          return rows.length === before && underWay() === before && isSettled(rows, held)
        }
        await until("everything under way waits", isSo, 1)
      },
    })
  }

  async close(): Promise<void> {
    for (const session of this.sessions) await session.close()
    for (const client of [this.monitor, ...this.holders]) await client.end()
  }
}

/** Throws unless the script ends on the simulated database as on the real one; whether it always ends so there. */
async function isCertain(script: Script, outcome: string, ordersMin = ORDERS_MIN): Promise<boolean> {
  const outcomes = new Set<string>()
  for (let order = 0; order < ORDERS_MAX && (order < ordersMin || !outcomes.has(outcome)); order += 1) {
    outcomes.add(await simulated(script, order))
  }
  const [other] = outcomes
  if (!outcomes.has(outcome)) assert.equal(other, outcome, `in none of ${outcomes.size} simulated ways`)
  assert.ok(liveGenerations(outcome).length <= 1, "lanes of several generations")
  return outcomes.size === 1
}

let databases: Databases | undefined
let real: RealGround | undefined
if (noPostgres === false) {
  before(async () => {
    databases = await Databases.start({ deadlock_timeout: "5ms" })
    real = await RealGround.open(await databases.create())
  })
  after(async () => {
    await real?.close()
    await databases?.stop()
  })
}

for (const [name, script] of Object.entries(SCRIPTS_BY_NAME)) {
  test(`ends alike on PostgreSQL: ${name}`, { skip: noPostgres }, async t => {
    const outcome = await must(real, "a server").run(script)
    t.diagnostic(outcome)
    assert.equal(await isCertain(script, outcome, 40), script.hasSeveralEnds !== true, "it always ends so")
  })
}

test("random scripts of overlapping statements end alike on PostgreSQL", { skip: noPostgres }, async t => {
  let certain = 0
  const seeds = seedsOf(40)
  for (const seed of seeds) {
    const script = randomScript(new SimRandom(seed))
    try {
      if (await isCertain(script, await must(real, "a server").run(script))) certain += 1
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
    }
  }
  t.diagnostic(`${certain} of ${seeds.length} have one outcome`)
  assert.ok(certain >= CERTAIN_SHARE * seeds.length, `only ${certain} of ${seeds.length} scripts have one outcome`)
})
