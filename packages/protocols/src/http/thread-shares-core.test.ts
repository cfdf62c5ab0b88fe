/** Fairness between accounts over several threads: in virtual time, with an admission for each thread. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { NEVER } from "@hayloft/base/never.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { Admission } from "./admission.js"
import { HTTP_LIMITS } from "./limits.js"
import { ThreadShares } from "./thread-shares-core.js"

const THREADS = 4
const RUN_MS = 4_000
const TELL_MS = 200
/** A request is charged for as many bytes as it takes time: a millisecond. */
const BYTES = 200_000

type Clients = readonly (readonly [account: string, thread: number])[]

/** Serves clients that send one request after another; returns how many each account got at each thread. */
async function served(clients: Clients, isTold: boolean) {
  const clock = new SimClock()
  const limits = { ...HTTP_LIMITS, inFlightMax: 1, inFlightReserve: 0 }
  const shares = new ThreadShares()
  const threads = Array.from({ length: THREADS }, () => new Admission(clock, limits))
  const counts = new Map<string, number[]>()
  const refused: string[] = []
  const endMs = clock.monotonicMs() + RUN_MS
  const isOver = (): boolean => clock.monotonicMs() >= endMs
  const send = async (account: string, thread: number): Promise<void> => {
    const admission = must(threads[thread], "there is such a thread")
    const party = { account, address: "192.0.2.1" }
    while (!isOver()) {
      const placed = {
        hasPlace: false,
        party: undefined,
        isParked: false,
        method: "GET",
        receivedBytes: 0,
        sentBytes: BYTES,
        owedMs: 0,
        isProved: true,
        isDenied: false,
      }
      if (!admission.tryEnter(placed, () => party)) {
        const refusal = await new Promise(go => admission.wait(placed, go))
        if (refusal !== undefined) refused.push(account)
        if (refusal !== undefined) continue
      }
      await clock.sleep(1, NEVER)
      admission.leave(placed)
      const of = counts.get(account) ?? threads.map(() => 0)
      of[thread] = must(of[thread], "there is such a thread") + 1
      counts.set(account, of)
      // The next request is read after those that wait have begun.
      await new Promise<void>(go => clock.atEndOfTurn(() => clock.atEndOfTurn(go)))
    }
  }
  const tell = async (): Promise<void> => {
    while (!isOver()) {
      await clock.sleep(TELL_MS, NEVER)
      for (const [at, admission] of threads.entries()) {
        const used = structuredClone(admission.takeUsed())
        const factors = shares.note(`front-${at}`, used, clock.monotonicMs())
        if (isTold) admission.setFactors(factors)
      }
    }
  }
  await clock.runUntil(Promise.all([tell(), ...clients.map(client => send(...client))]))
  const of = (account: string, thread: number): number => must(counts.get(account)?.[thread], "it was served")
  return { of, refused }
}

/** "spread" has clients at all threads, "alone" has as many, or some more, at the first one. */
const MIXED: Clients = [
  ...Array.from({ length: 4 * THREADS }, (_, at) => ["spread", at % THREADS] as const),
  ...Array.from({ length: 16 }, () => ["alone", 0] as const),
]

test("an account at one thread gets more of it than one that uses all threads, which is served there too", async () => {
  const { of, refused } = await served(MIXED, true)
  const [alone, spread] = [of("alone", 0), of("spread", 0)]
  const part = alone / (alone + spread)
  assert.ok(part > 0.7 && part < 0.85, `${alone} against ${spread}`)
  assert.deepEqual(refused, [])
})

test("planted: threads that know nothing of each other give both the same", async () => {
  const { of } = await served(MIXED, false)
  const [alone, spread] = [of("alone", 0), of("spread", 0)]
  assert.ok(alone / (alone + spread) < 0.6, `${alone} against ${spread}`)
})

test("accounts that are spread alike get the same at each thread", async () => {
  const clients = Array.from(
    { length: 8 * THREADS },
    (_, at) => [at % 2 === 0 ? "a" : "b", (at >> 1) % THREADS] as const,
  )
  const { of } = await served(clients, true)
  for (let thread = 0; thread < THREADS; thread += 1) {
    const [a, b] = [of("a", thread), of("b", thread)]
    assert.ok(Math.abs(a - b) < 0.1 * (a + b), `${a} against ${b} at thread ${thread}`)
  }
})

test("an account pays for what it uses in all threads, at most as many times as it has threads, and for a while", () => {
  const shares = new ThreadShares()
  assert.deepEqual(
    shares.note(
      "front-1",
      [
        ["a", 10],
        ["b", 10],
      ],
      0,
    ),
    [],
  )
  assert.deepEqual(shares.note("front-2", [["a", 30]], 0), [["a", 40 / 30]])
  assert.deepEqual(shares.note("front-1", [], 0), [["a", 2]])
  assert.deepEqual(shares.note("front-3", [], 500), [])
  assert.deepEqual(shares.note("front-3", [["a", 20]], 500), [["a", 2]])
  assert.deepEqual(shares.note("front-1", [], 10_000), [])
})
