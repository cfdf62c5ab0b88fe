import assert from "node:assert/strict"
import { mkdtempSync, statSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseLogSequence } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { failing, interceptedDisk, RealDisk, SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { CommitLog } from "../contract.js"
import { openLogReader } from "./log-reader.js"
import { LOG_LIMITS, openLog } from "./log.js"
import type { LogOptions } from "./log.js"

const DEVICE = parseDeviceId("00000000000000aa")
const FOLDER = "/d/log"
const SMALL: LogOptions = { segmentBytes: 32 * KIB, fillStepBytes: 8 * KIB }
const seq = parseLogSequence

/** A record that contains its own number. */
const record = (n: number, lengthBytes = 100): Uint8Array => {
  const bytes = new Uint8Array(lengthBytes).fill(n % 251)
  new DataView(bytes.buffer).setUint32(0, n)
  return bytes
}
const numberOf = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)

async function numbers(log: Pick<CommitLog, "records">, after = 0, upTo?: number): Promise<number[]> {
  const found: number[] = []
  for await (const { bytes } of log.records(seq(after), upTo === undefined ? undefined : seq(upTo))) {
    found.push(numberOf(bytes))
  }
  return found
}

const open = (disk: Disk, options: LogOptions = SMALL) => openLog(disk, FOLDER, DEVICE, options)
const upFrom = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i)

test("appended records are read back in order, at their places, also after a restart", async () => {
  const disk = new SimDisk().boot()
  const log = await open(disk)
  assert.equal(log.durable, 0)
  for (let n = 1; n <= 40; n += 1) {
    const { sequence, places } = await log.append([record(2 * n - 1), record(2 * n)])
    assert.equal(sequence, n)
    const [, second] = places
    assert.ok(second)
    assert.deepEqual(await log.read(second, new Uint8Array(100)), record(2 * n))
  }
  assert.equal(log.durable, 40)
  assert.deepEqual(await numbers(log), upFrom(1, 80))
  assert.deepEqual(await numbers(log, 10, 12), [21, 22, 23, 24])
  await log.close()
  const again = await open(disk)
  assert.deepEqual(await numbers(again), upFrom(1, 80))
  assert.deepEqual(await numbers(again, 39), [79, 80])
  const { sequence } = await again.append([record(81)])
  assert.ok(sequence > 40)
  assert.deepEqual(await numbers(again), upFrom(1, 81))
  await again.close()
})

test("calls queue and are written in order of arrival", async () => {
  const disk = new SimDisk().boot()
  const log = await open(disk)
  const appended = await Promise.all(upFrom(1, 50).map(n => log.append([record(n)])))
  assert.deepEqual(
    appended.map(({ sequence }) => sequence),
    upFrom(1, 50),
  )
  assert.deepEqual(await numbers(log), upFrom(1, 50))
  await log.close()
  await assert.rejects(log.append([record(51)]), error => isFailure(error, "stopping"))
})

test("segments below the cut are recycled, and their old batches never come back", async () => {
  const disk = new SimDisk().boot()
  const log = await open(disk)
  const places = []
  for (let n = 1; n <= 200; n += 1) {
    places.push((await log.append([record(n)])).places)
    if (n % 20 === 0) await log.cut(seq(log.durable - 5))
  }
  const files = await disk.list(FOLDER)
  assert.ok(files.length <= 9, `${files.length} files for a short log`)
  assert.ok(log.lengthBytes < 512 * KIB)
  const gone = places[0]?.[0]
  assert.ok(gone)
  assert.ok(!equalBytes(await log.read(gone, new Uint8Array(100)), record(1)))
  const kept = await numbers(log, log.durable - 3)
  assert.ok(kept.length > 0 && kept.at(-1) === 200)
  await log.close()
  const again = await open(disk)
  assert.deepEqual((await numbers(again, again.durable - 5)).at(-1), 200)
  await assert.rejects(numbers(again, 0), error => isFailure(error, "corruptLog"))
  await again.close()
})

