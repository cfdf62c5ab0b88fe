/** Reads of a front from files: a disk that hangs is left alone, and read again once it answers. In virtual time. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { KIB } from "@hayloft/base/limits.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { interceptedDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { CALL_LIMITS } from "../device/index.js"
import { DamagedDevice } from "../remote/suite.js"
import { needleFor } from "../volume/testing-volumes.js"
import { LocalReads } from "./local-reads.js"

const RANGE = { offsetBytes: 70 * KIB, lengthBytes: 50 * KIB }

test("a file whose opening hangs is given up, and its device is read again once the call has ended", async t => {
  const device = new DamagedDevice()
  const volumes = await device.open(true)
  t.after(() => volumes.close())
  const needle = needleFor(1, 256 * KIB, new SimRandom(3))
  await volumes.append(needle)
  const place = must(volumes.cachedPlaceOf(needle.id, RANGE), "it was written through the cache")
  const clock = new SimClock()
  let opens = 0
  let goOn = (): void => undefined
  const hang = new Promise<void>(resolve => {
    goOn = resolve
  })
  const disk = interceptedDisk(device.files, ({ kind }) => {
    if (kind !== "open") return undefined
    opens += 1
    return hang
  })
  const local = new LocalReads(disk, clock)
  const read = (): Promise<Uint8Array | undefined> => local.read(needle.id, place, RANGE, undefined)
  const waiting = read()
  await clock.advance(2 * CALL_LIMITS.deviceTimeoutMs)
  assert.equal(await waiting, undefined)
  assert.equal(await read(), undefined)
  assert.equal(opens, 1)
  goOn()
  await clock.advance(1)
  const wanted = needle.body.subarray(RANGE.offsetBytes, RANGE.offsetBytes + RANGE.lengthBytes)
  assert.deepEqual(Buffer.from(must(await read(), "the disk answers")), Buffer.from(wanted))
  assert.equal(opens, 2)
  local.close()
  assert.equal(await read(), undefined)
})
