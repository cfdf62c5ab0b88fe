/** Needles that end have volumes of their own, which are removed without a copy. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { needleKeyOf } from "../format/needles/needle.js"
import { failing } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { waitIfSlow } from "./contract.js"
import { classOfEnd, EXPIRING_CLASSES, endsByOf, fillingMsOf, isMostlyDead, isOverdue } from "./expiring-core.js"
import { VOLUME_LIMITS } from "./limits.js"
import { EndingDevice, folderOfClass } from "./testing-device-volumes.js"
import { COMPACTION_FOR_TESTS, needleFor, needleIdFor } from "./testing-volumes.js"

const DAY_MS = 86_400_000
const HOUR_MS = DAY_MS / 24
const LIMITS = { ...VOLUME_LIMITS, volumeBytesMax: 512 * KIB }
const BODY_BYTES = 1 * KIB
const LARGE_STEPS = { stepRowsMax: 2_000, stepNeedlesMax: 500 }
const [CLASS_1D, , CLASS_10D] = EXPIRING_CLASSES

const needle = (number: number) => needleFor(number, BODY_BYTES, new SimRandom(number))
const numbersFrom = (first: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, i) => first + i)

async function append(device: EndingDevice, numbers: readonly number[], days?: number): Promise<void> {
  const endsAtMs = days === undefined ? undefined : device.nowMs + days * DAY_MS
  await Promise.all(numbers.map(number => device.volumes.append({ ...needle(number), endsAtMs })))
}

const remove = (device: EndingDevice, numbers: readonly number[]): Promise<void> =>
  device.volumes.remove(numbers.map(number => needleIdFor(number)))

async function readAll(device: EndingDevice, numbers: readonly number[]): Promise<void> {
  for (const number of numbers) {
    const { id, body } = needle(number)
    const found = await device.volumes.read(id, { offsetBytes: 0, lengthBytes: body.length }, waitIfSlow)
    assert.ok(Buffer.from(body).equals(found), `needle ${number}`)
  }
}

const copiedBytes = ({ compaction }: EndingDevice): number =>
  [compaction.counts, ...compaction.expiringCounts].reduce((sum, counts) => sum + counts.copiedBytes, 0)

/** Writes needles that end in turn with others that stay; then the first are removed, and the space comes back. */
async function mixed(days: number | undefined): Promise<EndingDevice> {
  const device = await new EndingDevice(LIMITS, { ...COMPACTION_FOR_TESTS, ...LARGE_STEPS }).start()
  const [ending, staying] = [numbersFrom(1, 1_000), numbersFrom(1_001, 1_000)]
  for (let at = 0; at < 1_000; at += 20) {
    await append(device, ending.slice(at, at + 20), days)
    await append(device, staying.slice(at, at + 20))
  }
  device.nowMs += DAY_MS
  for (let at = 0; at < 1_000; at += 100) await remove(device, ending.slice(at, at + 100))
  await device.settle()
  await readAll(device, staying)
  assert.equal([...device.volumes.indexed(ALL_ROWS)].length, 1_000)
  return device
}

test("1,000 needles that have ended give their space back without a copy, beside 1,000 that stay", async () => {
  const device = await mixed(0.9)
  assert.equal(copiedBytes(device), 0)
  const [counts] = device.compaction.expiringCounts
  assert.ok(counts !== undefined && counts.freedWholeBytes >= 1_000 * BODY_BYTES, JSON.stringify(counts))
  assert.equal(counts.freedBytes, counts.freedWholeBytes)
  assert.equal(counts.movedBytes, 0)
})

test("without the hint, what stays is copied", async () => {
  const device = await mixed(undefined)
  assert.ok(copiedBytes(device) >= 500 * BODY_BYTES, `${copiedBytes(device)} bytes were copied`)
  assert.deepEqual(device.compaction.expiringCounts, [])
})

