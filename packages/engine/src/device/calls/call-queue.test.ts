import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { asPromise } from "@hayloft/base/soon.js"
import { whenFree } from "@hayloft/base/memory/memory-in-use.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { failureOfCode } from "@hayloft/base/seams/disk/codes.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { diskSuite } from "@hayloft/base/seams/disk/suite.js"
import { CALL_LIMITS, queuedDisk } from "./call-queue.js"
import type { QueuedDisk } from "./call-queue.js"

const LIMITS = { callsMax: 2, queuedMax: 5, deviceTimeoutMs: 1000 }

diskSuite("queued", async () => {
  const stop = new AbortController()
  const disk = queuedDisk(
    new SimDisk(undefined, { isBare: true }).boot(),
    new SimClock(),
    LIMITS,
    stop.signal,
    () => undefined,
  )
  await disk.makeFolder("/data")
  return { disk, folder: "/data", done: async () => stop.abort() }
})

/** A queue over a disk whose calls last until they are released. */
function slow(): {
  readonly disk: QueuedDisk
  readonly clock: SimClock
  readonly begun: string[]
  readonly suspected: string[]
  readonly release: () => void
} {
  const sim = new SimDisk()
  const clock = new SimClock()
  const [begun, suspected, waiting]: [string[], string[], (() => void)[]] = [[], [], []]
  sim.intercept(call => {
    begun.push(call.path)
    return new Promise(resolve => waiting.push(resolve))
  })
  const signal = new AbortController().signal
  const disk = queuedDisk(sim.boot(), clock, LIMITS, signal, failure => suspected.push(failure.message))
  return { disk, clock, begun, suspected, release: () => waiting.shift()?.() }
}

const soon = (): Promise<void> => new Promise(resolve => void setImmediate(resolve))

test("two calls run concurrently, the others wait their turn", async () => {
  const { disk, begun, release } = slow()
  const calls = ["/a", "/b", "/c", "/d"].map(path => disk.exists(path))
  await soon()
  assert.deepEqual(begun, ["/a", "/b"])
  assert.equal(disk.queued, 2)
  release()
  await soon()
  assert.deepEqual(begun, ["/a", "/b", "/c"])
  for (let i = 0; i < 3; i += 1) {
    release()
    await soon()
  }
  assert.deepEqual(await Promise.all(calls), [false, false, false, false])
  assert.deepEqual(begun, ["/a", "/b", "/c", "/d"])
})

test("urgent calls have a place of their own, and run before all waiting calls", async () => {
  const { disk, begun, release } = slow()
  const next = async (): Promise<void> => {
    release()
    await soon()
  }
  const opening = disk.open("/log", "create", { durable: true, urgent: true })
  await soon()
  await next()
  const file = await opening
  begun.length = 0
  const others = ["/a", "/b", "/c", "/d"].map(path => disk.exists(path))
  const writes = [0, 1, 2].map(n => file.write([Uint8Array.of(n)], n))
  await soon()
  assert.deepEqual(begun, ["/a", "/b", "/log"], "two, and one that is urgent")
  await next()
  assert.deepEqual(begun.splice(3), ["/log"], "the second write before what came earlier")
  await next()
  assert.deepEqual(begun.splice(3), ["/log"])
  await next()
  assert.deepEqual(begun.splice(3), [], "two are enough of the others")
  await next()
  assert.deepEqual(begun.splice(3), ["/c"])
  for (let i = 0; i < 4; i += 1) await next()
  await Promise.all([...others, ...writes])
})

test("a call that was given up still reads into its buffer, which is free when it ends", async () => {
  const { disk, clock, release } = slow()
  const opening = disk.open("/a", "create")
  await soon()
  release()
  const file = await opening
  const buffers = [0, 1, 2].map(() => new Uint8Array(1))
  const reads = buffers.map(buffer => asPromise(() => file.read(buffer, 0)))
  const outcomes = await clock.runUntil(Promise.allSettled(reads))
  assert.ok(outcomes.every(({ status }) => status === "rejected"))
  const free: number[] = []
  for (const [i, buffer] of buffers.entries()) whenFree(buffer, () => free.push(i))
  assert.deepEqual(free, [2], "the last one never began")
  release()
  await soon()
  assert.deepEqual(free, [2, 0])
  release()
  await soon()
  assert.deepEqual(free, [2, 0, 1])
})

test("a full queue rejects calls", async () => {
  const { disk, release } = slow()
  const calls = Array.from({ length: LIMITS.callsMax + LIMITS.queuedMax }, () => disk.exists("/a"))
  await assert.rejects(disk.exists("/b"), error => isFailure(error, "tooManyInFlight"))
  for (const _ of calls) {
    release()
    await soon()
  }
  await Promise.all(calls)
  assert.equal(disk.queued, 0)
})

