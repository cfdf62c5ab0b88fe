/** The pool of checkpoint threads, with devices that are slow, hang, or kill their thread. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { closeSync, existsSync, mkdtempSync, openSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseIncarnation, parseLogSequence } from "@hayloft/base/ids.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { startThread, type StartThread } from "@hayloft/base/seams/threads/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { CheckpointDevice } from "./checkpoint-job.js"
import { CHECKPOINT_THREADS, CheckpointThreads, type CheckpointThreadLimits } from "./checkpoint-threads.js"

/** Acts as the device's path demands; answers with the number of its thread and the devices it has open. */
const WORKER = `
  import { openSync, writeFileSync } from "node:fs"
  import { parentPort, threadId } from "node:worker_threads"
  const open = new Set()
  parentPort.on("message", message => {
    if (message === "end") process.exit()
    const { id, work } = message
    const device = work?.request.device ?? {}
    const [how, what] = (device.path ?? "").split(":")
    const sleep = ms => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
    if (how === "sleep") sleep(Number(what))
    if (how === "work") {
      for (let leftMs = Number(what); leftMs > 0; leftMs -= 300) {
        parentPort.postMessage({ id, goesOn: true })
        sleep(300)
      }
    }
    if (how === "hang") openSync(what)
    if (how === "die") process.exit(3)
    if (how === "write") {
      sleep(400)
      writeFileSync(what, "")
    }
    if (work?.kind === "forget") open.delete(work.request)
    else open.add(device.id)
    if (how === "fail") parentPort.postMessage({ id, failure: { kind: "deviceFull", details: { path: what } } })
    else parentPort.postMessage({ id, answer: { rows: threadId, open: [...open] } })
  })
`
const ENTRY = new URL(`data:text/javascript,${encodeURIComponent(WORKER)}`)
const LIMITS: CheckpointThreadLimits = {
  ...CHECKPOINT_THREADS,
  holdMsMax: 200,
  silenceMsMax: 1_500,
  checkMs: 20,
  closeMsMax: 500,
}

/** For tests that do not depend on silence: a busy machine needs time to start a thread. */
const PATIENT: CheckpointThreadLimits = { ...LIMITS, silenceMsMax: 60_000 }
/** For tests that do: time for a thread to start and to answer. */
const THREAD_MS_MAX = 6_000

const device = (number: number, path = ""): CheckpointDevice => ({
  id: parseDeviceId(number.toString(16).padStart(16, "0")),
  path,
  incarnation: parseIncarnation(1),
})

const pool = (limits = LIMITS) => new CheckpointThreads(ENTRY, new RealClock(), new SimTelemetry().log, limits)

/** Returns the thread that did the work. */
async function run(threads: CheckpointThreads, at: CheckpointDevice): Promise<number> {
  const upTo = parseLogSequence(1)
  return (
    await threads.run({
      device: at,
      upTo,
      replicaIncarnations: new Map(),
      emptied: [],
      volumes: { ordinary: undefined, expiring: [] },
      adopted: 0,
    })
  ).rows
}

/** A path whose open call hangs in the kernel until it is released. */
async function withHang(body: (path: string, letGo: () => unknown) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hayloft-threads-"))
  const path = join(folder, "fifo")
  assert.equal(spawnSync("mkfifo", [path]).status, 0)
  let opened: number | undefined
  const letGo = (): number => (opened ??= openSync(path, "r+"))
  try {
    await body(`hang:${path}`, letGo)
  } finally {
    closeSync(letGo())
    rmSync(folder, { recursive: true })
  }
}

const isOver = (error: unknown): boolean => isFailure(error, "deviceFailed") && error.details["code"] === "ETIMEDOUT"

test("few devices share a thread", async () => {
  const threads = pool({ ...PATIENT, holdMsMax: PATIENT.silenceMsMax, devicesEach: 2 })
  const [first, second, third, ...others] = await Promise.all([1, 2, 3, 4, 5].map(each => run(threads, device(each))))
  assert.equal(second, first)
  assert.notEqual(third, first, "the first thread has as many as it takes")
  assert.deepEqual(others, [third, first], "both have as many, and the fifth goes to either")
  await threads.close()
})

test("work fails while the system starts no thread, also work that waits for another's end, and later work is done", async () => {
  let starts: "all" | "none" = "all"
  const startOne: StartThread = (entry, options) => {
    if (starts === "none") throw fail("tooManyInFlight", { message: "the system starts no further thread" })
    return startThread(entry, options)
  }
  const limits = { ...PATIENT, threadsMax: 1, holdMsMax: PATIENT.silenceMsMax }
  const threads = new CheckpointThreads(ENTRY, new RealClock(), new SimTelemetry().log, limits, startOne)
  const isShort = (error: unknown): boolean => isFailure(error, "tooManyInFlight")
  starts = "none"
  await assert.rejects(run(threads, device(1)), isShort)
  starts = "all"
  const dying = run(threads, device(1, "die"))
  const waiting = [2, 3].map(each => run(threads, device(each)))
  starts = "none"
  await assert.rejects(dying, error => isFailure(error, "internal"))
  for (const each of waiting) await assert.rejects(each, isShort)
  starts = "all"
  await run(threads, device(2))
  await threads.close()
})

