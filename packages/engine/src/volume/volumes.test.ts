import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, rowKeyOf } from "@hayloft/base/ids.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { KIB, MIB, SYNC_READ_BYTES_MAX } from "@hayloft/base/limits.js"
import { asPromise } from "@hayloft/base/soon.js"
import { waitIfSlow } from "./contract.js"
import { SyncReads } from "../device/index.js"
import { encodeVolumePosition } from "../format/needles/volume.js"
import { needleIdOfKey, needleKeyOf, needleKeysOfPartition } from "../format/needles/needle.js"
import { failing, nthOf, RealDisk, rots, SimDisk, WrappedDisk, WrappedFile } from "@hayloft/base/seams/disk/index.js"
import type { Disk, DiskFile } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { Allocate, Needle, Volumes } from "./contract.js"
import { volumeDirectory, MapRows, needleFor, needleIdFor, needleOf } from "./testing-volumes.js"
import { inspectVolume } from "./inspect.js"
import type { VolumeLimits } from "./limits.js"
import { VOLUME_LIMITS } from "./limits.js"
import { openVolumes } from "./volumes.js"

const random = new SimRandom(7)
const SMALL: VolumeLimits = { ...VOLUME_LIMITS, volumeBytesMax: 256 * KIB, filesOpenMax: 3 }

interface World {
  readonly sim: SimDisk
  readonly rows: MapRows
  readonly volumes: Volumes
}

/** Opens the volumes of a disk with an empty index. */
async function opened(sim = new SimDisk(), limits = VOLUME_LIMITS, incarnation = 1): Promise<World> {
  const rows = new MapRows()
  return {
    sim,
    rows,
    volumes: await openVolumes(sim.boot(), rows, volumeDirectory(incarnation), undefined, { limits }),
  }
}

const needles = (count: number, lengthBytes = 5000, from = 1): Needle[] =>
  Array.from({ length: count }, (_, i) => needleFor(from + i, lengthBytes + 64 * i, random))
const readWhole = ({ volumes }: World, needle: Needle): Promise<Uint8Array> =>
  asPromise(() => volumes.read(needle.id, { offsetBytes: 0, lengthBytes: needle.body.length }, waitIfSlow))

async function assertHolds(world: World, expected: readonly Needle[]): Promise<void> {
  for (const needle of expected) {
    assert.ok(world.volumes.has(needle.id))
    assert.ok(Buffer.from(needle.body).equals(await readWhole(world, needle)))
  }
}

const rejects = (promise: Promise<unknown>, kind: FailureKind): Promise<void> =>
  assert.rejects(promise, error => isFailure(error, kind) || assert.fail(`${String(error)} instead of ${kind}`))

const placeBit = (world: World, needle: Needle, byteInNeedle: number): { path: string; bit: number } => {
  const value = world.rows.get("needles", needleKeyOf(needle.id))?.value ?? assert.fail("not in the index")
  const view = new DataView(value.buffer, value.byteOffset)
  const offset = Number(view.getBigUint64(4, true)) + byteInNeedle
  return { path: `/device/volumes/${String(view.getUint32(0, true)).padStart(10, "0")}.volume`, bit: 8 * offset }
}
const headerBytes = (world: World, needle: Needle): number => {
  const value = world.rows.get("needles", needleKeyOf(needle.id))?.value ?? assert.fail("not in the index")
  return new DataView(value.buffer, value.byteOffset).getUint32(12, true)
}

test("any range of a needle is read back as it was appended, before and after a restart", async () => {
  const world = await opened()
  const kept = [0, 1, 64, 65_535, 65_536, 65_537, 3 * 65_536, 700_001].map((lengthBytes, i) =>
    needleFor(i, lengthBytes, random),
  )
  for (const needle of kept) await world.volumes.append(needle)
  const later = await opened(world.sim, VOLUME_LIMITS, 2)
  const picks = fc.tuple(fc.constantFrom(...kept), fc.nat(), fc.nat())
  await fc.assert(
    fc.asyncProperty(picks, async ([needle, from, length]) => {
      const offsetBytes = from % (needle.body.length + 1)
      const lengthBytes = length % (needle.body.length - offsetBytes + 1)
      const expected = needle.body.subarray(offsetBytes, offsetBytes + lengthBytes)
      for (const { volumes } of [world, later]) {
        const found = await volumes.read(needle.id, { offsetBytes, lengthBytes }, waitIfSlow)
        assert.ok(Buffer.from(expected).equals(found))
        found.fill(0)
      }
    }),
    { numRuns: 200 },
  )
  await assertHolds(later, kept)
})

