/** The immediate effects of taking a device of a long idle store offline. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { StoreMachine } from "./store-machine.js"

/** Ends between two periodic checks of an idle job. */
const REST_MS = 10 * 60_000 + 25_000
const SOON_MS = 5_000

test("a lost metadata replica is rebuilt on another device within seconds, however long the store was idle", async () => {
  const machine = new StoreMachine({ seed: 7, devices: 4 })
  const store = await machine.clock.runUntil(machine.start())
  const replicasOf = () =>
    store.engine.recordManager.record.tablets.flatMap(({ replicas }) => replicas.map(({ id }) => id))
  await machine.clock.advance(REST_MS)
  const [lost] = replicasOf()
  assert.ok(lost)
  const out = store.engine.control.takeOffline(lost, fail("deviceFailed", { message: "the disk is gone" }))
  await machine.clock.runUntil(out)
  assert.equal(replicasOf().length, 2)
  await machine.clock.advance(SOON_MS)
  assert.equal(replicasOf().length, 3)
  assert.ok(!replicasOf().includes(lost))
  await machine.clock.runUntil(machine.stop(store))
  assert.deepEqual(machine.mistakes, [])
})
