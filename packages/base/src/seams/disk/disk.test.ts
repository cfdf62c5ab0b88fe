import assert from "node:assert/strict"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { isFailure } from "../../failures.js"
import { SimRandom } from "../random/sim.js"
import type { Disk, DiskFile } from "./contract.js"
import { crashStates, failing, RealDisk, SimDisk } from "./index.js"
import { diskSuite } from "./suite.js"

diskSuite("real", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hayloft-disk-"))
  return { disk: new RealDisk(), folder, done: async () => rmSync(folder, { recursive: true }) }
})
diskSuite("simulated", async () => {
  const disk = new SimDisk(undefined, { isBare: true }).boot()
  await disk.makeFolder("/data")
  return { disk, folder: "/data", done: () => Promise.resolve() }
})

const filled = (lengthBytes: number, byte: number): Uint8Array => new Uint8Array(lengthBytes).fill(byte)

async function content(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, "read")
  const bytes = new Uint8Array(await file.sizeBytes())
  await file.read(bytes, 0)
  await file.close()
  return bytes
}

async function withFolder(): Promise<{ readonly sim: SimDisk; readonly disk: Disk }> {
  const sim = new SimDisk()
  const disk = sim.boot()
  await disk.makeFolder("/d")
  return { sim, disk }
}

/** A file whose name is safe and that holds `first`, synced. */
async function safeFile(disk: Disk, first: Uint8Array, durable = false): Promise<DiskFile> {
  const file = await disk.open("/d/f", "create", { durable })
  await file.write([first], 0)
  await file.sync()
  await disk.syncFolder("/d")
  return file
}

test(
  "a full real disk is reported as full",
  { skip: existsSync("/dev/full") ? false : "needs /dev/full" },
  async () => {
    const file = await new RealDisk().open("/dev/full", "write")
    await assert.rejects(file.write([filled(10, 1)], 0), error => isFailure(error, "deviceFull"))
    await file.close()
  },
)

test("synced and durable writes survive every power cut", async () => {
  for (let seed = 0; seed < 50; seed += 1) {
    const { sim, disk } = await withFolder()
    const file = await safeFile(disk, filled(2000, 1))
    await file.write([filled(700, 2)], 300)
    await file.sync()
    const durable = await disk.open("/d/f", "write", { durable: true })
    await durable.write([filled(100, 3)], 1900)
    sim.crash(new SimRandom(seed))
    const after = await content(sim.boot(), "/d/f")
    assert.deepEqual(
      after,
      Uint8Array.from([...filled(300, 1), ...filled(700, 2), ...filled(900, 1), ...filled(100, 3)]),
    )
  }
})

test("unsynced writes are kept, dropped or torn, sector by sector", async () => {
  const seen = { kept: 0, dropped: 0, torn: 0 }
  for (let seed = 0; seed < 100; seed += 1) {
    const { sim, disk } = await withFolder()
    const file = await safeFile(disk, filled(1024, 1))
    await file.write([filled(1024, 2)], 0)
    sim.crash(new SimRandom(seed))
    const after = await content(sim.boot(), "/d/f")
    for (const sector of [after.subarray(0, 512), after.subarray(512, 1024)]) {
      const young = sector.filter(byte => byte === 2).length
      seen[young === 512 ? "kept" : young === 0 ? "dropped" : "torn"] += 1
    }
  }
  assert.ok(seen.kept > 20 && seen.dropped > 20 && seen.torn > 20, JSON.stringify(seen))
})

test("durably overwritten bytes never return", async () => {
  for (let seed = 0; seed < 50; seed += 1) {
    const { sim, disk } = await withFolder()
    const lazy = await safeFile(disk, filled(512, 1))
    const durable = await disk.open("/d/f", "write", { durable: true })
    await lazy.write([filled(512, 2)], 0)
    await durable.write([filled(512, 3)], 0)
    sim.crash(new SimRandom(seed))
    assert.deepEqual(await content(sim.boot(), "/d/f"), filled(512, 3))
  }
})