test("a range beyond the needle's end is a damaged needle, an unknown id a missing one", async () => {
  const world = await opened()
  const [needle] = needles(1)
  assert.ok(needle)
  await world.volumes.append(needle)
  await rejects(
    asPromise(() => world.volumes.read(needle.id, { offsetBytes: 4000, lengthBytes: 2000 }, waitIfSlow)),
    "corruptNeedle",
  )
  await rejects(
    asPromise(() => world.volumes.read(needleIdFor(99), { offsetBytes: 0, lengthBytes: 1 }, waitIfSlow)),
    "noSuchNeedle",
  )
})

test("only the sub-blocks that a range touches are verified, and each of them is", async () => {
  const world = await opened()
  const needle = needleFor(1, 1 * MIB, random)
  await world.volumes.append(needle)
  const rotten = placeBit(world, needle, headerBytes(world, needle) + 5 * 65_536 + 77)
  world.sim.flipBit(rotten.path, rotten.bit)
  for (let subBlock = 0; subBlock < 16; subBlock += 1) {
    const read = world.volumes.read(needle.id, { offsetBytes: subBlock * 65_536 + 10, lengthBytes: 1000 }, waitIfSlow)
    if (subBlock === 5)
      await rejects(
        asPromise(() => read),
        "corruptNeedle",
      )
    else
      assert.ok(Buffer.from(needle.body.subarray(subBlock * 65_536 + 10, subBlock * 65_536 + 1010)).equals(await read))
  }
  await rejects(
    asPromise(() => world.volumes.read(needle.id, { offsetBytes: 5 * 65_536 - 1, lengthBytes: 2 }, waitIfSlow)),
    "corruptNeedle",
  )
})

test("a short range that was read lately is read synchronously; if that fails, the caller decides whether to wait for the device", async () => {
  const sim = new SimDisk()
  const rows = Object.assign(new MapRows(), { warm: () => undefined })
  const sync = { reads: new SyncReads(new SimClock()), cachedBytesMax: 1 * MIB }
  const volumes = await openVolumes(sim.boot(), rows, volumeDirectory(1), undefined, { limits: SMALL, sync })
  const needle = needleFor(1, 192 * KIB, random)
  await volumes.append(needle)
  const range = { offsetBytes: 70_000, lengthBytes: 100 * KIB }
  const expected = Buffer.from(needle.body.subarray(range.offsetBytes, range.offsetBytes + range.lengthBytes))
  const read = (of = range, allocate?: Allocate) => volumes.read(needle.id, of, waitIfSlow, allocate)
  const first = read()
  assert.ok(first instanceof Promise, "its volume has to be opened")
  assert.ok(expected.equals(await first))
  const memory = new Uint8Array(256 * KIB)
  const again = read(range, lengthBytes => memory.subarray(0, lengthBytes))
  assert.ok(again instanceof Uint8Array && expected.equals(again))
  assert.equal(again.buffer, memory.buffer)
  const long = read({ offsetBytes: 0, lengthBytes: SYNC_READ_BYTES_MAX + 1 })
  assert.ok(long instanceof Promise, "it would take too long")
  await long
  sim.intercept(failing({ kind: "readSync", nth: 1, code: "EIO" }))
  const failed = read()
  assert.ok(failed instanceof Promise)
  assert.ok(expected.equals(await failed), "the device is asked as well")
  sim.intercept(failing({ kind: ["read", "readSync"], nth: 1, forEver: true, code: "EIO" }))
  assert.equal(
    volumes.read(needle.id, range, () => "not asked"),
    "not asked",
  )
  await rejects(
    asPromise(() => read()),
    "deviceFailed",
  )
})

