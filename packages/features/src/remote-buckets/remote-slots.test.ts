/** Places of remotes, and fetches that readers share. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { RemoteSlots } from "./remote-slots.js"
import { SharedFetches } from "./shared-fetches.js"

const never = new AbortController().signal

test("a remote that holds all its places leaves the others to other remotes", async () => {
  const slots = new RemoteSlots(new SimClock(), 4, 2)
  const giveBack = await slots.take("slow", never)
  await slots.take("slow", never)
  assert.deepEqual([slots.isFull("slow"), slots.isFull("other")], [true, false])
  await slots.take("other", never)
  await slots.take("other", never)
  giveBack()
  assert.deepEqual([slots.isFull("slow"), slots.isFull("other")], [false, true])
})

test("a reader that leaves while it waits leaves its place in the queue", async () => {
  const slots = new RemoteSlots(new SimClock(), 1, 1)
  const giveBack = await slots.take("slow", never)
  const [gone, next] = [new AbortController(), slots.take("slow", never)]
  const leaving = slots.take("slow", gone.signal)
  gone.abort("gone")
  await assert.rejects(leaving, error => error === "gone")
  giveBack()
  ;(await next)()
  assert.equal(slots.isFull("slow"), false)
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