test("excess recycled files are removed", async () => {
  const disk = new SimDisk().boot()
  const log = await open(disk)
  for (let n = 1; n <= 200; n += 1) await log.append([record(n)])
  const many = (await disk.list(FOLDER)).length
  await log.cut(log.durable)
  const few = (await disk.list(FOLDER)).length
  assert.ok(many > 20 && few <= LOG_LIMITS.freeSegmentsMax + 2, `${many} then ${few} files`)
  assert.ok(log.lengthBytes <= 8 * KIB, `${log.lengthBytes} bytes above the cut`)
  await log.close()
})

for (const kind of ["size", "remove"] as const) {
  test(`a segment that cannot be given up (${kind}) does not keep the others: a later cut removes them`, async () => {
    const sim = new SimDisk()
    const disk = sim.boot()
    const log = await open(interceptedDisk(disk, failing({ kind, nth: 1, code: "EIO" })))
    for (let n = 1; n <= 200; n += 1) await log.append([record(n)])
    await assert.rejects(log.cut(seq(150)), error => isFailure(error, "deviceFailed"))
    await log.append([record(201)])
    await log.cut(log.durable)
    const files = await disk.list(FOLDER)
    assert.ok(files.length <= LOG_LIMITS.freeSegmentsMax + 3, `${files.length} files`)
    for (let n = 202; n <= 300; n += 1) await log.append([record(n)])
    assert.deepEqual(await numbers(log, log.cutUpTo), upFrom(202, 99))
    await log.close()
    const again = await open(disk)
    assert.deepEqual((await numbers(again, again.durable - 5)).at(-1), 300)
    await again.close()
  })
}

test("a failed write stops the log; opening it again shows what survived", async () => {
  const sim = new SimDisk()
  const disk = sim.boot()
  const log = await open(disk)
  await log.append([record(1)])
  sim.intercept(failing({ kind: "write", nth: 1, code: "EIO" }))
  const results = await Promise.allSettled([log.append([record(2)]), log.append([record(3)])])
  for (const result of results) assert.ok(result.status === "rejected" && isFailure(result.reason, "deviceFailed"))
  await assert.rejects(log.append([record(4)]), error => isFailure(error, "deviceFailed"))
  assert.deepEqual(await numbers(log), [1])
  await log.close()
  const again = await open(disk)
  assert.equal((await numbers(again))[0], 1)
  await again.append([record(5)])
  assert.equal((await numbers(again)).at(-1), 5)
  await again.close()
})

test("a batch whose write failed is invalidated: batches that a later start appends survive a power cut", async () => {
  const sim = new SimDisk()
  const log = await open(sim.boot())
  await log.append([record(1)])
  sim.intercept(failing({ kind: "write", nth: 1, code: "EIO" }))
  await assert.rejects(log.append([record(2)]), error => isFailure(error, "deviceFailed"))
  sim.kill()
  const again = await open(sim.boot())
  assert.deepEqual(await numbers(again), [1])
  await again.append([record(3)])
  for (let seed = 0; seed < 20; seed += 1) {
    const after = new SimDisk(sim.medium.copy())
    after.crash(new SimRandom(seed))
    assert.deepEqual(await numbers(await open(after.boot())), [1, 3])
  }
})

