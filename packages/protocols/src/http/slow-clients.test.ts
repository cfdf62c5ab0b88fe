/** Slow clients: which ones the server waits for, and which it disconnects. */
import { after, test } from "node:test"
import assert from "node:assert/strict"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { Exchange } from "./contract.js"
import { parseAnswers } from "./testing-raw-client.js"
import { pause, serve, stopAll, until } from "./testing-listener.js"

const text = (bytes: string) => new TextEncoder().encode(bytes)

after(stopAll)

test("a stalled upload is aborted with its failure; a slow but steady one is not", async () => {
  // On a machine that stalls for a moment, the steady upload would be late too.
  const time = new SimClock()
  let bytes = 0
  const read = async (exchange: Exchange): Promise<void> => {
    for await (const piece of exchange.body()) bytes += piece.length
    await exchange.respond({ status: 200, headers: [], body: text(`read ${bytes}`) })
  }
  /** An incomplete request is started after some sweeps. */
  const begun = async (): Promise<void> => {
    bytes = 0
    await until("the request is begun", async () => {
      await time.advance(20)
      return bytes > 0
    })
  }
  const world = await serve(read, { sendWindowMs: 200, bytesPerSecondMin: 50 }, time)
  const stalled = await world.open()
  stalled.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc")
  await begun()
  await time.advance(220)
  assert.deepEqual(
    parseAnswers(await stalled.end()).map(answer => [answer.status, answer.body]),
    [[400, "requestTimeout"]],
  )
  const steady = await world.open()
  steady.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n0123456789")
  await begun()
  for (let sent = 20; sent <= 100; sent += 10) {
    await time.advance(60)
    steady.send("0123456789")
    await until("it has come so far", () => bytes === sent)
  }
  assert.equal((await steady.answers(1))[0]?.body, "read 100")
  await world.stop()
})

test("time in which the server is slow does not count against the client", async () => {
  const world = await serve(
    async exchange => {
      for await (const piece of exchange.body()) await pause(piece.length > 0 ? 300 : 0)
      await exchange.respond({ status: 200, headers: [] })
    },
    { sendWindowMs: 100, bytesPerSecondMin: 1000 },
  )
  const client = await world.open()
  client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabcdef")
  assert.equal((await client.answers(1))[0]?.status, 200)
})

test("the server waits for a slow receiver, and disconnects one that stops reading", async () => {
  let pulled = 0
  let ended = false
  async function* body() {
    try {
      for (; pulled < 2000; pulled += 1) yield await Promise.resolve(new Uint8Array(65_536))
    } finally {
      ended = true
    }
  }
  const world = await serve(
    exchange => exchange.respond({ status: 200, headers: [], body: body(), contentLength: 2000 * 65_536 }),
    {
      receiveWindowMs: 400,
    },
  )
  const client = await world.open()
  client.socket.pause()
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  await pause(300)
  assert.ok(pulled < 500, "the body is not read ahead of the client")
  await until("the body is given back when the client is cut", () => ended)
})

test("a receiver that reads a large piece little by little is not disconnected", async () => {
  // Virtual time keeps it exactly as slow as intended, also on a busy machine.
  const time = new SimClock()
  const piece = new Uint8Array(16 * 1024 * 1024)
  async function* body() {
    for (let i = 0; i < 2; i += 1) yield await Promise.resolve(piece)
  }
  const world = await serve(
    exchange => exchange.respond({ status: 200, headers: [], body: body(), contentLength: 2 * piece.length }),
    { receiveWindowMs: 1_500 },
    time,
  )
  for (const odd of ["", "X: \u00e4\r\n"]) {
    const client = await world.open()
    let received = 0
    let paused = Promise.resolve()
    client.socket.removeAllListeners("data")
    client.socket.on("data", (chunk: string) => {
      received += chunk.length
      client.socket.pause()
      paused = time.advance(15).then(() => void client.socket.resume())
    })
    client.send(`GET / HTTP/1.1\r\nHost: h\r\n${odd}\r\n`)
    await until("both pieces are received", () => client.closed || received >= 2 * piece.length)
    assert.ok(received >= 2 * piece.length, `${received} bytes were received`)
    await paused
    client.close()
  }
  await world.stop()
})
