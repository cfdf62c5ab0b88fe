/** The raw client against servers that answer byte by byte, early, in chunks, or not to the end. */
import { createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { test } from "node:test"
import assert from "node:assert/strict"
import { AnswerBroken, RawConnection, exchange, exchangeOn } from "./raw-client.js"
import type { Endpoint, RawRequest } from "./raw-client.js"

async function serving(
  answerTo: (socket: Socket, received: () => string) => void,
  work: (e: Endpoint) => Promise<void>,
) {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    let received = ""
    socket.on("data", chunk => (received += chunk.toString("latin1")))
    socket.on("error", () => {})
    answerTo(socket, () => received)
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address: AddressInfo | string | null = server.address()
  assert.ok(typeof address === "object" && address !== null)
  try {
    await work({ host: "127.0.0.1", port: address.port })
  } finally {
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => server.close(resolve))
  }
}

const GET: RawRequest = { method: "GET", target: "/b/../c//d?x=%2F", headers: [["Host", "h"]] }

test("the target goes out as written, and an answer that comes byte by byte is read whole", async () => {
  let seen = ""
  const answer = (socket: Socket, received: () => string) =>
    void socket.once("data", () => {
      seen = received()
      const bytes = "HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nContent-Length: 4\r\n\r\nbody"
      for (const byte of bytes) socket.write(byte)
    })
  await serving(answer, async endpoint => {
    const response = await exchange(endpoint, GET)
    assert.equal(seen, "GET /b/../c//d?x=%2F HTTP/1.1\r\nHost: h\r\n\r\n")
    assert.equal(response.text, "body")
    assert.deepEqual(response.headers.slice(0, 2), [
      ["A", "1"],
      ["a", "2"],
    ])
  })
})

test("chunked answers, informational ones, and two answers on one connection", async () => {
  const chunked =
    "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n"
  const answer = (socket: Socket) => void socket.once("data", () => socket.write(chunked + chunked))
  await serving(answer, async endpoint => {
    const connection = await RawConnection.open(endpoint)
    for (let count = 0; count < 2; count += 1) assert.equal((await exchangeOn(connection, GET)).text, "abcde")
    connection.destroy()
  })
})

test("the body waits for 100 Continue, and is not sent if the answer is final", async () => {
  const request = { ...GET, method: "PUT", headers: [["Content-Length", "4"]], body: [Buffer.from("body")] } as const
  let seen = ""
  const agreeing = (socket: Socket, received: () => string) =>
    void socket.once("data", () => {
      assert.ok(!received().endsWith("body"))
      socket.write("HTTP/1.1 100 Continue\r\n\r\n")
      socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    })
  await serving(agreeing, async endpoint => {
    const response = await exchange(endpoint, { ...request, awaitContinue: true })
    assert.deepEqual([response.status, response.continued], [200, true])
  })
  const refusing = (socket: Socket, received: () => string) =>
    void socket.on("data", () => {
      seen = received()
      socket.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    })
  await serving(refusing, async endpoint => {
    const response = await exchange(endpoint, { ...request, awaitContinue: true })
    assert.deepEqual([response.status, response.continued, response.text], [403, false, "no"])
    assert.ok(!seen.includes("body"))
  })
})

test("a long answer in many pieces is read whole", async () => {
  const answer = (socket: Socket) =>
    void socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${20 * 65_536}\r\n\r\n`)
      const next = (left: number) =>
        left > 0 && socket.write(Buffer.alloc(65_536, "x"), () => setImmediate(next, left - 1))
      next(20)
    })
  await serving(answer, async endpoint => {
    assert.equal((await exchange(endpoint, GET)).body.length, 20 * 65_536)
  })
})

test("an answer that ends early is broken and carries what came", async () => {
  const answer = (socket: Socket) =>
    void socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
  await serving(answer, async endpoint => {
    await assert.rejects(exchange(endpoint, GET), (error: unknown) => {
      assert.ok(error instanceof AnswerBroken)
      assert.equal(error.partial.status, 200)
      assert.equal(error.partial.body.toString(), "half")
      return true
    })
  })
})

test("an early answer is read while a large body is still going out", async () => {
  const answer = (socket: Socket) =>
    void socket.once("data", () => {
      socket.pause()
      socket.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    })
  await serving(answer, async endpoint => {
    const body = [Buffer.alloc(32 << 20)]
    const headers = [["Content-Length", String(32 << 20)]] as const
    assert.equal((await exchange(endpoint, { ...GET, method: "PUT", headers, body })).status, 404)
  })
})