test("a device without such needles has no further folder, refuses no release and pays no index row", async () => {
  const device = await new EndingDevice(LIMITS).start()
  await append(device, numbersFrom(1, 20))
  await append(device, numbersFrom(21, 5), 365)
  await device.checkpoint()
  assert.equal(device.refusals, 0)
  assert.deepEqual(device.volumes.expiring, [])
  for (const ends of EXPIRING_CLASSES) assert.deepEqual(device.filesOf(ends), [])
  assert.ok([...device.rows.rows.keys()].every(name => name.startsWith("needles/")))
})

test("earlier releases are refused before the first folder of a class exists", async () => {
  const device = await new EndingDevice(LIMITS).start()
  let before: number | undefined
  device.sim.intercept(call => {
    if (call.path.startsWith(folderOfClass(CLASS_1D))) before ??= device.refusals
  })
  await append(device, [1], 0.5)
  assert.equal(before, 1)
})

test("a volume of a class is left after an eighth of its span, also if few needles come", async () => {
  const device = await new EndingDevice(LIMITS).start()
  for (let hours = 0; hours < 12; hours += 1) {
    await append(device, [hours + 1], 0.5)
    device.nowMs += HOUR_MS
  }
  assert.equal(device.filesOf(CLASS_1D).length, 4)
  assert.equal(fillingMsOf(CLASS_1D), 3 * HOUR_MS)
})

test("what is still there when its time is over moves to the ordinary volumes, once", async () => {
  const device = await new EndingDevice(LIMITS).start()
  await append(device, numbersFrom(1, 100), 9)
  await remove(device, numbersFrom(1, 40))
  await device.settle()
  assert.equal(copiedBytes(device), 0, "nothing is copied before the time is over")
  await device.stop()
  await device.start()
  device.nowMs = endsByOf(CLASS_10D, device.nowMs) + 3 * DAY_MS
  await device.settle()
  await readAll(device, numbersFrom(41, 60))
  const [counts] = device.compaction.expiringCounts
  assert.ok(counts !== undefined && counts.movedBytes >= 60 * BODY_BYTES, JSON.stringify(counts))
  assert.equal([...device.volumes.ordinary.indexed(ALL_ROWS)].length, 60)
  const moved = counts.movedBytes
  device.nowMs += 100 * DAY_MS
  await device.settle()
  assert.equal(device.compaction.expiringCounts[0]?.movedBytes, moved)
})

test("a volume that is mostly dead before its time is copied after a while, and at once when space is short", async () => {
  for (const isShort of [false, true]) {
    const device = await new EndingDevice(LIMITS).start()
    await append(device, numbersFrom(1, 200), 9)
    await device.volumes.expiring[0]?.volumes.upkeep.leaveVolume()
    await append(device, [999], 9)
    await remove(device, numbersFrom(1, 190))
    device.space.isShort = isShort
    await device.settle()
    if (!isShort) {
      assert.equal(copiedBytes(device), 0)
      device.nowMs += fillingMsOf(CLASS_10D)
      await device.settle()
    }
    assert.ok(copiedBytes(device) >= 10 * BODY_BYTES)
    assert.ok(!device.filesOf(CLASS_10D).includes("0000000001.volume"))
    await readAll(device, numbersFrom(191, 10))
  }
})

test("if the volumes of a class cannot be made, the needle is written to the ordinary ones", async () => {
  const device = await new EndingDevice(LIMITS).start()
  device.sim.intercept(failing({ kind: "makeFolder", nth: 1, pathPart: "volumes-1d", code: "ENOSPC" }))
  await append(device, [1, 2], 0.5)
  await readAll(device, [1, 2])
  assert.equal([...device.volumes.ordinary.indexed(ALL_ROWS)].length, 2)
})

