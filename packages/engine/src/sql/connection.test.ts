/** Connection: when it is taken for down. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SqlConnection } from "./connection.js"
import { ConnectionLost, type Session } from "./database.js"
import { SQL_LIMITS } from "./limits.js"

const OPEN = { isOpen: true } as never as Session

test("work that failed late does not make a connection down that has worked meanwhile", async () => {
  const clock = new SimClock()
  const { signal } = new AbortController()
  const database = { connect: () => Promise.resolve(OPEN) } as never
  const connection = new SqlConnection({ clock, random: new SimRandom(1), database }, signal)
  const { downAfterMs } = SQL_LIMITS
  // It began while the database was away, and is lost only long after another work has succeeded.
  const late = connection.repeat(0, async () => {
    await clock.sleep(2 * downAfterMs, signal)
    throw new ConnectionLost("no answer")
  })
  late.catch(() => undefined)
  await clock.runUntil(clock.sleep(2 * downAfterMs - 1, signal))
  assert.equal(await connection.repeat(0, () => Promise.resolve("first")), "first")
  await clock.runUntil(late.catch(() => undefined))
  await assert.rejects(late, ConnectionLost)
  const untilMs = clock.monotonicMs() + downAfterMs
  assert.equal(await connection.repeat(untilMs, () => Promise.resolve("second")), "second")
})
