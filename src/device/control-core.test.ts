import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "../base/failures.js"
import { parseDeviceId, parseStoreId } from "../base/ids.js"
import type { DeviceId } from "../base/ids.js"
import { MIB } from "../base/limits.js"
import { parsePolicy } from "../base/policy.js"
import type { ControlRecord } from "../format/control-record.js"
import { SimDisk } from "../seams/disk/index.js"
import { chooseControlRecord, devicesMissing } from "./control-core.js"
import type { PresentDevice } from "./control-core.js"
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
    isPolicyAutomatic: false,
    policyVersion: 1,
    secrets: new Uint8Array(0),
    region: "us-east-1",
    more: [],
  }
}
const present = (n: number, record: PresentDevice["record"]): PresentDevice => ({ id: id(n), storeId: STORE, record })

test("the highest generation counts, and who lacks it is named", () => {
  const [old, young] = [recordOf(1, [1, 2, 3]), recordOf(2, [1, 2, 3])]
  const damaged = fail("corruptRecord")
  const choice = chooseControlRecord([present(1, old), present(2, young), present(3, damaged), present(9, undefined)])
  assert.ok(choice)
  assert.equal(choice.record.generation, 2)
  assert.deepEqual(choice.missing, [])
  assert.deepEqual(choice.behind, [id(1), id(3)])
  assert.deepEqual(choice.strangers, [id(9)])
})

test("half of the devices are not enough, more than half are, and the missing are named", () => {
  const record = recordOf(4, [1, 2, 3, 4])
  const three = chooseControlRecord([1, 2, 3].map(n => present(n, record)))
  assert.deepEqual(
    three?.missing.map(device => device.id),
    [id(4)],
  )
  assert.throws(
    () => chooseControlRecord([1, 2].map(n => present(n, record))),
    error =>
      isFailure(error, "devicesMissing") &&
      [id(3), id(4), "/mnt/3", "attach them"].every(part => error.message.includes(part)),
  )
  assert.match(devicesMissing(three?.missing ?? []).message, /0000000000000004 \(last at \/mnt\/4\)/)
})

test("devices that were left behind by a shrink cannot open as the truth", () => {
  // Four devices; generation 2 dropped 3 and 4, accepted by 1 and 2, which is half of the set before.
  const [before, after] = [recordOf(1, [1, 2, 3, 4]), recordOf(2, [1, 2])]
  assert.equal(chooseControlRecord([present(1, after), present(2, after)])?.record.generation, 2)
  assert.throws(
    () => chooseControlRecord([present(3, before), present(4, before)]),
    error => isFailure(error, "devicesMissing"),
  )
  const all = chooseControlRecord([present(1, after), present(2, after), present(3, before), present(4, before)])
  assert.deepEqual(all?.strangers, [id(3), id(4)])
})

test("a store that was never finished has no record; one that cannot be read is damaged", () => {
  assert.equal(chooseControlRecord([]), undefined)
  assert.equal(chooseControlRecord([present(1, undefined)]), undefined)
  assert.throws(
    () => chooseControlRecord([present(1, fail("corruptRecord"))]),
    error => isFailure(error, "corruptRecord"),
  )
})

test("devices of two stores, and two truths of one generation, are refused", () => {
  const other: PresentDevice = { id: id(2), storeId: parseStoreId("f".repeat(32)), record: undefined }
  assert.throws(
    () => chooseControlRecord([present(1, recordOf(1, [1])), other]),
    error => isFailure(error, "foreignFolder"),
  )
  const [one, two] = [recordOf(3, [1, 2]), { ...recordOf(3, [1, 2]), region: "elsewhere" }]
  assert.throws(
    () => chooseControlRecord([present(1, one), present(2, two)]),
    error => isFailure(error, "corruptRecord"),
  )
})

test("a control record is written and read back; a damaged one is told as such", async () => {
  const sim = new SimDisk()
  const disk = sim.boot()
  await disk.makeFolder("/d")
  assert.equal(await readControlRecord(disk, "/d"), undefined)
  await writeControlRecord(disk, "/d", recordOf(5, [1]))
  assert.deepEqual(await readControlRecord(disk, "/d"), recordOf(5, [1]))
  sim.flipBit("/d/control", 400)
  assert.ok(isFailure(await readControlRecord(disk, "/d"), "corruptRecord"))
})
