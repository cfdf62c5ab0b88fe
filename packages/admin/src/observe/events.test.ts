/** Events: what becomes one, what outlasts processes, what happens while metadata fails, and the limits. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { Fields } from "@hayloft/base/seams/telemetry/contract.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { EVENT_LIMITS } from "./event-buffer-core.js"
import { EVENT_ROW_LIMITS, eventLog, Events } from "./events.js"

const { storeMs, followMs, retryMsMax, keepMs, pruneMs } = EVENT_ROW_LIMITS

function world() {
  const clock = new SimClock(1_700_000_000_000)
  const metadata = new MemoryMetadata()
  const start = (node: string, seed: number) => {
    const events = new Events(clock, new SimRandom(seed), () => node)
    const telemetry = new SimTelemetry()
    const log = events.logging(telemetry.log, fields => fields)
    events.use({ metadata, prepare: async () => undefined, dueTimeMs: clock.dueTimeMs })
    const stop = new AbortController()
    const ended = events.run(stop.signal)
    const end = async () => {
      stop.abort()
      await clock.runUntil(ended)
    }
    return { events, log, telemetry, end }
  }
  return { clock, metadata, start }
}

const codesOf = async (events: Events, filter = {}) =>
  (await events.list(undefined, 100, filter)).events.map(({ code, node, count }) => `${code} ${node} ${count}`)

test("warnings, errors and the life of nodes are events of all nodes; other lines are not; they outlast their process", async () => {
  const { clock, start } = world()
  const [here, there] = [start("a", 1), start("b", 2)]
  here.log.info("started", { version: "1" })
  here.log.info("request", { status: 200 })
  await clock.advance(1)
  there.log.warn("device_slow", { device: "d1", waitedMs: 5 })
  await clock.advance(1)
  there.log.error("device_taken_offline", { device: "d1", reason: "it is gone" })
  await clock.advance(storeMs)
  assert.deepEqual(await codesOf(here.events), ["device_taken_offline b 1", "device_slow b 1", "started a 1"])
  assert.deepEqual(await codesOf(here.events, { level: "error" }), ["device_taken_offline b 1"])
  assert.deepEqual(await codesOf(here.events, { node: "a" }), ["started a 1"])
  assert.deepEqual(await codesOf(here.events, { code: "device_slow" }), ["device_slow b 1"])
  assert.deepEqual(
    there.telemetry.entries().map(({ event }) => event),
    ["device_slow", "device_taken_offline"],
    "the log has its lines as ever",
  )
  here.log.info("stopping")
  await here.end()
  await there.end()
  const next = start("c", 3)
  assert.deepEqual((await codesOf(next.events)).slice(0, 2), ["stopping a 1", "device_taken_offline b 1"])
  await next.end()
})

test("lines of another thread are events of this process, counted together with its own", async () => {
  const { clock, start } = world()
  const { events, log, end } = start("a", 1)
  const front = new SimTelemetry()
  const shown = ({ secret: _, ...fields }: Fields) => fields
  const frontLog = eventLog(front.log, shown, line => events.note(structuredClone(line)))
  log.warn("device_slow", { device: "d1" })
  frontLog.warn("device_slow", { device: "d1", secret: "s", absent: undefined })
  frontLog.error("request", { status: 500 })
  frontLog.info("request", { status: 200 })
  frontLog.debug("store_changed")
  await clock.advance(storeMs)
  assert.deepEqual((await codesOf(events)).toSorted(), ["device_slow a 2", "request a 1"])
  assert.deepEqual(
    front.entries().map(({ level }) => level),
    ["warn", "error", "info", "debug"],
  )
  await end()
})

test("repeats about the same thing are counted in one event, and stored from time to time", async () => {
  const { clock, metadata, start } = world()
  const { events, log, end } = start("a", 1)
  const runs: string[] = []
  metadata.before = name => void runs.push(name)
  for (let second = 0; second < 60; second += 1) {
    for (const device of ["d1", "d2"]) log.warn("device_slow", { device })
    await clock.advance(1_000)
  }
  assert.deepEqual((await codesOf(events)).toSorted(), ["device_slow a 60", "device_slow a 60"])
  assert.ok(runs.filter(name => name === "NoteEvents").length <= 4, String(runs.length))
  await clock.advance(EVENT_LIMITS.repeatMs)
  log.warn("device_slow", { device: "d1" })
  await end()
  assert.deepEqual((await codesOf(events)).toSorted(), ["device_slow a 1", "device_slow a 60", "device_slow a 60"])
})

test("while metadata fails or hangs, the own node lists what is not stored; it is stored later", async () => {
  const { clock, metadata, start } = world()
  const { events, log, telemetry, end } = start("a", 1)
  let failure: (() => void | Promise<void>) | undefined = () => {
    throw fail("tooManyInFlight", { message: "the database is away" })
  }
  metadata.before = () => failure?.()
  log.error("database_unreachable", {})
  await clock.advance(storeMs)
  assert.deepEqual((await codesOf(events)).toSorted(), ["database_unreachable a 1", "events_not_stored a 1"])
  failure = () => new Promise(() => undefined)
  await clock.advance(retryMsMax)
  metadata.later = () => new Promise(() => undefined)
  const listed = events.list(undefined, 9, {})
  await clock.advance(EVENT_ROW_LIMITS.waitMs)
  assert.match((await listed).incomplete ?? "", /does not respond/)
  assert.equal((await listed).events.length, 2)
  metadata.later = () => undefined
  failure = undefined
  await clock.advance(2 * retryMsMax)
  const { events: stored, incomplete } = await start("b", 2).events.list(undefined, 9, {})
  assert.equal(incomplete, undefined)
  assert.deepEqual(stored.map(({ code }) => code).toSorted(), ["database_unreachable", "events_not_stored"])
  assert.equal(telemetry.entries("events_not_stored").length, 1)
  await end()
})

test("a flood of different events is cut, and says so", async () => {
  const { clock, start } = world()
  const { events, log, telemetry, end } = start("a", 1)
  for (let i = 0; i < 1_000; i += 1) log.warn("request", { operation: `o${i}` })
  await clock.advance(2 * storeMs)
  assert.equal((await events.list(undefined, 1_000, { code: "request" })).events.length, EVENT_LIMITS.newPerMinuteMax)
  assert.deepEqual(
    telemetry.entries("events_dropped").map(({ fields }) => fields["events"]),
    [1_000 - EVENT_LIMITS.newPerMinuteMax],
  )
  await end()
})

test("events that are too old or too many are removed", async () => {
  const { clock, start } = world()
  const { events, log, end } = start("a", 1)
  log.warn("old", {})
  await clock.advance(storeMs)
  await clock.advance(keepMs)
  log.warn("young", {})
  await clock.advance(3 * pruneMs)
  assert.deepEqual(await codesOf(events), ["young a 1"])
  await end()
})

test("a clock that is ahead for a while removes no events", async () => {
  const { clock, start } = world()
  const { events, log, end } = start("a", 1)
  log.warn("old", {})
  await clock.advance(storeMs)
  clock.jumpWall(2 * keepMs)
  await clock.advance(2 * pruneMs)
  clock.jumpWall(-2 * keepMs)
  assert.deepEqual(await codesOf(events), ["old a 1"])
  await end()
})

test("fields are bounded, and a page goes on where the one before ended", async () => {
  const { clock, start } = world()
  const { events, log, end } = start("a", 1)
  log.warn("long", { reason: "x".repeat(10_000), device: "d" })
  for (const code of ["b", "c", "d"]) {
    await clock.advance(1)
    log.warn(code, {})
  }
  await clock.advance(storeMs)
  const first = await events.list(undefined, 2, {})
  const second = await events.list(first.next, 2, {})
  assert.deepEqual(
    [...first.events, ...second.events].map(({ code }) => code),
    ["d", "c", "b", "long"],
  )
  const [long] = second.events.slice(-1)
  assert.ok((long?.fields.length ?? 0) < EVENT_LIMITS.fieldsCharactersMax)
  assert.match(long?.fields ?? "", /"device":"d"/)
  await end()
})

test("a follower gets each event once, of all nodes, the oldest first, from the time it names", async () => {
  const { clock, start } = world()
  const [here, there] = [start("a", 1), start("b", 2)]
  here.log.warn("before", {})
  await clock.advance(5_000)
  const seen: string[] = []
  const end = here.events.watch({ sinceMs: clock.wallMs() }, ({ code, node }) => seen.push(`${code} ${node}`))
  there.log.warn("first", {})
  await clock.advance(1)
  here.log.warn("second", {})
  await clock.advance(2 * storeMs + 2 * followMs)
  here.log.warn("second", {})
  there.log.error("third", {})
  await clock.advance(2 * storeMs + 2 * followMs)
  assert.deepEqual(seen.toSorted(), ["first b", "second a", "third b"])
  end()
  there.log.error("after", {})
  await clock.advance(2 * storeMs + 2 * followMs)
  assert.equal(seen.length, 3)
  await here.end()
  await there.end()
})
