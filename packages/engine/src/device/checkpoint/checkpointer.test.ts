/** Writers that outrun checkpoints wait, but not forever. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { encodeAsideRow } from "../../format/tables/aside-row.js"
import { encodeStoredRow } from "../../format/tables/stored-row.js"
import { parseLogSequence, rowKeyOf } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { CHECKPOINT_LIMITS, Checkpointer, SPACE_WAIT_MS_MAX, type CheckpointRuns } from "./checkpointer.js"
import type { CommitLog } from "../contract.js"
import { Rows } from "../rows.js"

const DONE = { generation: 1, rows: 0, payloads: 0, deadRows: 0, moved: 0, emptied: [], removed: [], isMore: false }

const FILE = "/d/base/0000000007.table"
const unreadable = () => fail("deviceFailed", { path: FILE, file: 7, code: "EIO" })

async function scene(
  cut: CommitLog["cut"],
  confirm: CommitLog["confirm"] = () => Promise.resolve(),
  overrides: Partial<CheckpointRuns> = {},
) {
  const clock = new SimClock()
  const stores = new MemoryStores()
  const rows = new Rows(await stores.openReader("/base"), parseLogSequence(0))
  const refuse = () => Promise.reject(fail("internal"))
  const log: CommitLog = {
    durable: parseLogSequence(0),
    stopped: undefined,
    cutUpTo: parseLogSequence(0),
    lengthBytes: 0,
    confirm,
    close: () => Promise.resolve(),
    append: refuse,
    read: refuse,
    records: async function* () {},
    cut,
  }
  const runs: CheckpointRuns = {
    checkpoint: () => Promise.resolve(DONE),
    merge: () => Promise.resolve({ generation: 1, rows: undefined, emptied: [], isMore: false, isCrowded: false }),
    ...overrides,
  }
  const limits = { ...CHECKPOINT_LIMITS, rowsMax: 2 }
  const telemetry = new SimTelemetry()
  const device = { name: "d", rows, log, replicaIncarnations: new Map(), runs }
  const checkpointer = new Checkpointer(device, clock, telemetry.log, { limits })
  const write = (key: string) => rows.apply([{ family: "current", key: rowKeyOf(key), value: new Uint8Array(1) }])
  return { clock, checkpointer, write, telemetry, stores, device }
}

test("a writer waits at twice the rows of a checkpoint, and is rejected after a while", async () => {
  const { clock, checkpointer, write } = await scene(() => Promise.resolve())
  for (const key of ["a", "b", "c"]) write(key)
  assert.equal(checkpointer.spaceForWrites(), undefined)
  write("d")
  const waiting = checkpointer.spaceForWrites()
  assert.ok(waiting)
  const turnedAway = assert.rejects(waiting, error => isFailure(error, "tooManyInFlight"))
  await clock.advance(SPACE_WAIT_MS_MAX)
  await turnedAway
})

test("with little space a checkpoint is due at the length at which the log is too long, and writers wait at twice that", async () => {
  const found = { lengthBytes: 0 }
  const { device, clock, telemetry } = await scene(() => Promise.resolve())
  const log: CommitLog = {
    ...device.log,
    get lengthBytes() {
      return found.lengthBytes
    },
  }
  const space = {
    freeBytes: 0,
    isFull: true,
    isShort: true,
    isLogTooLong: (bytes: number) => bytes >= 100,
    copySpaceBytes: 0,
    mergeSpaceBytes: 0,
    giveBack: () => Promise.resolve(false),
    undoCopies: () => Promise.resolve(false),
  }
  const checkpointer = new Checkpointer({ ...device, log }, clock, telemetry.log, { space })
  const seen = [99, 100, 199, 200].map(lengthBytes => {
    found.lengthBytes = lengthBytes
    return [checkpointer.isOver(1), checkpointer.isOver(2)]
  })
  assert.deepEqual(seen, [
    [false, false],
    [true, false],
    [true, false],
    [true, true],
  ])
})

test("a checkpoint releases waiting writers, even if the log has no space for its cut", async () => {
  const { clock, checkpointer, write } = await scene(() => Promise.reject(fail("deviceFull")))
  for (const key of ["a", "b", "c", "d"]) write(key)
  let served = false
  const waiting = checkpointer.spaceForWrites()?.then(() => (served = true))
  await assert.rejects(checkpointer.checkpoint(), error => isFailure(error, "deviceFull"))
  await clock.advance(1)
  assert.ok(served, "nothing else would come to wake it")
  await waiting
  assert.equal(clock.sleepers, 0)
})

test("a checkpoint begins with the write that reaches the bound", async () => {
  const begunAtMs: number[] = []
  const checkpoint = () => {
    begunAtMs.push(clock.monotonicMs())
    return Promise.resolve(DONE)
  }
  const { clock, checkpointer, write } = await scene(() => Promise.resolve(), undefined, { checkpoint })
  const stop = new AbortController()
  const running = checkpointer.run(stop.signal)
  await clock.advance(1_200)
  for (const key of ["a", "b"]) write(key)
  assert.equal(checkpointer.spaceForWrites(), undefined)
  await clock.advance(1)
  assert.deepEqual(begunAtMs, [1_200])
  stop.abort()
  await clock.runUntil(running)
})

test("an error is shown until what failed has worked again, and not after", async () => {
  let full = true
  const confirm = () => (full ? Promise.reject(fail("deviceFull")) : Promise.resolve())
  const { clock, checkpointer } = await scene(() => Promise.resolve(), confirm)
  const stop = new AbortController()
  const running = checkpointer.run(stop.signal)
  await clock.advance(CHECKPOINT_LIMITS.confirmMs)
  assert.match(checkpointer.error ?? "", /full/)
  full = false
  await clock.advance(CHECKPOINT_LIMITS.retryMs + 2 * CHECKPOINT_LIMITS.confirmMs)
  assert.equal(checkpointer.error, undefined, "although there was nothing to checkpoint meanwhile")
  stop.abort()
  await clock.runUntil(running)
})

test("a row that is set aside is logged once, and shown for as long as it is there", async () => {
  const { checkpointer, write, telemetry, stores } = await scene(() => Promise.resolve(), undefined, {
    checkpoint: () => Promise.resolve(DONE),
  })
  const parts = encodeAsideRow({ family: "queueMessages", key: rowKeyOf("q\n1"), stored: Buffer.from([7, 0]) })
  const put = (isThere: boolean) =>
    stores.damage(
      "/base",
      parts.map(([key, bytes]) => ({
        family: "marks",
        key,
        value: isThere ? encodeStoredRow(bytes, undefined) : undefined,
      })),
      { isRecorded: true },
    )
  put(true)
  for (const key of ["a", "b"]) {
    write(key)
    await checkpointer.checkpoint()
    assert.match(checkpointer.error ?? "", /1 metadata row set aside.*queueMessages "q\?1"/)
  }
  const logged = telemetry.entries().filter(({ event }) => event === "metadata_row_set_aside")
  assert.deepEqual(
    logged.map(({ fields }) => fields["row"]),
    ['queueMessages "q?1"'],
  )
  put(false)
  write("c")
  await checkpointer.checkpoint()
  assert.equal(checkpointer.error, undefined)
})

test("a file that a merge cannot read is reported once and left out, longer each time; other merges continue", async () => {
  let [isBad, checkpoints] = [true, 0]
  const triedMs: number[] = []
  const others: number[] = []
  const { clock, checkpointer, write, telemetry } = await scene(() => Promise.resolve(), undefined, {
    checkpoint: () => {
      checkpoints += 1
      return Promise.resolve(DONE)
    },
    merge: ({ unread }) => {
      const done = { generation: 1, emptied: [], isMore: false, isCrowded: false }
      if (!unread.includes(7)) triedMs.push(clock.monotonicMs())
      if (!unread.includes(7) && isBad) return Promise.reject(unreadable())
      // One other merge after each checkpoint.
      const rows = others.length < checkpoints ? 5 : undefined
      if (rows !== undefined) others.push(clock.monotonicMs())
      return Promise.resolve({ ...done, rows })
    },
  })
  const stop = new AbortController()
  const running = checkpointer.run(stop.signal)
  for (let minute = 1; minute <= 8; minute += 1) {
    write("a")
    await clock.advance(60_000)
    assert.equal(checkpoints, minute, "checkpoints go on")
    assert.equal(others.length, minute, "and other merges")
    assert.match(checkpointer.error ?? "", /0000000007\.table/)
  }
  const { unreadMs } = CHECKPOINT_LIMITS
  const restsMs = triedMs.slice(1).map((ms, i) => Math.round((ms - (triedMs[i] ?? 0)) / unreadMs))
  assert.deepEqual(restsMs, [1, 2, 4, 8], "it is tried at longer and longer intervals")
  const reported = telemetry.entries().filter(({ fields }) => fields["path"] === FILE)
  assert.equal(reported.length, 1, "it is logged once")
  isBad = false
  await clock.advance(8 * 60_000 + 1_000)
  assert.equal(checkpointer.error, undefined, "it can be read again")
  stop.abort()
  await clock.runUntil(running)
})

test("a device that fails as a whole is not handled as a file to leave out", async () => {
  let file = 0
  const { clock, checkpointer } = await scene(() => Promise.resolve(), undefined, {
    merge: () => Promise.reject(fail("deviceFailed", { path: `/d/${(file += 1)}`, file, code: "EIO" })),
  })
  const stop = new AbortController()
  const running = checkpointer.run(stop.signal)
  await clock.advance(10_000)
  assert.ok(file < 30, `${file} merges were tried in ten seconds`)
  stop.abort()
  await clock.runUntil(running)
})

/** Merges of 100 ms each, without end; a row is written from time to time. */
async function merging(isCrowded: boolean) {
  const merges: number[] = []
  const checkpoints: number[] = []
  const found = await scene(() => Promise.resolve(), undefined, {
    checkpoint: () => {
      checkpoints.push(found.clock.monotonicMs())
      return Promise.resolve(DONE)
    },
    merge: async () => {
      merges.push(found.clock.monotonicMs())
      await found.clock.sleep(100, new AbortController().signal)
      return { generation: 1, rows: 1, emptied: [], isMore: false, isCrowded }
    },
  })
  return { ...found, merges, checkpoints }
}

