/** How a server stops: which requests it still answers, and which connections it drops. */
import { after, test } from "node:test"
import assert from "node:assert/strict"
import { RawClient } from "./testing-raw-client.js"
import { pause, echoLength, serve, stopAll, until } from "./testing-listener.js"

after(stopAll)

test("stopping lets requests in flight finish, drops idle connections and accepts no new ones", async () => {
  let go = (): void => undefined
  const gate = new Promise<void>(resolve => (go = resolve))
  let begun = false
  const world = await serve(async exchange => {
    begun = true
    await gate
    await echoLength(exchange)
  })
  const busy = await RawClient.open(world.port)
  const idle = await RawClient.open(world.port)
  busy.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
  await until("it is served", () => begun)
  const stopped = world.stop()
  await idle.end()
  await assert.rejects(RawClient.open(world.port))
  go()
  const [answer] = await busy.answers(1)
  assert.deepEqual([answer?.body, answer?.headers.get("connection")], ["read 2", "close"])
  await stopped
})

test("a request in flight finishes even if Node's parser read an earlier one of its connection", async () => {
  let go = (): void => undefined
  const gate = new Promise<void>(resolve => (go = resolve))
  let begun = 0
  const world = await serve(async exchange => {
    begun += 1
    if (exchange.rawTarget === "/held") await gate
    await echoLength(exchange)
  })
  const client = await RawClient.open(world.port)
  await client.send("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n").answers(1)
  client.send("PUT /held HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
  await until("it is served", () => begun === 2)
  const stopped = world.stop()
  await pause(20)
  go()
  assert.equal((await client.answers(2))[1]?.body, "read 2")
  await stopped
})

test("answers of the turn in which stopping begins are sent first", async () => {
  const world = await serve(exchange => {
    const responding = exchange.respond({ status: 200, headers: [], body: Buffer.from("ok") })
    void world.stop()
    return responding
  })
  const client = await RawClient.open(world.port)
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.equal((await client.answers(1))[0]?.body, "ok")
  await client.end()
})

test("a client that sends extra bytes while the server stops still receives the last answer", async () => {
  const body = new Uint8Array(300_000)
  const world = await serve(async exchange => {
    void world.stop()
    await pause(10)
    await exchange.respond({ status: 200, headers: [], body })
  })
  const client = await RawClient.open(world.port)
  client.socket.pause()
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  for (let i = 0; i < 40; i += 1) {
    await pause(10)
    client.send("more")
  }
  client.socket.resume()
  assert.equal((await client.answers(1))[0]?.body.length, body.length)
  await client.end()
})

test("stopping closes by force the connections that do not end by themselves", async () => {
  let begun = false
  const world = await serve(
    exchange => {
      begun = true
      return new Promise(resolve => exchange.signal.addEventListener("abort", () => resolve()))
    },
    { stopMs: 100 },
  )
  const client = await RawClient.open(world.port)
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  await until("it is served", () => begun)
  await world.stop()
  await client.end()
})

test("a response that would go on for ever ends when its protocol is told to stop", async () => {
  let end = (): void => undefined
  const ended = new Promise<void>(resolve => (end = resolve))
  async function* pieces() {
    yield Buffer.from("first")
    await ended
    yield Buffer.from("last")
  }
  const world = await serve(exchange => exchange.respond({ status: 200, headers: [], body: pieces() }), {}, undefined, {
    stop: end,
  })
  const client = await RawClient.open(world.port)
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  await client.until(received => received.includes("first"))
  await world.stop()
  assert.match(await client.end(), /first\r\n4\r\nlast\r\n0\r\n\r\n$/)
})

test("a server that others replace serves requests that were on their way", async () => {
  const world = await serve(echoLength, {}, undefined, { yieldMs: 60_000 })
  const [sending, idle] = [await RawClient.open(world.port), await RawClient.open(world.port)]
  const stopped = world.stop()
  await assert.rejects(RawClient.open(world.port))
  sending.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
  const [answer] = await sending.answers(1)
  assert.deepEqual([answer?.body, answer?.headers.get("connection")], ["read 2", "close"])
  await sending.end()
  world.cut()
  await idle.end()
  await stopped
})

test("what is in flight when the wait is ended is cut, and the log counts what finished and what was cut", async () => {
  let go = (): void => undefined
  const gate = new Promise<void>(resolve => (go = resolve))
  let begun = 0
  const world = await serve(
    exchange => {
      begun += 1
      if (exchange.rawTarget !== "/held") return gate.then(() => echoLength(exchange))
      return new Promise(resolve => exchange.signal.addEventListener("abort", () => resolve()))
    },
    { stopMs: 60_000 },
  )
  const [finished, held, idle] = [
    await RawClient.open(world.port),
    await RawClient.open(world.port),
    await RawClient.open(world.port),
  ]
  finished.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
  held.send("GET /held HTTP/1.1\r\nHost: h\r\n\r\n")
  await until("both are served", () => begun === 2)
  const stopped = world.stop()
  go()
  assert.equal((await finished.answers(1))[0]?.body, "read 2")
  await idle.end()
  world.cut()
  await stopped
  await held.end()
  assert.deepEqual(
    world.telemetry.entries("requests_cut").map(({ fields }) => fields),
    [{ server: "test", finished: 1, cut: 1 }],
  )
})

test("a stop without requests logs that the port has closed", async () => {
  const world = await serve(echoLength)
  await (await world.open()).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answers(1)
  await world.stop()
  assert.deepEqual(
    world.telemetry.entries("port_closed").map(({ fields }) => fields),
    [{ server: "test", finished: 0, cut: 0 }],
  )
})
