/** Tests of what is told of disks, on the files of a pretended kernel and with a pretended smartctl. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { SimDisk } from "@hayloft/base/seams/disk/sim.js"
import { DisksOfDevices } from "./disk-facts.js"

async function write(disk: Disk, path: string, text: string): Promise<void> {
  const file = await disk.open(path, "create")
  await file.write([Buffer.from(text)], 0)
  await file.close()
}

test("a disk has its counters each time, and is asked for its health once in ten minutes", async () => {
  const [disk, clock, asked] = [new SimDisk().boot(), new SimClock(), new Array<string>()]
  await disk.makeFolder("/sys/dev/block/8:17")
  await write(disk, "/sys/dev/block/8:17/stat", "1 0 8 3 2 0 16 4 1 0 0\n")
  await write(disk, "/sys/dev/block/8:17/uevent", "MAJOR=8\nMINOR=17\nDEVNAME=sdb1\n")
  const disks = new DisksOfDevices(disk, clock, async device => {
    asked.push(device)
    return JSON.stringify({ smart_status: { passed: true }, temperature: { current: 30 + asked.length } })
  })
  const io = { reads: 1, readBytes: 4_096, readMs: 3, writes: 2, writtenBytes: 8_192, writeMs: 4, inFlight: 1 }
  const first = await disks.of(["2065", "2065", "0"])
  assert.deepEqual([...first.keys()], ["2065"], "nothing is known of a file system without a block device")
  assert.deepEqual(first.get("2065")?.io, io)
  await clock.advance(599_000)
  assert.equal((await disks.of(["2065"])).get("2065")?.health?.celsius, 31)
  await clock.advance(2_000)
  assert.equal((await disks.of(["2065"])).get("2065")?.health?.celsius, 32)
  assert.deepEqual(asked, ["/dev/sdb", "/dev/sdb"], "the disk of the partition")
})