test("a rebuilt needle goes where the bad one is, and both copies of one go together", async () => {
  const device = await new EndingDevice(LIMITS).start()
  await append(device, [1, 2], 0.5)
  const { id } = needle(1)
  device.volumes.markSuspect([id])
  assert.equal(device.volumes.has(id), false)
  await device.volumes.append({ ...needle(1), isUnhurried: true })
  assert.ok(device.volumes.has(id))
  assert.equal(device.volumes.ordinary.has(id), false)
  // A repetition falls into another class.
  await append(device, [2], 2)
  assert.equal([...device.volumes.indexed(ALL_ROWS)].length, 2)
  await remove(device, [2])
  assert.equal(device.volumes.has(needleIdFor(2)), false)
})

/** Holds writes to a folder back until `open` is called. */
function gate(device: EndingDevice, folder: string): { readonly reached: Promise<void>; open(): void } {
  let [reach, open] = [(): void => undefined, (): void => undefined]
  const reached = new Promise<void>(resolve => (reach = resolve))
  const opened = new Promise<void>(resolve => (open = resolve))
  device.sim.intercept(async call => {
    if (call.kind !== "write" || !call.path.startsWith(`${folder}/`)) return
    reach()
    await opened
  })
  return { reached, open: () => open() }
}

/** A device with needles whose time is over. */
async function overdue(): Promise<EndingDevice> {
  const device = await new EndingDevice(LIMITS).start()
  await append(device, [1], 9)
  await append(device, [2])
  // The volume of the first is not the newest any more.
  device.nowMs += 2 * fillingMsOf(CLASS_10D)
  await append(device, [3], 9)
  await remove(device, [3])
  await device.settle()
  device.nowMs = endsByOf(CLASS_10D, device.nowMs) + 3 * DAY_MS
  return device
}

test("a needle that is removed while it moves is gone from both places", async () => {
  for (const held of ["/device/volumes", folderOfClass(CLASS_10D)]) {
    const device = await overdue()
    const { reached, open } = gate(device, held)
    // Either the copy of the move waits, or the tombstone of the removal.
    const first = held === "/device/volumes" ? device.settle() : remove(device, [1])
    await reached
    const second = held === "/device/volumes" ? remove(device, [1]) : device.step()
    for (let turns = 0; turns < 50; turns += 1) await new Promise(resolve => setImmediate(resolve))
    open()
    await Promise.all([first, second])
    await device.settle()
    assert.deepEqual(
      [...device.volumes.indexed(ALL_ROWS)].map(({ key }) => key),
      [needleKeyOf(needleIdFor(2))],
      held,
    )
  }
})

test("rot in a volume of a class is found by the scrub", async () => {
  const device = await new EndingDevice(LIMITS).start()
  await append(device, numbersFrom(1, 10))
  await append(device, numbersFrom(11, 10), 0.5)
  device.sim.flipBit(`${folderOfClass(CLASS_1D)}/0000000001.volume`, 8 * (4096 + 64 + 400))
  const never = new AbortController().signal
  while ((await device.scrub.step(never)) === "busy") continue
  assert.equal(device.damaged.length, 1)
  assert.equal(device.scrub.doneShare === 0 || device.scrub.doneShare === 1, true)
})

test("while a store is converted nothing is placed apart, and classes are emptied", async () => {
  const device = await new EndingDevice(LIMITS).start()
  await append(device, numbersFrom(1, 50), 9)
  device.placesApart = false
  await append(device, numbersFrom(51, 10), 9)
  assert.equal([...device.volumes.ordinary.indexed(ALL_ROWS)].length, 10)
  assert.ok(device.compaction.empty(0) > 0)
  await device.settle()
  assert.equal(device.compaction.empty(0), 0)
  assert.equal([...device.volumes.ordinary.indexed(ALL_ROWS)].length, 60)
  await readAll(device, numbersFrom(1, 60))
})

