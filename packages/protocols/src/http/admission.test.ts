/** More requests than are served concurrently: which wait, which are served, which are rejected. */
import { after, test } from "node:test"
import assert from "node:assert/strict"
import type { Failure } from "@hayloft/base/failures.js"
import { FRONT_THREADS_MAX } from "@hayloft/base/limits.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { Admission } from "./admission.js"
import type { Party } from "@hayloft/base/places-core.js"
import type { Exchange } from "./contract.js"
import { HTTP_LIMITS, limitsOfFiles, limitsOfThread, openFilesFor, type HttpLimits } from "./limits.js"
import { RawClient } from "./testing-raw-client.js"
import { pause, echoLength, serve, stopAll, until } from "./testing-listener.js"

after(stopAll)

/** Serves one request at a time; answers `/hold` only after `go`. */
async function serveOne(limits: Partial<HttpLimits> = {}) {
  let go = (): void => undefined
  const gate = new Promise<void>(resolve => (go = resolve))
  const world = await serve(
    async exchange => {
      if (exchange.rawTarget === "/hold") await gate
      await echoLength(exchange)
    },
    { inFlightMax: 1, ...limits },
  )
  const count = (name: string) => world.telemetry.metric(`hayloft_http_${name}`, { server: "test" })
  const holding = await world.open()
  holding.send("GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
  await until("it has the place", () => count("in_flight") === 1)
  const ask = async (request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n") => {
    const client = await world.open()
    client.send(request)
    await pause(20)
    return client
  }
  return { world, count, holding, ask, go: () => go() }
}

const statusesOf = async (client: RawClient, count = 1) => (await client.answers(count)).map(({ status }) => status)

test("connections over the limit are answered 503", async () => {
  const world = await serve(echoLength, { connectionsMax: 1 })
  const first = await world.open()
  const surplus = await world.open()
  surplus.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.deepEqual(await statusesOf(surplus), [503])
  first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.deepEqual(await statusesOf(first), [200])
})

test("a request without a place waits for one, and is served in its turn, with its body", async () => {
  const { ask, holding, go } = await serveOne({ admissionWaitMs: 60_000 })
  const brief = await ask()
  const large = await ask(`PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n${"x".repeat(100_000)}`)
  const gone = await ask()
  gone.close()
  go()
  assert.deepEqual(await statusesOf(holding), [200])
  assert.deepEqual(await statusesOf(brief), [200])
  assert.equal((await large.answers(1))[0]?.body, "read 100000")
  const later = await ask()
  assert.deepEqual(await statusesOf(later), [200], "the place of the one that went away is free")
})

test("a request that waits too long for a place, or arrives when too many wait, is answered 503", async () => {
  const { ask, holding, go } = await serveOne({ waitingMax: 1, admissionWaitMs: 300 })
  const patient = await ask()
  const crowded = await ask()
  const [at] = await crowded.answers(1)
  assert.deepEqual([at?.status, at?.body], [503, "tooManyInFlight"])
  assert.deepEqual(await statusesOf(patient), [503])
  go()
  await holding.answers(1)
  patient.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.deepEqual(await statusesOf(patient, 2), [503, 200])
})

test("a request that waits for a place when the server stops is refused", async () => {
  const { world, count, go } = await serveOne({ admissionWaitMs: 60_000 })
  const waiting = await RawClient.open(world.port)
  waiting.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  await until("it waits", () => count("waiting") === 1)
  const stopped = world.stop()
  const [answer] = await waiting.answers(1)
  assert.deepEqual([answer?.status, answer?.body], [503, "stopping"])
  go()
  await stopped
})

/** Uploads that send a little of their body and then stall. */
const STALLED = "PUT /stalled HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nabc"

test("a request with a stalled body gives up its place while others wait, and takes one again when its body continues", async () => {
  const time = new SimClock()
  const world = await serve(echoLength, { inFlightMax: 2, admissionWaitMs: 60_000, parkAfterMs: 50 }, time)
  const count = (name: string) => world.telemetry.metric(`hayloft_http_${name}`, { server: "test" })
  const stalled = [await world.open(), await world.open()]
  for (const client of stalled) client.send(STALLED)
  await until("they have the places", () => count("in_flight") === 2)
  const other = await world.open()
  other.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  await until("it waits", () => count("waiting") === 1)
  await until("the bodies are waited for", () => count("in_flight") === 2)
  let answered = false
  void other.answers(1).then(() => (answered = true))
  await until("the other is answered", async () => {
    await time.advance(10)
    return answered
  })
  assert.deepEqual(await statusesOf(other), [200])
  for (const client of stalled) client.send("x".repeat(99_997))
  for (const client of stalled) assert.equal((await client.answers(1))[0]?.body, "read 100000")
  await until("every place is given back, once", () => count("in_flight") === 0)
  await world.stop()
})

test("servers on one thread may share their places, and each counts its own requests", async () => {
  const time = new SimClock()
  const limits = { ...HTTP_LIMITS, inFlightMax: 1, inFlightReserve: 0, admissionWaitMs: 60_000, parkAfterMs: 50 }
  const shared = new Admission(time, limits)
  const [one, two] = [
    await serve(echoLength, limits, time, undefined, shared),
    await serve(echoLength, limits, time, undefined, shared),
  ]
  const counts = ({ telemetry }: typeof one) =>
    ["in_flight", "waiting"].map(name => telemetry.metric(`hayloft_http_${name}`, { server: "test" }))
  const stalled = await one.open()
  stalled.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nabc")
  await until("it has the place", () => counts(one)[0] === 1)
  const other = await two.open()
  other.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  await until("it waits", () => counts(two)[1] === 1)
  assert.deepEqual(
    [counts(one), counts(two)],
    [
      [1, 0],
      [0, 1],
    ],
  )
  let isAnswered = false
  void other.answers(1).then(() => (isAnswered = true))
  await until("the other is answered", async () => {
    await time.advance(10)
    return isAnswered
  })
  assert.deepEqual(counts(one), [0, 0], "the stalled request of the first server is parked for that of the second")
  stalled.close()
  for (const world of [one, two]) await world.stop()
})

test("a client that holds every place leaves one to others", async () => {
  let go = (): void => undefined
  const gate = new Promise<void>(resolve => (go = resolve))
  const account = ({ headers }: Exchange) => headers.get("x-account")
  const handle = async (exchange: Exchange): Promise<void> => {
    if (exchange.rawTarget === "/hold") await gate
    await echoLength(exchange)
  }
  const limits = { inFlightMax: 4, inFlightReserve: 1, reserveOfEach: 1, admissionWaitMs: 60_000 }
  const world = await serve(handle, limits, undefined, { accountOf: account })
  const count = (name: string) => world.telemetry.metric(`hayloft_http_${name}`, { server: "test" })
  const ask = async (path: string, whose: string) => {
    const client = await world.open()
    return client.send(`GET ${path} HTTP/1.1\r\nHost: h\r\nX-Account: ${whose}\r\n\r\n`)
  }
  const greedy: RawClient[] = []
  for (let i = 0; i < 6; i += 1) greedy.push(await ask("/hold", "greedy"))
  await until("it has all places", () => count("in_flight") === 4 && count("waiting") === 2)
  assert.deepEqual(await statusesOf(await ask("/", "modest")), [200])
  assert.equal(count("waiting"), 2)
  go()
  for (const client of greedy) assert.deepEqual(await statusesOf(client), [200])
})

test("a client that was denied cannot use the places of the account that it has named, whatever its status", async () => {
  let go = (): void => undefined
  const gate = new Promise<void>(resolve => (go = resolve))
  const handle = async (exchange: Exchange): Promise<void> => {
    if (exchange.rawTarget === "/hold") await gate
    if (exchange.rawTarget !== "/denied") return echoLength(exchange)
    exchange.denyAccount()
    await exchange.respond({ status: 401, headers: [] })
  }
  const limits = { inFlightMax: 4, inFlightReserve: 1, reserveOfEach: 1, admissionWaitMs: 60_000 }
  const world = await serve(handle, limits, undefined, { accountOf: ({ headers }) => headers.get("x-account") })
  const count = (name: string) => world.telemetry.metric(`hayloft_http_${name}`, { server: "test" })
  const ask = async (path: string, whose = "") => {
    const client = await world.open()
    return client.send(`GET ${path} HTTP/1.1\r\nHost: h\r\n${whose && `X-Account: ${whose}\r\n`}\r\n`)
  }
  const strangers: RawClient[] = []
  for (let i = 0; i < 6; i += 1) strangers.push(await ask("/hold"))
  await until("they have all places", () => count("in_flight") === 4 && count("waiting") === 2)
  assert.deepEqual(await statusesOf(await ask("/denied", "guessed")), [401])
  const again = await ask("/", "guessed")
  await until("it waits with the others of its address", () => count("waiting") === 3)
  assert.deepEqual(await statusesOf(await ask("/", "other")), [200])
  go()
  for (const client of [...strangers, again]) assert.deepEqual(await statusesOf(client), [200])
})

/** An entry as the listener makes it. */
const entry = () => ({
  hasPlace: false,
  party: undefined,
  isParked: false,
  isProved: true,
  isDenied: false,
  owedMs: 0,
  method: "GET",
  receivedBytes: 0,
  sentBytes: 0,
})
const partyOf = (account: string) => () => ({ account, address: account })

/** Its time also passes while the thread is busy. */
class BusyClock extends SimClock {
  busyMs = 0

  override monotonicMs(): number {
    return super.monotonicMs() + this.busyMs
  }
}

/** Records in which turn each of the requests may occupy the thread: 0 if at once. */
async function turnsOf(accounts: readonly string[], limits: Partial<HttpLimits> = {}) {
  const clock = new BusyClock()
  const admission = new Admission(clock, { ...HTTP_LIMITS, ...limits })
  let turn = 0
  const order: string[] = []
  const ask = (account: string, i: number): void => {
    const request = entry()
    assert.equal(admission.tryEnter(request, partyOf(account)), true)
    const note = (how: string): void => void order.push(`${account}${i} ${how}`)
    const go = (refusal: Failure | undefined): void => {
      if (refusal !== undefined) return note(refusal.kind)
      clock.busyMs += 2
      note(String(turn))
    }
    if (admission.tryTurn(request, partyOf(account), go)) note("0")
  }
  accounts.forEach(ask)
  for (turn = 1; turn <= 2 * accounts.length; turn += 1) await new Promise(resolve => setImmediate(resolve))
  return order
}

test("of requests that occupy the thread, the first runs at once, each other one in a later turn", async () => {
  const order = await turnsOf(["a", "a", "a", "a"])
  const turns = order.map(line => Number(line.split(" ")[1]))
  assert.deepEqual(
    order.map(line => line.split(" ")[0]),
    ["a0", "a1", "a2", "a3"],
  )
  assert.equal(turns[0], 0)
  assert.deepEqual(
    [...new Set(turns)].sort((a, b) => a - b),
    turns,
    "no two in one turn",
  )
})

test("beyond the limit, requests that wait for their turn are refused, those of the largest account first", async () => {
  const order = await turnsOf(["a", "a", "a", "b"], { waitingMax: 2 })
  assert.deepEqual(
    order.filter(line => line.endsWith("tooManyInFlight")),
    ["a2 tooManyInFlight"],
  )
  assert.deepEqual(order.map(line => line.split(" ")[0]).sort(), ["a0", "a1", "a2", "b3"])
})

test("the first request of another account gets its turn before the many of one", async () => {
  const order = await turnsOf(["a", "a", "a", "a", "b"])
  const names = order.map(line => line.split(" ")[0])
  assert.ok(names.indexOf("b4") <= 2, names.join(" "))
})

test("requests that wait for their turn keep their place, do not expire, and go on while the server stops", async () => {
  const clock = new SimClock()
  const admission = new Admission(clock, HTTP_LIMITS)
  const ended: (Failure | undefined)[] = []
  for (const i of [0, 1, 2]) {
    const request = entry()
    assert.equal(admission.tryEnter(request, partyOf("a")), true)
    assert.equal(
      admission.tryTurn(request, partyOf("a"), refusal => void ended.push(refusal)),
      i === 0,
    )
  }
  assert.equal(admission.inFlight, 3)
  admission.stop()
  await clock.advance(2 * HTTP_LIMITS.admissionWaitMs)
  assert.deepEqual(ended, [undefined, undefined])
})

test("what is read after a turn that one request occupied for long counts as late", () => {
  const clock = new BusyClock()
  let ends: (() => void)[] = []
  clock.atEndOfTurn = call => void ends.push(call)
  const endTurn = (): void => {
    const calls = ends
    ends = []
    for (const call of calls) call()
  }
  const admission = new Admission(clock, HTTP_LIMITS)
  const readAfter = (busyMs: number) => {
    for (let i = 0; i < 2; i += 1) {
      const request = entry()
      admission.tryEnter(request, partyOf("a"))
      admission.tryTurn(request, partyOf("a"), () => (clock.busyMs += busyMs))
    }
    endTurn()
    const next = { ...entry(), party: undefined as Party | undefined }
    admission.tryEnter(next, partyOf("b"))
    endTurn()
    return next.party
  }
  assert.equal(readAfter(0.1), undefined, "it took a place without a party")
  assert.deepEqual(readAfter(2), partyOf("b")())
})

test("threads that share the ports together have the limits of one, and each can still reserve places", () => {
  for (let threads = 1; threads <= FRONT_THREADS_MAX; threads += 1) {
    const { connectionsMax, inFlightMax, inFlightReserve, reserveOfEach, waitingMax, stalledMax } = limitsOfThread(
      HTTP_LIMITS,
      threads,
    )
    assert.ok(threads * connectionsMax <= HTTP_LIMITS.connectionsMax)
    assert.ok(threads * (inFlightMax + inFlightReserve) <= HTTP_LIMITS.inFlightMax + HTTP_LIMITS.inFlightReserve)
    assert.ok(threads * waitingMax <= HTTP_LIMITS.waitingMax)
    assert.ok(threads * stalledMax <= HTTP_LIMITS.stalledMax)
    assert.ok(reserveOfEach >= 1 && inFlightReserve >= 8 * reserveOfEach)
  }
  assert.deepEqual(limitsOfThread(HTTP_LIMITS, 1), HTTP_LIMITS)
})

test("connections of all ports together take half of the open files at most, and no port is without any", () => {
  for (const files of [8, 64, 256, 1_024, 65_536, 1_048_576]) {
    for (let ports = 1; ports <= Math.min(8, files / 4); ports += 1) {
      const { connectionsMax, connectionsReserve } = limitsOfFiles(HTTP_LIMITS, files, ports)
      assert.ok(ports * (connectionsMax + connectionsReserve) <= files / 2, `${files} files, ${ports} ports`)
      assert.ok(connectionsMax >= 1 && connectionsReserve >= 1)
    }
  }
  for (const ports of [2, 5]) {
    const enough = openFilesFor(HTTP_LIMITS, ports)
    assert.deepEqual(limitsOfFiles(HTTP_LIMITS, enough, ports), HTTP_LIMITS)
    assert.ok(limitsOfFiles(HTTP_LIMITS, enough - 1, ports).connectionsMax < HTTP_LIMITS.connectionsMax)
  }
  assert.deepEqual(limitsOfFiles(HTTP_LIMITS, undefined, 3), HTTP_LIMITS)
})
