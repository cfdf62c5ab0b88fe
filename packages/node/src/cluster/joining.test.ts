/** New devices of a node become part of the store, all in one change. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { parseIncarnation } from "@hayloft/base/ids.js"
import { finishTransition } from "@hayloft/engine/cluster/index.js"
import { clusterOf, deviceId, homeOn, newDevice } from "@hayloft/engine/cluster/testing-records.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { OwnedFolder } from "../devices/device-set.js"
import { Joining } from "./joining.js"
import { SharedRecordManager, writeFirstRecord } from "./shared-record.js"
import { SharedMemory } from "./testing-shared.js"
import { drainDevice } from "@hayloft/engine/cluster/testing-changes.js"

const RECORD = clusterOf(["n1:2", "n2:2"], "replica:2")
/** Devices that the record does not name. */
const NEW = [10, 11, 12]

const folderOf = (number: number): OwnedFolder => ({
  place: { id: deviceId(number), path: `/mnt/${number}`, incarnation: parseIncarnation(1) },
  backgroundServices: [],
  check: async () => undefined,
  raiseFormatEpoch: async () => undefined,
  release: async () => undefined,
})

async function world(numbers: readonly number[], broken: readonly number[] = []) {
  const rows = new SharedMemory("n3")
  await writeFirstRecord(rows, RECORD)
  const telemetry = new SimTelemetry()
  const clock = new SimClock()
  const records = new SharedRecordManager(rows, clock, telemetry.log, RECORD)
  const opened: string[] = []
  const bringIn = async ({ place }: OwnedFolder): Promise<void> => {
    opened.push(place.path)
    if (broken.some(number => place.id === deviceId(number))) throw fail("deviceFailed", { device: place.id })
  }
  const waiting = numbers.map(number => {
    return { folder: folderOf(number), device: { ...newDevice(number), home: homeOn("n3", "c") } }
  })
  const job = new Joining(waiting, bringIn, records, () => [], clock, telemetry.log)
  const joined = () => NEW.filter(number => records.record.devices.some(({ id }) => id === deviceId(number)))
  return { records, job, opened, joined, telemetry }
}

test("all devices of a node are opened, and join in one change of the layout", async () => {
  const { records, job, opened, joined } = await world(NEW)
  assert.equal(await job.step(), "busy")
  assert.deepEqual([opened.length, joined()], [3, NEW])
  const { generation, layout, devices } = records.record
  assert.deepEqual([generation, layout.version], [2, RECORD.layout.version + 1])
  assert.deepEqual(devices.at(-1)?.home, homeOn("n3", "c"))
  for (const number of NEW) assert.ok(layout.devices.includes(deviceId(number)))
  assert.equal(await job.step(), "idle")
  assert.equal(records.record.generation, 2)
})

test("while shards still move they wait, open, and join afterwards", async () => {
  const { records, job, opened, joined } = await world(NEW)
  await records.change("drain", record => drainDevice(record, deviceId(0), [], 0))
  assert.equal(await job.step(), "throttled")
  assert.equal(await job.step(), "throttled")
  assert.match(job.progress(), /^3 devices wait/)
  assert.deepEqual([opened.length, joined()], [3, []])
  await records.change("moved", finishTransition)
  assert.equal(await job.step(), "busy")
  assert.deepEqual([opened.length, joined()], [3, NEW])
})

test("a device that cannot be opened is left out, and does not keep the others from joining", async () => {
  const { job, joined, telemetry } = await world(NEW, [11])
  assert.equal(await job.step(), "busy")
  assert.deepEqual(joined(), [10, 12])
  const [left] = telemetry.entries("device_cannot_join")
  assert.equal(left?.fields["device"], deviceId(11))
  const alone = await world([11], [11])
  assert.equal(await alone.job.step(), "idle")
  assert.deepEqual([alone.joined(), alone.records.record], [[], RECORD])
})

test("a device that joined although the answer was lost joins once", async () => {
  const { records, job, joined } = await world(NEW)
  const twin = await world([10])
  assert.equal(await twin.job.step(), "busy")
  await records.change("as before", () => twin.records.record)
  await records.change("moved", finishTransition)
  assert.equal(await job.step(), "busy")
  assert.deepEqual(joined(), NEW)
  assert.equal(records.record.devices.length, RECORD.devices.length + NEW.length)
})
