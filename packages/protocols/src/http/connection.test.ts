/** Requests of all kinds on one connection: answered in order, whichever parser reads each. */
import assert from "node:assert/strict"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { Socket } from "node:net"
import { after, test } from "node:test"
import { KIB } from "@hayloft/base/limits.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { HeadReader } from "./head.js"
import type { Exchange, Protocol } from "./contract.js"
import { HTTP_LIMITS } from "./limits.js"
import { parseAnswers, RawClient } from "./testing-raw-client.js"
import { HttpServer } from "./listener.js"
import { serve, socketOf, still, stopAll, until } from "./testing-listener.js"

const clock = new RealClock()
const ends: (() => Promise<void>)[] = []
after(async () => {
  for (const end of ends) await end()
  await stopAll()
})

async function clientOf(handle: Protocol["handle"]): Promise<RawClient> {
  const refuse = () => ({ status: 400, headers: [], body: Buffer.from("refused") })
  const limits = { ...HTTP_LIMITS, sweepMs: 20, stopMs: 500 }
  const settings = { name: "test", host: "127.0.0.1", port: 0, serverHeader: "Hayloft", limits }
  const seams = { clock, random: new RealRandom(), telemetry: new SimTelemetry() }
  const server = new HttpServer(seams, { handle, refuse }, settings)
  const { port } = await server.listen()
  const stopping = new AbortController()
  const running = server.run(stopping.signal)
  const client = await RawClient.open(port)
  ends.push(async () => {
    client.close()
    stopping.abort()
    await running
  })
  return client
}

/** Returns the request's target, after a delay or immediately. */
async function echo(exchange: Exchange): Promise<void> {
  let body = ""
  for await (const piece of exchange.body()) body += Buffer.from(piece).toString("latin1")
  if (exchange.rawTarget === "/later") await clock.sleep(30, exchange.signal)
  const echoed = `${exchange.method} ${exchange.rawTarget} ${body}`
  await exchange.respond({ status: 200, headers: [], body: Buffer.from(echoed) })
}

const put = (target: string, body: string, more = ""): string =>
  `PUT ${target} HTTP/1.1\r\nHost: h\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`
const CHUNKED = "PUT /chunked HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"