test("a batch that a process left in the page cache alone is on the disk before anything follows it", async () => {
  const sim = new SimDisk()
  const log = await open(sim.boot())
  await log.append([record(1)])
  // The device hangs, the process dies with its write under way, and the write fails when the device is back.
  let fails: (failure: unknown) => void = () => undefined
  sim.intercept(call => (call.kind === "write" ? new Promise((_, reject) => (fails = reject)) : undefined))
  void log.append([record(2)]).catch(() => undefined)
  await new Promise(resolve => void setImmediate(resolve))
  const pending = [...(sim.medium.fileAt(`${FOLDER}/segment-000001`)?.pending ?? [])]
  sim.kill()
  fails(fail("deviceFailed", { code: "EIO" }))
  sim.intercept(() => undefined)
  sim.medium.lose(sim.medium.fileAt(`${FOLDER}/segment-000001`)?.id ?? 0, pending)
  const again = await open(sim.boot())
  const found = await numbers(again)
  assert.deepEqual(found, [1, 2], "in the page cache it is whole")
  await again.append([record(3)])
  for (let seed = 0; seed < 20; seed += 1) {
    const after = new SimDisk(sim.medium.copy())
    after.crash(new SimRandom(seed))
    const last = await open(after.boot())
    assert.deepEqual(await numbers(last), [1, 2, 3])
    await last.append([record(4)])
    assert.deepEqual(await numbers(last), [1, 2, 3, 4])
    await last.close()
  }
})

for (const cuts of [false, true]) {
  test(`a batch that only ${cuts ? "records a cut" : "confirms another"} is not left in the page cache alone`, async () => {
    const sim = new SimDisk()
    const log = await open(sim.boot())
    for (let n = 1; n <= 20; n += 1) await log.append([record(n)])
    const path = `${FOLDER}/segment-000003`
    let fails: (failure: unknown) => void = () => undefined
    sim.intercept(call => (call.kind === "write" ? new Promise((_, reject) => (fails = reject)) : undefined))
    void (cuts ? log.cut(seq(15)) : log.confirm()).catch(() => undefined)
    await new Promise(resolve => void setImmediate(resolve))
    const pending = [...(sim.medium.fileAt(path)?.pending ?? [])]
    assert.equal(pending.length > 0, true)
    sim.kill()
    fails(fail("deviceFailed", { code: "EIO" }))
    sim.intercept(() => undefined)
    sim.medium.lose(sim.medium.fileAt(path)?.id ?? 0, pending)
    for (let start = 1; start <= 8; start += 1) {
      await open(sim.boot())
      sim.kill()
    }
    assert.ok((await sim.boot().list(FOLDER)).length <= 5, "starts use no additional space")
    const again = await open(sim.boot())
    await again.append([record(21)])
    for (let seed = 0; seed < 20; seed += 1) {
      const after = new SimDisk(sim.medium.copy())
      after.crash(new SimRandom(seed))
      const last = await open(after.boot())
      assert.deepEqual(await numbers(last, 15), upFrom(16, 6))
      await last.append([record(22)])
      assert.deepEqual(await numbers(last, 15), upFrom(16, 7))
    }
  })
}

test("starts after kills write the last batch again and again, and it is read once, even without space", async () => {
  const sim = new SimDisk()
  for (let start = 1; start <= 8; start += 1) {
    const log = await open(sim.boot())
    sim.capacityBytes = 2 ** 40
    const expected = Array.from({ length: 2 * start - 2 }, (_, i) => i + 1)
    assert.deepEqual(await numbers(log), expected)
    await log.append([record(2 * start - 1)])
    await log.append([record(2 * start)])
    assert.deepEqual(await numbers(log, parseLogSequence(log.durable - 2)), [2 * start - 1, 2 * start])
    sim.kill()
    sim.capacityBytes = start === 5 ? sim.medium.usedBytes : 2 ** 40
  }
  const reader = openLogReader(sim.boot(), FOLDER, DEVICE)
  const log = await open(sim.boot())
  const read: number[] = []
  for await (const { bytes } of reader.records(parseLogSequence(0), log.durable)) read.push(numberOf(bytes))
  assert.deepEqual(read, await numbers(log))
  const cut = log.durable
  await log.cut(cut)
  await log.append([record(99)])
  sim.kill()
  assert.deepEqual(await numbers(await open(sim.boot()), cut), [99])
})

