/** Disks that were moved lead to a new layout, once, if that spreads shards better. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { claimDevice, finishTransition, markOffline, markReturning, markWhole } from "@hayloft/engine/cluster/index.js"
import { clusterOf, deviceId, homeOn } from "@hayloft/engine/cluster/testing-records.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { MovedDevices } from "./moved-devices.js"
import { SharedRecordManager, writeFirstRecord } from "./shared-record.js"
import { SharedMemory } from "./testing-shared.js"

const RECORD = clusterOf(["a1@a:3", "b1@b:3", "c1@c:3"], "ec:4+2")

async function world() {
  const rows = new SharedMemory("a1")
  await writeFirstRecord(rows, RECORD)
  const { log } = new SimTelemetry()
  const records = new SharedRecordManager(rows, new SimClock(), log, RECORD)
  const jobOf = () => new MovedDevices(records, () => [], log)
  const move = (number: number, node: string, zone: string) =>
    records.change("a disk is moved", record => claimDevice(record, deviceId(number), homeOn(node, zone), () => true))
  return { records, jobOf, move }
}

test("a disk that is in another zone leads to one new layout, also if another process looks", async () => {
  const { records, jobOf, move } = await world()
  const job = jobOf()
  assert.equal(await job.step(), "idle")
  await move(8, "a1", "a")
  assert.equal(await job.step(), "busy")
  assert.equal(records.record.layout.version, RECORD.layout.version + 1)
  assert.equal(records.record.previousLayout?.version, RECORD.layout.version)
  await records.change("shards have moved", finishTransition)
  const { generation } = records.record
  for (const each of [job, jobOf()]) assert.equal(await each.step(), "idle")
  assert.equal(records.record.generation, generation)
})

test("a disk that moves where it spreads shards no worse moves nothing", async () => {
  const { records, jobOf, move } = await world()
  const job = jobOf()
  for (const number of [0, 1, 2]) await move(number, "other", "a")
  const { generation } = records.record
  assert.equal(await job.step(), "idle")
  assert.equal(records.record.generation, generation)
})

test("while a device is away, or shards still move, it waits", async () => {
  const { records, jobOf, move } = await world()
  const job = jobOf()
  await move(8, "a1", "a")
  await records.change("away", record => markOffline(record, [deviceId(0)], 0))
  assert.equal(await job.step(), "idle")
  assert.match(job.progress(), /waits until all devices are there/)
  await records.change("back", record => markWhole(markReturning(record, deviceId(0), 0), deviceId(0), 0))
  assert.equal(await job.step(), "busy")
  await move(7, "a1", "a")
  assert.equal(await job.step(), "idle", "shards still move")
  await records.change("shards have moved", finishTransition)
  await job.step()
  assert.match(job.progress(), /fits the places of all devices/)
})
