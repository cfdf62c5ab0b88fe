/** Copies of the shared control record, and of what was seen of the database, on the devices of a node. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { readControlRecord } from "@hayloft/engine/device/index.js"
import type { DatabaseMark } from "@hayloft/engine/format/device/database-mark.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { failing, SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { idOf, recordOf } from "../control/testing-record.js"
import type { KeptFolder } from "../control/record-manager.js"
import { readDatabaseMark } from "./database-marks.js"
import { DeviceCopies } from "./device-copies.js"

const [FIRST, SECOND] = [recordOf(1, [1, 2]), recordOf(2, [1, 2])]
const markOf = (highest: number): DatabaseMark => ({ reconciliations: 0, highest, live: [] })

async function world() {
  const machine = new SimDisk()
  const disk = machine.boot()
  const records = { record: FIRST }
  const metadata = { mark: markOf(1) }
  const folders: KeptFolder[] = []
  const add = async (number: number, check?: () => Promise<void>): Promise<void> => {
    const path = `/d${number}`
    await disk.makeFolder(path)
    folders.push({ id: idOf(number), path, disk, ...(check && { check }) })
  }
  await add(1)
  await add(2)
  const clock = new SimClock()
  const copies = new DeviceCopies(records, metadata, () => folders, clock, new SimTelemetry().log)
  const copyOn = async (number: number) => {
    const copy = await readControlRecord(disk, `/d${number}`)
    return copy instanceof Error ? assert.fail(copy) : copy?.generation
  }
  const seenOn = async (number: number) => (await readDatabaseMark(disk, `/d${number}`))?.highest
  return { machine, disk, clock, records, metadata, add, copies, copyOn, seenOn }
}

test("each open device gets the newest of both within seconds, also one that is opened later", async () => {
  const { clock, records, metadata, add, copies, copyOn, seenOn } = await world()
  const stop = new AbortController()
  const running = copies.run(stop.signal)
  await clock.advance(2_000)
  assert.deepEqual([await copyOn(1), await copyOn(2)], [1, 1])
  records.record = SECOND
  metadata.mark = markOf(2)
  await add(3)
  await clock.advance(2_000)
  assert.deepEqual([await copyOn(1), await copyOn(2), await copyOn(3)], [2, 2, 2])
  assert.deepEqual([await seenOn(1), await seenOn(2), await seenOn(3)], [2, 2, 2])
  stop.abort()
  await running
})

test("a device that has both is not written again", async () => {
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

test("a device has the record before the mark, and no mark beside an older record", async () => {
  const { machine, copies, records, metadata, copyOn, seenOn } = await world()
  const written: string[] = []
  machine.intercept(({ kind, path }) => {
    if (kind === "write" && path.startsWith("/d1")) written.push(/mark/.test(path) ? "mark" : "record")
  })
  await copies.write()
  assert.deepEqual([...new Set(written)], ["record", "mark"])
  assert.equal(written.lastIndexOf("record") < written.indexOf("mark"), true, written.join())
  machine.intercept(failing({ kind: "write", nth: 1, pathPart: "control", code: "EIO", forEver: true }))
  records.record = SECOND
  metadata.mark = markOf(2)
  await copies.write()
  assert.deepEqual([await copyOn(1), await seenOn(1)], [1, 1])
  machine.intercept(() => undefined)
  await copies.write()
  assert.deepEqual([await copyOn(1), await seenOn(1)], [2, 2])
})

test("a record of the same generation with other content is written", async () => {
  const { disk, copies, records } = await world()
  await copies.write()
  records.record = { ...FIRST, region: "another" }
  await copies.write()
  const copy = await readControlRecord(disk, "/d1")
  assert.equal(copy instanceof Error ? copy : copy?.region, "another")
})