test("bytes after a CONNECT end their connection, not the server", async () => {
  const client = await clientOf(echo)
  client.send("CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.doesNotMatch(await client.end(), /200 OK/)
})

test("requests before a CONNECT are answered", async () => {
  const client = await clientOf(echo)
  client.send(`${put("/a", "1")}${put("/b", "2")}CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n`)
  const bodies = (await client.answers(2)).map(({ body }) => body)
  assert.deepEqual(bodies, ["PUT /a 1", "PUT /b 2"])
  assert.doesNotMatch(await client.end(), /CONNECT/)
})

test("requests sent together are answered in order, whatever their kind", async () => {
  const client = await clientOf(echo)
  client.send(put("/a", "1") + put("/later", "2") + put("/b", "3") + CHUNKED + put("/c", "4"))
  const answers = await client.answers(5)
  const bodies = answers.map(({ body }) => body)
  assert.deepEqual(bodies, ["PUT /a 1", "PUT /later 2", "PUT /b 3", "PUT /chunked abc", "PUT /c 4"])
})

const LARGE = "x".repeat(100_000)
type Pair = readonly [request: string, answer: string]
/** Requests with plain heads and all kinds of bodies, mixed with small requests. */
const PLAIN: readonly Pair[] = [
  [put("/large", LARGE), `PUT /large ${LARGE}`],
  [CHUNKED, "PUT /chunked abc"],
  [put("/waits", LARGE, "Expect: 100-continue\r\n"), `PUT /waits ${LARGE}`],
  ["\r\nGET /empty-line HTTP/1.1\r\nHost: h\r\n\r\n", "GET /empty-line "],
  ["PUT /none HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n", "PUT /none "],
]
/** Requests with heads that Node's parser must read. */
const ODD: readonly Pair[] = [
  ["GET /odd HTTP/1.1\r\nHost: h\r\nX-Odd: \u00e4\r\n\r\n", "GET /odd "],
  ["PATCH /method HTTP/1.1\r\nHost: h\r\n\r\n", "PATCH /method "],
  ["GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /old "],
  [`PUT /ends HTTP/1.1\r\nHost: h\r\nX: \u00e4\r\nContent-Length: 4\r\n\r\n\r\n\r\n`, "PUT /ends \r\n\r\n"],
  [put("/odd-large", LARGE, "X: \u00e4\r\n"), `PUT /odd-large ${LARGE}`],
  [CHUNKED.replace("Host", "X: \u00e4\r\nHost"), "PUT /chunked abc"],
]
const ALL = [...PLAIN, ...ODD]
const NOT_FINAL = 100

test("the parser is chosen for each request: one read by Node's parser may be followed by one read without it", async () => {
  let byNode = 0
  const note = (): void => void (byNode += 1)
  subscribe("http.server.request.start", note)
  try {
    for (const [request, answer] of ALL) {
      byNode = 0
      const client = await clientOf(echo)
      for (let round = 1; round <= 3; round += 1) {
        client.received = ""
        const final = (received: string) => parseAnswers(received).filter(({ status }) => status !== NOT_FINAL)
        await client.send(request).until(received => final(received).length === 1)
        assert.equal(final(client.received)[0]?.body, answer)
        client.received = ""
        for (let n = 1; n <= 3; n += 1) {
          const bodies = (await client.send(put(`/${n}`, "small")).answers(n)).map(({ body }) => body)
          assert.equal(bodies.at(-1), `PUT /${n} small`)
        }
        const isOdd = ODD.some(([odd]) => odd === request)
        assert.equal(byNode, isOdd ? round : 0, `${request.slice(0, 30)}: Node reads what it has to`)
      }
    }
  } finally {
    unsubscribe("http.server.request.start", note)
  }
})

for (const seed of [1, 2, 3, 4]) {
  test(`requests of all kinds, split anywhere, are answered in order (seed ${seed})`, async () => {
    const random = new SimRandom(seed)
    const client = await clientOf(echo)
    const expected: string[] = []
    let text = ""
    for (let i = 0; i < 60; i += 1) {
      const body = "y".repeat(random.below(300))
      const small = [put(`/${i}`, body), `PUT /${i} ${body}`] as const
      const [request, answer] = random.below(2) === 0 ? small : (ALL[random.below(ALL.length)] ?? small)
      text += request
      expected.push(answer)
    }
    for (let at = 0; at < text.length;) {
      const length = 1 + random.below(random.below(4) === 0 ? 200_000 : 400)
      client.send(text.slice(at, at + length))
      at += length
      if (random.below(3) === 0) await clock.sleep(0, new AbortController().signal)
    }
    const final = (received: string) => parseAnswers(received).filter(({ status }) => status !== NOT_FINAL)
    await client.until(received => final(received).length === expected.length, "the last answer")
    assert.deepEqual(
      final(client.received).map(({ body }) => body),
      expected,
    )
  })
}

test("a request that arrives in pieces is answered, however late its end", async () => {
  const client = await clientOf(echo)
  const text = put("/a", "hello") + put("/b", "again")
  for (let at = 0; at < text.length; at += 17) {
    client.send(text.slice(at, at + 17))
    await clock.sleep(25, new AbortController().signal)
  }
  const answers = await client.answers(2)
  assert.deepEqual(
    answers.map(({ body }) => body),
    ["PUT /a hello", "PUT /b again"],
  )
})

test("a request in one-byte pieces is examined a limited number of times, not once for each, and answered", async t => {
  const looked = t.mock.method(HeadReader.prototype, "read")
  // No sweep checks whether it is slow.
  const client = await (await serve(echo, { sweepMs: 60_000 })).open()
  const pieces = [...put("/a", "hello ".repeat(40))]
  for (const piece of pieces) {
    client.send(piece)
    await clock.sleep(1, new AbortController().signal)
  }
  assert.equal((await client.answers(1))[0]?.body, `PUT /a ${"hello ".repeat(40)}`)
  assert.ok(looked.mock.callCount() < 100, `${looked.mock.callCount()} looks`)
})

test("a connection that its client asks to close ends with the answer", async () => {
  const client = await clientOf(echo)
  client.send(put("/a", "1", "Connection: close\r\n"))
  const received = await client.end()
  assert.match(received, /Connection: close\r\n/)
  assert.match(received, /PUT \/a 1$/)
})

test("many requests sent together are throttled, and all are answered", async () => {
  const client = await clientOf(echo)
  const body = "x".repeat(20_000)
  client.send(put("/later", body).repeat(40))
  assert.equal((await client.answers(40)).length, 40)
})

test("a client that keeps sending while a request is served is paused, then resumed", async () => {
  const accepted: Socket[] = []
  const note = (message: unknown): void => void accepted.push(socketOf(message))
  subscribe("net.server.socket", note)
  const held = new AbortController()
  let served = 0
  const client = await clientOf(async exchange => {
    served += 1
    await clock.sleep(served === 1 ? 10_000 : 0, held.signal)
    await echo(exchange)
  })
  unsubscribe("net.server.socket", note)
  const requests = 300
  client.send(put("/a", "x".repeat(30_000)).repeat(requests))
  await until("the first is served", () => served > 0)
  const readBytes = await still(() => accepted[0]?.bytesRead ?? Infinity)
  assert.ok(readBytes < 1_000_000, `${readBytes} bytes were read`)
  held.abort()
  await client.until(() => served === requests, "the last request")
})

test("a client that reads no answers stops the server from making more, and gets all of them once it reads", async () => {
  const body = Buffer.alloc(15_000, "y")
  let served = 0
  const client = await clientOf(exchange => {
    served += 1
    return exchange.respond({ status: 200, headers: [], body })
  })
  const requests = 6_000
  client.socket.pause()
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(requests))
  await until("the first is served", () => served > 0)
  await still(() => served)
  assert.ok(served < requests / 2, `${served} answers were made`)
  client.socket.resume()
  await client.until(() => served === requests, "the last request")
  await client.until(received => received.length > requests * body.length, "the last answer")
})

