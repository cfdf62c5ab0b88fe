import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import type { Failure } from "@hayloft/base/failures.js"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseStoreId } from "@hayloft/base/ids.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { RealDisk, SimDisk } from "@hayloft/base/seams/disk/index.js"
import { RealLocks, SimLocks } from "@hayloft/base/seams/folder-lock/index.js"
import { Ownership } from "./ownership.js"
import { readRecordFile, replaceRecordFile } from "./record-file.js"
import { beginIncarnation, createSuperblock, readSuperblock } from "./superblock.js"

const NEW_DEVICE = {
  storeId: parseStoreId("0123456789abcdef0123456789abcdef"),
  deviceId: parseDeviceId("00000000000000aa"),
  createdMs: 0,
  formatEpoch: 1,
}

async function owned() {
  const clock = new SimClock()
  const sim = new SimDisk()
  const disk = sim.boot()
  await disk.makeFolder("/d")
  const found = await createSuperblock(disk, "/d", NEW_DEVICE)
  const locks = new SimLocks()
  const ownership = await Ownership.begin(clock, disk, await locks.boot().take("/d"), found)
  const stop = new AbortController()
  const lost: Failure[] = []
  const running = ownership.run(stop.signal, failure => void lost.push(failure))
  return { sim, clock, disk, ownership, stop, lost, running }
}

test("an owner that stays alone continues, and ends with its signal", async () => {
  const { clock, ownership, stop, lost, running } = await owned()
  assert.deepEqual(ownership.identity, {
    id: NEW_DEVICE.deviceId,
    path: "/d",
    incarnation: 1,
    createdMs: NEW_DEVICE.createdMs,
  })
  await clock.advance(60_000)
  await ownership.check()
  assert.deepEqual(lost, [])
  stop.abort()
  await running
  await ownership.release()
  await clock.advance(0)
  assert.equal(clock.sleepers, 0)
})

test("a check of a folder that hangs fails within 5 s", async () => {
  const sim = new SimDisk()
  const [clock, disk] = [new SimClock(), sim.boot()]
  await disk.makeFolder("/d")
  const lock = await new SimLocks().boot().take("/d")
  const ownership = await Ownership.begin(clock, disk, lock, await createSuperblock(disk, "/d", NEW_DEVICE))
  const lost: Failure[] = []
  const running = ownership.run(new AbortController().signal, failure => void lost.push(failure))
  sim.intercept(() => new Promise(() => undefined))
  const guard = assert.rejects(ownership.check(), error => isFailure(error, "deviceFailed"))
  await clock.advance(6_000)
  await Promise.all([guard, running])
  assert.deepEqual(
    lost.map(({ kind, details }) => [kind, details["code"]]),
    [["deviceFailed", "ETIMEDOUT"]],
  )
  await ownership.release()
  await clock.advance(10_000)
  assert.equal(clock.sleepers, 0)
})

test("an owner without a free file handle checks again", async () => {
  const { sim, clock, stop, lost, running } = await owned()
  sim.intercept(() => {
    throw fail("tooManyInFlight", { code: "EMFILE" })
  })
  await clock.advance(5_000)
  assert.deepEqual(lost, [])
  stop.abort()
  await running
})

test("an owner learns within a second that another incarnation has begun on its device", async () => {
  const { clock, disk, ownership, lost, running } = await owned()
  await clock.advance(10_000)
  await beginIncarnation(disk, "/d", ownership.superblock)
  await assert.rejects(ownership.check(), error => isFailure(error, "folderInUse"))
  await clock.advance(1_001)
  await running
  assert.deepEqual(
    lost.map(({ kind }) => kind),
    ["folderInUse"],
  )
  assert.match(lost[0]?.message ?? "", /\/d/)
})

test("incarnations between the read of the superblock and the lock are counted", async () => {
  const { clock, disk, ownership } = await owned()
  const seen = ownership.superblock
  await beginIncarnation(disk, "/d", await beginIncarnation(disk, "/d", seen))
  const next = await Ownership.begin(clock, disk, await new SimLocks().boot().take("/d"), seen)
  assert.equal(next.identity.incarnation, 4)
})

test("a folder that disappears is the device's failure, not another owner", async () => {
  const { clock, disk, lost, running } = await owned()
  await disk.remove("/d/superblock")
  await clock.advance(1_001)
  await running
  assert.deepEqual(
    lost.map(({ kind }) => kind),
    ["deviceFailed"],
  )
})

