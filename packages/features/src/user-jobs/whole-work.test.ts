/** Jobs that make one thing: whatever process dies, the thing is whole, made by one upload, and nothing else is left. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { WholePage, WholeWork } from "../operator/index.js"
import { JOB_LIMITS } from "./limits.js"
import { StartedJobs } from "./started-jobs.js"

const OPERATOR = { kind: "operator", id: "", name: "" } as const
const STOP = new AbortController().signal
const PAGES = 4

/** A place where things are made, as an object store is one. */
class Place {
  readonly begun = new Set<string>()
  made: string | undefined
  makings = 0
  /** Returns what happens at a call: "crash" ends the process before its effect is known. */
  fate: (call: string) => "go" | "later" | "refused" | "crash" = () => "go"
  /** Happens inside the next call of `advance`. */
  pause: (() => Promise<unknown>) | undefined
  uploads = 0
}

function workAt(place: Place): WholeWork {
  let own: { readonly id: string; pages: number } | undefined
  const act = (call: string): void => {
    const fate = place.fate(call)
    if (fate === "later") throw fail("deviceFull")
    if (fate === "refused") throw fail("accessDenied")
    if (fate === "crash") throw new Crash()
  }
  return {
    prepare: async () => act("prepare"),
    async begin() {
      place.uploads += 1
      own = { id: `upload ${place.uploads}`, pages: 0 }
      place.begun.add(own.id)
      act("begin")
      return own.id
    },
    isMade: async () => place.made !== undefined,
    async discard(begun) {
      act("discard")
      place.begun.delete(begun)
    },
    async advance(): Promise<WholePage> {
      assert.ok(own !== undefined)
      const { pause } = place
      place.pause = undefined
      await pause?.()
      if (!place.begun.has(own.id)) throw fail("noSuchUpload")
      act("advance")
      own.pages += 1
      if (own.pages < PAGES) return { rows: 10, bytes: 100, isOver: false }
      place.begun.delete(own.id)
      place.made = own.id
      place.makings += 1
      act("made")
      return { rows: 10, bytes: 100, isOver: true }
    },
  }
}

class Crash extends Error {}

function world() {
  const clock = new SimClock()
  const metadata = new MemoryMetadata()
  const place = new Place()
  const process = (seed: number): StartedJobs => {
    const { log } = new SimTelemetry()
    const random = new SimRandom(seed)
    const [prepare, dueTimeMs] = [async () => undefined, () => undefined]
    const jobs = new StartedJobs({ clock, random, log, metadata, prepare, dueTimeMs })
    jobs.attach(
      async () => workAt(place),
      () => [],
      () => undefined,
    )
    return jobs
  }
  const steps = async (jobs: StartedJobs, most = 100): Promise<void> => {
    for (let i = 0; i < most; i += 1) {
      if ((await jobs.step(STOP)) === "idle") return
      await clock.advance(10_000)
    }
  }
  const start = (jobs: StartedJobs) =>
    jobs.start({ kind: "thing", target: "it", request: "{}", starter: OPERATOR, isDryRun: false })
  return { place, process, steps, start }
}

test("wherever a process ends, the next one makes the thing whole, once, and no upload is left", async () => {
  for (let crashAt = 1; crashAt <= 14; crashAt += 1) {
    const { place, process, steps, start } = world()
    const first = process(1)
    const { id } = await start(first)
    let calls = 0
    let isOver = false
    place.fate = call => {
      calls += 1
      // The end of a process: none of its calls has an effect that it could record.
      isOver ||= calls === crashAt
      return isOver && call !== "prepare" ? "crash" : "go"
    }
    for (let step = 0; step < 20 && !isOver; step += 1) await first.step(STOP)
    place.fate = () => "go"
    const second = process(2)
    await steps(second)
    const job = await second.get(id)
    assert.equal(job.state, "done", `crash at ${crashAt}`)
    assert.ok(place.made !== undefined)
    assert.equal(place.makings, 1, `crash at ${crashAt}`)
    // An upload of which the row knows nothing stays, if its process ended at that moment.
    assert.ok(
      place.begun.size <= (calls >= crashAt && crashAt <= 3 ? 1 : 0),
      `crash at ${crashAt}: ${[...place.begun].join()}`,
    )
  }
})

test("a process that was taken for dead does no harm, and the job counts each row once", async () => {
  const { place, process, steps, start } = world()
  const [slow, other] = [process(1), process(2)]
  const { id } = await start(slow)
  for (let step = 0; step < 3; step += 1) await slow.step(STOP)
  assert.equal((await slow.get(id)).counts?.matched, 20)
  // The upload is gone when the slow process goes on: its failure is of no interest.
  place.pause = () => other.step(STOP)
  await slow.step(STOP)
  assert.equal((await other.get(id)).state, "running")
  await steps(other)
  const { state, counts } = await other.get(id)
  assert.deepEqual([state, counts?.matched, place.made], ["done", 40, "upload 2"])
  assert.equal(place.begun.size, 0)
})

test("what passes is tried again without a new beginning; a refusal and a cancellation leave nothing", async () => {
  const { place, process, steps, start } = world()
  const jobs = process(1)
  const passing = await start(jobs)
  let failures = 0
  place.fate = call => (call === "advance" && (failures += 1) % 2 === 1 ? "later" : "go")
  await steps(jobs)
  assert.equal((await jobs.get(passing.id)).state, "done")
  assert.equal(place.made, "upload 1")

  place.fate = () => "go"
  place.made = undefined
  const refused = await start(jobs)
  for (let step = 0; step < 2; step += 1) await jobs.step(STOP)
  place.fate = call => (call === "advance" ? "refused" : "go")
  await steps(jobs)
  assert.equal((await jobs.get(refused.id)).state, "failed")
  assert.deepEqual([place.begun.size, place.made], [0, undefined])

  place.fate = () => "go"
  const cancelled = await start(jobs)
  for (let step = 0; step < 2; step += 1) await jobs.step(STOP)
  await jobs.cancel(cancelled.id)
  await steps(jobs)
  assert.equal((await jobs.get(cancelled.id)).state, "cancelled")
  assert.deepEqual([place.begun.size, place.made], [0, undefined])
})

test("a cancelled job ends although what it has begun can never be discarded", async () => {
  const { place, process, steps, start } = world()
  const jobs = process(1)
  const { id } = await start(jobs)
  for (let step = 0; step < 2; step += 1) await jobs.step(STOP)
  let discards = 0
  place.fate = call => {
    if (call === "discard") discards += 1
    return call === "discard" ? "later" : "go"
  }
  await jobs.cancel(id)
  await steps(jobs)
  assert.equal((await jobs.get(id)).state, "cancelled")
  assert.equal(discards, JOB_LIMITS.attemptsMax)
})