test("an unread answer keeps no more memory than its connection may hold", async t => {
  const write = t.mock.method(Socket.prototype, "write")
  const body = Buffer.from("ok")
  const client = await clientOf(exchange => exchange.respond({ status: 200, headers: [], body }))
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  await client.answers(1)
  const answers = write.mock.calls.map(({ arguments: [bytes] }) => bytes).filter(bytes => String(bytes).endsWith("ok"))
  const kept = answers.map(bytes => (bytes instanceof Uint8Array ? bytes.buffer.byteLength : 0))
  assert.deepEqual([kept.length, (kept[0] ?? Infinity) <= 64 * KIB], [1, true])
})

test("the answers of one turn to several connections are all sent, including the last ones of closing connections", async () => {
  const handle: Protocol["handle"] = exchange => exchange.respond({ status: 200, headers: [], body: Buffer.from("ok") })
  const client = await clientOf(handle)
  const others = await Promise.all(Array.from({ length: 20 }, () => RawClient.open(client.socket.remotePort ?? 0)))
  for (const [i, each] of others.entries()) {
    each.send(`GET / HTTP/1.1\r\nHost: h\r\n${i % 2 === 0 ? "Connection: close\r\n" : ""}\r\n`)
  }
  for (const each of others) await each.until(received => received.endsWith("\r\n\r\nok"))
  for (const each of others) each.close()
})

test("an answer without a declared length is sent in chunks, and the connection stays open", async () => {
  async function* pieces() {
    yield await Promise.resolve(Buffer.from("abc"))
    yield Buffer.from("defgh")
  }
  const client = await clientOf(exchange => exchange.respond({ status: 200, headers: [], body: pieces() }))
  const get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
  client.send(get)
  const ended = (received: string) => received.endsWith("\r\n\r\n3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n")
  assert.match(await client.until(ended), /Transfer-Encoding: chunked/)
  client.received = ""
  await client.send(get).until(ended)
})

test("a stream of small requests is read no faster than they are served", async () => {
  const accepted: Socket[] = []
  const note = (message: unknown): void => void accepted.push(socketOf(message))
  subscribe("net.server.socket", note)
  let served = 0
  const client = await clientOf(async exchange => {
    served += 1
    await clock.sleep(1, new AbortController().signal)
    await exchange.respond({ status: 200, headers: [], body: Buffer.from("ok") })
  })
  unsubscribe("net.server.socket", note)
  const request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
  client.send(request.repeat(1_000_000))
  await client.until(() => served > 200)
  const aheadBytes = (accepted[0]?.bytesRead ?? Infinity) - served * request.length
  assert.ok(aheadBytes < 1_000_000, `${aheadBytes} bytes were read ahead`)
})

test("waiting requests of a closed connection are not started", async () => {
  let [served, ended] = [0, 0]
  const client = await clientOf(async exchange => {
    served += 1
    await new Promise<void>(resolve => exchange.signal.addEventListener("abort", () => resolve()))
    ended += 1
  })
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(5))
  await until("the first is served", () => served > 0)
  client.socket.resetAndDestroy()
  await until("it is told that its client is gone", () => ended > 0)
  await still(() => served)
  assert.equal(served, 1)
})
