import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { command } from "../metadata/index.js"
import type { Database, Session } from "./database.js"
import { SessionAround } from "./session-around.js"
import { SimulatedDatabase } from "./simulated/simulated-database.js"
import { SqlMetadata } from "./sql-metadata.js"

const addRow = command<[key: string], void>({
  name: "AddRow",
  touches: key => [["accounts", rowKeyOf(key)]],
  decide: (_view, _time, key) => ({
    writes: [{ family: "accounts", key: rowKeyOf(key), value: Buffer.from("row") }],
    result: undefined,
  }),
})

test("a database without space for a change is full until it has made one", async () => {
  const clock = new SimClock()
  const random = new SimRandom(TEST_SEED)
  const inner = new SimulatedDatabase({ clock, random })
  let hasSpace = true
  class Filling extends SessionAround {
    override makeChanges(...request: Parameters<Session["makeChanges"]>) {
      if (!hasSpace) return Promise.reject(fail("deviceFull", { message: "the database has no space left" }))
      return this.inner.makeChanges(...request)
    }
  }
  const database: Database = {
    migrate: () => Promise.resolve(),
    connect: async () => new Filling(await inner.connect()),
  }
  const log = new SimTelemetry().log
  const metadata = await clock.runUntil(SqlMetadata.open({ clock, random, log, database, node: "a" }))
  assert.equal(metadata.isDatabaseFull, false)
  hasSpace = false
  await clock.runUntil(assert.rejects(metadata.run(addRow("one")), error => isFailure(error, "deviceFull")))
  assert.equal(metadata.isDatabaseFull, true)
  hasSpace = true
  await clock.runUntil(metadata.run(addRow("one")))
  assert.equal(metadata.isDatabaseFull, false)
  await clock.runUntil(metadata.stop())
})