test("a range of a long needle costs its header and its sub-blocks, not the needle", async () => {
  const world = await opened()
  const needle = needleFor(1, 4 * MIB, random)
  await world.volumes.append(needle)
  const { disk, seen } = counted(world.sim.boot())
  const again = await openVolumes(disk, world.rows, volumeDirectory(2), undefined)
  seen.readBytes = 0
  await again.read(needle.id, { offsetBytes: 3 * MIB + 5, lengthBytes: 100 }, waitIfSlow)
  assert.ok(seen.readBytes < 66 * KIB, `${seen.readBytes} bytes read`)
  seen.readBytes = 0
  await again.read(needle.id, { offsetBytes: 0, lengthBytes: 100 }, waitIfSlow)
  assert.ok(seen.readBytes < 66 * KIB, `${seen.readBytes} bytes read`)
})

test("appends that wait together share a write", async () => {
  const world = await opened()
  let writes = 0
  world.sim.intercept(call => void (writes += call.kind === "write" ? 1 : 0))
  const all = needles(300, 1000)
  await Promise.all(all.map(needle => world.volumes.append(needle)))
  // The volume's header, and the group.
  assert.equal(writes, 2)
  await assertHolds(world, all)
})

test("appends that arrive while a write is under way share the next", async () => {
  const world = await opened()
  const all = needles(41, 1000)
  await world.volumes.append(all[0] ?? assert.fail())
  let writes = 0
  world.sim.intercept(async call => {
    if (call.kind !== "write") return
    writes += 1
    await new Promise(resolve => setImmediate(resolve))
  })
  const first = world.volumes.append(all[1] ?? assert.fail())
  await Promise.resolve().then(() => undefined)
  await Promise.all([first, ...all.slice(2).map(needle => world.volumes.append(needle))])
  assert.ok(writes <= 2, `${writes} writes`)
  await assertHolds(world, all)
})

test("appends beyond the limits of the queue are rejected immediately, and the others succeed", async () => {
  const world = await opened(new SimDisk(), { ...VOLUME_LIMITS, appendsQueuedMax: 10, appendBytesQueuedMax: 100_000 })
  const many = needles(12, 100)
  const outcomes = await Promise.allSettled(many.map(needle => world.volumes.append(needle)))
  assert.deepEqual(
    outcomes.map(({ status }) => status === "fulfilled"),
    [...new Array<boolean>(10).fill(true), false, false],
  )
  const large = needles(4, 60_000, 50)
  const sizes = await Promise.allSettled(large.map(needle => world.volumes.append(needle)))
  assert.ok(sizes.some(outcome => outcome.status === "rejected" && isFailure(outcome.reason, "tooManyInFlight")))
  await world.volumes.append(needleFor(70, 200_000, random))
  await assertHolds(world, many.slice(0, 10))
})

test("a volume that is full is followed by another; all stay readable, few stay open", async () => {
  const sim = new SimDisk()
  const { disk, seen } = counted(sim.boot())
  const rows = new MapRows()
  const volumes = await openVolumes(disk, rows, volumeDirectory(1), undefined, { limits: SMALL })
  const all = needles(60, 20_000)
  for (const needle of all) await volumes.append(needle)
  const world = { sim, rows, volumes }
  await assertHolds(world, all)
  assert.ok(volumes.usage().volumes >= 5)
  assert.ok(volumes.usage().writtenBytes >= 60 * 20_000)
  assert.ok(seen.open <= SMALL.filesOpenMax + 1, `${seen.open} files are open`)
  await Promise.all(all.map(needle => readWhole(world, needle)))
  assert.ok(seen.open <= SMALL.filesOpenMax + 1, `${seen.open} files are open`)
  await volumes.close()
  assert.equal(seen.open, 0)
  await assertHolds(await opened(sim, SMALL, 2), all)
})