test("a call that hangs makes the device suspect and fails everything, its own late end included", async () => {
  const { disk, clock, begun, suspected, release } = slow()
  const calls = ["/a", "/b", "/c", "/d"].map(path => disk.exists(path))
  const settled = Promise.allSettled(calls)
  await clock.advance(LIMITS.deviceTimeoutMs - 1)
  assert.equal(disk.suspect, undefined)
  await clock.advance(LIMITS.deviceTimeoutMs)
  for (const result of await settled) {
    assert.ok(result.status === "rejected" && isFailure(result.reason, "deviceFailed"))
  }
  assert.equal(suspected.length, 1)
  assert.match(suspected[0] ?? "", /\/a/)
  release()
  await soon()
  await assert.rejects(disk.exists("/e"), error => isFailure(error, "deviceFailed"))
  assert.deepEqual(begun, ["/a", "/b"], "nothing more goes to the pool")
  assert.equal(suspected.length, 1)
  await clock.advance(LIMITS.deviceTimeoutMs)
  assert.equal(clock.sleepers, 0)
})

test("a device that was taken offline fails every call, whatever the reason", async () => {
  const { disk, clock, begun, suspected, release } = slow()
  const file = disk.open("/file", "create")
  release()
  const opened = await file
  const calls = ["/a", "/b", "/c"].map(path => disk.exists(path))
  const settled = Promise.allSettled([...calls, opened.sync()])
  disk.retire(fail("corruptRecord", { what: "superblock" }))
  const late = await Promise.allSettled([disk.exists("/d"), opened.read(new Uint8Array(1), 0)])
  for (const result of [...(await settled), ...late]) {
    assert.ok(result.status === "rejected" && isFailure(result.reason, "deviceFailed"))
    assert.match(result.reason.message, /superblock/, "the reason is reported")
  }
  assert.deepEqual(begun, ["/file", "/a", "/b"])
  await clock.advance(LIMITS.deviceTimeoutMs * 2)
  assert.deepEqual(suspected, [], "the caller of retire is not notified")
})

test("a hang is noticed within 5 s, whenever the call began", async () => {
  for (const beganMs of [0, 1, 499, 500, 501, 3_999]) {
    const sim = new SimDisk()
    const clock = new SimClock()
    const suspected: number[] = []
    const started = clock.monotonicMs()
    const onSuspect = (): void => void suspected.push(clock.monotonicMs() - started - beganMs)
    const disk = queuedDisk(sim.boot(), clock, CALL_LIMITS, new AbortController().signal, onSuspect)
    let release: (() => void) | undefined
    sim.intercept(() =>
      release === undefined ? new Promise<void>(resolve => (release = resolve)) : new Promise(() => undefined),
    )
    const before = disk.exists("/before")
    await clock.advance(beganMs)
    const refused = assert.rejects(disk.exists("/hung"), error => isFailure(error, "deviceFailed"))
    release?.()
    await before
    await clock.advance(5_000)
    await refused
    assert.ok((suspected[0] ?? Infinity) < 5_000, `began at ${beganMs}, noticed after ${suspected[0]} ms`)
  }
})

test("time spent waiting for others does not make a device suspect, and an idle queue leaves no timer", async () => {
  const { disk, clock, suspected, release } = slow()
  const calls = ["/a", "/b", "/c", "/d", "/e", "/f"].map(path => disk.exists(path))
  for (const _ of calls) {
    await clock.advance(LIMITS.deviceTimeoutMs * 0.4)
    release()
    await soon()
  }
  await Promise.all(calls)
  assert.deepEqual(suspected, [])
  await clock.advance(LIMITS.deviceTimeoutMs)
  assert.equal(clock.sleepers, 0)
})

test("a paused process does not take its calls for hung, and still finds one that is", async () => {
  let nowMs = 0
  let wake: () => void = () => undefined
  const sleep = (): Promise<void> => new Promise(resolve => (wake = resolve))
  const sim = new SimDisk()
  const waiting: (() => void)[] = []
  sim.intercept(() => new Promise(resolve => waiting.push(resolve)))
  const clock: Clock = {
    wallMs: () => 0,
    monotonicMs: () => nowMs,
    sleep,
    alarm: () => () => undefined,
    atEndOfTurn: setImmediate,
  }
  const disk = queuedDisk(sim.boot(), clock, LIMITS, new AbortController().signal, () => undefined)
  const [done, hung] = [disk.exists("/a"), disk.exists("/b")]
  const refused = assert.rejects(hung, error => isFailure(error, "deviceFailed"))
  await soon()
  nowMs += 60_000
  wake()
  await soon()
  assert.equal(disk.suspect, undefined, "the process slept, perhaps not the device")
  waiting.shift()?.()
  assert.equal(await done, false)
  for (let checks = 0; checks < 6; checks += 1) {
    nowMs += 60_000
    wake()
    await soon()
    assert.equal(disk.suspect, undefined, "each check counts once, however long the process slept")
  }
  nowMs += 60_000
  wake()
  await refused
})

