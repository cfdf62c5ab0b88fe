/**
 * Connections that are cut before, during and after a commit, while the server's process goes on with it: every change
 * is made once, and its answer says so.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { Client } from "pg"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Postgres, SqlMetadata } from "@hayloft/engine/sql/index.js"
import { noPostgres } from "../harness/postgres.js"
import { Cutter } from "./cutter.js"
import { Databases } from "./databases.js"
import { increment, incrementTogether } from "./increments.js"

const INCREMENTS = runsOf(320)
const HELD_MS = 60

/** Locks the row now and then for a moment, so that statements whose client is gone are still running when it is back. */
async function hold(url: string, signal: AbortSignal): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  while (!signal.aborted) {
    await client.query("BEGIN; SELECT FROM hayloft.rows FOR UPDATE")
    await later(HELD_MS)
    await client.query("COMMIT")
    await later(HELD_MS / 2)
  }
  await client.end()
}

test("connections cut at any moment lose no change and repeat none", { skip: noPostgres }, async () => {
  const databases = await Databases.start()
  const cutter = await Cutter.before(databases.server.port)
  try {
    const direct = await databases.create()
    const log = new SimTelemetry().log
    const open = (url: string, node: string) =>
      SqlMetadata.open({ clock: new RealClock(), random: new RealRandom(), log, database: new Postgres(url), node })
    const cut = await open(cutter.urlOf(direct), "cut")
    const steady = await open(direct, "steady")
    cutter.isCutting = true
    const done = new AbortController()
    const holding = hold(direct, done.signal)
    const made = await incrementTogether(steady, cut, INCREMENTS)
    cutter.isCutting = false
    done.abort()
    await holding
    assert.ok(cutter.cuts > 5, `${cutter.cuts} cuts`)
    await made.check()
    await cut.stop()
    await steady.stop()
  } finally {
    await cutter.stop()
    await databases.stop()
  }
})

test(
  "a commit that is still running when its client is back is waited for, not repeated",
  { skip: noPostgres },
  async () => {
    const databases = await Databases.start()
    const cutter = await Cutter.before(databases.server.port)
    try {
      const url = await databases.create()
      const settings = { clock: new RealClock(), random: new RealRandom(), log: new SimTelemetry().log, node: "cut" }
      const engine = await SqlMetadata.open({ ...settings, database: new Postgres(cutter.urlOf(url)) })
      assert.equal(await engine.run(increment()), 1)
      const holder = new Client({ connectionString: url })
      await holder.connect()
      const waiting = async () => Number(await databases.server.sql("SELECT count(*) FROM pg_locks WHERE NOT granted"))
      await holder.query("BEGIN; SELECT FROM hayloft.rows FOR UPDATE")
      cutter.cutsNextCommit = true
      const running = engine.run(increment())
      // The commit waits for the row; then its lane's outcome, or a repetition, waits for the commit.
      await until("the commit waits", async () => (await waiting()) > 0, 5)
      await later(HELD_MS)
      await holder.query("COMMIT")
      await holder.end()
      assert.equal(await running, 2)
      assert.equal(await engine.run(increment()), 3)
      assert.equal(cutter.cuts, 1)
      await engine.stop()
    } finally {
      await cutter.stop()
      await databases.stop()
    }
  },
)
