/** Tests of what a client may send and receive over a connection, byte by byte on a raw socket. */
import { after, test } from "node:test"
import assert from "node:assert/strict"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import type { Socket } from "node:net"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Exchange } from "./contract.js"
import { HTTP_LIMITS, type HttpLimits } from "./limits.js"
import { parseAnswers } from "./testing-raw-client.js"
import { HttpServer } from "./listener.js"
import { pause, echoLength, serve, socketOf, still, stopAll, until } from "./testing-listener.js"

const text = (bytes: string) => new TextEncoder().encode(bytes)
const clock = new RealClock()

after(stopAll)

test("connections stay open, and every answer has an id, a date, a server and its timing", async () => {
  const world = await serve(async exchange => {
    await exchange.timing.measure("auth", () => pause(2))
    exchange.note({ operation: "Test" })
    await echoLength(exchange)
  })
  const client = await world.open()
  client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
  await client.answers(1)
  client.send("PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
  const [first, second] = await client.answers(2)
  assert.deepEqual([first?.body, second?.body], ["read 0", "read 5"])
  for (const answer of [first, second]) {
    assert.match(answer?.headers.get("x-id") ?? "", /^[0-9A-F]{16}$/)
    assert.match(answer?.headers.get("date") ?? "", / GMT$/)
    assert.equal(answer?.headers.get("server"), "Hayloft")
    assert.match(answer?.headers.get("server-timing") ?? "", /^auth;dur=[\d.]+, total;dur=[\d.]+$/)
    assert.equal(answer?.headers.get("keep-alive"), "timeout=75")
  }
  assert.notEqual(first?.headers.get("x-id"), second?.headers.get("x-id"))
  await until("both are in the log", () => world.telemetry.entries("request").length === 2)
  const [line] = world.telemetry.entries("request")
  assert.equal(line?.fields["operation"], "Test")
  assert.equal(line?.fields["status"], 200)
  assert.ok(!JSON.stringify(line).includes("/a"), "no target in the log")
  assert.equal(
    world.telemetry.metric("hayloft_http_requests_total", { server: "test", operation: "Test", status: "200" }),
    2,
  )
})

test("only answers that show a server fault are warnings in the log", async () => {
  const answers = [
    [200, undefined, "info"],
    [404, "NoSuchKey", "info"],
    [500, "InternalError", "warn"],
    [501, "NotImplemented", "info"],
    [503, "SlowDown", "info"],
    [503, "ServiceUnavailable", "warn"],
    [507, "deviceFull", "warn"],
  ] as const
  const world = await serve(async exchange => {
    const [status, failure] = answers[Number(exchange.rawTarget.slice(1))] ?? [400, undefined]
    exchange.note({ failure })
    await exchange.respond({ status, headers: [], body: text("") })
  })
  const client = await world.open()
  for (const index of answers.keys()) {
    client.send(`GET /${index} HTTP/1.1\r\nHost: h\r\n\r\n`)
    await client.answers(index + 1)
  }
  await until("all are in the log", () => world.telemetry.entries("request").length >= answers.length)
  const levels = world.telemetry.entries("request").map(({ level, fields }) => [fields["status"], level])
  assert.deepEqual(
    levels,
    answers.map(([status, , level]) => [status, level]),
  )
})

test("Expect: 100-continue is answered when the body is opened", async () => {
  const client = await (await serve(echoLength)).open()
  client.send("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
  assert.equal((await client.answers(1))[0]?.status, 100)
  client.send("abc")
  assert.equal((await client.answers(2))[1]?.body, "read 3")
})

test("a collected small body can be read again, however it arrived, and is requested once", async () => {
  const world = await serve(async exchange => {
    const seen = [exchange.wholeBody?.length ?? "later", (await exchange.gather()).length, exchange.wholeBody?.length]
    let read = ""
    for await (const piece of exchange.body()) read += Buffer.from(piece).toString("latin1")
    await exchange.respond({ status: 200, headers: [], body: text(`${seen.join(" ")} ${read}`) })
  })
  const client = await world.open()
  client.send("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
  assert.equal((await client.answers(1))[0]?.body, "3 3 3 abc")
  client.send("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
  assert.equal((await client.answers(2))[1]?.status, 100)
  client.send("he")
  await pause(20)
  client.send("llo")
  assert.equal((await client.answers(3))[2]?.body, "later 5 5 hello")
})

test("a refusal of Expect: 100-continue is final, without 100, and ends the connection", async () => {
  const client = await (await serve(echoLength, { drainMs: 100 })).open()
  client.send("PUT /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
  const received = await client.end()
  const [answer, ...more] = parseAnswers(received)
  assert.equal(more.length, 0)
  assert.deepEqual([answer?.status, answer?.headers.get("connection")], [403, "close"])
})

test("any other Expect is ignored", async () => {
  const world = await serve(echoLength)
  for (const value of ["200", "", "101-other"]) {
    const client = await world.open()
    client.send(`PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: ${value}\r\n\r\nabc`)
    assert.equal((await client.answers(1))[0]?.body, "read 3", JSON.stringify(value))
  }
})

test("a refusal before the body reaches a client that keeps sending", async () => {
  const client = await (await serve(echoLength)).open()
  const total = 4 * 1024 * 1024
  client.send(`PUT /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: ${total}\r\n\r\n`)
  // The client sends all of it before it reads the answer, as simple clients do.
  await new Promise<void>((resolve, reject) => {
    client.socket.write(new Uint8Array(total), error => (error ? reject(error) : resolve()))
  })
  const [answer] = await client.answers(1)
  assert.deepEqual([answer?.status, answer?.body, answer?.headers.get("connection")], [403, "accessDenied", "close"])
  await client.end()
})

test("the connection of a refused client stays open until its body has arrived, so that the client can read the answer", async () => {
  const client = await (await serve(echoLength, { drainMs: 60_000 })).open()
  const body = "x".repeat(200_000)
  client.send(`PUT /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(1)}`)
  assert.equal((await client.answers(1))[0]?.status, 403)
  await pause(50)
  assert.ok(!client.closed)
  await client.send("x").end()
})

test("the bytes that a refused client may still send are bounded in number and in time", async () => {
  const world = await serve(echoLength, { drainBytesMax: 100_000, drainMs: 150 })
  const flood = await world.open()
  flood.send("PUT /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n")
  flood.send(new Uint8Array(1_000_000))
  await flood.end()
  const quiet = await world.open()
  quiet.send("PUT /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
  assert.equal((await quiet.answers(1))[0]?.status, 403)
  await quiet.end()
  await until("both are in the log", () => world.telemetry.entries("request").length === 2)
})

test("requests with ambiguous framing are refused with 400, and the connection ends", async () => {
  const world = await serve(echoLength)
  const put = (headers: string, body = "") => `PUT / HTTP/1.1\r\nHost: h\r\n${headers}\r\n\r\n${body}`
  const doubtful: [string, string][] = [
    ["two lengths that differ", put("Content-Length: 1\r\nContent-Length: 2", "ab")],
    ["two lengths that agree", put("Content-Length: 1\r\nContent-Length: 1", "a")],
    ["a list of lengths", put("Content-Length: 1, 1", "a")],
    ["length and chunked", put("Content-Length: 1\r\nTransfer-Encoding: chunked", "0\r\n\r\n")],
    ["chunked and length", put("Transfer-Encoding: chunked\r\nContent-Length: 1", "0\r\n\r\n")],
    ["empty length", put("Content-Length: ")],
    ["negative length", put("Content-Length: -1")],
    ["signed length", put("Content-Length: +1", "a")],
    ["endless length", put("Content-Length: 99999999999999999999", "a")],
    ["gzip, chunked", put("Transfer-Encoding: gzip, chunked", "0\r\n\r\n")],
    ["chunked twice", put("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n")],
    ["xchunked", put("Transfer-Encoding: xchunked", "0\r\n\r\n")],
    ["identity", put("Transfer-Encoding: identity")],
    ["chunked in 1.0", put("Transfer-Encoding: chunked", "0\r\n\r\n").replace("1.1", "1.0")],
    ["two hosts", put("Host: other")],
    ["no host", "GET / HTTP/1.1\r\n\r\n"],
    ["folded header", put("X: a\r\n b")],
    ["blank before the colon", put("X : a")],
    ["NUL in a value", put("X: a\u0000b")],
    ["CR in a value", put("X: a\rb")],
    ["bare line feeds", "GET / HTTP/1.1\nHost: h\n\n"],
    ["another version", "GET / HTTP/2.0\r\nHost: h\r\n\r\n"],
    ["no HTTP at all", "hello\r\n\r\n"],
    ["a space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"],
  ]
  for (const [what, request] of doubtful) {
    const client = await world.open()
    // A request smuggled behind the ambiguous one must never be served.
    const received = await client.send(`${request}GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n`).end()
    const answers = parseAnswers(received)
    assert.equal(answers.length, 1, `${what}: ${received}`)
    assert.equal(answers[0]?.status, 400, what)
    assert.match(answers[0]?.headers.get("x-id") ?? "", /^[0-9A-F]{16}$/, what)
    assert.equal(answers[0]?.headers.get("connection"), "close", what)
  }
})

test("a broken chunked body fails the request that reads it", async () => {
  const world = await serve(echoLength)
  for (const body of ["zz\r\n", "1\r\naX0\r\n\r\n", "1\na\r\n0\r\n\r\n", "fffffffffffffffff\r\n"]) {
    const client = await world.open()
    const received = await client.send(`PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${body}`).end()
    assert.deepEqual(
      parseAnswers(received).map(answer => [answer.status, answer.body]),
      [[400, "invalidRequest"]],
      JSON.stringify(body),
    )
  }
})

test("headers over 16 KiB are answered 431; thousands of small ones all arrive", async () => {
  let count = 0
  const world = await serve(async exchange => {
    count = exchange.headers.values.length
    await echoLength(exchange)
  })
  const large = await world.open()
  const received = await large.send(`GET / HTTP/1.1\r\nHost: h\r\nX: ${"a".repeat(17_000)}\r\n\r\n`).end()
  assert.equal(parseAnswers(received)[0]?.status, 431)
  const endless = await world.open()
  endless.send(`GET / HTTP/1.1\r\nHost: h\r\nX: ${"a".repeat(2_000_000)}`)
  assert.equal((await endless.answers(1))[0]?.status, 431)
  const many = await world.open()
  many.send(`GET / HTTP/1.1\r\nHost: h\r\n${"a:\r\n".repeat(3000)}\r\n`)
  await many.answers(1)
  assert.equal(count, 3001)
})

test("a client that does not finish its headers is answered 408; one that sends nothing is dropped", async () => {
  const world = await serve(echoLength, { headersTimeoutMs: 150 })
  const slow = await world.open()
  const received = await slow.send("GET / HTTP/1.1\r\nHos").end()
  assert.equal(parseAnswers(received)[0]?.status, 408)
  await (await world.open()).end()
})

test("a body that ends early fails as incomplete; half-closed clients receive the answer", async () => {
  const kinds: string[] = []
  let begun = 0
  const world = await serve(async exchange => {
    begun += 1
    try {
      await echoLength(exchange)
    } catch (error) {
      if (isFailure(error)) kinds.push(error.kind)
      throw error
    }
  })
  const half = await world.open()
  half.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc")
  await pause(20)
  half.socket.end()
  assert.deepEqual(
    parseAnswers(await half.end()).map(answer => [answer.status, answer.body]),
    [[400, "incompleteBody"]],
  )
  const gone = await world.open()
  gone.send("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")
  await until("it is being read", () => begun === 2)
  gone.close()
  await until("it has failed", () => kinds.length === 2)
  assert.deepEqual(kinds, ["incompleteBody", "incompleteBody"])
})

/** A server whose requests are answered when the test says so, and the number of those that it has begun. */
async function serveLater(limits: Partial<HttpLimits> = {}) {
  const begun: Exchange[] = []
  const gate = new AbortController()
  const world = await serve(async exchange => {
    begun.push(exchange)
    if (!gate.signal.aborted)
      await new Promise<void>(resolve => {
        for (const signal of [gate.signal, exchange.signal]) signal.addEventListener("abort", () => resolve())
      })
    await exchange.respond({ status: 200, headers: [], body: text(exchange.rawTarget) })
  }, limits)
  return { world, begun, go: () => gate.abort() }
}

test("a client that ends its side after its requests receives all answers, then the end of the connection", async () => {
  const { world, begun, go } = await serveLater()
  for (const odd of ["", "X: \u00e4\r\n"]) {
    const client = await world.open()
    for (const path of ["/a", "/b", "/c"]) client.send(`GET ${path} HTTP/1.1\r\nHost: h\r\n${odd}\r\n`)
    client.endSide()
    if (odd === "") await until("one is served", () => begun.length > 0)
    await pause(20)
    go()
    assert.deepEqual(
      parseAnswers(await client.end()).map(answer => [answer.status, answer.body]),
      [
        [200, "/a"],
        [200, "/b"],
        [200, "/c"],
      ],
    )
  }
  const cut = await world.open()
  cut.send("GET /whole HTTP/1.1\r\nHost: h\r\n\r\nGET /cut HT").endSide()
  assert.deepEqual(
    parseAnswers(await cut.end()).map(answer => answer.body),
    ["/whole"],
  )
})

test("a client that has ended its side counts as gone after a while without a response", async () => {
  const { world } = await serveLater({ halfClosedMs: 100, sweepMs: 20 })
  const client = await world.open()
  const received = await client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").endSide().end()
  assert.equal(received, "")
  await until("it is in the log", () => world.telemetry.entries("request").length > 0)
  assert.equal(world.telemetry.entries("request")[0]?.fields["clientGone"], true)
})

test("a wait for something to change ends when the client ends its side, and is answered", async () => {
  let waits = 0
  const world = await serve(async exchange => {
    waits += 1
    await exchange.pause(() => () => undefined)
    await exchange.respond({ status: 200, headers: [], body: text(exchange.signal.aborted ? "ended" : "changed") })
  })
  for (const isEarly of [true, false]) {
    const before = waits
    const client = await world.open()
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    if (!isEarly) await until("it waits", () => waits > before)
    client.endSide()
    assert.equal(parseAnswers(await client.end())[0]?.body, "ended")
  }
})

test("the signal fires when the client disconnects", async () => {
  let [begun, aborted] = [false, false]
  const world = await serve(async exchange => {
    begun = true
    await new Promise<void>(resolve => exchange.signal.addEventListener("abort", () => resolve()))
    aborted = exchange.signal.aborted
  })
  const client = await world.open()
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  await until("it is served", () => begun)
  client.close()
  await until("it is in the log", () => world.telemetry.entries("request").length > 0)
  assert.ok(aborted)
  assert.equal(world.telemetry.entries("request")[0]?.fields["clientGone"], true)
})

test("HEAD errors and 304 have no body and leave the connection usable", async () => {
  const world = await serve(async exchange => {
    const status = Number(exchange.rawTarget.slice(1))
    await exchange.respond({ status, headers: ["ETag", '"e"'], body: text("<Error/>") })
  })
  const client = await world.open()
  for (const status of [301, 400, 404, 416]) client.send(`HEAD /${status} HTTP/1.1\r\nHost: h\r\n\r\n`)
  client.send("GET /304 HTTP/1.1\r\nHost: h\r\n\r\n")
  const answers = await client.answers(5, true)
  assert.deepEqual(
    answers.map(answer => answer.status),
    [301, 400, 404, 416, 304],
  )
  assert.equal(answers[0]?.headers.get("content-length"), "8")
  assert.ok(answers.every(answer => answer.headers.get("connection") === "keep-alive"))
  assert.ok(!client.received.includes("<Error"))
})

test("HEAD shows the length that a streamed body would have, and does not start it", async () => {
  let pulled = 0
  async function* body() {
    pulled += 1
    yield await Promise.resolve(text("abc"))
  }
  const world = await serve(exchange => exchange.respond({ status: 200, headers: [], contentLength: 3, body: body() }))
  const client = await world.open()
  client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.equal((await client.answers(1, true))[0]?.headers.get("content-length"), "3")
  assert.equal(pulled, 0)
})

test("header values are sent byte for byte, and characters that HTTP forbids are an internal error", async () => {
  const value = 'attachment; filename="\u00c3\u00a4 \u00e9\u00ff"'
  const world = await serve(exchange =>
    exchange.respond({
      status: 200,
      headers: ["Content-Disposition", exchange.rawTarget === "/bad" ? "a\r\nX-Evil: 1" : value],
      body: text("ok"),
    }),
  )
  const client = await world.open()
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /bad HTTP/1.1\r\nHost: h\r\n\r\n")
  const [good, bad] = await client.answers(2)
  assert.equal(good?.headers.get("content-disposition"), value)
  assert.equal(bad?.status, 500)
  assert.ok(!client.received.includes("X-Evil"))
})

test("request headers arrive as bytes, repeated ones in order", async () => {
  let seen: unknown
  const world = await serve(async exchange => {
    seen = [
      exchange.header("x-meta"),
      exchange.headers.all("x-meta"),
      exchange.rawTarget,
      exchange.header("constructor"),
    ]
    await echoLength(exchange)
  })
  const client = await world.open()
  client.send("GET /b/../c//d/./e%2F?x=+ HTTP/1.1\r\nHost: h\r\nX-Meta: \u00c3\u00a4\r\nx-meta: b\r\n\r\n")
  await client.answers(1)
  assert.deepEqual(seen, ["\u00c3\u00a4,b", ["\u00c3\u00a4", "b"], "/b/../c//d/./e%2F?x=+", undefined])
})

test("an error within a streamed body breaks the connection; one before its first byte is answered", async () => {
  const world = await serve(async exchange => {
    const early = exchange.rawTarget === "/early"
    async function* body() {
      if (!early) yield text("x".repeat(1000))
      await pause(10)
      throw fail("accessDenied")
    }
    const chunked = exchange.rawTarget === "/chunked"
    await exchange.respond({ status: 200, headers: [], body: body(), ...(chunked ? {} : { contentLength: 5000 }) })
  })
  for (const target of ["/late", "/chunked"]) {
    const client = await world.open()
    const received = await client.send(`GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`).end()
    assert.match(received, /^HTTP\/1.1 200 /)
    assert.ok(!received.endsWith("0\r\n\r\n"), "no clean end")
    assert.ok(received.length < 5000)
  }
  const early = await world.open()
  early.send("GET /early HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.equal((await early.answers(1))[0]?.status, 403)
  await until("all are in the log", () => world.telemetry.entries("request").length === 3)
  for (const { fields } of world.telemetry.entries("request")) assert.equal(fields["failure"], "accessDenied")
})

test("a body of a length other than declared never looks whole", async () => {
  const world = await serve(async exchange => {
    async function* body() {
      yield await Promise.resolve(text("abc"))
    }
    await exchange.respond({
      status: 200,
      headers: [],
      body: body(),
      contentLength: Number(exchange.rawTarget.slice(1)),
    })
  })
  for (const length of [2, 4]) {
    const client = await world.open()
    const received = await client.send(`GET /${length} HTTP/1.1\r\nHost: h\r\n\r\n`).end()
    assert.equal(parseAnswers(received).length, 0, `${length}: ${received}`)
  }
})

test("a piece is no longer in use when the next one is requested, however slow the client", async () => {
  const [pieces, pieceBytes] = [12, 1024 * 1024]
  const buffer = new Uint8Array(pieceBytes)
  const world = await serve(async exchange => {
    const body = async function* () {
      for (let n = 0; n < pieces; n += 1) yield buffer.fill(0x61 + n)
    }
    await exchange.respond({ status: 200, headers: [], body: body(), contentLength: pieces * pieceBytes })
  })
  const client = await world.open()
  client.socket.pause()
  client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
  await pause(300)
  client.socket.resume()
  const [answer] = await client.answers(1)
  const seen = (answer?.body ?? "").match(/(.)\1*/gs) ?? []
  assert.deepEqual(
    seen.map(run => [run.charCodeAt(0) - 0x61, run.length]),
    Array.from({ length: pieces }, (_, n) => [n, pieceBytes]),
  )
})

test("a large upload pauses its sender while its body is not read", async () => {
  let received = 0
  let begin = (): void => undefined
  const begun = new Promise<void>(resolve => (begin = resolve))
  let go = (): void => undefined
  const gate = new Promise<void>(resolve => (go = resolve))
  const world = await serve(async exchange => {
    const stream = exchange.body()[Symbol.asyncIterator]()
    await stream.next()
    begin()
    await gate
    for (let next = await stream.next(); next.done !== true; next = await stream.next()) received += next.value.length
    await exchange.respond({ status: 200, headers: [] })
  })
  const client = await world.open()
  const total = 32 * 1024 * 1024
  client.send(`PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: ${total}\r\n\r\n`)
  client.send(new Uint8Array(total))
  await begun
  await pause(200)
  assert.ok(client.socket.writableLength > 8 * 1024 * 1024, "most of it waits at the client")
  go()
  assert.equal((await client.answers(1))[0]?.status, 200)
  assert.ok(received > total - 200_000)
})

test("a large chunked upload pauses its sender while its body is not read, and each chunk arrives", async () => {
  let go = (): void => undefined
  const gate = new Promise<void>(resolve => (go = resolve))
  let received = 0
  const world = await serve(async exchange => {
    for await (const piece of exchange.body()) {
      await gate
      received += piece.length
    }
    await exchange.respond({ status: 200, headers: [], body: text(`read ${received}`) })
  })
  const accepted: Socket[] = []
  const note = (message: unknown): void => void accepted.push(socketOf(message))
  subscribe("net.server.socket", note)
  const client = await world.open()
  unsubscribe("net.server.socket", note)
  const [chunks, chunkBytes] = [64, 128 * 1024]
  client.send("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
  for (let n = 0; n < chunks; n += 1) {
    client
      .send(`${chunkBytes.toString(16)}\r\n`)
      .send(new Uint8Array(chunkBytes))
      .send("\r\n")
  }
  client.send("0\r\n\r\n")
  const readBytes = await still(() => accepted[0]?.bytesRead ?? Infinity)
  assert.ok(readBytes < 1_000_000, `${readBytes} bytes were read`)
  go()
  assert.equal((await client.answers(1))[0]?.body, `read ${chunks * chunkBytes}`)
})

test("a client of HTTP/1.0 gets no chunks: a body of unknown length ends with its connection", async () => {
  async function* body() {
    yield await Promise.resolve(text("abc"))
    yield text("defg")
  }
  const world = await serve(exchange => exchange.respond({ status: 200, headers: [], body: body() }))
  const client = await world.open()
  const received = await client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").end()
  assert.match(received, /^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n\r\nabcdefg$/)
  assert.doesNotMatch(received, /chunked/i)
})

test("a body read in part leaves the connection usable once it has arrived", async () => {
  const world = await serve(async exchange => {
    for await (const piece of exchange.body()) if (piece.length > 0) break
    await pause(50)
    await exchange.respond({ status: 200, headers: [] })
  })
  const client = await world.open()
  const request = `PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n${"x".repeat(100_000)}`
  client.send(request)
  const [first] = await client.answers(1)
  assert.equal(first?.status, 200)
  if (first.headers.get("connection") === "keep-alive") {
    client.send(request)
    assert.equal((await client.answers(2))[1]?.status, 200)
  }
})

test("a client that pipelines many requests has one place, is paused, and gets all answers in order", async () => {
  const held = new AbortController()
  const world = await serve(
    async exchange => {
      if (exchange.rawTarget === "/held") await clock.sleep(10_000, held.signal)
      await echoLength(exchange)
    },
    { inFlightMax: 2, admissionWaitMs: 100 },
  )
  const accepted: Socket[] = []
  const note = (message: unknown): void => void accepted.push(socketOf(message))
  subscribe("net.server.socket", note)
  const greedy = await world.open()
  unsubscribe("net.server.socket", note)
  const put = (i: number) => {
    const body = "x".repeat(i)
    return `PUT /${i} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${i.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  }
  const lengths = Array.from({ length: 2_000 }, (_, i) => 1 + i)
  greedy.send("GET /held HTTP/1.1\r\nHost: h\r\nX: \u00e4\r\n\r\n").send(lengths.map(put).join(""))
  await pause(200)
  const other = await world.open()
  other.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.equal((await other.answers(1))[0]?.status, 200)
  const readBytes = accepted[0]?.bytesRead ?? Infinity
  assert.ok(readBytes < 500_000, `${readBytes} bytes were read`)
  held.abort()
  await greedy.until(received => received.endsWith("read 2000"))
  const bodies = parseAnswers(greedy.received).map(({ body }) => body)
  assert.deepEqual(bodies, ["read 0", ...lengths.map(length => `read ${length}`)])
})

test("requests after the last answer of a connection are not started", async () => {
  const begun: string[] = []
  const world = await serve(async exchange => {
    begun.push(exchange.rawTarget)
    await echoLength(exchange)
  })
  const client = await world.open()
  const get = (target: string, more: string) => `GET ${target} HTTP/1.1\r\nHost: h\r\n${more}\r\n`
  await client.send(get("/a", "Host: other\r\n") + get("/smuggled", "")).end()
  assert.deepEqual(begun, [])
})

test("a handler that fails or sends no answer is an internal failure, logged once", async () => {
  const world = await serve(exchange => {
    if (exchange.rawTarget === "/throw") throw new TypeError("a bug")
    return Promise.resolve()
  })
  const client = await world.open()
  client.send("GET /throw HTTP/1.1\r\nHost: h\r\n\r\nGET /forget HTTP/1.1\r\nHost: h\r\n\r\n")
  const answers = await client.answers(2)
  assert.deepEqual(
    answers.map(answer => [answer.status, answer.body]),
    [
      [500, "internal"],
      [500, "internal"],
    ],
  )
  assert.equal(world.telemetry.entries("request_failed").length, 2)
})

test("an address in use is a clear error", async () => {
  const world = await serve(echoLength)
  const settings = { name: "x", host: "127.0.0.1", port: world.port, serverHeader: "x", limits: HTTP_LIMITS }
  const protocol = { handle: echoLength, refuse: () => ({ status: 400, headers: [], body: text("") }) }
  const server = new HttpServer({ clock, random: new RealRandom(), telemetry: new SimTelemetry() }, protocol, settings)
  await assert.rejects(server.listen(), error => isFailure(error, "invalidConfig"))
})