/** A superblock of this folder's device as another program might have written it, whole. */
async function writeSuperblock(disk: Disk, change: (view: DataView) => void): Promise<void> {
  const bytes = must(await readRecordFile(disk, "/d/superblock"), "it is there")
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  change(view)
  view.setBigUint64(56, xxh64(bytes.subarray(0, 56)), true)
  await replaceRecordFile(disk, "/d/superblock", bytes)
}

test("a superblock that reads as damaged is the device's failure, not another owner", async () => {
  for (const bit of [0, 7 * 8, 12 * 8, 33 * 8, 41 * 8, 63 * 8]) {
    const { sim, clock, ownership, lost, running } = await owned()
    sim.flipBit("/d/superblock", bit)
    await assert.rejects(ownership.check(), error => isFailure(error, "deviceFailed"))
    await clock.advance(1_001)
    await running
    assert.deepEqual(
      lost.map(({ kind, message }) => [kind, message]),
      [["deviceFailed", "the superblock of the data folder is damaged path=/d"]],
      `bit ${bit}`,
    )
  }
})

test("a whole superblock of another device, or of a later release, proves another owner", async () => {
  const others: readonly (readonly [(view: DataView) => void, RegExp])[] = [
    [view => view.setUint8(40, 0xbb), /^another data folder is at this path now path=\/d/],
    [view => view.setUint16(4, 2, true), /in use by another running process/],
    [view => view.setUint16(6, 99, true), /in use by another running process/],
  ]
  for (const [other, message] of others) {
    const { clock, disk, lost, running } = await owned()
    await writeSuperblock(disk, other)
    await clock.advance(1_001)
    await running
    assert.deepEqual(
      lost.map(({ kind }) => kind),
      ["folderInUse"],
    )
    assert.match(must(lost[0], "a failure").message, message)
  }
})

test("a folder that loses its lock before its superblock, as one that is being emptied, is the device's failure too", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ownership-"))
  try {
    const disk = new RealDisk()
    const found = await createSuperblock(disk, folder, NEW_DEVICE)
    const ownership = await Ownership.begin(new RealClock(), disk, await new RealLocks().take(folder), found)
    rmSync(join(folder, "owner.sock"))
    await assert.rejects(ownership.check(), error => isFailure(error, "deviceFailed"))
    const other = await new RealLocks().take(folder)
    await assert.rejects(ownership.check(), error => isFailure(error, "folderInUse"))
    await other.release()
    await ownership.release()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** Another process that owns the folder, prints its incarnation, and waits to be killed. */
async function otherOwner(folder: string) {
  const at = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href)
  const code = `
    const { RealLocks } = await import(${at("../../../../base/src/seams/folder-lock/real.js")})
    const { RealDisk } = await import(${at("../../../../base/src/seams/disk/real.js")})
    const { RealClock } = await import(${at("../../../../base/src/seams/clock/real.js")})
    const { Ownership } = await import(${at("./ownership.js")})
    const { readSuperblock } = await import(${at("./superblock.js")})
    setTimeout(() => {}, 60_000)
    try {
      const lock = await new RealLocks().take(${JSON.stringify(folder)})
      const disk = new RealDisk()
      const found = await readSuperblock(disk, lock.folder)
      const { identity } = await Ownership.begin(new RealClock(), disk, lock, found)
      console.log("owns", identity.incarnation)
    } catch (error) {
      console.log(error.kind ?? error, error.message)
    }`
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] })
  const output = await new Promise<string>(resolve => child.stdout.once("data", data => resolve(String(data).trim())))
  const killed = (): Promise<void> =>
    new Promise(resolve => {
      child.once("exit", () => resolve())
      child.kill("SIGKILL")
    })
  return { output, killed }
}

test("two processes: the second is refused by name; after kill -9 it takes over with a new incarnation", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hayloft-owner-"))
  try {
    const disk = new RealDisk()
    await createSuperblock(disk, folder, NEW_DEVICE)
    const first = await otherOwner(folder)
    assert.equal(first.output, "owns 1")
    const second = await otherOwner(folder)
    await second.killed()
    assert.match(second.output, /^folderInUse /)
    assert.ok(second.output.includes(folder))
    await first.killed()
    const third = await otherOwner(folder)
    assert.equal(third.output, "owns 2")
    await third.killed()
    const found = await readSuperblock(disk, folder)
    assert.ok(found)
    const ownership = await Ownership.begin(new RealClock(), disk, await new RealLocks().take(folder), found)
    await ownership.check()
    assert.equal(ownership.identity.incarnation, 3)
    await ownership.release()
  } finally {
    rmSync(folder, { recursive: true })
  }
})