test("merges that nothing waits for rest twice as long as they take; checkpoints wait for one step at most", async () => {
  const { clock, checkpointer, write, merges, checkpoints } = await merging(false)
  const stop = new AbortController()
  const running = checkpointer.run(stop.signal)
  await clock.advance(30_000)
  assert.ok(merges.length >= 70 && merges.length <= 101, `${merges.length} merges in 30 s`)
  write("a")
  await clock.advance(500)
  assert.equal(checkpoints.length, 1)
  // Nothing rests while rows wait.
  write("b")
  await clock.advance(500)
  const before = merges.length
  await clock.advance(1_000)
  assert.ok(merges.length - before >= 9, `${merges.length - before} merges in a second`)
  for (const key of ["b", "c"]) write(key)
  const writtenMs = clock.monotonicMs()
  await clock.advance(150)
  assert.ok((checkpoints[1] ?? Infinity) - writtenMs <= 100, "a due checkpoint")
  stop.abort()
  await clock.runUntil(running)
})

test("merges begin a moment after a start, and do not rest while too many runs slow down reads", async () => {
  const { clock, checkpointer, merges } = await merging(true)
  const stop = new AbortController()
  const running = checkpointer.run(stop.signal)
  await clock.advance(CHECKPOINT_LIMITS.quietMs - 1)
  assert.equal(merges.length, 0, "a process that ends soon has merged nothing")
  await clock.advance(10_000)
  assert.ok(merges.length >= 99, `${merges.length} merges in 10 s`)
  stop.abort()
  await clock.runUntil(running)
})
