import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseStoreId } from "@hayloft/base/ids.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { ControlRecord } from "../../format/device/control-record.js"
import { failing, SimDisk } from "@hayloft/base/seams/disk/index.js"
import { absentees, votingIds, mayOpen, newestControlRecord } from "./control-core.js"
import type { ControlChoice, PresentDevice } from "./control-core.js"
import { readControlRecord, writeControlRecord } from "./control.js"

const STORE = parseStoreId("0123456789abcdef0123456789abcdef")
const id = (n: number): DeviceId => parseDeviceId(n.toString(16).padStart(16, "0"))

function recordOf(generation: number, devices: readonly number[]): ControlRecord {
  return {
    storeId: STORE,
    generation,
    devices: devices.map(n => ({
      id: id(n),
      weight: 1,
      pathHint: `/mnt/${n}`,
      isMountPoint: true,
      state: "active",
      stateSinceMs: 0,
      capacityBytes: 0,
      more: [],
    })),
    policy: parsePolicy("replica:2"),
    blockBytes: 4 * MIB,
    metaCopies: 2,
    tablets: [],
    layout: { version: 1, table: new Uint8Array(0), devices: [] },
    previousLayout: undefined,
    pausedWork: [],
    isPolicyAutomatic: false,
    policyVersion: 1,
    secrets: new Uint8Array(0),
    region: "us-east-1",
    more: [],
  }
}
const present = (n: number, record: PresentDevice["record"]): PresentDevice => ({
  id: id(n),
  storeId: STORE,
  path: `/d${n}`,
  record,
})

const generationsOf = (choice: ControlChoice | undefined) => choice && [choice.record.generation, mayOpen(choice)]

test("the highest generation counts, and devices without it are named", () => {
  const [old, young] = [recordOf(1, [1, 2, 3, 4]), recordOf(2, [1, 2, 3, 4])]
  const damaged = fail("corruptRecord")
  const here = [present(1, old), present(2, young), present(3, damaged), present(9, undefined)]
  const choice = newestControlRecord(here)
  assert.ok(choice)
  assert.equal(choice.record.generation, 2)
  assert.deepEqual(
    choice.missing.map(device => device.id),
    [id(4)],
  )
  assert.deepEqual(choice.behind, [id(1), id(3)])
  assert.deepEqual(choice.unreadable, [id(3)])
  assert.deepEqual(choice.strangers, [id(9)])
  assert.equal(mayOpen(choice), false, "a device whose record is lost vouches for nothing")
  assert.deepEqual(
    absentees(choice).map(device => device.id),
    [id(3), id(4)],
  )
})

test("half of the voting devices are not enough, more than half are; offline devices do not vote", () => {
  const record = recordOf(4, [1, 2, 3, 4])
  const opens = (of: ControlRecord, numbers: readonly number[]) =>
    generationsOf(newestControlRecord(numbers.map(n => present(n, of))))?.[1]
  assert.deepEqual([opens(record, [1, 2]), opens(record, [1, 2, 3])], [false, true])
  const devices = record.devices.map(device =>
    device.id === id(4) ? { ...device, state: "offline" as const } : device,
  )
  const without = { ...record, devices }
  assert.deepEqual([opens(without, [1, 2]), opens(without, [1, 4]), opens(without, [1, 2, 4])], [true, false, true])
})

test("devices that a shrink left behind cannot open the store", () => {
  // Four devices; generation 2 dropped 3 and 4, accepted by 1 and 2, which is half of the set before.
  const [before, after] = [recordOf(1, [1, 2, 3, 4]), recordOf(2, [1, 2])]
  const left = [present(1, after), present(2, after)]
  const behind = [present(3, before), present(4, before)]
  assert.deepEqual(generationsOf(newestControlRecord(left)), [2, true])
  assert.deepEqual(generationsOf(newestControlRecord(behind)), [1, false])
  assert.deepEqual(newestControlRecord([...left, ...behind])?.strangers, [id(3), id(4)])
})

test("a store that was never finished has no record; one that cannot be read is damaged", () => {
  assert.equal(newestControlRecord([]), undefined)
  assert.equal(newestControlRecord([present(1, undefined)]), undefined)
  assert.throws(
    () => newestControlRecord([present(1, fail("corruptRecord"))]),
    error => isFailure(error, "corruptRecord"),
  )
})

