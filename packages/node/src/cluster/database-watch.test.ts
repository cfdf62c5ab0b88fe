/** Which node reads the facts of the database, how long they are shown, and what of other nodes status adds. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import {
  UNKNOWN_HEALTH,
  type DatabaseHealth,
  type StandbyHealth,
} from "@hayloft/engine/format/nodes/database-health.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { DatabaseWatch } from "./database-watch.js"

const STANDBY: StandbyHealth = {
  name: "b",
  state: "streaming",
  sync: "sync",
  lagBytes: 0,
  lagSeconds: 0,
  goneSeconds: undefined,
}

/** A watch of 30 seconds a reading, over a database that the test changes. */
function world() {
  const clock = new SimClock()
  const database = {
    isAway: false,
    isSteward: true,
    health: { ...UNKNOWN_HEALTH, standbys: [STANDBY] } as DatabaseHealth,
  }
  const calls = { clocks: 0, health: 0 }
  const metadata = {
    responseTimes: { commits: undefined, reads: { count: 1, medianMs: 2, slowMs: 3 } },
    async compareClocks() {
      if (database.isAway) throw fail("databaseUnreachable")
      calls.clocks += 1
      return { aheadMs: calls.clocks, uncertainMs: 1 }
    },
    async databaseHealth() {
      calls.health += 1
      return database.health
    },
  }
  const seams = { clock, log: new SimTelemetry().log, name: "n1", metadata }
  const watch = new DatabaseWatch(seams, () => database.isSteward)
  const stop = new AbortController()
  const stopped = watch.run(stop.signal)
  const pass = (seconds: number) => clock.runUntil(clock.sleep(1_000 * seconds, new AbortController().signal))
  const end = () => {
    stop.abort()
    return clock.runUntil(stopped)
  }
  return { watch, database, calls, pass, end }
}

test("the steward reads the facts every 30 seconds, and says how old they are", async () => {
  const { watch, calls, pass, end } = world()
  await pass(25)
  assert.deepEqual([calls.clocks, calls.health], [1, 1])
  const { health, healthSecondsAgo, reads, clock } = watch.view
  assert.deepEqual([health?.standbys, healthSecondsAgo, reads?.count, clock?.aheadMs], [[STANDBY], 25, 1, 1])
  await pass(70)
  assert.deepEqual([calls.clocks, calls.health], [4, 4])
  await end()
})

test("another node compares its clock alone, and shows no old facts", async () => {
  const { watch, database, calls, pass, end } = world()
  await pass(1)
  database.isSteward = false
  await pass(100)
  assert.deepEqual([calls.clocks, calls.health], [4, 1])
  assert.notEqual(watch.view.health, undefined)
  await pass(60)
  assert.equal(watch.view.health, undefined)
  assert.equal(watch.view.clock?.aheadMs, calls.clocks)
  await end()
})

test("while the database is away the last reading is shown for a while; later readings follow", async () => {
  const { watch, database, pass, end } = world()
  await pass(1)
  database.isAway = true
  await pass(140)
  assert.equal(watch.view.clock?.aheadMs, 1)
  assert.equal(watch.view.healthSecondsAgo, 141)
  await pass(20)
  assert.deepEqual([watch.view.clock, watch.view.health], [undefined, undefined])
  database.isAway = false
  await pass(30)
  assert.equal(watch.view.clock?.aheadMs, 2)
  assert.notEqual(watch.view.health, undefined)
  await end()
})

test("a standby that a reading does not see any more is gone, for as long as it is", async () => {
  const { watch, database, pass, end } = world()
  const seen = () => watch.view.health?.standbys?.map(({ name, goneSeconds }) => `${name} ${goneSeconds}`)
  await pass(1)
  database.health = { ...UNKNOWN_HEALTH, standbys: [] }
  await pass(65)
  assert.deepEqual(seen(), ["b 60"])
  database.health = { ...UNKNOWN_HEALTH, standbys: [STANDBY] }
  await pass(30)
  assert.deepEqual(seen(), ["b undefined"])
  await end()
})