test("an unsynced name may or may not exist after a power cut", async () => {
  let there = 0
  for (let seed = 0; seed < 40; seed += 1) {
    const { sim, disk } = await withFolder()
    await safeFile(disk, filled(10, 1))
    await disk.rename("/d/f", "/d/g")
    sim.crash(new SimRandom(seed))
    const names = await sim.boot().list("/d")
    assert.ok(names.length === 1)
    if (names[0] === "g") there += 1
  }
  assert.ok(there > 5 && there < 35)
})

test("a dead process leaves everything it wrote, and its calls never settle", async () => {
  const { sim, disk } = await withFolder()
  const file = await disk.open("/d/f", "create")
  await file.write([filled(10, 1)], 0)
  let settled = false
  const late = file.write([filled(10, 2)], 10).finally(() => (settled = true))
  sim.kill()
  void Promise.race([late, file.sync(), disk.list("/d")]).then(() => (settled = true))
  const after = await content(sim.boot(), "/d/f")
  assert.deepEqual(after, Uint8Array.from([...filled(10, 1), ...filled(10, 2)]))
  await new Promise(resolve => void setImmediate(resolve))
  assert.equal(settled, false)
})

test("the planned call fails, and a later sync never repairs a failed one", async () => {
  const { sim, disk } = await withFolder()
  const file = await safeFile(disk, filled(512, 1))
  sim.intercept(failing({ kind: "sync", nth: 1, code: "EIO" }))
  await file.write([filled(512, 2)], 0)
  await assert.rejects(file.sync(), error => isFailure(error, "deviceFailed") && error.details["code"] === "EIO")
  await file.sync()
  let lost = false
  for (let seed = 0; seed < 20 && !lost; seed += 1) {
    const again = new SimDisk(sim.medium.copy())
    again.crash(new SimRandom(seed))
    lost = (await content(again.boot(), "/d/f")).some(byte => byte === 1)
  }
  assert.ok(lost)
})

test("a simulated disk fills up, refuses writes, and accepts them again once it has space", async () => {
  const sim = new SimDisk(undefined, { capacityBytes: 1000 })
  const disk = sim.boot()
  await disk.makeFolder("/d")
  const file = await disk.open("/d/f", "create")
  await file.write([filled(900, 1)], 0)
  await assert.rejects(file.write([filled(200, 2)], 900), error => isFailure(error, "deviceFull"))
  await file.write([filled(500, 3)], 100)
  await file.truncate(100)
  await file.write([filled(200, 2)], 100)
  assert.equal((await disk.space("/d")).freeBytes, 700)
})

test("stored bits rot in place", async () => {
  const { sim, disk } = await withFolder()
  await safeFile(disk, filled(4, 0))
  sim.flipBit("/d/f", 9)
  assert.deepEqual(await content(disk, "/d/f"), Uint8Array.of(0, 2, 0, 0))
})

test("the crash states of a recording contain every acknowledged write and each possible outcome of the last", async () => {
  const { sim, disk } = await withFolder()
  const file = await safeFile(disk, filled(2048, 0), true)
  const record = sim.record()
  const ackedAt: number[] = []
  for (let i = 1; i <= 3; i += 1) {
    await file.write([filled(1024, i)], (i - 1) * 512)
    ackedAt.push(record.events.length)
  }
  const whats = new Set<string>()
  const options = { window: 8, subsetsMax: 64, tearsMax: 64, random: new SimRandom(1) }
  for (const { eventsBefore, what, medium } of crashStates(record, options)) {
    whats.add(what.replace(/\d+ bytes/, "bytes"))
    const after = await content(new SimDisk(medium).boot(), "/d/f")
    const acked = ackedAt.filter(at => at <= eventsBefore).length
    // The first sector of write i is overwritten only by the earlier write i - 1.
    for (let i = 1; i <= acked; i += 1) assert.ok(after[(i - 1) * 512] === i, `write ${i} at ${eventsBefore}: ${what}`)
  }
  const fates = ["kept 0 of 1 changes", "kept 1 of 1 changes", "the last write with a stale sector"]
  for (const fate of [...fates, "the last write cut after bytes", "the last write as an older write's bytes"]) {
    assert.ok(whats.has(fate), fate)
  }
})
