/** Real and simulated channels pass one suite; threads that end lose their last messages only. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Worker } from "node:worker_threads"
import { TEST_SEED } from "../../testing-seed.js"
import type { Clock } from "../clock/contract.js"
import { SimClock } from "../clock/sim.js"
import { SimRandom } from "../random/sim.js"
import { openChannel, PortChannel } from "./real.js"
import { SimChannel } from "./sim.js"
import { channelSuite } from "./suite.js"

channelSuite("real", () => {
  const { channel, port } = openChannel()
  return { here: channel, there: new PortChannel(port), settle: promise => promise }
})

channelSuite("simulated", () => {
  const clock = new SimClock()
  const [here, there] = SimChannel.pair(clock, new SimRandom(TEST_SEED))
  return { here, there, settle: promise => clock.runUntil(promise) }
})

test("an end that a real channel has seen before it starts is told when it starts", async () => {
  const { channel, port } = openChannel()
  const late = new PortChannel(port)
  const seen = new Promise<void>(resolve => void port.once("close", () => resolve()))
  port.ref()
  channel.close()
  await seen
  await new Promise<void>(resolve => late.start({ message: () => assert.fail("nothing was sent"), closed: resolve }))
})

test("the end of a real thread closes its channel, after what it had sent", async () => {
  const { channel, port } = openChannel()
  const messages: unknown[] = []
  const closed = new Promise<void>(resolve => {
    channel.start({ message: message => messages.push(message), closed: resolve })
  })
  const body = `
    const { workerData: port } = require("node:worker_threads")
    port.postMessage("from the thread")
    port.on("message", () => process.exit(1))`
  const worker = new Worker(body, { eval: true, workerData: port, transferList: [port] })
  channel.send("end")
  await closed
  assert.deepEqual(messages, ["from the thread"])
  await worker.terminate()
})

test("messages and the end keep their order, whatever the order in which a clock rings the alarms of one moment", async () => {
  const base = new SimClock()
  let delayMs = 1
  // Each alarm rings a little before the one that was set before it.
  const clock: Clock = {
    wallMs: () => base.wallMs(),
    monotonicMs: () => base.monotonicMs(),
    alarm: (durationMs, ring) => base.alarm(durationMs + (delayMs -= 0.01), ring),
    sleep: (durationMs, signal) => base.sleep(durationMs, signal),
    atEndOfTurn: call => base.atEndOfTurn(call),
  }
  const [here, there] = SimChannel.pair(clock, new SimRandom(TEST_SEED), 0)
  const received: unknown[] = []
  there.start({ message: message => received.push(message), closed: () => received.push("closed") })
  for (let at = 0; at < 6; at += 1) here.send(at)
  here.close()
  await base.advance(10)
  assert.deepEqual(received, [0, 1, 2, 3, 4, 5, "closed"])
  assert.equal(base.sleepers, 0)
})

/** A random test has so many runs, and up to ten times as many until it has met what it must. */
const RUNS = 50

test("a simulated thread that ends loses at most its last messages, and receives nothing", async () => {
  const lost = new Set<number>()
  const isComplete = (): boolean => lost.has(0) && lost.has(6)
  for (let run = 0; run < RUNS || (!isComplete() && run < 10 * RUNS); run += 1) {
    const seed = TEST_SEED + run
    const clock = new SimClock()
    const [here, there] = SimChannel.pair(clock, new SimRandom(seed))
    const received: unknown[] = []
    const closed = new Promise<void>(resolve => {
      there.start({ message: message => received.push(message), closed: resolve })
    })
    here.start({
      message: () => assert.fail("it has ended"),
      closed: () => assert.fail("it has ended"),
    })
    for (let at = 0; at < 6; at += 1) here.send(at)
    there.send("unread")
    here.die()
    // A thread that ends it again takes nothing more: the other thread sees the end.
    here.die()
    await clock.runUntil(closed)
    assert.deepEqual(
      received,
      [0, 1, 2, 3, 4, 5].filter(at => at < received.length),
    )
    lost.add(6 - received.length)
    assert.equal(clock.sleepers, 0)
  }
  assert.ok(isComplete(), `${[...lost].join()} were lost`)
})

test("a simulated thread that does not read receives everything later, the end too, unless it ends before", async () => {
  for (const isKilled of [false, true]) {
    const clock = new SimClock()
    const [here, there] = SimChannel.pair(clock, new SimRandom(TEST_SEED))
    const received: unknown[] = []
    there.start({ message: message => received.push(message), closed: () => received.push("closed") })
    const goOn = there.hold()
    here.send(1)
    await clock.advance(10)
    here.send(2)
    here.close()
    await clock.advance(10)
    assert.deepEqual(received, [])
    if (isKilled) there.die()
    goOn()
    assert.deepEqual(received, isKilled ? [] : [1, 2, "closed"])
  }
})
