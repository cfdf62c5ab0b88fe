/** Folder requests to a running store: a path without a parent, or inside a device, is refused, and nothing is created. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseIncarnation } from "@hayloft/base/ids.js"
import { createSuperblock, Stalls } from "@hayloft/engine/device/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { makeFolders, SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimLocks } from "@hayloft/base/seams/folder-lock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { formatEpochOf } from "@hayloft/engine/format/device/control-record.js"
import { inspect } from "../open/folder-inspection.js"
import { firstRecordOf } from "../testing-engine.js"
import { StoreFolders } from "./folder-taker.js"

const RECORD = firstRecordOf(3, 1024)

function foldersOn(disk: Disk): StoreFolders {
  const [clock, random, locks, incarnation] = [
    new SimClock(),
    new SimRandom(1),
    new SimLocks().boot(),
    parseIncarnation(1),
  ]
  const owner = { clock, random, disk, locks, incarnation, stalls: new Stalls() }
  return new StoreFolders(
    owner,
    () => RECORD,
    () => assert.fail("nothing is taken"),
  )
}

test("a folder without a parent is refused: its disk may not be mounted, or the path is mistyped", async () => {
  const disk = new SimDisk().boot()
  await makeFolders(disk, "/mnt/disk4")
  const folders = foldersOn(disk)
  await assert.rejects(folders.inspect("/mnt/disk5/hayloft"), error => {
    return (
      isFailure(error, "invalidArgument") &&
      /the folder \/mnt\/disk5 does not exist: is a disk not mounted/.test(error.message)
    )
  })
  assert.equal(await disk.exists("/mnt/disk5"), false)
  assert.equal((await folders.inspect("/mnt/disk4/hayloft")).isMountPoint, false)
  assert.equal(await disk.exists("/mnt/disk4/hayloft"), false)
})

test("a folder inside that of another device is refused, whether it is there or not, and nothing is made", async () => {
  const disk = new SimDisk().boot()
  await makeFolders(disk, "/mnt/disk4/hayloft/empty/deep")
  const { storeId } = RECORD
  const ofDevice = {
    storeId,
    deviceId: parseDeviceId("00000000000000d9"),
    createdMs: 1,
    formatEpoch: formatEpochOf(RECORD),
  }
  await createSuperblock(disk, "/mnt/disk4/hayloft", ofDevice)
  const folders = foldersOn(disk)
  const at = (path: string): string => `/mnt/disk4/hayloft/${path}`
  const inside = /is inside \/mnt\/disk4\/hayloft, the folder of another device/
  for (const path of ["empty", "empty/deep", "absent"]) {
    await assert.rejects(folders.inspect(at(path)), inside, path)
    await assert.rejects(inspect(disk, at(path)), inside, path)
  }
  await assert.rejects(folders.take(at("empty")), inside)
  assert.deepEqual(await disk.list("/mnt/disk4/hayloft/empty"), ["deep"])
  assert.equal((await folders.inspect("/mnt/disk4/hayloft-2")).isMountPoint, false)
})
