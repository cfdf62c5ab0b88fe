/** Copies of the shared control record on the devices of a node. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "../../base/failures.js"
import { readControlRecord } from "../../device/index.js"
import { SimClock } from "../../seams/clock/sim.js"
import { failing, SimDisk } from "../../seams/disk/index.js"
import { SimTelemetry } from "../../seams/telemetry/sim.js"
import { idOf, recordOf } from "../control/testing-record.js"
import type { KeptFolder } from "../control/record-manager.js"
import { RecordCopies } from "./record-copies.js"

const [FIRST, SECOND] = [recordOf(1, [1, 2]), recordOf(2, [1, 2])]

async function world() {
  const machine = new SimDisk()
  const disk = machine.boot()
  const records = { record: FIRST }
  const folders: KeptFolder[] = []
  const add = async (number: number, check?: () => Promise<void>): Promise<void> => {
    const path = `/d${number}`
    await disk.makeFolder(path)
    folders.push({ id: idOf(number), path, disk, ...(check && { check }) })
  }
  await add(1)
  await add(2)
  const clock = new SimClock()
  const copies = new RecordCopies(records, () => folders, clock, new SimTelemetry().log)
  const copyOn = async (number: number) => {
    const copy = await readControlRecord(disk, `/d${number}`)
    return copy instanceof Error ? assert.fail(copy) : copy?.generation
  }
  return { machine, clock, records, add, copies, copyOn }
}

test("each open device gets the newest record within seconds, also one that is opened later", async () => {
  const { clock, records, add, copies, copyOn } = await world()
  const stop = new AbortController()
  const running = copies.run(stop.signal)
  await clock.advance(2_000)
  assert.deepEqual([await copyOn(1), await copyOn(2)], [1, 1])
  records.record = SECOND
  await add(3)
  await clock.advance(2_000)
  assert.deepEqual([await copyOn(1), await copyOn(2), await copyOn(3)], [2, 2, 2])
  stop.abort()
  await running
})

test("a device that has the record is not written again", async () => {
  const { machine, copies, records, copyOn } = await world()
  await copies.write()
  const written = new Set<string>()
  machine.intercept(({ kind, path }) => {
    if (kind === "write") written.add(path.slice(0, 3))
  })
  await copies.write()
  assert.deepEqual([...written], [])
  records.record = SECOND
  await copies.write()
  assert.deepEqual([...written].sort(), ["/d1", "/d2"])
  assert.deepEqual([await copyOn(1), await copyOn(2)], [2, 2])
})

test("a device that cannot be written is tried again, and does not hold up the others", async () => {
  const { machine, copies, records, copyOn } = await world()
  machine.intercept(failing({ kind: "write", nth: 1, pathPart: "/d1", code: "EIO", forEver: true }))
  await copies.write()
  assert.deepEqual([await copyOn(1), await copyOn(2)], [undefined, 1])
  machine.intercept(() => undefined)
  await copies.write()
  assert.equal(await copyOn(1), 1)
  records.record = SECOND
  await copies.write()
  assert.deepEqual([await copyOn(1), await copyOn(2)], [2, 2])
})

test("nothing is written into a folder that does not belong to this process any more", async () => {
  const { add, copies, copyOn } = await world()
  await add(3, async () => {
    throw fail("folderInUse", { folder: "/d3" })
  })
  await copies.write()
  assert.deepEqual([await copyOn(1), await copyOn(3)], [1, undefined])
})
