/** Shards of another thread keep the promises of every shard store; shared memory is not copied. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { openChannel, PortChannel } from "@hayloft/base/seams/channel/real.js"
import { interceptedDisk, type DiskCall } from "@hayloft/base/seams/disk/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { DamagedDevice, shardStoreSuite } from "../remote/suite.js"
import type { ShardDevice } from "../block/index.js"
import { waitIfSlow } from "../volume/contract.js"
import { needleFor } from "../volume/testing-volumes.js"
import { ChannelDevice } from "./channel-shards.js"
import { ThreadLink } from "./link.js"
import { LocalReads } from "./local-reads.js"
import { hintsOf, serveShards } from "./shard-host.js"

/** A device in another thread, for all that its caller can notice. */
async function far(hasCache = false) {
  const device = new DamagedDevice()
  const volumes = await device.open(hasCache)
  const own: ShardDevice = { id: device.id, volumes, isWritable: true }
  const devices = new Map([[device.id, own]])
  const { channel, port } = openChannel()
  const clock = new RealClock()
  const engineLink = new ThreadLink(channel, clock)
  serveShards(engineLink, devices)
  engineLink.start()
  const link = new ThreadLink(new PortChannel(port), clock)
  link.start()
  const [hints] = hintsOf(devices)
  assert.ok(hints)
  const close = async (): Promise<void> => {
    link.close()
    await volumes.close()
  }
  const calls: DiskCall[] = []
  const fault = { of: (_: DiskCall): Promise<void> | undefined => undefined }
  const disk = interceptedDisk(device.files, call => {
    calls.push(call)
    return fault.of(call)
  })
  const remote = new ChannelDevice(link, hints, new LocalReads(disk, clock))
  /** The calls that the thread of the front has made since the last question. */
  const ownCalls = (): readonly string[] => calls.splice(0).map(({ kind }) => kind)
  return { device, devices, hints, remote, fault, ownCalls, close }
}

for (const hasCache of [false, true]) {
  shardStoreSuite(`over a channel, with${hasCache ? "" : "out"} files in the page cache`, async () => {
    const { device, remote, close } = await far(hasCache)
    return { device, store: remote.volumes, settle: promise => promise, close }
  })
}

test("a body in shared memory is written from where it is, another one from a copy", async () => {
  const { device, remote, close } = await far()
  const random = new SimRandom(7)
  const needle = needleFor(1, 64 * KIB, random)
  const shared = new Uint8Array(new SharedArrayBuffer(3 * needle.body.length), needle.body.length, needle.body.length)
  shared.set(needle.body)
  const received: Uint8Array[] = []
  const { volumes } = device
  const append = volumes.append.bind(volumes)
  volumes.append = each => {
    received.push(each.body)
    return append(each)
  }
  await remote.volumes.append({ ...needle, body: shared })
  const around = new Uint8Array(1024 * KIB)
  const plain = around.subarray(17, 17 + needle.body.length)
  plain.set(needle.body)
  await remote.volumes.append({ ...needle, body: plain })
  assert.ok(received[0]?.buffer instanceof SharedArrayBuffer)
  assert.equal(received[0]?.byteOffset, shared.byteOffset)
  // It carries nothing of the memory around it.
  assert.equal(received[1]?.buffer.byteLength, needle.body.length)
  await close()
})

test("hints follow the device, and a device that is gone fails", async () => {
  const { device, devices, hints, remote, close } = await far()
  assert.deepEqual([remote.isWritable, remote.isFull, remote.volumes.refusing], [true, false, undefined])
  remote.tell({ ...hints, isFull: true, refusing: { kind: "deviceFailed", details: { reason: "broken" } } })
  assert.equal(remote.isFull, true)
  assert.ok(isFailure(remote.volumes.refusing, "deviceFailed"))
  devices.delete(device.id)
  const { id } = needleFor(1, 64, new SimRandom(1))
  await assert.rejects(
    async () => remote.volumes.has(id),
    error => isFailure(error, "deviceFailed"),
  )
  await close()
})

const RANGE = { offsetBytes: 70 * KIB, lengthBytes: 50 * KIB }

test("bytes that the page cache has are read and verified by the thread of the front", async t => {
  const { device, hints, remote, fault, ownCalls, close } = await far(true)
  t.after(close)
  const random = new SimRandom(11)
  const [good, bad] = [1, 2].map(part => needleFor(part, 256 * KIB, random))
  assert.ok(good && bad)
  for (const needle of [good, bad]) await remote.volumes.append(needle)
  const reading = async (needle = good) => remote.volumes.read(needle.id, RANGE, waitIfSlow)
  const wanted = good.body.subarray(RANGE.offsetBytes, RANGE.offsetBytes + RANGE.lengthBytes)
  assert.deepEqual(Buffer.from(await reading()), Buffer.from(wanted))
  assert.deepEqual(Buffer.from(await reading()), Buffer.from(wanted))
  assert.deepEqual(ownCalls(), ["open", "readSync", "readSync"])
  // The engine thread has to learn of damage.
  device.damageBody(bad, RANGE.offsetBytes)
  await assert.rejects(reading(bad), error => isFailure(error, "corruptNeedle"))
  // The file that this thread would open is out of reach: the engine thread has it open.
  remote.tell({ ...hints, removedVolumes: 1 })
  fault.of = ({ kind }) => (kind === "open" ? Promise.reject(fail("deviceFailed")) : undefined)
  ownCalls()
  assert.deepEqual(Buffer.from(await reading()), Buffer.from(wanted))
  assert.deepEqual(ownCalls(), ["open"])
})

test("files are closed once a volume was removed, and a device that is gone opens none", async t => {
  const { hints, remote, ownCalls, close } = await far(true)
  t.after(close)
  const needle = needleFor(1, 256 * KIB, new SimRandom(12))
  await remote.volumes.append(needle)
  const reading = async () => remote.volumes.read(needle.id, RANGE, waitIfSlow)
  await reading()
  assert.ok(ownCalls().includes("open"))
  remote.tell({ ...hints, removedVolumes: 1 })
  await reading()
  assert.ok(ownCalls().includes("open"), "the file was opened again")
  remote.tell({ ...hints, removedVolumes: 1 })
  await reading()
  assert.ok(!ownCalls().includes("open"))
  remote.close()
  assert.equal((await reading()).length, RANGE.lengthBytes)
  assert.deepEqual(ownCalls(), [])
})

test("a device of another process is not asked for places in its files", async t => {
  const { device, remote, close } = await far(true)
  t.after(close)
  const needle = needleFor(1, 256 * KIB, new SimRandom(13))
  await remote.volumes.append(needle)
  let asked = 0
  const { volumes } = device
  const placeOf = volumes.cachedPlaceOf.bind(volumes)
  volumes.cachedPlaceOf = (...request) => {
    asked += 1
    return placeOf(...request)
  }
  const reading = async () => remote.volumes.read(needle.id, RANGE, waitIfSlow)
  await reading()
  assert.equal(asked, 1)
  // The devices of another process have no files here.
  const [elsewhere] = hintsOf(new Map([[device.id, { id: device.id, volumes: remote.volumes, isWritable: true }]]))
  assert.ok(elsewhere)
  remote.tell(elsewhere)
  assert.equal((await reading()).length, RANGE.lengthBytes)
  assert.equal(asked, 1)
})
