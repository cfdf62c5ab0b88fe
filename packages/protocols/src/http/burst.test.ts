/** A burst of readers that read nothing, and a client that connects right after it, over real sockets. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { connect } from "node:net"
import { after, test } from "node:test"
import { KIB } from "@hayloft/base/limits.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { Admission } from "./admission.js"
import type { Exchange } from "./contract.js"
import { HTTP_LIMITS } from "./limits.js"
import { serve, stopAll, until } from "./testing-listener.js"
import type { RawClient } from "./testing-raw-client.js"

after(stopAll)

const READERS = 100
const PIECE = Buffer.alloc(64 * KIB, "x")
const PIECES = 16
const PIECE_MS = 0.5
const BURST = READERS * PIECES
/** The share of all pieces that a client that connects later may have to wait for. */
const SHARE_MAX = 0.25
const clock = new RealClock()

test("a client that connects after a burst of readers is served long before their bodies are sent", async () => {
  let [pieces, piecesBefore] = [0, BURST]
  /** Pieces in memory, each of which takes the thread for a while. */
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < PIECES; i += 1) {
      const endMs = clock.monotonicMs() + PIECE_MS
      while (clock.monotonicMs() < endMs);
      pieces += 1
      yield PIECE
    }
  }
  const world = await serve(async (exchange: Exchange) => {
    if (exchange.rawTarget === "/late") {
      piecesBefore = pieces
      await exchange.respond({ status: 200, headers: [], body: new Uint8Array(1) })
    } else await exchange.respond({ status: 200, headers: [], body: body(), contentLength: PIECES * PIECE.length })
  })
  const readers: RawClient[] = []
  for (let i = 0; i < READERS; i += 1) readers.push(await world.open())
  for (const reader of readers) {
    reader.socket.pause()
    reader.send("GET /burst HTTP/1.1\r\nHost: h\r\n\r\n")
  }
  const late = await world.open()
  late.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n")
  await until("the late client is served", () => late.received.includes("200 OK"))
  assert.ok(piecesBefore < SHARE_MAX * BURST, `${piecesBefore} of ${BURST} pieces before it`)
  for (const reader of readers) reader.socket.resume()
  await until("all bodies are sent", () => pieces === BURST)
})

test("first pieces that are ready together leave in several turns, and a client that asks meanwhile is served between", async () => {
  let [begun, written, writtenBefore] = [0, 0, READERS]
  /** To hand it to the system takes the thread for a while. */
  class Costly extends Uint8Array {
    override subarray(from?: number, to?: number): Uint8Array<ArrayBuffer> {
      const endMs = clock.monotonicMs() + PIECE_MS
      while (clock.monotonicMs() < endMs);
      written += 1
      return Uint8Array.prototype.slice.call(PIECE, from, to)
    }
  }
  async function* body(): AsyncGenerator<Uint8Array> {
    await Promise.resolve()
    yield new Costly(PIECE.length)
  }
  let go = (): void => undefined
  const ready = new Promise<void>(resolve => (go = resolve))
  const world = await serve(async (exchange: Exchange) => {
    if (exchange.rawTarget === "/late") {
      writtenBefore = written
      await exchange.respond({ status: 200, headers: [], body: new Uint8Array(1) })
      return
    }
    begun += 1
    await ready
    await exchange.respond({ status: 200, headers: [], body: body(), contentLength: PIECE.length })
  })
  const readers: RawClient[] = []
  for (let i = 0; i < READERS; i += 1) readers.push(await world.open())
  for (const reader of readers) reader.send("GET /burst HTTP/1.1\r\nHost: h\r\n\r\n")
  const late = await world.open()
  await until("all requests have begun", () => begun === READERS)
  go()
  late.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n")
  await until("the late client is served", () => late.received.includes("200 OK"))
  assert.ok(writtenBefore < SHARE_MAX * READERS, `${writtenBefore} of ${READERS} pieces before it`)
  await until("all bodies are sent", () => written === READERS)
})

test("a client whose connection is behind those of a burst is served before most of their requests", async () => {
  let [begun, begunBefore] = [0, READERS]
  /** Its time is the work of the requests, however long a busy machine takes to accept connections. */
  class RequestClock extends RealClock {
    workMs = 0

    override monotonicMs(): number {
      return this.workMs
    }
  }
  const work = new RequestClock()
  const world = await serve(
    async (exchange: Exchange) => {
      work.workMs += PIECE_MS
      if (exchange.rawTarget === "/late") begunBefore = begun
      else begun += 1
      await exchange.respond({ status: 200, headers: [], body: new Uint8Array(1) })
    },
    {},
    work,
    { accountOf: ({ rawTarget }) => rawTarget },
  )
  // All connect in one turn, so that their connections wait in the system's queue, and those of the burst have sent their requests
  // when they are accepted.
  const connected = (target: string) => {
    const socket = connect({ port: world.port, host: "127.0.0.1" })
    socket.write(`GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`)
    return socket
  }
  const sockets = Array.from({ length: READERS }, () => connected("/burst"))
  const late = connected("/late")
  await once(late, "data")
  assert.ok(begunBefore < SHARE_MAX * READERS, `${begunBefore} of ${READERS} requests before it`)
  await until("all are served", () => begun === READERS)
  for (const socket of [...sockets, late]) socket.destroy()
})

/** Its time is the work that was done, and what a test lets pass. */
class WorkClock extends SimClock {
  workMs = 0

  override monotonicMs(): number {
    return super.monotonicMs() + this.workMs
  }
}

test("requests that arrive late in a long turn begin in later turns, each turn for a while", async () => {
  const work = new WorkClock()
  const admission = new Admission(work, HTTP_LIMITS)
  const entry = () => ({
    hasPlace: false,
    party: undefined,
    isParked: false,
    isProved: true,
    isDenied: false,
    method: "GET",
    receivedBytes: 0,
    sentBytes: 0,
    owedMs: 0,
  })
  let [begun, turns] = [0, 0]
  const begin = (): void => {
    begun += 1
    work.workMs += 2
  }
  const begunInTurn: number[] = []
  const party = () => ({ account: "a", address: "a" })
  for (let i = 0; i < 12; i += 1) {
    const request = entry()
    if (admission.tryEnter(request, party)) begin()
    else admission.wait(request, begin)
  }
  begunInTurn.push(begun)
  for (; begun < 12 && turns < 20; turns += 1) {
    await new Promise(resolve => setImmediate(resolve))
    begunInTurn.push(begun)
  }
  assert.equal(begun, 12, "none is refused or forgotten")
  const most = Math.max(...begunInTurn.map((count, i) => count - (begunInTurn[i - 1] ?? 0)))
  assert.ok(most <= 4, `${most} requests of 2 ms each began in one turn`)
})