test("devices of two stores, and two records of one generation, are refused", () => {
  const other: PresentDevice = { ...present(2, undefined), storeId: parseStoreId("f".repeat(32)) }
  assert.throws(
    () => newestControlRecord([present(1, recordOf(1, [1])), other]),
    error => isFailure(error, "foreignFolder") && /\/d1 of store .*; \/d2 of store f{32}$/.test(error.message),
  )
  const [one, two] = [recordOf(3, [1, 2]), { ...recordOf(3, [1, 2]), region: "elsewhere" }]
  assert.throws(
    () => newestControlRecord([present(1, one), present(2, two)]),
    error => isFailure(error, "corruptRecord"),
  )
})

test("devices that have no record beside others that have one are behind, not unreadable", () => {
  const choice = newestControlRecord([present(1, recordOf(2, [1, 2])), present(2, undefined)])
  assert.ok(choice)
  assert.deepEqual(choice.behind, [id(2)])
  assert.deepEqual(choice.unreadable, [])
  assert.deepEqual(choice.missing, [])
  assert.deepEqual(choice.strangers, [])
  assert.equal(mayOpen(choice), true)
})

test("the failure of the device that has an unreadable record is reported, not that of one without any", () => {
  assert.throws(
    () => newestControlRecord([present(1, undefined), present(2, fail("corruptRecord", { path: "/mnt/2" }))]),
    error => isFailure(error, "corruptRecord") && error.details["path"] === "/mnt/2",
  )
})

test("a stranger that cannot be read is a stranger only", () => {
  const choice = newestControlRecord([present(1, recordOf(2, [1])), present(9, fail("corruptRecord"))])
  assert.deepEqual([choice?.behind, choice?.unreadable, choice?.strangers], [[], [], [id(9)]])
})

test("an absent offline device is missing, but not an absentee", () => {
  const record = recordOf(4, [1, 2, 3])
  const devices = record.devices.map(device =>
    device.id === id(3) ? { ...device, state: "offline" as const } : device,
  )
  const choice = newestControlRecord([present(1, { ...record, devices })])
  assert.ok(choice)
  assert.deepEqual(
    choice.missing.map(device => device.id),
    [id(2), id(3)],
  )
  assert.deepEqual(
    absentees(choice).map(device => device.id),
    [id(2)],
  )
  assert.deepEqual(votingIds(choice.record), [id(1), id(2)])
})

test("a record of another store on a device of this one is refused, and the device is named", () => {
  const foreign = { ...recordOf(1, [1]), storeId: parseStoreId("f".repeat(32)) }
  assert.throws(
    () => newestControlRecord([present(2, undefined), present(1, foreign)]),
    error => isFailure(error, "foreignFolder") && error.details["device"] === id(1) && error.details["store"] === STORE,
  )
})

test("two records of one generation are named by their generation", () => {
  const [one, two] = [recordOf(3, [1, 2]), { ...recordOf(3, [1, 2]), region: "elsewhere" }]
  assert.throws(
    () => newestControlRecord([present(1, one), present(2, one), present(3, two)]),
    error => isFailure(error, "corruptRecord") && error.details["generation"] === 3,
  )
  const older = { ...recordOf(2, [1, 2]), region: "elsewhere" }
  assert.equal(newestControlRecord([present(1, one), present(2, older)])?.record.generation, 3)
})

test("a control record is written twice and read back; rot in one of the two does no harm", async () => {
  const sim = new SimDisk()
  const disk = sim.boot()
  await disk.makeFolder("/d")
  assert.equal(await readControlRecord(disk, "/d"), undefined)
  await writeControlRecord(disk, "/d", recordOf(4, [1]))
  const writesUntilCutOff = failing({ kind: "write", pathPart: "second", code: "EIO", nth: 1 })
  sim.intercept(writesUntilCutOff)
  await assert.rejects(writeControlRecord(disk, "/d", recordOf(5, [1])))
  assert.deepEqual(await readControlRecord(disk, "/d"), recordOf(5, [1]), "the newer of the two")
  await writeControlRecord(disk, "/d", recordOf(6, [1]))
  for (const name of ["control", "control.second"]) {
    assert.deepEqual(await readControlRecord(disk, "/d"), recordOf(6, [1]))
    sim.flipBit(`/d/${name}`, 400)
  }
  assert.ok(isFailure(await readControlRecord(disk, "/d"), "corruptRecord"), "both are damaged")
})
