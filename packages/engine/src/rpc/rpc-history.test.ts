/**
 * Random histories: calls, cancels, cuts, lost connections and crashes of the network, from a seed. Every call ends
 * once, and its outcome agrees with what the server did.
 */
import assert from "node:assert/strict"
import { setMaxListeners } from "node:events"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { Handler } from "./contract.js"
import { METHODS, patternOf, testNodes, type TestNodes } from "./testing-nodes.js"

const { add, put, get, echo } = METHODS
const HISTORIES = 25
const CALLS = 120

interface Outcome {
  readonly request: string
  readonly kind: string
}

/** One call of a random kind; the outcome is `done`, `cancelled` or the kind of the failure. */
async function someCall({ peer, clock, memory }: TestNodes, random: SimRandom, request: string): Promise<Outcome> {
  const stop = new AbortController()
  const callClass = random.below(3) === 0 ? "background" : "client"
  const options = { callClass, deadlineMs: 50 + random.below(3_000), signal: stop.signal } as const
  const length = random.below(3) === 0 ? random.below(600 * KIB) : random.below(2_000)
  if (random.below(6) === 0) clock.alarm(random.below(40), () => stop.abort("cancelled"))
  try {
    switch (random.below(4)) {
      case 0:
        assert.equal((await peer.call(echo, request, options)).value, request)
        return { request: "", kind: "done" }
      case 1: {
        const lengthBytes = random.below(2) === 0 ? length : undefined
        const body = { lengthBytes, pieces: memory.pieces(length, 200 + random.below(90_000)) }
        assert.equal((await peer.call(put, request, { ...options, body })).value, String(length))
        return { request, kind: "done" }
      }
      case 2: {
        const { body } = await peer.call(get, String(length), options)
        const bytes = await body.whole(length)
        assert.ok(Buffer.from(bytes).equals(patternOf(0, length)), "the bytes of an answer")
        return { request: "", kind: "done" }
      }
      default:
        assert.equal((await peer.call(add, request, options)).value, request)
        return { request, kind: "done" }
    }
  } catch (error) {
    if (error === "cancelled") return { request, kind: "cancelled" }
    if (!isFailure(error)) throw error
    return { request, kind: error.kind }
  }
}

async function history(seed: number): Promise<string> {
  const random = new SimRandom(seed)
  const done: string[] = []
  const slowAdd: Handler<string, string> = async (request, { signal }) => {
    done.push(request)
    setMaxListeners(0, signal)
    await nodes.clock.sleep(random.below(30), signal)
    return { value: request }
  }
  const countedPut: Handler<string, string> = async (request, { body }) => {
    let bytes = 0
    for await (const chunk of body) {
      assert.ok(Buffer.from(chunk).equals(patternOf(bytes, chunk.length)), "the bytes of a body")
      bytes += chunk.length
    }
    done.push(request)
    return { value: String(bytes) }
  }
  const nodes: TestNodes = await testNodes({
    seed,
    limits: {
      callsMax: 1 + random.below(16),
      callWindowBytes: 32 * KIB,
      classWindowBytes: 64 * KIB,
      connectionOf: { client: 0, background: random.below(2) },
      callsPerConnectionMax: 5 + random.below(60),
    },
    network: {
      bytesPerSecond: 5e6 + random.below(50e6),
      bufferBytes: (8 * KIB) << random.below(5),
      lossOneIn: random.below(3) === 0 ? 400 : 0,
      delayMs: { least: 0.1, most: 0.1 + random.below(20) },
    },
    handlers: new Map([
      [add, slowAdd],
      [put, countedPut],
    ]),
  })
  const { clock, network } = nodes
  const outcomes: Promise<Outcome>[] = []
  for (let i = 0; i < CALLS; i += 1) {
    outcomes.push(someCall(nodes, random, `call ${i}`))
    if (random.below(3) === 0) await clock.advance(random.below(60))
    if (random.below(25) === 0) network.dropAll()
    if (random.below(25) === 0) network.cut("client", "server")
    if (random.below(25) === 0) network.cut("server", "client")
    if (random.below(8) === 0) network.healAll()
  }
  network.healAll()
  network.lossOneIn = 0
  const ended = await clock.runUntil(Promise.all(outcomes), 60_000)
  const kinds: Record<string, number> = {}
  for (const { request, kind } of ended) {
    kinds[kind] = (kinds[kind] ?? 0) + 1
    const times = done.filter(one => one === request).length
    if (request === "") continue
    if (kind === "done") assert.equal(times, 1, `${request} was answered`)
    else if (kind === "peerUnreachable" || kind === "tooManyInFlight") assert.equal(times, 0, `${request}: ${kind}`)
    else assert.ok(times <= 1 && ["indeterminate", "cancelled"].includes(kind), `${request}: ${kind}`)
  }
  nodes.peer.close()
  await clock.runUntil(nodes.server.close())
  await clock.advance(60_000)
  assert.equal(nodes.memory.given, nodes.memory.taken, "lent memory is given back")
  assert.deepEqual([network.connections, clock.sleepers], [0, 0])
  return JSON.stringify([kinds, done, clock.monotonicMs()])
}

test("random histories: each call ends once, and says truly whether it happened", async () => {
  const seen = new Set<string>()
  for (let i = 0; i < HISTORIES; i += 1) {
    const told = await history(TEST_SEED + i)
    for (const kind of ["done", "cancelled", "peerUnreachable", "indeterminate"])
      if (told.includes(kind)) seen.add(kind)
  }
  assert.equal(seen.size, 4, "the histories reach every outcome")
})

test("a seed repeats its history", async () => {
  assert.equal(await history(7), await history(7))
})