test("a needle longer than a volume gets one to itself", async () => {
  const world = await opened(new SimDisk(), SMALL)
  const all = [needleFor(1, 1000, random), needleFor(2, 1 * MIB, random), needleFor(3, 1000, random)]
  for (const needle of all) await world.volumes.append(needle)
  await assertHolds(world, all)
  assert.equal(world.volumes.usage().volumes, 3)
})

test("a removed needle is gone, stays gone, and may come back", async () => {
  const world = await opened(new SimDisk(), SMALL)
  const all = needles(20)
  for (const needle of all) await world.volumes.append(needle)
  const removed = all.slice(5, 9)
  await world.volumes.remove([...removed.map(({ id }) => id), needleIdFor(999)])
  const [back] = removed
  assert.ok(back)
  await world.volumes.append(back)
  const left = all.filter(needle => needle === back || !removed.includes(needle))
  for (const now of [world, await opened(world.sim, SMALL, 2)]) {
    for (const { id } of removed.slice(1)) {
      assert.equal(now.volumes.has(id), false)
      await rejects(
        asPromise(() => now.volumes.read(id, { offsetBytes: 0, lengthBytes: 1 }, waitIfSlow)),
        "noSuchNeedle",
      )
    }
    await assertHolds(now, left)
  }
})

test("of two copies of a needle the later one is read, also after a restart", async () => {
  const world = await opened()
  const needle = needleFor(1, 10_000, random)
  await world.volumes.append(needle)
  const first = placeBit(world, needle, headerBytes(world, needle) + 100)
  world.sim.flipBit(first.path, first.bit)
  await rejects(readWhole(world, needle), "corruptNeedle")
  await world.volumes.append(needle)
  await assertHolds(world, [needle])
  await assertHolds(await opened(world.sim, VOLUME_LIMITS, 2), [needle])
})

test("a place that holds another needle is a damaged needle, not that needle's bytes", async () => {
  const world = await opened()
  const [one, other] = needles(2, 3000)
  assert.ok(one && other)
  const sameLength = needleOf(one.id, random.bytes(other.body.length))
  await world.volumes.append(sameLength)
  await world.volumes.append(other)
  const place = world.rows.get("needles", needleKeyOf(other.id))?.value
  world.rows.apply([{ family: "needles", key: needleKeyOf(one.id), value: place }])
  await rejects(readWhole(world, sameLength), "corruptNeedle")
})

test("a read whose needle moves meanwhile looks it up in the index again", async () => {
  const world = await opened(new SimDisk(), SMALL)
  const needle = needleFor(1, 100_000, random)
  await world.volumes.append(needle)
  const old = placeBit(world, needle, headerBytes(world, needle))
  world.sim.flipBit(old.path, old.bit)
  let moved = false
  world.sim.intercept(async call => {
    if (call.kind !== "read" || moved) return
    moved = true
    await world.volumes.append(needle)
  })
  await assertHolds(world, [needle])
  assert.ok(moved)
})

test("after a failed write nothing more is accepted, and acknowledged needles survive a restart", async () => {
  const world = await opened()
  const all = needles(30)
  const acknowledged: Needle[] = []
  world.sim.intercept(failing({ kind: "write", nth: 8, code: "EIO" }))
  for (const needle of all) {
    await world.volumes.append(needle).then(
      () => acknowledged.push(needle),
      error => assert.ok(isFailure(error, "deviceFailed")),
    )
  }
  assert.equal(acknowledged.length, 6, "the header, six groups, and no more")
  await assertHolds(world, acknowledged)
  world.sim.intercept(() => undefined)
  world.sim.crash(random)
  await assertHolds(await opened(world.sim, VOLUME_LIMITS, 2), acknowledged)
})