test("a device keeps its thread, and devices of two threads are worked on concurrently", async () => {
  const threads = pool({ ...PATIENT, devicesEach: 1 })
  const [one, two] = [device(1, "sleep:100"), device(2, "sleep:100")]
  const [first, second] = await Promise.all([run(threads, one), run(threads, two)])
  assert.notEqual(first, second)
  assert.equal(await run(threads, one), first)
  assert.equal(await run(threads, two), second)
  await assert.rejects(run(threads, device(1, "fail:/d")), error => isFailure(error, "deviceFull"))
  await threads.close()
})

test("a device that hangs in the kernel delays no other device, not even on its own thread, nor the end", () =>
  withHang(async path => {
    const threads = pool({ ...LIMITS, threadsMax: 1, silenceMsMax: THREAD_MS_MAX })
    const first = await run(threads, device(1))
    let isHeld = true
    const hung = assert.rejects(run(threads, device(2, path)), isOver).finally(() => (isHeld = false))
    assert.notEqual(await run(threads, device(1)), first, "on a new thread")
    assert.ok(isHeld, "the other did not wait for its end")
    await hung
    await assert.rejects(run(threads, device(2)), isOver, "its thread is still held")
    await run(threads, device(3))
    const closing = Date.now()
    await threads.close()
    assert.ok(Date.now() - closing < 20_000)
  }))

test("a device that returned is worked on again once its old thread has ended", async () => {
  const threads = pool({ ...LIMITS, silenceMsMax: THREAD_MS_MAX })
  await withHang(async path => {
    await assert.rejects(run(threads, device(1, path)), isOver)
  })
  for (const began = Date.now(); Date.now() - began < 30_000;) {
    const done = await run(threads, device(1)).catch(() => undefined)
    if (done !== undefined) return threads.close()
    await new RealClock().sleep(20, new AbortController().signal)
  }
  assert.fail("it never was")
})

test("a slow device is set aside while others wait, and its result is still used", () =>
  withHang(async (path, letGo) => {
    const threads = pool({ ...PATIENT, threadsMax: 1 })
    const slow = run(threads, device(1, path))
    const other = await run(threads, device(2))
    letGo()
    const thread = await slow
    assert.notEqual(thread, other)
    assert.equal(await run(threads, device(1)), other, "back where it belongs")
    await threads.close()
  }))

test("a slow device without others is not set aside", async () => {
  const threads = pool(PATIENT)
  await run(threads, device(1, "sleep:400"))
  await threads.close()
})

test("work that makes progress is never given up, however long it takes, alone and beside others", async () => {
  const long = `work:${1.5 * THREAD_MS_MAX}`
  const [alone, beside] = [0, 1].map(() => pool({ ...LIMITS, threadsMax: 1, silenceMsMax: THREAD_MS_MAX }))
  assert.ok(alone && beside)
  const working = [alone, beside].map(threads => run(threads, device(1, long)))
  await run(beside, device(2))
  await Promise.all(working)
  for (const threads of [alone, beside]) await threads.close()
})

test("a device that is forgotten is closed, and one that hangs is given up immediately", () =>
  withHang(async path => {
    const threads = pool({ ...PATIENT, threadsMax: 1 })
    await run(threads, device(1))
    await run(threads, device(2))
    await threads.forget(device(1).id)
    const scrubbed = await threads.scrubMetadata(device(2), undefined)
    assert.deepEqual("open" in scrubbed && scrubbed.open, [device(2).id])
    const refused = assert.rejects(
      run(threads, device(3, path)),
      error => isFailure(error, "deviceFailed") && !isOver(error),
    )
    threads.giveUp(device(3).id)
    await refused
    await threads.forget(device(3).id)
    await run(threads, device(2))
    await threads.close()
  }))

test("an abandoned thread ends, but not within a call", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hayloft-threads-"))
  const path = join(folder, "written")
  const threads = pool({ ...LIMITS, silenceMsMax: 100 })
  await assert.rejects(run(threads, device(1, `write:${path}`)), isOver)
  await until("the thread has ended", () => threads.threadsLeft === 0, 10)
  assert.ok(existsSync(path), "the call was not cut off")
  await threads.close()
  rmSync(folder, { recursive: true })
})

test("work of a thread that dies fails, and the next starts another", async () => {
  const threads = pool(PATIENT)
  const first = await run(threads, device(1))
  await assert.rejects(run(threads, device(1, "die")), error => isFailure(error, "internal"))
  assert.notEqual(await run(threads, device(1)), first)
  await threads.close()
})

test("an idle thread ends, and the next work starts another once it has closed its files", async () => {
  const threads = pool({ ...PATIENT, idleMsMax: 60, devicesEach: 1 })
  const at = device(1)
  const first = await run(threads, at)
  assert.equal(await run(threads, at), first, "not between two pieces of work")
  await until("the thread has ended", () => threads.threadsLeft === 0, 10)
  const request = [run(threads, at), run(threads, device(2))]
  const [second, other] = await Promise.all(request)
  assert.notEqual(second, first)
  assert.notEqual(other, second)
  await threads.close()
})
