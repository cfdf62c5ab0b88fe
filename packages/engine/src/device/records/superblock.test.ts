import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseLogSequence, parseStoreId } from "@hayloft/base/ids.js"
import { crashStates, SimDisk } from "@hayloft/base/seams/disk/index.js"
import type { Disk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { reserveRecordSpace } from "../space/ballast.js"
import { notePosition } from "./position.js"
import { readRecordFile, replaceRecordFile } from "./record-file.js"
import { beginIncarnation, createSuperblock, inspectFolder, isMountPoint, readSuperblock } from "./superblock.js"

const NEW_DEVICE = {
  storeId: parseStoreId("0123456789abcdef0123456789abcdef"),
  deviceId: parseDeviceId("00000000000000aa"),
  createdMs: 1_767_225_600_000,
  formatEpoch: 1,
}

async function folderOn(sim: SimDisk): Promise<Disk> {
  const disk = sim.boot()
  await disk.makeFolder("/d")
  return disk
}

test("a device without space for its next superblock begins its next incarnation with a part of its ballast", async () => {
  const sim = new SimDisk()
  const disk = await folderOn(sim)
  const first = await createSuperblock(disk, "/d", NEW_DEVICE)
  await disk.makeFolder("/d/ballast")
  for (const name of ["000001", "000002"]) {
    await (await disk.open(`/d/ballast/${name}`, "create")).write([new Uint8Array(9000)], 0)
  }
  sim.capacityBytes = sim.medium.usedBytes
  await beginIncarnation(disk, "/d", first)
  assert.equal((await readSuperblock(disk, "/d"))?.incarnation, 1)
  assert.deepEqual(sim.medium.namesIn("/d/ballast"), ["000001"])
  sim.capacityBytes = sim.medium.usedBytes
  await disk.remove("/d/ballast/000001")
  sim.capacityBytes = sim.medium.usedBytes
  await assert.rejects(beginIncarnation(disk, "/d", first), error => isFailure(error, "deviceFull"))
  assert.deepEqual(sim.medium.namesIn("/d"), ["ballast", "superblock"], "nothing is left of the attempt")
})

test("a device without a free byte and without ballast begins one incarnation after the other in its record reserve", async () => {
  const sim = new SimDisk()
  const disk = await folderOn(sim)
  await createSuperblock(disk, "/d", NEW_DEVICE)
  await reserveRecordSpace(disk, "/d")
  sim.capacityBytes = sim.medium.usedBytes
  for (let number = 1; number <= 5; number += 1) {
    const found = await readSuperblock(disk, "/d")
    assert.ok(found)
    await beginIncarnation(disk, "/d", found)
    assert.equal((await readSuperblock(disk, "/d"))?.incarnation, number)
    assert.equal(sim.medium.usedBytes, sim.capacityBytes, "no free byte is left to others")
  }
  await disk.remove("/d/ballast/records")
  sim.capacityBytes = sim.medium.usedBytes + 5000
  await reserveRecordSpace(disk, "/d")
  assert.equal(sim.medium.usedBytes, sim.capacityBytes, "the reserve uses all free space")
  sim.capacityBytes += 2 ** 20
  await reserveRecordSpace(disk, "/d")
  await reserveRecordSpace(disk, "/d")
  assert.ok(sim.capacityBytes - sim.medium.usedBytes > 2 ** 19, "and no more than it needs")
})

test("a record file is the old or the new at every power cut, and the new once acknowledged", async () => {
  const sim = new SimDisk()
  const disk = await folderOn(sim)
  const [old, young] = [new Uint8Array(1500).fill(1), new Uint8Array(1700).fill(2)]
  await replaceRecordFile(disk, "/d/r", old)
  const record = sim.record()
  await replaceRecordFile(disk, "/d/r", young)
  const acknowledged = record.events.length
  let [olds, youngs] = [0, 0]
  for (const state of crashStates(record, { window: 8, subsetsMax: 256, tearsMax: 50, random: new SimRandom(1) })) {
    const found = await readRecordFile(new SimDisk(state.medium).boot(), "/d/r")
    const isYoung = found?.length === young.length && found.every(byte => byte === 2)
    const isOld = found?.length === old.length && found.every(byte => byte === 1)
    assert.ok(isOld || isYoung, `neither old nor new at event ${state.eventsBefore}: ${state.what}`)
    assert.ok(isYoung || state.eventsBefore < acknowledged, `lost at event ${state.eventsBefore}: ${state.what}`)
    if (isYoung) youngs += 1
    else olds += 1
  }
  assert.ok(olds > 5 && youngs > 0)
})

test("remains of an earlier replacement are no hindrance", async () => {
  const sim = new SimDisk()
  const disk = await folderOn(sim)
  const rest = await disk.open("/d/r.new", "create")
  await rest.write([new Uint8Array(5000).fill(9)], 0)
  await replaceRecordFile(disk, "/d/r", Uint8Array.of(1, 2))
  assert.deepEqual(await readRecordFile(disk, "/d/r"), Uint8Array.of(1, 2))
  assert.equal(await readRecordFile(disk, "/d/other"), undefined)
})

test("a folder is empty, a device, or foreign", async () => {
  const disk = await folderOn(new SimDisk())
  for (const harmless of ["lost+found", "owner.sock", "owner.sock.12ab", "superblock.new", "control.second.new"]) {
    await disk.open(`/d/${harmless}`, "create")
  }
  assert.deepEqual(await inspectFolder(disk, "/d"), { kind: "empty" })
  for (const ballast of ["000001", "records"]) {
    await disk.makeFolder("/d/ballast")
    await disk.open(`/d/ballast/${ballast}`, "create")
  }
  assert.deepEqual(await inspectFolder(disk, "/d"), { kind: "empty" }, "a process that runs has put it back")
  await notePosition(disk, "/d", NEW_DEVICE.deviceId, { logged: parseLogSequence(9), generation: 3 })
  assert.deepEqual(await inspectFolder(disk, "/d"), { kind: "empty" }, "a checkpoint has noted its position in it")
  const created = await createSuperblock(disk, "/d", NEW_DEVICE)
  assert.deepEqual(await inspectFolder(disk, "/d"), { kind: "device", superblock: created })
  await disk.makeFolder("/e")
  await disk.open("/e/holiday.jpg", "create")
  await assert.rejects(inspectFolder(disk, "/e"), error => {
    return isFailure(error, "folderNotEmpty") && error.message.includes("/e") && error.message.includes("holiday.jpg")
  })
  await disk.makeFolder("/g")
  await replaceRecordFile(disk, "/g/position", Uint8Array.of(1, 2, 3))
  await assert.rejects(inspectFolder(disk, "/g"), error => isFailure(error, "folderNotEmpty"), "of another program")
  await disk.makeFolder("/f")
  await disk.makeFolder("/f/ballast")
  await disk.open("/f/ballast/stones.jpg", "create")
  await assert.rejects(inspectFolder(disk, "/f"), error => isFailure(error, "folderNotEmpty"))
  assert.equal(await isMountPoint(disk, "/d"), false)
})

test("each incarnation on a device has a number of its own, also after power cuts", async () => {
  const sim = new SimDisk()
  let disk = await folderOn(sim)
  await createSuperblock(disk, "/d", NEW_DEVICE)
  for (let number = 1; number <= 5; number += 1) {
    const found = await readSuperblock(disk, "/d")
    assert.ok(found)
    const begun = await beginIncarnation(disk, "/d", found)
    assert.equal(begun.incarnation, number)
    sim.crash(new SimRandom(number))
    disk = sim.boot()
  }
})

test("a folder with a damaged superblock is not empty", async () => {
  const sim = new SimDisk()
  const disk = await folderOn(sim)
  await createSuperblock(disk, "/d", NEW_DEVICE)
  sim.flipBit("/d/superblock", 300)
  await assert.rejects(inspectFolder(disk, "/d"), error => isFailure(error, "corruptRecord"))
})
