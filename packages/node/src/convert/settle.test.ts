/**
 * Tests of how a start deals with a conversion that was interrupted, or with a database that was restored to a moment
 * of it.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation } from "@hayloft/base/ids.js"
import { clusterOf, homeOn, storeOf } from "@hayloft/engine/cluster/testing-records.js"
import { setConversion } from "@hayloft/engine/coordination/index.js"
import { encodeControlRecord, type ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { ConversionRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import { withStart } from "@hayloft/engine/device/index.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { readDatabaseMark, writeDatabaseMark } from "../cluster/database-marks.js"
import { readSharedRecord, writeFirstRecord } from "../cluster/shared-record.js"
import { SharedMemory } from "../cluster/testing-shared.js"
import { GENERATIONS_PER_INCARNATION } from "../control/steps-core.js"
import type { FolderInspection } from "../open/folder-inspection.js"
import { checkNotRestored, decideOn, isOutdated, settledBy } from "./settle.js"

const COPIED: ConversionRow = { state: "copied", generation: 5 }
const LEAVING: ConversionRow = { state: "leaving", generation: 30 }
/** The record of the incarnation that has copied the rows. */
const DECIDED: ControlRecord = usedBy({ ...clusterOf(["n1:2"], "replica:2"), generation: 6 }, 7)
const MARK = { reconciliations: 0, highest: 9, live: [] }

function usedBy(record: ControlRecord, incarnation: number): ControlRecord {
  const home = homeOn("n1", undefined, incarnation)
  return { ...record, devices: record.devices.map(device => ({ ...device, home })) }
}

const foldersOf = ({ devices }: ControlRecord) => devices.map(({ id }, at) => ({ id, path: `/d${at + 1}` }))

const inspectionsOf = (record: ControlRecord): readonly FolderInspection[] =>
  foldersOf(record).map(({ id, path }) => ({
    path,
    isMountPoint: true,
    content: {
      kind: "device",
      record,
      isUnused: false,
      superblock: {
        storeId: record.storeId,
        deviceId: id,
        incarnation: parseIncarnation(7),
        createdMs: 0,
        formatEpoch: 1,
      },
    },
  }))

const isRestored = (error: unknown): boolean =>
  isFailure(error, "databaseRolledBack") && /restored to a moment at which/.test(error.message)

async function disks() {
  const disk = new SimDisk().boot()
  const folders = foldersOf(DECIDED)
  for (const { path } of folders) await disk.makeFolder(path)
  const marks = async () => {
    const found = []
    for (const { path } of folders) found.push((await readDatabaseMark(disk, path))?.highest)
    return found
  }
  return { disk, folders, marks }
}

test("a conversion that was interrupted after the decision is finished, whatever an earlier database has left", async () => {
  const { disk, folders, marks } = await disks()
  await writeDatabaseMark(disk, "/d1", { ...MARK, highest: 3 })
  const rows = new SharedMemory("n1")
  await rows.run(setConversion(undefined, COPIED))
  const settled = must(settledBy(inspectionsOf(DECIDED), COPIED, undefined), "the copy was not finished")
  checkNotRestored(settled.record, [{ ...MARK, highest: 3 }], parseIncarnation(7))
  await settled.settle(rows, disk, folders)
  assert.equal((await readSharedRecord(rows))?.generation, 7)
  assert.deepEqual(await marks(), [undefined, undefined])
})

test("a database that was restored to a moment of the copy is refused, by marks and by records on devices", () => {
  const highest = parseIncarnation(7)
  const later = usedBy({ ...DECIDED, generation: 40 }, 8)
  for (const [record, marks] of [
    [later, []],
    [DECIDED, [MARK]],
  ] as const) {
    const settled = must(settledBy(inspectionsOf(record), COPIED, undefined), "the copy was not finished")
    assert.throws(() => checkNotRestored(settled.record, marks, highest), isRestored)
  }
})

test("a database that was restored to a moment of leaving gets the newest record back", async () => {
  const { disk, folders } = await disks()
  for (const [inDatabase, onDevices, expected] of [
    [29, 40, "devices"],
    [29, 29, "database"],
  ] as const) {
    const rows = new SharedMemory("n1")
    const present = { ...DECIDED, generation: inDatabase, region: "database" }
    await writeFirstRecord(rows, present)
    const found = { ...DECIDED, generation: onDevices, region: "devices" }
    await rows.run(setConversion(undefined, LEAVING))
    const row = { generation: inDatabase, record: encodeControlRecord(present) }
    const settled = must(settledBy(inspectionsOf(found), LEAVING, row), "it had begun to leave")
    await settled.settle(rows, disk, folders)
    assert.equal((await readSharedRecord(rows))?.region, expected)
  }
})

test("devices that keep the metadata attest nothing of a database", async () => {
  const { disk, folders, marks } = await disks()
  for (const { path } of folders) await writeDatabaseMark(disk, path, MARK)
  await decideOn(disk, folders, DECIDED)
  assert.deepEqual(await marks(), [9, 9])
  await decideOn(disk, folders, { ...storeOf(2), generation: 50 })
  assert.deepEqual(await marks(), [undefined, undefined])
})

/** The first generations of a process. */
const of = (incarnation: number, change = 0): { readonly generation: number } => ({
  generation: incarnation * GENERATIONS_PER_INCARNATION + change,
})

const startOf = (incarnation: number) => ({ incarnation: parseIncarnation(incarnation), id: incarnation, startedMs: 0 })

/** A record that a process has written, or a later one without another start. */
const startedBy = (incarnation: number): Pick<ControlRecord, "starts"> =>
  withStart(withStart(DECIDED, startOf(incarnation - 1)), startOf(incarnation))

test("a database that lacks rows, or that the store has left, is never meant", () => {
  for (const state of ["copying", "left"] as const)
    for (const found of [startedBy(3), startedBy(4), startedBy(5)]) assert.ok(isOutdated({ state, ...of(4) }, found))
})

test("an interrupted move to a database, or away, is finished there by the same process, or one of its node", () => {
  for (const change of [0, 1, 9]) assert.ok(!isOutdated({ state: "copied", ...of(4, change) }, startedBy(4)))
  // Not decided: the record of before, of the last process by which the devices kept the metadata.
  for (const found of [startedBy(2), startedBy(4), {}]) assert.ok(!isOutdated({ state: "leaving", ...of(4) }, found))
  assert.ok(!isOutdated({ state: "active", ...of(4) }, startedBy(4)))
})

test("a database is not meant once the devices have kept the metadata since", () => {
  for (const state of ["copied", "leaving"] as const) assert.ok(isOutdated({ state, ...of(4) }, startedBy(5)))
})
