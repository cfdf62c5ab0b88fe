/** Which keys the record files of devices have: damaged and unfinished files confirm nothing. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { writeControlRecord } from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { idOf, recordOf } from "./testing-record.js"
import { KeysOnDevices } from "./keys-on-devices.js"

const epochOf = (number: number) => ({ number, createdMs: 1, sealed: new Uint8Array(60).fill(number) })

const withEpochs = (generation: number, numbers: readonly number[], masterKeyNumber = 1): ControlRecord => ({
  ...recordOf(generation, [1, 2]),
  keyring: {
    masterKeyNumber,
    previous: undefined,
    atRest: undefined,
    materials: [],
    epochs: numbers.map(epochOf),
  },
})

async function world() {
  const sim = new SimDisk()
  const disk = sim.boot()
  const paths = ["/d1", "/d2"]
  for (const path of paths) await disk.makeFolder(path)
  const state = { record: withEpochs(2, [2]), isEmptied: false }
  const check = () => (state.isEmptied ? Promise.reject(fail("deviceFailed")) : Promise.resolve())
  const folders = paths.map((path, i) => ({ id: idOf(i + 1), path, disk, check }))
  const open = { folders }
  const devices = new KeysOnDevices(state, () => open.folders)
  return { sim, disk, state, open, devices }
}

test("a device shows the oldest key of its files, and is read again until it has none that is too old", async () => {
  const { disk, devices } = await world()
  await writeControlRecord(disk, "/d1", withEpochs(1, [1, 2]))
  await writeControlRecord(disk, "/d2", withEpochs(2, [2]))
  await devices.refresh()
  assert.deepEqual(Object.fromEntries(devices.epochs), { [idOf(1)]: 1, [idOf(2)]: 2 })
  await writeControlRecord(disk, "/d1", withEpochs(2, [2]))
  await devices.refresh()
  assert.equal(devices.epochs.get(idOf(1)), 2)
})

test("a device shows the oldest master key of its files, also of records without a key ring", async () => {
  const { disk, state, devices } = await world()
  state.record = withEpochs(2, [1], 2)
  const numbers = () => Object.fromEntries(devices.masterKeys)
  await writeControlRecord(disk, "/d1", recordOf(1, [1, 2]))
  await writeControlRecord(disk, "/d2", withEpochs(2, [1], 2))
  await devices.refresh()
  assert.deepEqual(numbers(), { [idOf(1)]: 1, [idOf(2)]: 2 })
  await writeControlRecord(disk, "/d1", withEpochs(1, [1], 1))
  await devices.refresh()
  assert.deepEqual(numbers(), { [idOf(1)]: 1, [idOf(2)]: 2 })
  await writeControlRecord(disk, "/d1", withEpochs(2, [1], 2))
  await devices.refresh()
  assert.deepEqual(numbers(), { [idOf(1)]: 2, [idOf(2)]: 2 })
})

test("a damaged copy, and a replacement that was cut off, may still have any key", async () => {
  const { sim, disk, devices } = await world()
  await writeControlRecord(disk, "/d1", withEpochs(2, [2]))
  await writeControlRecord(disk, "/d2", withEpochs(2, [2]))
  sim.medium.alter("/d1/control.second", content => void (content[40] = (content[40] ?? 0) ^ 1))
  const left = await disk.open("/d2/control.new", "create")
  await left.close()
  await devices.refresh()
  for (const numbers of [devices.epochs, devices.masterKeys]) assert.deepEqual([...numbers.values()], [0, 0])
  for (const path of ["/d1", "/d2"]) await writeControlRecord(disk, path, withEpochs(3, [2]))
  await devices.refresh()
  assert.deepEqual([...devices.epochs.values()], [2, 2])
})

test("a folder that was emptied, and a device that was closed, show nothing", async () => {
  const { disk, state, open, devices } = await world()
  for (const path of ["/d1", "/d2"]) await writeControlRecord(disk, path, withEpochs(2, [2]))
  state.isEmptied = true
  await devices.refresh()
  assert.equal(devices.epochs.size, 0)
  state.isEmptied = false
  await devices.refresh()
  assert.equal(devices.epochs.size, 2)
  open.folders = open.folders.slice(1)
  await devices.refresh()
  assert.deepEqual([...devices.epochs.keys()], [idOf(2)])
})
