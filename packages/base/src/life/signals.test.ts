import assert from "node:assert/strict"
import { getEventListeners } from "node:events"
import { test } from "node:test"
import { SimClock } from "../seams/clock/sim.js"
import { FirstAbort, limited } from "./signals.js"

const listeners = (signal: AbortSignal): number => getEventListeners(signal, "abort").length

test("a signal fires with the first of others, for its reason, and leaves nothing behind at the rest", () => {
  const [process, client] = [new AbortController(), new AbortController()]
  const first = new FirstAbort([process.signal, undefined, client.signal])
  const gone = new Error("gone")
  client.abort(gone)
  process.abort(new Error("later"))
  assert.equal(first.signal.reason, gone)
  const lasting = new AbortController()
  const also = new FirstAbort([lasting.signal, client.signal])
  assert.equal(also.signal.reason, gone, "it had fired before")
  const own = new FirstAbort([lasting.signal])
  assert.equal(listeners(lasting.signal), 1)
  own.abort()
  assert.equal(listeners(lasting.signal), 0)
  const released = new FirstAbort([lasting.signal])
  released.release()
  lasting.abort()
  assert.ok(!released.signal.aborted)
})

test("work ends in its time, with its result, or with a signal, and leaves nothing behind", async () => {
  const clock = new SimClock()
  const lasting = new AbortController()
  const untilAborted = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
  const late = new Error("late")
  const tooLong = limited({ clock, durationMs: 50, late: () => late }, [lasting.signal], untilAborted)
  const forever = limited({ clock, durationMs: Infinity }, [lasting.signal], untilAborted)
  const refused = assert.rejects(tooLong, late)
  const ended = assert.rejects(forever, { name: "AbortError" })
  await clock.runUntil(refused)
  assert.equal(await limited({ clock, durationMs: 50 }, [lasting.signal], () => Promise.resolve(7)), 7)
  assert.equal(listeners(lasting.signal), 1, "only the one that goes on listens")
  lasting.abort()
  await ended
  assert.equal(listeners(lasting.signal), 0)
})

test("many listen to one signal, and Node takes them for no leak", async () => {
  const warnings: Error[] = []
  const note = (warning: Error): void => void warnings.push(warning)
  process.on("warning", note)
  try {
    const lasting = new AbortController()
    const many = Array.from({ length: 20 }, () => new FirstAbort([lasting.signal]))
    await new Promise(resolve => setImmediate(resolve))
    assert.deepEqual(warnings, [])
    lasting.abort()
    assert.ok(many.every(({ signal }) => signal.aborted))
  } finally {
    process.off("warning", note)
  }
})
