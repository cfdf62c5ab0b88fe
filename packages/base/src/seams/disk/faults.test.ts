/** Faults, on the simulated disk and on real files. */
import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { isFailure } from "../../failures.js"
import { SimClock } from "../clock/sim.js"
import { SimRandom } from "../random/sim.js"
import { failureOfCode } from "./codes.js"
import type { Disk, DiskFile } from "./contract.js"
import {
  answersLate,
  byChance,
  CallList,
  fails,
  failing,
  hangs,
  interceptedDisk,
  inTurn,
  misdirects,
  nthOf,
  RealDisk,
  ROT_KINDS,
  rotOnce,
  rots,
  FaultyDevice,
  SimDisk,
  slowedBy,
  tears,
  tellsSpace,
  type Intercept,
} from "./index.js"
import { SECTOR_BYTES } from "./medium.js"
import { diskSuite } from "./suite.js"

const nothing: Intercept = () => undefined

function temporary(): string {
  return mkdtempSync(join(tmpdir(), "hayloft-faults-"))
}

diskSuite("real behind an interceptor", async () => {
  const folder = temporary()
  return {
    disk: interceptedDisk(new RealDisk(), nothing),
    folder,
    done: async () => rmSync(folder, { recursive: true }),
  }
})
diskSuite("simulated behind an interceptor", async () => {
  const disk = interceptedDisk(new SimDisk(undefined, { isBare: true }).boot(), nothing)
  await disk.makeFolder("/data")
  return { disk, folder: "/data", done: () => Promise.resolve() }
})

interface Bent {
  readonly disk: Disk
  readonly folder: string
  use(intercept: Intercept): void
}