test("classes by what is left of a life", () => {
  const names = [0, 1, 1.5, 3, 7, 10, 31, 90, 100.5, 365].map(days => classOfEnd(days * DAY_MS, 0)?.name)
  assert.deepEqual(names, ["1d", "1d", "3d", "3d", "10d", "10d", "32d", "100d", undefined, undefined])
  assert.equal(classOfEnd(0, DAY_MS)?.name, "1d", "it has ended already")
  assert.equal(isOverdue(DAY_MS, 3 * DAY_MS), false)
  assert.equal(isOverdue(DAY_MS, 3 * DAY_MS + 1), true)
  assert.equal(isMostlyDead({ writtenBytes: 100, liveBytes: 25 }), false)
  assert.equal(isMostlyDead({ writtenBytes: 100, liveBytes: 24 }), true)
})

test("a volume whose first page cannot be read delays neither its class nor the device", async () => {
  for (const days of [0.9, undefined]) {
    const device = await new EndingDevice(LIMITS, { ...COMPACTION_FOR_TESTS, ...LARGE_STEPS }).start()
    await append(device, numbersFrom(1, 1_200), days)
    await device.checkpoint()
    const folder = folderOfClass(days === undefined ? undefined : CLASS_1D)
    const names = device.sim.medium.namesIn(folder)
    assert.ok(names.length >= 3)
    const bad = `${folder}/${[...names].sort()[0]}`
    device.sim.intercept(call => {
      if (call.kind === "read" && call.path === bad && call.offsetBytes < 4_096)
        throw fail("deviceFailed", { code: "EIO", path: bad })
      return undefined
    })
    // The last needle is in another volume.
    await remove(device, numbersFrom(2, 1_198))
    device.nowMs += 3 * DAY_MS
    await device.settle()
    await readAll(device, [1_200])
    assert.ok(device.sim.medium.namesIn(folder).length <= 2, `${device.sim.medium.namesIn(folder).join()}`)
  }
})

test("of two copies of a needle a bad one does not hide the good one", async () => {
  const device = await new EndingDevice(LIMITS).start()
  await append(device, [1], 0.5)
  // A repetition falls into another class.
  await append(device, [1], 2)
  device.sim.flipBit(`${folderOfClass(CLASS_1D)}/0000000001.volume`, 8 * (4096 + 64 + 400))
  await readAll(device, [1])
  const { id } = needle(1)
  assert.ok(device.volumes.has(id), "the good copy is trusted")
  const { body } = await device.volumes.fetch(id, BODY_BYTES, length => Buffer.alloc(length))
  assert.ok(Buffer.from(needle(1).body).equals(body))
})

test("what was rotten while a class was emptied leaves it once it is rebuilt", async () => {
  const device = await new EndingDevice(LIMITS).start()
  await append(device, numbersFrom(1, 20), 9)
  device.sim.flipBit(`${folderOfClass(CLASS_10D)}/0000000001.volume`, 8 * (4096 + 64 + 400))
  device.placesApart = false
  device.compaction.empty(0)
  await device.settle()
  assert.deepEqual([device.damaged.length > 0, device.compaction.empty(0)], [true, 1])
  const bad = numbersFrom(1, 20).filter(number => !device.volumes.has(needleIdFor(number)))
  for (const number of bad) await device.volumes.append({ ...needle(number), isUnhurried: true })
  device.nowMs += 2 * HOUR_MS
  await device.settle()
  assert.equal(device.compaction.empty(0), 0)
  await readAll(device, numbersFrom(1, 20))
})

test("a volume that is gone before its survivors have moved stops nothing", async () => {
  const device = await new EndingDevice(LIMITS).start()
  await append(device, numbersFrom(1, 10), 9)
  await device.checkpoint()
  device.nowMs = endsByOf(CLASS_10D, device.nowMs) + 3 * DAY_MS
  const path = `${folderOfClass(CLASS_10D)}/0000000001.volume`
  device.sim.intercept(call => {
    if (call.kind === "read" && call.path === path && call.offsetBytes >= 4_096)
      throw fail("deviceFailed", { code: "ENOENT", path })
    return undefined
  })
  for (let steps = 0; steps < 50; steps += 1) await device.step()
  device.sim.intercept(() => undefined)
  await readAll(device, numbersFrom(1, 10))
})
