/** Shards of another thread keep the promises of every shard store; shared memory is not copied. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { openChannel, PortChannel } from "@hayloft/base/seams/channel/real.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { isFailure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { DamagedDevice, shardStoreSuite } from "../remote/suite.js"
import type { ShardDevice } from "../block/index.js"
import { needleFor } from "../volume/testing-volumes.js"
import { ChannelDevice } from "./channel-shards.js"
import { ThreadLink } from "./link.js"
import { hintsOf, serveShards } from "./shard-host.js"

/** A device in another thread, for all that its caller can notice. */
async function far() {
  const device = new DamagedDevice()
  const volumes = await device.open()
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
  return { device, devices, hints, remote: new ChannelDevice(link, hints), close }
}

shardStoreSuite("over a channel", async () => {
  const { device, remote, close } = await far()
  return { device, store: remote.volumes, settle: promise => promise, close }
})

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
