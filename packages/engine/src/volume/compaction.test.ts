/** Space comes back without any effect on readers, deleters, checkpoints, restarts. */
import assert from "node:assert/strict"
import { mkdtemp, readdir, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import type { FailureKind } from "@hayloft/base/failures.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { asPromise } from "@hayloft/base/soon.js"
import { waitIfSlow } from "./contract.js"
import { decodeNeedlePlace, needleKeyOf } from "../format/needles/needle.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { Compaction } from "./compaction.js"
import type { Needle } from "./contract.js"
import {
  COMPACTION_FOR_TESTS,
  CompactedDevice,
  volumeDirectory,
  MapRows,
  needleFor,
  needleIdFor,
} from "./testing-volumes.js"
import { VOLUME_LIMITS } from "./limits.js"
import { VolumeScanSource } from "./checkpoint-source.js"
import { openVolumes } from "./volumes.js"

const SMALL = { ...VOLUME_LIMITS, volumeBytesMax: 128 * KIB, filesOpenMax: 3 }
const needle = (number: number): Needle => needleFor(number, 4000 + 64 * (number % 7), new SimRandom(number))
const numbers = (from: number, to: number, by = 1): number[] => {
  const all: number[] = []
  for (let number = from; number <= to; number += by) all.push(number)
  return all
}
const device = (limits = SMALL): Promise<CompactedDevice> => new CompactedDevice(limits).start()

async function appendAll(world: CompactedDevice, which: readonly number[]): Promise<void> {
  for (let i = 0; i < which.length; i += 8) {
    await Promise.all(which.slice(i, i + 8).map(number => world.volumes.append(needle(number))))
  }
}
const removeAll = (world: CompactedDevice, which: readonly number[]): Promise<void> =>
  world.volumes.remove(which.map(number => needleIdFor(number)))

async function readsRight(world: CompactedDevice, number: number): Promise<void> {
  const { id, body } = needle(number)
  const found = await world.volumes.read(id, { offsetBytes: 0, lengthBytes: body.length }, waitIfSlow)
  assert.ok(Buffer.from(body).equals(found), `needle ${number}`)
}

/** The device contains exactly these, reads them right, and a scan of everything agrees. */
async function assertHolds(world: CompactedDevice, which: readonly number[]): Promise<void> {
  const expected = which.map(number => `needles/${needleKeyOf(needleIdFor(number))}`).sort()
  assert.deepEqual([...world.rows.rows.keys()].sort(), expected)
  for (const number of which) await readsRight(world, number)
  assert.deepEqual(sorted(await world.rebuilt()), sorted(world.rows))
}
const sorted = (rows: MapRows): unknown => [...rows.rows].sort(([a], [b]) => (a < b ? -1 : 1))

const rejects = (promise: Promise<unknown>, kind: FailureKind): Promise<void> =>
  assert.rejects(promise, error => isFailure(error, kind) || assert.fail(`${String(error)} instead of ${kind}`))

const names = (world: CompactedDevice): string[] => world.sim.medium.namesIn("/device/volumes")
const nameOf = (volume: number): string => `${String(volume).padStart(10, "0")}.volume`
const pathOf = (volume: number): string => `/device/volumes/${nameOf(volume)}`
const placeOf = (world: CompactedDevice, number: number) =>
  decodeNeedlePlace(
    world.rows.get("needles", needleKeyOf(needleIdFor(number)))?.value ?? assert.fail(`needle ${number} is lost`),
  )

test("the space of removed needles comes back, and live needles stay as they were, also after restarts", async () => {
  const world = await device()
  await appendAll(world, numbers(1, 150))
  const dead = numbers(1, 150).filter(number => number % 3 !== 0)
  await removeAll(world, dead)
  const left = numbers(3, 150, 3)
  const before = world.usedBytes
  await world.settle()
  assert.ok(world.usedBytes < before / 2, `${world.usedBytes} of ${before} bytes`)
  assert.ok((world.volumes.usage().deadShare ?? 1) < 0.25, JSON.stringify(world.volumes.usage()))
  await assertHolds(world, left)
  await world.stop()
  await world.start()
  await assertHolds(world, left)
  await appendAll(world, numbers(200, 210))
  await world.stop()
  world.base = new MapRows()
  world.mark = undefined
  await world.start()
  await assertHolds(world, [...left, ...numbers(200, 210)])
  assert.deepEqual(world.volumes.damages, [])
})

test("when everything is removed only an empty volume remains", async () => {
  const world = await device()
  await appendAll(world, numbers(1, 100))
  await world.checkpoint()
  await world.stop()
  await world.start()
  await removeAll(world, numbers(1, 100))
  await world.settle()
  assert.ok(world.usedBytes <= 16 * KIB, `${world.usedBytes} bytes in ${names(world).join(" ")}`)
  await assertHolds(world, [])
})

test("without dead needles compaction does nothing, and it does not disturb a device that is written", async () => {
  const world = await device()
  await appendAll(world, numbers(1, 100))
  const before = names(world)
  assert.ok((await world.settle()) < 40)
  assert.deepEqual(names(world), before)
  const busy = await device({ ...SMALL, volumeBytesMax: 1024 * KIB })
  await appendAll(busy, numbers(1, 50))
  await removeAll(busy, numbers(1, 50))
  for (let number = 60; number < 80; number += 1) {
    busy.nowMs += COMPACTION_FOR_TESTS.quietMs / 2
    await busy.step()
    await busy.volumes.append(needle(number))
  }
  assert.deepEqual(names(busy), [nameOf(1)], "the open volume is left alone")
  await busy.settle()
  assert.deepEqual(names(busy), [nameOf(2)], "until it is quiet")
  await assertHolds(busy, numbers(60, 79))
})

test("a volume is removed only after a checkpoint that contains the change, and after its last reader", async () => {
  const world = await device()
  await appendAll(world, numbers(1, 60))
  await world.checkpoint()
  await removeAll(world, numbers(1, 20))
  const old = { ...placeOf(world, 24) }
  assert.equal(old.volume, 1)
  world.nowMs = 10_000
  let outcome = await world.step()
  for (let i = 0; i < 200 && outcome === "busy"; i += 1) outcome = await world.step()
  assert.equal(outcome, "throttled", "it waits for a checkpoint")
  assert.notEqual(placeOf(world, 24).volume, 1)
  assert.ok(names(world).includes(nameOf(1)))
  // A metadata store without the switch still finds its needles.
  const crashed = new CompactedDevice(SMALL)
  crashed.base = world.base
  crashed.mark = world.mark
  Object.assign(crashed, { sim: world.sim })
  await crashed.start()
  await readsRight(crashed, 24)
  await crashed.stop()

  let letRead: () => void = () => undefined
  const reading = world.volumes.upkeep.fileOf(1 as never)
  world.sim.intercept(call => {
    if (call.kind === "read" && call.path === pathOf(1)) return new Promise<void>(resolve => (letRead = resolve))
    return undefined
  })
  const pending = reading.read(new Uint8Array(10), 0)
  await world.checkpoint()
  for (let i = 0; i < 5; i += 1) await world.step()
  assert.ok(names(world).includes(nameOf(1)), "somebody reads it")
  world.sim.intercept(() => undefined)
  letRead()
  await pending
  for (let i = 0; i < 5; i += 1) await world.step()
  assert.ok(!names(world).includes(nameOf(1)))
  await assertHolds(world, numbers(21, 60))
})

test("a needle that is removed while it is copied is gone, now and for every later scan", async () => {
  const world = await device()
  await appendAll(world, numbers(1, 40))
  await removeAll(world, numbers(1, 10))
  world.nowMs = 10_000
  const removals: Promise<void>[] = []
  let next = 11
  // Right before, during and after the writes of copies: each written group removes some of its needles.
  world.sim.intercept(async call => {
    if (call.kind !== "write" && call.kind !== "read") return
    if (next <= 24 && (call.kind === "write" || next % 2 === 0)) {
      removals.push(removeAll(world, [next]))
      next += 1
    }
    await new Promise(resolve => setImmediate(resolve))
  })
  for (let i = 0; i < 60; i += 1) await world.step()
  world.sim.intercept(() => undefined)
  await Promise.all(removals)
  assert.ok(next > 20, `only ${next - 11} were removed meanwhile`)
  await assertHolds(world, numbers(next, 40))
  await world.settle()
  await assertHolds(world, numbers(next, 40))
})

test("an index that cannot be read at some moment fails a step of compaction, and nothing else", async () => {
  let failures = 0
  for (let nth = 1; nth <= 100; nth += 9) {
    const world = await device()
    await appendAll(world, numbers(1, 40))
    await removeAll(world, numbers(1, 10))
    world.nowMs = 10_000
    const { rows } = world
    const get = rows.get.bind(rows)
    let calls = 0
    rows.get = (family, key) => {
      calls += 1
      if (calls === nth) throw fail("deviceFailed", { code: "EIO" })
      return get(family, key)
    }
    for (let i = 0; i < 60; i += 1) {
      await world.step().catch((error: unknown) => {
        assert.ok(isFailure(error, "deviceFailed"), String(error))
        failures += 1
      })
    }
    rows.get = get
    await world.volumes.append(needle(41))
    await assertHolds(world, numbers(11, 41))
  }
  assert.ok(failures > 2, `only ${failures} steps failed`)
})

test("a needle whose removal is written together with its copy is gone", async () => {
  const world = await device({ ...SMALL, copyBytesPerGroupMax: 5 * KIB })
  await appendAll(world, numbers(1, 40))
  await removeAll(world, numbers(1, 10))
  world.nowMs = 10_000
  const removals: Promise<void>[] = []
  const removed = new Set<number>()
  world.sim.intercept(async call => {
    if (call.kind !== "write" || removals.length >= 5) return
    // One needle a write, in the order of their numbers: the first that has not moved is in this one.
    const next = numbers(11, 24).filter(number => !removed.has(number) && placeOf(world, number).volume === 1)[1]
    if (next === undefined) return
    removed.add(next)
    removals.push(removeAll(world, [next]))
    await new Promise(resolve => setImmediate(resolve))
  })
  for (let i = 0; i < 60; i += 1) await world.step()
  world.sim.intercept(() => undefined)
  await Promise.all(removals)
  assert.equal(removed.size, 5)
  await assertHolds(
    world,
    numbers(11, 40).filter(number => !removed.has(number)),
  )
})

test("readers that run all the time get right bytes", async () => {
  const world = await device()
  await appendAll(world, numbers(1, 120))
  const left = numbers(2, 120, 4)
  await removeAll(
    world,
    numbers(1, 120).filter(number => !left.includes(number)),
  )
  world.sim.intercept(async call => {
    if (call.kind === "read") await new Promise(resolve => setImmediate(resolve))
  })
  let reads = 0
  let isOver = false
  const reader = async (seed: number): Promise<void> => {
    const random = new SimRandom(seed)
    while (!isOver) {
      await readsRight(world, left[random.below(left.length)] ?? assert.fail())
      reads += 1
    }
  }
  const readers = [1, 2, 3, 4].map(reader)
  await world.settle()
  isOver = true
  await Promise.all(readers)
  assert.ok(reads > 300, `only ${reads} reads`)
  assert.ok(!names(world).includes(nameOf(1)))
})

test("copies and appends share writes, and neither waits for the other to end", async () => {
  const world = await device({ ...SMALL, volumeBytesMax: 256 * KIB, copyBytesPerGroupMax: 8 * KIB })
  await appendAll(world, numbers(1, 100))
  assert.equal(placeOf(world, 50).volume, 1)
  await removeAll(world, numbers(1, 20))
  world.nowMs = 10_000
  let writes = 0
  world.sim.intercept(async call => {
    if (call.kind !== "write") return
    writes += 1
    await new Promise(resolve => setImmediate(resolve))
  })
  let isOver = false
  let [appended, number] = [0, 1000]
  const writer = async (): Promise<void> => {
    while (!isOver) {
      await world.volumes.append(needle((number += 1)))
      appended += 1
    }
  }
  const writers = [writer(), writer(), writer()]
  for (let i = 0; i < 200 && placeOf(world, 50).volume === 1; i += 1) await world.step()
  assert.notEqual(placeOf(world, 50).volume, 1)
  isOver = true
  await Promise.all(writers)
  // More than 30 copies of 4 KiB, one or two to a write; up to three appends in each.
  assert.ok(appended > 30, `only ${appended} appends`)
  assert.ok(writes < appended, `${writes} writes for ${appended} appends beside the copies`)
})

test("rotten needles are reported, not copied, and hold their volume until they are rebuilt", async () => {
  for (const where of ["body", "header", "group"] as const) {
    const world = await device()
    await appendAll(world, numbers(1, 60))
    await world.checkpoint()
    await removeAll(world, numbers(1, 10))
    // The first of its group.
    const victim = 17
    const { volume, offsetBytes, headerBytes } = placeOf(world, victim)
    const byte = { body: offsetBytes + headerBytes + 1000, header: offsetBytes + 30, group: offsetBytes - 30 }[where]
    world.sim.flipBit(pathOf(volume), 8 * byte)
    await world.settle()
    if (where === "group") {
      // The needles themselves are whole: the index has their places.
      assert.deepEqual(world.damaged, [])
      assert.ok(!names(world).includes(nameOf(volume)))
      await assertHolds(world, numbers(11, 60))
      continue
    }
    assert.deepEqual(world.damaged, [needleIdFor(victim)], where)
    assert.equal(world.volumes.has(needleIdFor(victim)), false)
    const listed = [...world.volumes.indexed({ start: "\x00" as never, end: "\xff" as never })]
    assert.deepEqual([listed.length, listed.filter(({ isSuspect }) => isSuspect).length], [50, 1])
    assert.ok(names(world).includes(nameOf(volume)), "the volume is held")
    assert.deepEqual(placeOf(world, victim), { ...placeOf(world, victim), volume, offsetBytes })
    await rejects(readsRight(world, victim), "corruptNeedle")
    for (const number of numbers(11, 60)) if (number !== victim) await readsRight(world, number)
    await world.volumes.append(needle(victim))
    assert.ok(world.volumes.has(needleIdFor(victim)))
    await world.settle()
    assert.ok(!names(world).includes(nameOf(volume)), "the volume is gone")
    await assertHolds(world, numbers(11, 60))
  }
})

test("the intact sub-blocks of a suspect needle can still be read", async () => {
  const world = await device({ ...SMALL, volumeBytesMax: 2048 * KIB })
  const large = needleFor(1, 400 * KIB, new SimRandom(1))
  await world.volumes.append(large)
  const { offsetBytes, headerBytes } = placeOf(world, 1)
  world.sim.flipBit(pathOf(1), 8 * (offsetBytes + headerBytes + 70 * KIB))
  world.volumes.markSuspect([large.id, needleIdFor(2)])
  assert.deepEqual([world.volumes.has(large.id), world.volumes.has(needleIdFor(2))], [false, false])
  const found = await world.volumes.read(large.id, { offsetBytes: 200 * KIB, lengthBytes: 1000 }, waitIfSlow)
  assert.ok(Buffer.from(large.body.subarray(200 * KIB, 200 * KIB + 1000)).equals(found))
  await world.volumes.remove([large.id])
  await rejects(
    asPromise(() => world.volumes.read(large.id, { offsetBytes: 0, lengthBytes: 1 }, waitIfSlow)),
    "noSuchNeedle",
  )
  await world.volumes.append(large)
  assert.ok(world.volumes.has(large.id), "a new copy is trusted")
})

test("a full disk gets its space back out of the reserve", async () => {
  const world = await device()
  await appendAll(world, numbers(1, 150))
  world.hasSpace = false
  // A reserve of two volumes, and not a byte more.
  world.sim.capacityBytes = world.usedBytes + 2 * SMALL.volumeBytesMax
  await rejects(world.volumes.append(needle(900)), "deviceFull")
  await removeAll(
    world,
    numbers(1, 150).filter(number => number % 3 !== 0),
  )
  let most = 0
  world.sim.intercept(() => void (most = Math.max(most, world.usedBytes)))
  await world.settle()
  assert.ok(most < world.sim.capacityBytes)
  assert.ok((world.volumes.usage().deadShare ?? 1) < 0.25)
  await assertHolds(world, numbers(3, 150, 3))
  world.hasSpace = true
  await appendAll(world, [900])
})

test("a disk without space for one copy makes compaction wait, and fails no request", async () => {
  const world = await device()
  await appendAll(world, numbers(1, 60))
  await removeAll(world, numbers(1, 60, 2))
  world.sim.capacityBytes = world.usedBytes
  world.nowMs = 10_000
  for (let i = 0; i < 60; i += 1) await world.step()
  assert.equal(await world.step(), "throttled")
  await assertHolds(world, numbers(2, 60, 2))
  world.sim.capacityBytes = 2 ** 40
  await world.settle()
  assert.ok((world.volumes.usage().deadShare ?? 1) < 0.25)
  await assertHolds(world, numbers(2, 60, 2))
})

test("tombstones stay as long as an older volume could bring their needles back, and not longer", async () => {
  const world = await device()
  // The first volume contains permanent needles, and one needle to be removed.
  await appendAll(world, numbers(1, 24))
  assert.equal(placeOf(world, 24).volume, 1)
  await removeAll(world, [1])
  // Many needles that are soon removed, which fill volume after volume together with their tombstones.
  for (let from = 100; from < 1100; from += 50) {
    await appendAll(world, numbers(from, from + 49))
    await removeAll(world, numbers(from, from + 49))
    if (from % 200 === 0) {
      await world.settle()
      await assertHolds(world, numbers(2, 24))
      await world.stop()
      await world.start()
      await world.settle()
    }
  }
  await world.settle()
  await assertHolds(world, numbers(2, 24))
  const { writtenBytes, liveBytes = 0 } = world.volumes.usage()
  // 1,000 tombstones are 80,000 bytes.
  assert.ok(writtenBytes - liveBytes < 60_000, `${writtenBytes - liveBytes} bytes are no needles`)
  const held = world.volumes.upkeep.usages.list().reduce((sum, usage) => sum + (usage.tombstoneBytes ?? 0), 0)
  assert.ok(held < 40_000, `${held} bytes of tombstones`)
})

test("a checkpoint that is under way when its mark's volume is removed succeeds", async () => {
  const world = await device()
  await appendAll(world, numbers(1, 20))
  await removeAll(world, numbers(1, 20))
  await world.checkpoint()
  // The mark is at the end of the only volume, which is about to be removed.
  world.nowMs = 10_000
  for (let i = 0; i < 20 && names(world).length < 2; i += 1) {
    await world.step()
    world.nowMs += 1000
  }
  let isHeldUp = false
  let letGo: () => void = () => undefined
  world.sim.intercept(call => {
    if (isHeldUp || call.kind !== "open" || call.path !== pathOf(1)) return undefined
    isHeldUp = true
    return new Promise<void>(resolve => (letGo = resolve))
  })
  const source = new VolumeScanSource(world.sim.boot(), volumeDirectory(1), world.volumes.durable())
  const collected = (async () => {
    const rows = new MapRows()
    for await (const write of source.collect(world.mark)) rows.apply([write])
    return rows
  })()
  await new Promise(setImmediate)
  assert.ok(isHeldUp, "the checkpoint has listed it")
  for (let i = 0; i < 20; i += 1) await world.step()
  assert.ok(!names(world).includes(nameOf(1)), "gone while the checkpoint runs")
  letGo()
  assert.equal((await collected).rows.size, 0)
  await appendAll(world, [30])
  await world.stop()
  await world.start()
  await assertHolds(world, [30])
})

test("a volume whose successor was removed still distinguishes rot in its last group from a torn tail", async () => {
  const world = await device()
  await appendAll(world, numbers(1, 26))
  const [last] = numbers(1, 26)
    .filter(number => placeOf(world, number).volume === 1)
    .slice(-1)
  await appendAll(world, numbers(100, 126))
  assert.equal(placeOf(world, 100).volume, 2)
  await removeAll(world, numbers(100, 126))
  await world.settle()
  assert.ok(names(world).includes(nameOf(1)) && !names(world).includes(nameOf(2)))
  const { offsetBytes, headerBytes } = placeOf(world, last ?? 0)
  world.sim.flipBit(pathOf(1), 8 * (offsetBytes + headerBytes + 100))
  assert.deepEqual(sorted(await world.rebuilt()), sorted(world.rows), "a rotten body costs no index entry")
  world.sim.flipBit(pathOf(1), 8 * (offsetBytes + 20))
  const rows = new MapRows()
  const again = await openVolumes(world.sim.boot(), rows, volumeDirectory(9), undefined, { limits: SMALL })
  assert.equal(again.damages.length, 1, "and a rotten header is damage")
})

test("compaction works on a real disk", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-compaction-"))
  try {
    const directory = volumeDirectory(1, join(folder, "volumes"))
    const rows = new MapRows()
    const volumes = await openVolumes(new RealDisk(), rows, directory, undefined, { limits: SMALL })
    await Promise.all(numbers(1, 120).map(number => volumes.append(needle(number))))
    await volumes.remove(numbers(1, 100).map(number => needleIdFor(number)))
    const clock = new SimClock()
    const compaction = new Compaction(
      "compaction",
      volumes.upkeep,
      clock,
      () => assert.fail("rot"),
      COMPACTION_FOR_TESTS,
    )
    for (let i = 0; i < 300; i += 1) {
      if ((await compaction.step(new AbortController().signal)) === "busy") continue
      volumes.contained(volumes.durable())
      await clock.advance(COMPACTION_FOR_TESTS.quietMs)
    }
    const onDisk = await readdir(join(folder, "volumes"))
    assert.equal(onDisk.length, volumes.usage().volumes)
    assert.ok(!onDisk.includes(nameOf(1)))
    let bytes = 0
    for (const name of onDisk) bytes += (await stat(join(folder, "volumes", name))).size
    assert.equal(bytes, volumes.usage().writtenBytes)
    assert.ok(bytes < 150_000, `${bytes} bytes`)
    await volumes.close()
    const again = await openVolumes(new RealDisk(), new MapRows(), directory, undefined, { limits: SMALL })
    for (const number of numbers(101, 120)) {
      const { id, body } = needle(number)
      assert.ok(
        Buffer.from(body).equals(await again.read(id, { offsetBytes: 0, lengthBytes: body.length }, waitIfSlow)),
      )
    }
    assert.equal(again.has(needleIdFor(1)), false)
    await again.close()
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

/** A device with two thirds of live needles, and so much space for copies. */
async function shortDevice(spaceBytes: () => number) {
  const world = await device()
  await appendAll(world, numbers(1, 150))
  await world.checkpoint()
  await removeAll(world, numbers(1, 150, 3))
  const space = {
    isFull: true,
    isShort: true,
    get copySpaceBytes(): number {
      return spaceBytes()
    },
  }
  const clock = new SimClock()
  const damage = (): void => assert.fail("nothing is damaged")
  const compaction = new Compaction("short", world.volumes.upkeep, clock, damage, COMPACTION_FOR_TESTS, space)
  const kept = numbers(1, 150).filter(number => number % 3 !== 1)
  return { world, compaction, kept }
}
const step = (compaction: Compaction) => compaction.step(new AbortController().signal)

test("without space for copies a wholly dead volume is removed, and nothing is copied out of others", async () => {
  const { world, compaction, kept } = await shortDevice(() => 0)
  const dead = placeOf(world, 2).volume
  const inIt = kept.filter(number => placeOf(world, number).volume === dead)
  await removeAll(world, inIt)
  const before = world.usedBytes
  const places = kept.filter(number => !inIt.includes(number)).map(number => placeOf(world, number))
  for (let i = 0; i < 100; i += 1) {
    await step(compaction)
    await world.checkpoint()
  }
  const now = kept.filter(number => !inIt.includes(number)).map(number => placeOf(world, number))
  assert.deepEqual(now, places, "nothing is copied")
  assert.ok(!names(world).includes(nameOf(dead)), "it is gone")
  assert.ok(world.usedBytes < before)
  await assertHolds(
    world,
    kept.filter(number => !inIt.includes(number)),
  )
})

test("copies that no checkpoint contains are undone: their space is free, and later writes stay", async () => {
  let spaceBytes = Infinity
  const { world, compaction, kept } = await shortDevice(() => spaceBytes)
  const before = world.usedBytes
  while (world.usedBytes < before + 40 * KIB) await step(compaction)
  spaceBytes = 0
  await removeAll(world, kept.slice(0, 2))
  await appendAll(world, [900])
  const taken = world.usedBytes
  assert.equal(await compaction.undoCopies(), true)
  assert.ok(world.usedBytes < taken - 20 * KIB, `${taken - world.usedBytes} bytes are free`)
  assert.equal(await compaction.undoCopies(), false, "nothing is left to undo")
  const holds = [...kept.slice(2), 900]
  await assertHolds(world, holds)
  // A process that dies now finds the same, with the metadata store from before and with the next one.
  for (const isChecked of [false, true]) {
    if (isChecked) await world.checkpoint()
    await world.stop()
    await world.start()
    await assertHolds(world, holds)
  }
})

test("copies that a checkpoint contains are not undone", async () => {
  const { world, compaction, kept } = await shortDevice(() => Infinity)
  const before = world.usedBytes
  while (world.usedBytes < before + 40 * KIB) await step(compaction)
  await world.checkpoint()
  assert.equal(await compaction.undoCopies(), false)
  await assertHolds(world, kept)
})
