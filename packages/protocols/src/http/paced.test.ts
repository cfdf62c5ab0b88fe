/** Paced exchanges: what they hold while they wait, and what ends the wait. */
import { after, test } from "node:test"
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { Exchange, Pacer } from "./contract.js"
import { serve, stopAll, until } from "./testing-listener.js"

after(stopAll)

const text = (bytes: string) => new TextEncoder().encode(bytes)

/** Lets nothing move until the test says so. */
class HandPacer implements Pacer {
  readonly asked: { readonly bytes: number; readonly go: () => void; isCancelled: boolean }[] = []
  isOpen = false
  movedBytes = 0

  begin(bytes: number, go: () => void): (() => void) | undefined {
    return this.move(bytes, go)
  }

  move(bytes: number, go: () => void): (() => void) | undefined {
    this.movedBytes += bytes
    if (this.isOpen) return undefined
    const one = { bytes, go, isCancelled: false }
    this.asked.push(one)
    return () => void (one.isCancelled = true)
  }

  letGo(): void {
    must(this.asked.at(-1), "something waits").go()
  }
}

/** Requests for `/paced` are paced, and answered with their own body. */
async function servePaced() {
  const pacer = new HandPacer()
  const handle = async (exchange: Exchange): Promise<void> => {
    if (exchange.rawTarget === "/paced") await exchange.paceBy(pacer)
    const pieces: Uint8Array[] = []
    for await (const piece of exchange.body()) pieces.push(piece)
    const body = async function* () {
      yield* pieces
    }
    const contentLength = pieces.reduce((sum, { length }) => sum + length, 0)
    await exchange.respond({ status: 200, headers: [], body: body(), contentLength })
  }
  const world = await serve(handle, { inFlightMax: 1 })
  const inFlight = () => world.telemetry.metric("hayloft_http_in_flight", { server: "test" })
  return { world, pacer, inFlight }
}

const BODY_BYTES = 1_000_000
const PUT = `PUT /paced HTTP/1.1\r\nHost: h\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`

test("a request that waits for its pacer holds no place and reads no more; then its bodies move in both directions", async () => {
  const { world, pacer, inFlight } = await servePaced()
  const paced = await world.open()
  paced.send(PUT).send("x".repeat(BODY_BYTES))
  await until("it waits to begin", () => pacer.asked.length === 1)
  assert.equal(inFlight(), 0)
  const other = await world.open()
  other.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.equal((await other.answers(1))[0]?.status, 200)
  pacer.letGo()
  await until("its first piece waits", () => pacer.asked.length === 2)
  assert.equal(inFlight(), 0)
  pacer.isOpen = true
  pacer.letGo()
  assert.equal((await paced.answers(1))[0]?.body.length, BODY_BYTES)
  await until("it has ended", () => inFlight() === 0)
  assert.equal(pacer.movedBytes, 2 * BODY_BYTES, "each byte is counted once in each direction")
})

test("a client that leaves during the wait is not waited for, in either direction", async () => {
  const { world, pacer, inFlight } = await servePaced()
  for (const stage of ["begin", "body", "answer"] as const) {
    pacer.isOpen = false
    const before = pacer.asked.length
    const client = await world.open()
    client.send("PUT /paced HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n").send("x".repeat(70_000))
    await until("it waits to begin", () => pacer.asked.length === before + 1)
    if (stage !== "begin") {
      pacer.letGo()
      await until("a piece waits", () => pacer.asked.length === before + 2)
    }
    if (stage === "answer") {
      // The next wait after all of the body is that of the answer.
      let bytes = 0
      while (bytes < 70_000) {
        bytes += must(pacer.asked.at(-1), "a piece waits").bytes
        const count = pacer.asked.length
        pacer.letGo()
        await until("the next piece waits", () => pacer.asked.length > count)
      }
    }
    client.close()
    await until(`the wait of the ${stage} has ended`, () => pacer.asked.at(-1)?.isCancelled === true)
    await until("nothing is in flight", () => inFlight() === 0)
  }
  pacer.isOpen = true
  const later = await world.open()
  later.send(PUT).send("x".repeat(BODY_BYTES))
  assert.equal((await later.answers(1))[0]?.status, 200)
})

test("a body and the answer to it may both wait: a client that leaves ends both waits", async () => {
  const pacer = new HandPacer()
  let ended = 0
  const world = await serve(async exchange => {
    pacer.isOpen = true
    await exchange.paceBy(pacer)
    pacer.isOpen = false
    const reading = exchange.body()[Symbol.asyncIterator]().next()
    const sending = exchange.respond({ status: 200, headers: [], body: text("read on") })
    await Promise.all([reading, sending].map(one => Promise.resolve(one).finally(() => (ended += 1))))
  })
  const client = await world.open()
  client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n").send("x".repeat(70_000))
  await until("both wait", () => pacer.asked.length === 2)
  client.close()
  await until("both waits have ended", () => ended === 2)
  assert.deepEqual(
    pacer.asked.map(({ isCancelled }) => isCancelled),
    [true, true],
  )
})

test("errors are answered at once, whatever waits", async () => {
  const pacer = new HandPacer()
  const world = await serve(async exchange => {
    pacer.isOpen = true
    await exchange.paceBy(pacer)
    pacer.isOpen = false
    await exchange.respond({ status: Number(exchange.rawTarget.slice(1)), headers: [], body: text("an answer") })
  })
  const client = await world.open()
  client.send("GET /404 HTTP/1.1\r\nHost: h\r\n\r\n")
  assert.deepEqual(
    (await client.answers(1)).map(({ status, body }) => [status, body]),
    [[404, "an answer"]],
  )
  client.send("GET /200 HTTP/1.1\r\nHost: h\r\n\r\n")
  await until("it waits", () => pacer.asked.length === 1)
  pacer.letGo()
  assert.equal((await client.answers(2))[1]?.status, 200)
})

test("time for which a pacer keeps a body waiting is known, and grows while it waits", async () => {
  const time = new SimClock()
  const pacer = new HandPacer()
  let paced: Exchange | undefined
  const world = await serve(
    async exchange => {
      paced = exchange
      await exchange.paceBy(pacer)
      await exchange.respond({ status: 200, headers: [] })
    },
    {},
    time,
  )
  const client = await world.open()
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
  await until("it waits", () => pacer.asked.length === 1)
  await time.advance(700)
  assert.equal(paced?.pausedMs, 700)
  pacer.letGo()
  await client.answers(1)
  await time.advance(500)
  assert.equal(paced?.pausedMs, 700)
  await world.stop()
})
