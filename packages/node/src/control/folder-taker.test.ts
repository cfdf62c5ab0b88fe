/** Folder requests to a running store: a path without a parent is refused, and nothing is created. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation } from "@hayloft/base/ids.js"
import { Stalls } from "@hayloft/engine/device/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { makeFolders, SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimLocks } from "@hayloft/base/seams/folder-lock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { firstRecordOf } from "../testing-engine.js"
import { StoreFolders } from "./folder-taker.js"

test("a folder without a parent is refused: its disk may not be mounted, or the path is mistyped", async () => {
  const disk = new SimDisk().boot()
  await makeFolders(disk, "/mnt/disk4")
  const record = firstRecordOf(3, 1024)
  const nobody = () => assert.fail("nothing is taken")
  const [clock, random, locks, incarnation] = [
    new SimClock(),
    new SimRandom(1),
    new SimLocks().boot(),
    parseIncarnation(1),
  ]
  const folders = new StoreFolders(
    { clock, random, disk, locks, incarnation, stalls: new Stalls() },
    () => record,
    nobody,
  )
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