test("a disk with read errors while it is opened makes no needle bad permanently", async () => {
  const flip = rots(bytes => (bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1))
  const all = needles(5, 20_000)
  let [kept, readsMax] = [0, 1]
  for (let nth = 1; nth <= readsMax; nth += 1) {
    for (const forEver of [false, true]) {
      const sim = new SimDisk()
      const first = await opened(sim)
      await Promise.all(all.map(needle => first.volumes.append(needle)))
      sim.kill()
      let reads = 0
      const bend = nthOf({ kind: "read", nth, forEver }, flip)
      sim.intercept(call => {
        if (call.kind === "read") reads += 1
        return bend(call)
      })
      await opened(sim, VOLUME_LIMITS, 2)
      sim.intercept(() => undefined)
      sim.kill()
      const { volumes, rows } = await opened(sim, VOLUME_LIMITS, 3)
      // A last group that reads as torn counts as never written, which others notice and repair.
      const there = all.filter(({ id }) => volumes.has(id))
      await assertHolds({ sim, rows, volumes }, there)
      kept += there.length
      readsMax = Math.max(readsMax, reads)
    }
  }
  assert.ok(kept > all.length, "not every wrong read costs the group")
})

test("a full disk rejects appends until there is space again, without losing or inventing anything", async () => {
  const sim = new SimDisk()
  const world = await opened(sim)
  const before = needles(10)
  for (const needle of before) await world.volumes.append(needle)
  sim.capacityBytes = sim.medium.usedBytes + 7000
  const during = needles(5, 20_000, 100)
  for (const needle of during) await rejects(world.volumes.append(needle), "deviceFull")
  await rejects(Promise.all(during.map(needle => world.volumes.append(needle))), "deviceFull")
  sim.capacityBytes = 2 ** 40
  const after = needles(10, 5000, 200)
  for (const needle of after) await world.volumes.append(needle)
  await assertHolds(world, [...before, ...after])
  const later = await opened(sim, VOLUME_LIMITS, 2)
  await assertHolds(later, [...before, ...after])
  assert.deepEqual(later.volumes.damages, [])
  for (const { id } of during) assert.equal(later.volumes.has(id), false)
  assert.ok(later.volumes.usage().volumes <= 3, "attempts on a full disk leave no files behind")
})

test("a partition's needles are listed in the order of the index", async () => {
  const world = await opened()
  const id = needleIdFor(1)
  const ids = [3, 0, 2, 1].map(slot => ({ ...id, slot }))
  for (const each of [...ids, needleIdFor(2), needleIdFor(3)])
    await world.volumes.append(needleOf(each, random.bytes(64)))
  assert.deepEqual(
    Array.from(world.volumes.indexed(needleKeysOfPartition(id.partition)), ({ key }) => needleIdOfKey(key).slot),
    [0, 1, 2, 3],
  )
  const empty = needleIdFor(77)
  assert.deepEqual([...world.volumes.indexed(needleKeysOfPartition(empty.partition))], [])
  const [first] = world.volumes.indexed({ start: needleKeyOf(ids[0] ?? id), end: rowKeyOf("\xff") })
  const { policy, blockLengthBytes } = needleOf(id, new Uint8Array(64))
  const shape = { policy, blockLengthBytes }
  assert.deepEqual(first, { key: needleKeyOf(ids[0] ?? id), bodyBytes: 64, shape, isSuspect: false })
})

test("a needle that is removed while it is on its way is gone", async () => {
  const world = await opened()
  const late = needleFor(600, 64, random)
  const appended = world.volumes.append(late)
  await world.volumes.remove([late.id])
  await appended
  assert.equal(world.volumes.has(late.id), false)
  await world.volumes.close()
  assert.equal((await opened(world.sim, VOLUME_LIMITS, 2)).volumes.has(late.id), false)
})

test("closing finishes waiting appends and accepts nothing more", async () => {
  const world = await opened()
  const all = needles(20)
  const appends = all.map(needle => world.volumes.append(needle))
  await world.volumes.close()
  await Promise.all(appends)
  await rejects(world.volumes.append(needleFor(500, 64, random)), "stopping")
  await assertHolds(await opened(world.sim, VOLUME_LIMITS, 2), all)
})

