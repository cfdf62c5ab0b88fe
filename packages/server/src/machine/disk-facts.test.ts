/** Tests of what is told of disks, on the files of a pretended kernel and with a pretended smartctl. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { SimDisk } from "@hayloft/base/seams/disk/sim.js"
import { DisksOfDevices } from "./disk-facts.js"

async function write(disk: Disk, path: string, text: string): Promise<void> {
  const file = await disk.open(path, "create")
  await file.write([Buffer.from(text)], 0)
  await file.close()
}

const [A, B, C] = [
  parseDeviceId("00000000000000a1"),
  parseDeviceId("00000000000000b2"),
  parseDeviceId("00000000000000c3"),
]
const DEVICES = [
  { id: A, fileSystemId: "2065", failedCalls: 0 },
  { id: B, fileSystemId: "2065", failedCalls: 2 },
  { id: C, fileSystemId: "0", failedCalls: 7 },
] as const

test("a disk has its counters each time, and is asked for its health once in ten minutes", async () => {
  const [disk, clock, asked] = [new SimDisk().boot(), new SimClock(), new Array<string>()]
  await disk.makeFolder("/sys/dev/block/8:17")
  await write(disk, "/sys/dev/block/8:17/stat", "1 0 8 3 2 0 16 4 1 0 0\n")
  await write(disk, "/sys/dev/block/8:17/uevent", "MAJOR=8\nMINOR=17\nDEVNAME=sdb1\n")
  const disks = new DisksOfDevices(
    disk,
    clock,
    async device => {
      asked.push(device)
      return JSON.stringify({ smart_status: { passed: true }, temperature: { current: 30 + asked.length } })
    },
    () => DEVICES,
  )
  const io = { reads: 1, readBytes: 4_096, readMs: 3, writes: 2, writtenBytes: 8_192, writeMs: 4, inFlight: 1 }
  const [first, second, other] = await disks.read()
  assert.deepEqual(first, {
    device: A,
    atMs: first?.atMs,
    failedCalls: 0,
    name: "sdb1",
    io,
    health: { isHealthy: true, celsius: 31 },
  })
  assert.deepEqual([second?.device, second?.failedCalls, second?.io], [B, 2, io])
  assert.deepEqual(other, { device: C, atMs: other?.atMs, failedCalls: 7 }, "no block device is known")
  await clock.advance(599_000)
  assert.equal((await disks.read())[0]?.health?.celsius, 31)
  await clock.advance(2_000)
  assert.equal((await disks.read())[0]?.health?.celsius, 32)
  assert.deepEqual(asked, ["/dev/sdb", "/dev/sdb"], "the disk of the partition")
})
