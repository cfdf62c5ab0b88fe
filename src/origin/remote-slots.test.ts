/** Places of remotes, their least rate, and fetches that readers share. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../base/failures.js"
import { SimClock } from "../seams/clock/sim.js"
import { REMOTE_LIMITS } from "./limits.js"
import { atLeastRate, RemoteSlots } from "./remote-slots.js"
import { SharedFetches } from "./shared-fetches.js"

test("a remote that holds all its places leaves the others to other remotes", async () => {
  const slots = new RemoteSlots(new SimClock(), 4, 2)
  const giveBack = await slots.take("slow")
  await slots.take("slow")
  assert.deepEqual([slots.isFull("slow"), slots.isFull("other")], [true, false])
  await slots.take("other")
  await slots.take("other")
  giveBack()
  assert.deepEqual([slots.isFull("slow"), slots.isFull("other")], [false, true])
})

test("a remote that sends a byte a second is given up soon after the grace", async () => {
  const clock = new SimClock()
  async function* drip() {
    for (;;) {
      await clock.sleep(1_000, new AbortController().signal)
      yield new Uint8Array(1)
    }
  }
  let seconds = 0
  const reading = (async () => {
    for await (const piece of atLeastRate(clock, drip())) seconds += piece.length
  })()
  await assert.rejects(clock.runUntil(reading), error => isFailure(error, "remoteUnavailable"))
  assert.equal(seconds, REMOTE_LIMITS.rateGraceMs / 1_000)
})

test("a fetch ends with the last reader that waits for it, and not before", async () => {
  const fetches = new SharedFetches<string>()
  const [one, two] = [new AbortController(), new AbortController()]
  let fetched: AbortSignal | undefined
  const begin = (signal: AbortSignal): Promise<string> => {
    fetched = signal
    return new Promise(() => undefined)
  }
  const first = fetches.join("a", one.signal, begin)
  const second = fetches.join("a", two.signal, begin)
  one.abort("one")
  await assert.rejects(first, error => error === "one")
  assert.equal(fetched?.aborted, false)
  two.abort("two")
  await assert.rejects(second, error => error === "two")
  assert.deepEqual([fetched?.aborted, fetches.has("a")], [true, false])
  assert.equal(await fetches.join("a", new AbortController().signal, () => Promise.resolve("again")), "again")
})