test("a segment file made by a process that died before its name was durable is not lost later", async () => {
  const sim = new SimDisk()
  const log = await open(sim.boot())
  await log.append([record(0)])
  sim.intercept(call => {
    if (call.kind === "syncFolder" && call.path === FOLDER) sim.kill()
  })
  for (let n = 1; n <= 20; n += 1) void log.append([record(n)])
  await new Promise(resolve => void setImmediate(resolve))
  sim.intercept(() => undefined)
  const again = await open(sim.boot())
  assert.equal((await sim.boot().list(FOLDER)).length, 2)
  while ((await again.append([record(100)])).places[0]?.segment !== 2) assert.ok(again.durable < 20)
  const shown = await numbers(again)
  for (let seed = 0; seed < 20; seed += 1) {
    const after = new SimDisk(sim.medium.copy())
    after.crash(new SimRandom(seed))
    assert.deepEqual(await numbers(await open(after.boot())), shown)
  }
})

test("a full disk refuses appends without stopping the log", async () => {
  const sim = new SimDisk(undefined, { capacityBytes: 48 * KIB })
  const disk = sim.boot()
  const log = await open(disk)
  let last = 0
  await assert.rejects(
    async () => {
      for (let n = 1; n < 100; n += 1) {
        await log.append([record(n)])
        last = n
      }
    },
    error => isFailure(error, "deviceFull"),
  )
  assert.ok(last >= 8)
  await assert.rejects(log.append([record(99)]), error => isFailure(error, "deviceFull"))
  sim.capacityBytes = MIB
  await log.append([record(last + 1)])
  assert.deepEqual(await numbers(log), upFrom(1, last + 1))
  await log.close()
  const again = await open(disk)
  assert.deepEqual(await numbers(again), upFrom(1, last + 1))
  await again.close()
})

test("the guard is called before each segment and can stop the log", async () => {
  const disk = new SimDisk().boot()
  let calls = 0
  const log = await open(disk, {
    ...SMALL,
    guard: async () => {
      calls += 1
      if (calls === 3) throw new Error("no longer ours")
    },
  })
  const results = await Promise.allSettled(upFrom(1, 40).map(n => log.append([record(n)])))
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 16)
  assert.equal(calls, 3)
  await assert.rejects(log.append([record(41)]))
  await log.close()
})

test("a log of another device is not opened as an empty one", async () => {
  const disk = new SimDisk().boot()
  const log = await open(disk)
  await log.append([record(1)])
  await log.close()
  const other = parseDeviceId("00000000000000bb")
  await assert.rejects(openLog(disk, FOLDER, other, SMALL), error => isFailure(error, "foreignFolder"))
})

test("a log that ends below what a checkpoint contains is damaged", async () => {
  const disk = new SimDisk().boot()
  const log = await open(disk)
  await log.append([record(1)])
  await log.close()
  const known = seq(log.durable + 1)
  await assert.rejects(open(disk, { ...SMALL, known }), error => isFailure(error, "corruptLog"))
  await (await open(disk, { ...SMALL, known: log.durable })).close()
})

test("damage to the last batch is found, once the log has been quiet or was closed", async () => {
  const sim = new SimDisk()
  const disk = sim.boot()
  const log = await open(disk)
  for (let n = 1; n <= 3; n += 1) await log.append([record(n)])
  await log.confirm()
  await log.confirm()
  assert.equal(log.durable, 4)
  sim.kill()
  sim.flipBit(`${FOLDER}/segment-000001`, (2 * 4096 + 100) * 8)
  await assert.rejects(open(sim.boot()), error => isFailure(error, "corruptLog"))
})

