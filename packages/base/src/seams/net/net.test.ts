import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../../failures.js"
import { TEST_SEED } from "../../testing-seed.js"
import { SimClock } from "../clock/sim.js"
import { SimRandom } from "../random/sim.js"
import type { Connection } from "./contract.js"
import { RealNet } from "./real.js"
import { SimNetwork, type SimNetOptions } from "./sim.js"
import { netSuite } from "./suite.js"

const LOOPBACK = { host: "127.0.0.1", port: 0 }
const never = new AbortController().signal

netSuite("real", () => {
  const net = new RealNet()
  return { server: net, client: net, at: LOOPBACK, settle: promise => promise }
})

function simulated(options: Partial<SimNetOptions> = {}, seed = TEST_SEED) {
  const clock = new SimClock()
  const network = new SimNetwork(clock, new SimRandom(seed), options)
  return { clock, network, a: network.host("a", "finger-a"), b: network.host("b", "finger-b") }
}

netSuite("simulated", () => {
  const { clock, a, b } = simulated()
  return { server: b, client: a, at: { host: "b", port: 0 }, settle: promise => clock.runUntil(promise) }
})

/** A connection from a to b whose ends record what they receive. */
async function joined({ clock, a, b }: ReturnType<typeof simulated>) {
  const events: string[] = []
  const watch = (name: string, connection: Connection): Connection => {
    connection.start({
      bytes: chunk => events.push(`${clock.monotonicMs().toFixed(3)} ${name} ${chunk.length}`),
      closed: reason => events.push(`${name} closed ${reason ?? "in order"}`),
    })
    return connection
  }
  let there: Connection | undefined
  const listener = await b.listen({ host: "b", port: 1 }, connection => (there = watch("b", connection)))
  const here = watch("a", await clock.runUntil(a.connect(listener.address, never)))
  assert.ok(there !== undefined)
  return { events, here, there }
}

/** How many bytes each end has received: the network cuts them at random places. */
function receivedBytes(events: readonly string[]) {
  const received = { a: 0, b: 0 }
  for (const event of events) {
    const [, name, bytes] = /^[\d.]+ ([ab]) (\d+)$/.exec(event) ?? []
    assert.ok(name === "a" || name === "b", event)
    received[name] += Number(bytes)
  }
  return received
}

test("simulated: a cut holds one direction, and what was held arrives after it heals", async () => {
  const net = simulated()
  const { events, here, there } = await joined(net)
  net.network.cut("a", "b")
  here.write([Buffer.from("held")], () => undefined)
  there.write([Buffer.from("through")], () => undefined)
  await net.clock.advance(1_000)
  assert.deepEqual(receivedBytes(events), { a: 7, b: 0 })
  net.network.healAll()
  await net.clock.advance(1)
  assert.deepEqual(receivedBytes(events), { a: 7, b: 4 })
})

test("simulated: a crashed host says nothing; its peer notices when it sends", async () => {
  const net = simulated()
  const { events, here } = await joined(net)
  net.network.crash("b")
  await net.clock.advance(60_000)
  assert.deepEqual(events, [])
  here.write([Buffer.from("hello?")], () => undefined)
  await net.clock.advance(10)
  assert.deepEqual(events, ["a closed ECONNRESET"])
})

test("simulated: a partition stops connects until it heals", async () => {
  const net = simulated()
  await joined(net)
  net.network.partition(["a"], ["b"])
  const attempt = net.a.connect({ host: "b", port: 1 }, never)
  await net.clock.advance(5_000)
  net.network.healAll()
  const connection = await net.clock.runUntil(attempt)
  assert.equal(connection.fingerprint, "finger-b")
  await assert.rejects(net.clock.runUntil(net.a.connect({ host: "b", port: 1 }, never, "finger-a")), error =>
    isFailure(error, "peerUnreachable"),
  )
})

test("simulated: bandwidth and delay take their time, and a seed repeats to the microsecond", async () => {
  const run = async (seed: number) => {
    const net = simulated({ bytesPerSecond: 1e6, delayMs: { least: 20, most: 30 } }, seed)
    const { events, here } = await joined(net)
    const startMs = net.clock.monotonicMs()
    let writtenMs = 0
    here.write([Buffer.alloc(1_000_000)], () => (writtenMs = net.clock.monotonicMs() - startMs))
    await net.clock.advance(2_000)
    assert.ok(writtenMs > 700 && writtenMs < 1_100, `${writtenMs} ms for 1 MB at 1 MB/s`)
    return events
  }
  const events = await run(5)
  assert.deepEqual(await run(5), events)
  assert.notDeepEqual(await run(6), events)
})

test("simulated: names of hosts that contain the signs of keys are names of their own", async () => {
  const { clock, network } = simulated()
  const serve = (name: string) => network.host(name).listen({ host: name, port: 1 }, () => undefined)
  for (const name of ["b", "b:1", "b>c", "c"]) await serve(name)
  const isReached = (from: string, host: string) => {
    const attempt = network.host(from).connect({ host, port: 1 }, never)
    return clock.runUntil(
      attempt.then(
        () => true,
        () => false,
      ),
    )
  }
  network.cut("a>b", "c")
  assert.equal(network.isCut("a", "b>c"), false)
  network.crash("b")
  assert.deepEqual(
    [await isReached("a", "b"), await isReached("a", "b:1"), await isReached("a", "b>c")],
    [false, true, true],
  )
})
