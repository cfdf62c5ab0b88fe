import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseStoreId } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { NO_FAULTS } from "./simulated/faults.js"
import { SimulatedDatabase } from "./simulated/simulated-database.js"
import { StoreDatabase } from "./store-database.js"

const STORE = parseStoreId("0123456789abcdef0123456789abcdef")

test("a start may be repeated if the database commits with a warning: the configuration is not wrong", async () => {
  const clock = new SimClock()
  const faults = { ...NO_FAULTS, warned: 1 }
  const database = new SimulatedDatabase({ clock, random: new SimRandom(1), faults })
  const claimed = clock.runUntil(StoreDatabase.over(database, "postgres://host/store").claim(STORE))
  await assert.rejects(claimed, error => isFailure(error, "databaseUnreachable"))
})