test("damage in the middle is reported and costs no more than its group", async () => {
  for (const where of ["group header", "needle header"]) {
    const world = await opened(new SimDisk(), SMALL)
    const all = needles(30, 12_000)
    for (const needle of all) await world.volumes.append(needle)
    const victim = all[4] ?? assert.fail()
    const at = placeBit(world, victim, where === "group header" ? -40 : 20)
    world.sim.flipBit(at.path, at.bit)
    const later = await opened(world.sim, SMALL, 2)
    assert.equal(later.volumes.damages.length, 1, where)
    assert.equal(later.volumes.damages[0]?.volumeId, 1)
    assert.equal(later.volumes.has(victim.id), false)
    await assertHolds(
      later,
      all.filter(needle => needle !== victim),
    )
  }
})

test("a damaged needle header costs its needle, not those behind it in the group", async () => {
  const all = needles(6, 3000)
  const victim = all[2] ?? assert.fail()
  const world = await opened()
  await Promise.all(all.map(needle => world.volumes.append(needle)))
  await world.volumes.append(needleFor(50, 3000, random))
  const length = headerBytes(world, victim)
  // Without its length or its end, the place of the next one is unknown.
  const leads = (byte: number): boolean =>
    byte < 5 || (byte >= 8 && byte < 16) || (byte >= 52 && byte < 56) || (byte >= 64 && byte < 68) || byte >= length - 8
  for (let byte = 0; byte < length; byte += 1) {
    const { path, bit } = placeBit(world, victim, byte)
    world.sim.flipBit(path, bit + (byte % 8))
    const later = await opened(new SimDisk(world.sim.medium.copy()), VOLUME_LIMITS, 2)
    const found = all.map(({ id }) => later.volumes.has(id))
    const lost = leads(byte) ? [true, true, false, false, false, false] : [true, true, false, true, true, true]
    assert.deepEqual(found, lost, `byte ${byte}`)
    await assertHolds(
      later,
      all.filter((_, i) => found[i]),
    )
    assert.equal(later.volumes.damages.length, 1)
    world.sim.flipBit(path, bit + (byte % 8))
  }
})

test("a damaged volume header is reported and costs nothing", async () => {
  const world = await opened()
  const all = needles(5)
  for (const needle of all) await world.volumes.append(needle)
  world.sim.flipBit("/device/volumes/0000000001.volume", 70)
  const later = await opened(world.sim, VOLUME_LIMITS, 2)
  assert.equal(later.volumes.damages.length, 1)
  await assertHolds(later, all)
})

test("a sealed volume that was cut short is reported", async () => {
  const world = await opened(new SimDisk(), SMALL)
  const all = needles(30, 12_000)
  for (const needle of all) await world.volumes.append(needle)
  const file = await world.sim.boot().open("/device/volumes/0000000001.volume", "write")
  await file.truncate(100_000)
  const later = await opened(world.sim, SMALL, 2)
  assert.equal(later.volumes.damages.at(-1)?.volumeId, 1)
  assert.ok(all.some(({ id }) => !later.volumes.has(id)))
})

test("needles behind the end of a volume that was cut short count as missing, although the index has them", async () => {
  const world = await opened()
  const all = needles(5, 12_000)
  for (const needle of all) await world.volumes.append(needle)
  const mark = encodeVolumePosition(world.volumes.durable() ?? assert.fail("nothing is durable"))
  const file = await world.sim.boot().open("/device/volumes/0000000001.volume", "write")
  await file.truncate((await file.sizeBytes()) - 30_000)
  const volumes = await openVolumes(world.sim.boot(), world.rows, volumeDirectory(2), mark)
  const found = all.map(({ id }) => volumes.has(id))
  assert.deepEqual(found, [true, true, true, false, false])
  const keys = new Set([...volumes.indexed(ALL_ROWS)].map(({ key }) => key))
  assert.deepEqual(
    all.map(({ id }) => keys.has(needleKeyOf(id))),
    found,
  )
  const again = all[4] ?? assert.fail("there are five")
  await volumes.append(again)
  assert.ok(volumes.has(again.id), "a new copy is elsewhere")
})