test("another thread reads while the writer appends and cuts", async () => {
  const disk = new SimDisk().boot()
  const log = await open(disk)
  const reader = openLogReader(disk, FOLDER, DEVICE)
  const seen: number[] = []
  let after = seq(0)
  for (let round = 0; round < 10; round += 1) {
    for (let i = 0; i < 15; i += 1) await log.append([record(15 * round + i)])
    const upTo = log.durable
    const writing = log.append([record(9999)])
    for await (const { bytes, sequence } of reader.records(after, upTo)) {
      assert.ok(sequence > after && sequence <= upTo)
      if (numberOf(bytes) !== 9999) seen.push(numberOf(bytes))
    }
    await writing
    await log.cut(upTo)
    after = upTo
  }
  assert.deepEqual(seen, upFrom(0, 150))
  await assert.rejects(
    async () => {
      for await (const _ of reader.records(log.durable, seq(log.durable + 1))) assert.fail("nothing is there yet")
    },
    error => isFailure(error, "corruptLog"),
  )
  await log.close()
})

test("on a real disk: full-size segments, megabyte batches, a restart", async () => {
  const root = mkdtempSync(join(tmpdir(), "hayloft-log-"))
  try {
    const disk = new RealDisk()
    const folder = `${root}/log`
    const log = await openLog(disk, folder, DEVICE)
    await log.append([record(0)])
    const filledBytes = statSync(`${folder}/segment-000001`).size
    assert.ok(filledBytes <= 16 * MIB, `a first start does not fill a whole segment: ${filledBytes}`)
    for (let n = 1; n <= 70; n += 1) await log.append([record(n, MIB), record(n + 1000, 17)])
    const segments = new Set<number>()
    for await (const { place } of log.records(seq(0))) segments.add(place.segment)
    assert.equal(segments.size, 2)
    await log.close()
    const again = await openLog(disk, folder, DEVICE)
    const found = await numbers(again)
    assert.deepEqual(found, [0, ...upFrom(1, 70).flatMap(n => [n, n + 1000])])
    assert.deepEqual(await numbers(openLogReaderOn(disk, folder), 69, again.durable), [69, 1069, 70, 1070])
    await again.close()
  } finally {
    rmSync(root, { recursive: true })
  }
})

function openLogReaderOn(disk: Disk, folder: string): Pick<CommitLog, "records"> {
  const reader = openLogReader(disk, folder, DEVICE)
  return { records: (after, upTo = seq(0)) => reader.records(after, upTo) }
}

test("on a disk that is short of space a cut gives back the open segment and the free ones", async () => {
  const sim = new SimDisk()
  const disk = sim.boot()
  let isShort = false
  const log = await open(disk, { isShort: () => isShort })
  for (let n = 1; n <= 40; n += 1) await log.append([record(n, 100 * KIB)])
  const before = sim.medium.usedBytes
  isShort = true
  await log.cut(seq(38))
  assert.deepEqual(await numbers(log, 38), [39, 40])
  await log.cut(seq(40))
  await log.append([record(41)])
  assert.ok(sim.medium.usedBytes < MIB && before > 4 * MIB, `${sim.medium.usedBytes} of ${before} bytes are left`)
  assert.deepEqual(await numbers(log, 40), [41])
  await log.close()
  const again = await open(disk, { isShort: () => isShort })
  assert.deepEqual(await numbers(again, 40), [41])
  await again.close()
})

test("without space for another segment the log continues in the one it has", async () => {
  const sim = new SimDisk()
  const log = await open(sim.boot(), { isShort: () => true })
  for (let n = 1; n <= 6; n += 1) await log.append([record(n, 100 * KIB)])
  sim.capacityBytes = sim.medium.usedBytes
  await log.cut(seq(6))
  await log.append([record(7)])
  assert.deepEqual(await numbers(log, 6), [7])
  sim.capacityBytes = 2 ** 40
  const before = sim.medium.usedBytes
  await log.append([record(8)])
  await log.cut(seq(7))
  await log.cut(seq(log.durable))
  await log.append([record(9)])
  assert.ok(sim.medium.usedBytes < before)
  assert.deepEqual(await numbers(log, log.durable - 1), [9])
  await log.close()
})