/** Runs the same test on both hosts of an interceptor. */
function both(what: string, tell: (bent: Bent) => Promise<void>): void {
  test(`simulated: ${what}`, async () => {
    const sim = new SimDisk()
    const disk = sim.boot()
    await disk.makeFolder("/data")
    await tell({ disk, folder: "/data", use: intercept => sim.intercept(intercept) })
  })
  test(`real: ${what}`, async () => {
    const folder = temporary()
    let now = nothing
    try {
      await tell({
        disk: interceptedDisk(new RealDisk(), call => now(call)),
        folder,
        use: intercept => (now = intercept),
      })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}

const filled = (lengthBytes: number, byte: number): Uint8Array => new Uint8Array(lengthBytes).fill(byte)
const failsWith = (code: string) => (error: unknown) =>
  isFailure(error, failureOfCode(code, "").kind) && error.details["code"] === code

async function content(file: DiskFile): Promise<Uint8Array> {
  const bytes = new Uint8Array(await file.sizeBytes())
  assert.equal(await file.read(bytes, 0), bytes.length)
  return bytes
}

const create = (bent: Bent, name = "f"): Promise<DiskFile> =>
  bent.disk.open(`${bent.folder}/${name}`, "create", { durable: true })

for (const code of ["EIO", "ENOSPC", "EDQUOT", "EMFILE", "EROFS"]) {
  both(`each kind of call fails with ${code}, and only the planned one`, async bent => {
    const { disk, folder } = bent
    const file = await create(bent)
    await file.write([filled(100, 1)], 0)
    const calls: readonly (readonly [Parameters<typeof failing>[0]["kind"], () => Promise<unknown>])[] = [
      ["write", () => file.write([filled(10, 2)], 0)],
      ["truncate", () => file.truncate(100)],
      ["sync", () => file.sync()],
      ["read", async () => file.read(new Uint8Array(1), 0)],
      ["size", () => file.sizeBytes()],
      ["open", () => disk.open(`${folder}/f`, "read").then(opened => opened.close())],
      ["list", () => disk.list(folder)],
      ["space", () => disk.space(folder)],
      ["syncFolder", () => disk.syncFolder(folder)],
      ["makeFolder", () => disk.makeFolder(`${folder}/made`)],
      ["create", () => disk.open(`${folder}/g`, "create").then(opened => opened.close())],
      ["rename", () => disk.rename(`${folder}/g`, `${folder}/h`)],
      ["remove", () => disk.remove(`${folder}/h`)],
    ]
    for (const [kind, call] of calls) {
      bent.use(failing({ kind, nth: 1, code, pathPart: folder }))
      // A file that the simulated disk was creating when it failed exists, as on a disk with a failed journal.
      await assert.rejects(call(), failsWith(code), String(kind))
      bent.use(nothing)
      if (kind === "create" && (await disk.exists(`${folder}/g`))) await disk.remove(`${folder}/g`)
      if (kind === "rename" && !(await disk.exists(`${folder}/g`))) await disk.rename(`${folder}/h`, `${folder}/g`)
      if (kind === "remove" && !(await disk.exists(`${folder}/h`))) continue
      await call()
    }
    bent.use(fails(code))
    await assert.rejects(disk.exists(folder), failsWith(code), "what cannot be seen is not known to be absent")
    assert.throws(() => file.read(new Uint8Array(1), 0, "resident"), failsWith(code))
    bent.use(nothing)
    await file.close()
  })
}

both("a torn write leaves its first bytes, and the file no longer than that", async bent => {
  const file = await create(bent)
  await file.write([filled(100, 1)], 0)
  bent.use(nthOf({ kind: "write", nth: 1 }, tears(30, "EIO")))
  await assert.rejects(file.write([filled(60, 2), filled(40, 3)], 80), failsWith("EIO"))
  assert.deepEqual(await content(file), Uint8Array.from([...filled(80, 1), ...filled(30, 2)]))
  bent.use(tears(0, "ENOSPC"))
  await assert.rejects(file.write([filled(300, 4)], 0), failsWith("ENOSPC"))
  bent.use(nothing)
  assert.deepEqual(await content(file), Uint8Array.from([...filled(80, 1), ...filled(30, 2)]))
  await file.close()
})

test("simulated: the kept part of a torn write survives a power cut, the rest never appears", async () => {
  for (let seed = 0; seed < 20; seed += 1) {
    const sim = new SimDisk()
    const disk = sim.boot()
    await disk.makeFolder("/d")
    const file = await disk.open("/d/f", "create", { durable: true })
    await file.write([filled(2000, 1)], 0)
    await disk.syncFolder("/d")
    sim.intercept(tears(700, "EIO"))
    await assert.rejects(file.write([filled(2000, 2)], 0), failsWith("EIO"))
    sim.intercept(nothing)
    sim.crash(new SimRandom(seed))
    const after = await sim.boot().open("/d/f", "read")
    assert.deepEqual(await content(after), Uint8Array.from([...filled(700, 2), ...filled(1300, 1)]))
  }
})

both("a call that hangs has not happened until it is healed, and one that answers late has", async bent => {
  const file = await create(bent)
  await file.write([filled(4, 1)], 0)
  let heal: () => void = () => undefined
  const healed = new Promise<void>(resolve => (heal = resolve))
  let settled = 0
  bent.use(nthOf({ kind: "write", nth: 1 }, answersLate(healed)))
  const late = file.write([filled(4, 2)], 0).finally(() => (settled += 1))
  while (new Set(await content(file)).has(1)) continue
  bent.use(nthOf({ kind: "write", nth: 1 }, hangs(healed)))
  const hung = file.write([filled(4, 3)], 4).finally(() => (settled += 1))
  await file.sync()
  assert.equal(settled, 0)
  heal()
  await Promise.all([late, hung])
  assert.deepEqual(await content(file), Uint8Array.of(2, 2, 2, 2, 3, 3, 3, 3))
  await file.close()
})

both("a slow disk takes its time, which is the clock's", async bent => {
  const clock = new SimClock()
  const file = await create(bent)
  bent.use(slowedBy(clock, 500))
  let isDone = false
  const written = file.write([filled(4, 1)], 0).then(() => (isDone = true))
  await clock.advance(499)
  assert.equal(isDone, false)
  await clock.advance(1)
  await written
  await file.close()
})

both("space is lied about", async bent => {
  bent.use(tellsSpace({ freeBytes: 0 }))
  assert.equal((await bent.disk.space(bent.folder)).freeBytes, 0)
  bent.use(tellsSpace({ freeBytes: 2 ** 50, totalBytes: 2 ** 50 }))
  assert.equal((await bent.disk.space(bent.folder)).freeBytes, 2 ** 50)
})

both("reads are damaged on their way, or come from elsewhere", async bent => {
  const file = await create(bent)
  const written = Uint8Array.from({ length: 2048 }, (_, i) => i / 512)
  await file.write([written], 0)
  bent.use(rots((bytes, offsetBytes) => void (bytes[0] = 100 + offsetBytes)))
  const buffer = new Uint8Array(4)
  assert.equal(await file.read(buffer, 8), 4)
  assert.deepEqual([...buffer], [108, 0, 0, 0])
  assert.equal(file.read(buffer, 9, "resident"), 4)
  assert.deepEqual([...buffer], [109, 0, 0, 0])
  bent.use(misdirects(1024))
  assert.equal(await file.read(buffer, 512), 4)
  assert.deepEqual([...buffer], [3, 3, 3, 3])
  assert.equal(await file.read(buffer, 1536), 0, "there is nothing so far out")
  bent.use(nothing)
  assert.deepEqual(await content(file), written, "what is on the disk is well")
  await file.close()
})

both("several interceptors see each call, and a drawn fault is the same again for the same seed", async bent => {
  const run = async (name: string): Promise<string[]> => {
    const list = new CallList({ kind: ["write", "sync", "create"] })
    bent.use(inTurn(list.intercept, byChance(new SimRandom(5), [{ kind: "write", oneIn: 4, effect: fails("EIO") }])))
    const file = await create(bent, name)
    const failed: string[] = []
    for (let i = 0; i < 20; i += 1) await file.write([filled(1, i)], i).catch(() => failed.push(String(i)))
    await file.sync()
    assert.deepEqual(
      list.calls.map(({ kind }) => kind),
      ["create", ...Array<string>(20).fill("write"), "sync"],
    )
    bent.use(nothing)
    await file.close()
    return failed
  }
  const [first, second] = [await run("a"), await run("b")]
  assert.ok(first.length > 0 && first.length < 20)
  assert.deepEqual(first, second)
})

const turn = (): Promise<void> => new Promise(resolve => void setImmediate(resolve))

both("a device is lost, comes back as it was, hangs, fills up, fails and is well again", async bent => {
  const { disk, folder } = bent
  const clock = new SimClock()
  const device = new FaultyDevice(clock, new SimRandom(1), { folder: `${folder}/d1` })
  await disk.makeFolder(`${folder}/d1`)
  await disk.makeFolder(`${folder}/d2`)
  const [file, other] = [await create(bent, "d1/f"), await create(bent, "d2/f")]
  await file.write([filled(4, 1)], 0)
  bent.use(device.intercept)
  device.become("lost")
  await assert.rejects(async () => file.read(new Uint8Array(1), 0), failsWith("EIO"))
  await assert.rejects(disk.open(`${folder}/d1/f`, "read"), failsWith("ENOENT"))
  assert.equal(await disk.exists(`${folder}/d1/f`), false)
  await other.write([filled(4, 1)], 0)
  device.become("hung")
  const outcomes: string[] = []
  const told = (name: string, call: Promise<unknown>) =>
    call.then(
      () => outcomes.push(`${name} done`),
      () => outcomes.push(`${name} failed`),
    )
  const first = told("first", file.write([filled(4, 2)], 0))
  await turn()
  assert.deepEqual([outcomes, device.hanging], [[], 1])
  device.become("lost")
  await first
  device.become("hung")
  const second = told("second", file.write([filled(4, 3)], 0))
  device.become("well")
  await second
  assert.deepEqual(outcomes, ["first failed", "second done"])
  device.become("full")
  await assert.rejects(file.write([filled(8, 4)], 2), failsWith("ENOSPC"))
  await assert.rejects(create(bent, "d1/g"), failsWith("ENOSPC"))
  await file.write([filled(1, 5)], 0)
  assert.equal((await disk.space(`${folder}/d1`)).freeBytes, 0)
  device.become("failing")
  await assert.rejects(file.write([filled(1, 9)], 0), failsWith("EIO"))
  await file.read(new Uint8Array(1), 0)
  device.become("readOnly")
  await assert.rejects(file.sync(), failsWith("EROFS"))
  device.become("slow")
  const slow = told("slow", file.sync())
  await clock.advance(999)
  assert.equal(outcomes.length, 2)
  await clock.advance(1)
  await slow
  device.become("well")
  const after = await content(file)
  assert.deepEqual([...after.subarray(1, 4)], [3, 4, 4], "what fits is written over")
  for (const each of [file, other]) await each.close()
})

test("each kind of rot changes bytes, in the requested place", () => {
  const random = new SimRandom(3)
  const whole = Uint8Array.from({ length: 8 * SECTOR_BYTES }, (_, i) => 1 + Math.floor(i / SECTOR_BYTES))
  const older = whole.map(byte => byte + 100)
  for (const kind of ROT_KINDS) {
    const seen = new Set<string>()
    for (let i = 0; i < 50; i += 1) {
      const bytes = whole.slice()
      const what = rotOnce(bytes, kind, random, older, 2 * SECTOR_BYTES, 6 * SECTOR_BYTES)
      const changed = [...bytes.keys()].filter(at => bytes[at] !== whole[at])
      assert.equal(what === undefined, changed.length === 0)
      assert.ok(changed.every(at => at >= 2 * SECTOR_BYTES && at < 6 * SECTOR_BYTES))
      if (what !== undefined) seen.add(what)
    }
    assert.ok(seen.size > 2, kind)
  }
})