test("another device's volumes are refused", async () => {
  const world = await opened()
  for (const needle of needles(5)) await world.volumes.append(needle)
  const stranger = { ...volumeDirectory(2), deviceId: parseDeviceId("00000000000000d2") }
  const rows = new MapRows()
  await openVolumes(world.sim.boot(), rows, stranger, undefined)
  assert.equal(rows.rows.size, 0)
})

test("inspection shows every group and needle with its verdict, and what cannot be read", async () => {
  const world = await opened()
  const all = needles(6, 70_000)
  for (const needle of all) await world.volumes.append(needle)
  const [, second, , fourth] = all
  assert.ok(second && fourth)
  const body = placeBit(world, second, 1000)
  world.sim.flipBit(body.path, body.bit)
  const header = placeBit(world, fourth, -40)
  world.sim.flipBit(header.path, header.bit)
  const shown: string[] = []
  for await (const item of inspectVolume(world.sim.boot(), body.path)) {
    if (item.kind === "volume") shown.push(`volume ${item.header?.volumeId}`)
    if (item.kind === "group") shown.push(`group ${item.header.sequence}${item.inChain ? "" : " out of chain"}`)
    if (item.kind === "needle") shown.push(item.body)
    if (item.kind === "unreadable") shown.push(`unreadable${item.atEnd ? " end" : ""}`)
  }
  const expected = ["volume 1", "group 1", "good", "group 2", "damaged", "group 3", "good", "unreadable"]
  assert.deepEqual(shown, [...expected, "group 5 out of chain", "good", "group 6", "good"])
})

test("volumes work on a real disk", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-volumes-"))
  try {
    const directory = volumeDirectory(1, join(folder, "volumes"))
    const rows = new MapRows()
    const volumes = await openVolumes(new RealDisk(), rows, directory, undefined, { limits: SMALL })
    const all = needles(40, 30_000)
    await Promise.all(all.map(needle => volumes.append(needle)))
    await volumes.remove([needleIdFor(3)])
    await volumes.close()
    const later = new MapRows()
    const again = await openVolumes(new RealDisk(), later, directory, undefined, { limits: SMALL })
    assert.deepEqual(again.damages, [])
    assert.equal(again.has(needleIdFor(3)), false)
    for (const needle of all) {
      if (needle.id.uploadId === needleIdFor(3).uploadId) continue
      const found = await again.read(needle.id, { offsetBytes: 0, lengthBytes: needle.body.length }, waitIfSlow)
      assert.ok(Buffer.from(needle.body).equals(found))
    }
    await again.close()
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

/** A disk that counts bytes read and files open. */
function counted(disk: Disk): { disk: Disk; seen: { readBytes: number; open: number } } {
  const seen = { readBytes: 0, open: 0 }
  class CountedFile extends WrappedFile {
    override async read(buffer: Uint8Array, offsetBytes: number): Promise<number> {
      const count = await this.below.read(buffer, offsetBytes)
      seen.readBytes += count
      return count
    }

    override close(): Promise<void> {
      seen.open -= 1
      return this.below.close()
    }
  }
  class CountedDisk extends WrappedDisk {
    protected override wrap(file: DiskFile): DiskFile {
      seen.open += 1
      return new CountedFile(file)
    }
  }
  return { seen, disk: new CountedDisk(disk) }
}

test("a needle's header can be read, and a damaged one is refused", async () => {
  const world = await opened()
  const [first, second] = [needleFor(1, 5000, random), needleFor(2, 300 * KIB, random)]
  await world.volumes.append(first)
  await world.volumes.append(second)
  assert.deepEqual((await world.volumes.headerOf(first.id)).owner, first.owner)
  assert.deepEqual((await world.volumes.headerOf(second.id)).checksums, second.checksums)
  await rejects(world.volumes.headerOf(needleIdFor(3)), "noSuchNeedle")
  const { path, bit } = placeBit(world, first, 60)
  world.sim.flipBit(path, bit)
  await rejects(world.volumes.headerOf(first.id), "corruptNeedle")
})