test("while the threads that make calls have no turn, no device is suspect", async () => {
  const sim = new SimDisk()
  const clock = new SimClock()
  let turn: () => void = () => undefined
  const disk = Object.assign(sim.boot(), { turn: () => new Promise<void>(resolve => (turn = resolve)) })
  sim.intercept(() => new Promise(() => undefined))
  const queue = queuedDisk(disk, clock, LIMITS, new AbortController().signal, () => undefined)
  const refused = assert.rejects(queue.exists("/a"), error => isFailure(error, "deviceFailed"))
  await clock.advance(20 * LIMITS.deviceTimeoutMs)
  assert.equal(queue.suspect, undefined)
  for (let checks = 0; checks < 8; checks += 1) {
    turn()
    await clock.advance(LIMITS.deviceTimeoutMs / 8)
  }
  turn()
  await clock.advance(LIMITS.deviceTimeoutMs)
  await refused
})

test("a call that has waited longer than the others is known to be late, and for a while after its end", async () => {
  const { disk, clock, release } = slow()
  const call = disk.exists("/a")
  await clock.advance(LIMITS.deviceTimeoutMs / 2)
  assert.deepEqual([disk.isLate(500, 0), disk.isLate(501, 0)], [true, false])
  release()
  await call
  assert.deepEqual([disk.isLate(500, 0), disk.isLate(500, 1_000)], [false, true])
  await clock.advance(1_000)
  assert.equal(disk.isLate(500, 1_000), false)
})

test("a device that may not be given up is waited for; its calls end as if nothing had happened", async () => {
  const sim = new SimDisk()
  const clock = new SimClock()
  const asked: number[] = []
  const limits = { ...LIMITS, mayGiveUp: (waitedMs: number) => asked.push(waitedMs) < 0 }
  let release: () => void = () => undefined
  sim.intercept(() => new Promise<void>(resolve => (release = resolve)))
  const disk = queuedDisk(sim.boot(), clock, limits, new AbortController().signal, () => assert.fail("given up"))
  const call = disk.exists("/a")
  await clock.advance(60_000)
  assert.deepEqual(asked.slice(0, 2), [1_000, 1_125], "again at each check")
  release()
  assert.equal(await call, false)
  assert.equal(disk.suspect, undefined)
})

test("failed calls are told of, and so is the end of a device that hangs", async () => {
  const { disk, clock } = slow()
  let told = 0
  disk.onFailed = () => (told += 1)
  const hung = assert.rejects(disk.exists("/a"), error => isFailure(error, "deviceFailed"))
  await clock.advance(2 * CALL_LIMITS.deviceTimeoutMs)
  await hung
  assert.equal(told, 1)
  const sim = new SimDisk()
  const healthy = queuedDisk(sim.boot(), clock, LIMITS, new AbortController().signal, () => undefined)
  healthy.onFailed = () => (told += 1)
  await healthy.exists("/a")
  assert.equal(told, 1)
  await assert.rejects(healthy.open("/a", "read"))
  assert.equal(told, 2)
  assert.deepEqual([disk.failedCalls, healthy.failedCalls], [1, 0], "that a file is absent is no fault of the device")
  sim.intercept(async ({ path }) => {
    if (path === "/b") throw failureOfCode("EIO", path)
  })
  await assert.rejects(healthy.exists("/b"))
  assert.equal(healthy.failedCalls, 1)
})

test("closing a file of a suspect device does not wait for it", async () => {
  const sim = new SimDisk()
  const clock = new SimClock()
  const disk = queuedDisk(sim.boot(), clock, LIMITS, new AbortController().signal, () => undefined)
  await disk.makeFolder("/d")
  const file = await disk.open("/d/a", "create")
  sim.intercept(() => new Promise(() => undefined))
  const written = file.write([new Uint8Array(1)], 0)
  const refused = assert.rejects(written, error => isFailure(error, "deviceFailed"))
  await clock.advance(2 * LIMITS.deviceTimeoutMs)
  await refused
  await file.close()
  assert.throws(
    () => file.read(new Uint8Array(1), 0, "resident"),
    error => isFailure(error, "deviceFailed"),
  )
})
