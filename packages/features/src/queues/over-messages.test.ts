/** Messages whose time is over, and wall clocks that are far ahead: they neither remove nor delay a message. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { QUEUE_LIMITS } from "./limits.js"
import { ACCOUNT, bodyOf, named, opened } from "./testing-queues.js"

const SECOND_MS = 1_000
const DAY_MS = 86_400 * SECOND_MS

test("messages whose time is over are not delivered, and go with a pass", async () => {
  const world = await opened("q")
  const big = "x".repeat(QUEUE_LIMITS.inlineBytesMax + 1)
  await world.add("q", big, { retentionSeconds: 60 })
  await world.add("q", "stays", { retentionSeconds: 6_000 })
  assert.equal(world.rows()["queueContents"], 1)
  await world.pass(60 * SECOND_MS)
  assert.deepEqual((await world.queues.peek(named("q"), 10, false)).map(bodyOf), ["stays"])
  await world.expire()
  assert.deepEqual(world.rows(), { queues: 1, queueMessages: 1, queueContents: 0, queueOrder: 1 })
  assert.deepEqual(await world.lengths("q"), [1, 0, 0, 1])
  assert.deepEqual(await world.bodies("q"), ["stays"])
})

test("a wall clock that is far ahead for a while removes no message", async () => {
  const world = await opened("q")
  await world.add("q", "stays", { retentionSeconds: 600 })
  const aheadMs = 400 * DAY_MS
  world.clock.jumpWall(aheadMs)
  world.wallAheadMs = aheadMs
  await world.expire()
  assert.deepEqual(await world.bodies("q"), [], "its time is over by the wall clock")
  world.clock.jumpWall(-aheadMs)
  world.wallAheadMs = 0
  assert.deepEqual(await world.bodies("q"), ["stays"])
  await world.pass(600 * SECOND_MS)
  await world.expire()
  assert.equal(world.rows()["queueMessages"], 0)
})

test("an acknowledgement counts at a node whose wall clock is far ahead", async () => {
  const world = await opened("q")
  await world.add("q", "done", { retentionSeconds: 600, retrySeconds: 5 })
  const [delivery] = await world.receive("q")
  const { id } = must(delivery, "a message")
  const aheadMs = 400 * DAY_MS
  world.clock.jumpWall(aheadMs)
  world.wallAheadMs = aheadMs
  assert.deepEqual(await world.queues.acknowledge(ACCOUNT, [id]), [id])
  world.clock.jumpWall(-aheadMs)
  world.wallAheadMs = 0
  await world.pass(10 * SECOND_MS)
  assert.deepEqual(await world.bodies("q"), [])
})

test("a wall clock that is far ahead for a while delays no message", async () => {
  const world = await opened("q", "dead")
  const redrive = { maxDeliveries: 1, deadQueue: "dead" }
  const day = { retentionSeconds: 1_000 * 86_400 }
  await world.add("q", "moved", { ...day, retrySeconds: 0.001, redrive })
  assert.deepEqual(await world.bodies("q"), ["moved"])
  await world.pass(SECOND_MS)
  const aheadMs = 400 * DAY_MS
  world.clock.jumpWall(aheadMs)
  world.wallAheadMs = aheadMs
  await world.add("q", "worked on", { ...day, retrySeconds: 10 })
  await world.add("q", "put back", { ...day, retrySeconds: 10 })
  const deliveries = await world.receive("q", 10)
  assert.deepEqual(deliveries.map(bodyOf), ["worked on", "put back"])
  await world.queues.reschedule(ACCOUNT, [
    { id: must(deliveries[0], "a message").id, change: { kind: "visibility", seconds: 20, delivery: 1 } },
    { id: must(deliveries[1], "a message").id, change: { kind: "nack" } },
  ])
  await world.add("q", "delayed", { ...day, delaySeconds: 5 })
  await world.add("q", "at once", day)
  assert.deepEqual((await world.queues.peek(named("q"), 10, false)).map(bodyOf), ["put back", "at once"])
  assert.deepEqual(await world.lengths("q"), [2, 1, 1, 4])
  world.clock.jumpWall(-aheadMs)
  world.wallAheadMs = 0
  assert.deepEqual(await world.lengths("q"), [2, 1, 1, 4])
  assert.deepEqual(await world.bodies("dead"), ["moved"])
  assert.deepEqual(await world.bodies("q"), ["put back", "at once"])
  await world.pass(5 * SECOND_MS)
  assert.deepEqual(await world.bodies("q"), ["delayed"])
  await world.pass(15 * SECOND_MS)
  assert.deepEqual(await world.bodies("q"), ["put back", "worked on"])
})

test("a consumer that waits is woken in time while the wall clock is far ahead", async () => {
  const world = await opened("q")
  const aheadMs = 400 * DAY_MS
  world.clock.jumpWall(aheadMs)
  world.wallAheadMs = aheadMs
  await world.add("q", "delayed", { delaySeconds: 5 })
  const waiter = world.queues.watchFor(ACCOUNT, ["q"])
  let isWoken = false
  waiter.wake = () => void (isWoken = true)
  const look = () => world.queues.receive({ account: ACCOUNT, queues: ["q"], count: 1 }, waiter)
  assert.equal(await look(), undefined)
  await world.pass(4 * SECOND_MS)
  assert.equal(isWoken, false)
  await world.pass(2 * SECOND_MS)
  assert.equal(isWoken, true)
  assert.deepEqual((await look())?.map(bodyOf), ["delayed"])
  waiter.end()
})

test("a consumer passes over any number of messages that are over by the wall clock alone", async () => {
  const world = await opened("q")
  const content = { body: Buffer.from("stays"), attributes: [], trace: undefined }
  const ten = Array.from({ length: 10 }, () => ({ content, sender: "arn", retentionSeconds: 600 }))
  // More than one command passes over, some of them due at the same moment.
  for (let added = 0; added <= 2 * QUEUE_LIMITS.rowsPerPage; added += ten.length) {
    if (added % 400 === 0) await world.pass(1)
    await world.queues.add(named("q"), ten, { copiesNow: 1 })
  }
  const { queueMessages: stored } = world.rows()
  const aheadMs = DAY_MS
  world.clock.jumpWall(aheadMs)
  world.wallAheadMs = aheadMs
  await world.add("q", "new", { retentionSeconds: 60 })
  assert.deepEqual(await world.bodies("q"), ["new"])
  assert.deepEqual(await world.bodies("q"), [])
  assert.equal(world.rows()["queueMessages"], must(stored, "messages") + 1)
  // The store's clock has come so far: a consumer removes them, and what is in flight is due again.
  world.wallAheadMs = 0
  assert.deepEqual(await world.bodies("q"), ["new"])
  assert.equal(world.rows()["queueMessages"], 1)
})

test("a pass begins when the first message is over, and after ten minutes at the latest", async () => {
  const world = await opened("q")
  await world.add("q", "a", { retentionSeconds: 200 })
  assert.equal(await world.expiry.step(), "idle")
  await world.pass(199 * SECOND_MS)
  await world.expiry.step()
  assert.equal(world.rows()["queueMessages"], 1)
  await world.pass(SECOND_MS)
  await world.expiry.step()
  assert.equal(world.rows()["queueMessages"], 0)
  await world.add("q", "b", { retentionSeconds: 1 })
  await world.pass(QUEUE_LIMITS.passEveryMs)
  await world.expiry.step()
  assert.equal(world.rows()["queueMessages"], 0)
})
