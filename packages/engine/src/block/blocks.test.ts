/**
 * When shards are lost, damaged or late, a reader gets the right bytes or a refusal, never wrong bytes.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setImmediate as later } from "node:timers/promises"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseLogSequence } from "@hayloft/base/ids.js"
import { KIB, SYNC_READ_BYTES_MAX } from "@hayloft/base/limits.js"
import { parsePolicy, shardCount, shardsNeeded, textOfPolicy, tolerance, type Policy } from "@hayloft/base/policy.js"
import { isLent, streamOf } from "@hayloft/base/memory/pieces.js"
import { asPromise } from "@hayloft/base/soon.js"
import { waitIfSlow } from "../volume/contract.js"
import { CALL_LIMITS, queuedDisk, Rows, type QueuedDisk } from "../device/index.js"
import type { Extent } from "../format/needles/extent.js"
import { needleIdOfKey, needleKeyOf } from "../format/needles/needle.js"
import { partitionOf } from "../format/needles/partition.js"
import { slotsOf } from "../placement/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { interceptedDisk } from "@hayloft/base/seams/disk/index.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import type { Volumes } from "../volume/contract.js"
import { ALL_NEEDLES } from "./shard-scan-core.js"
import { changed, deviceIdOf, piecesOf, SHARD_MEMORY_BYTES, ShardWorld } from "./testing-blocks.js"

const BLOCK_BYTES = 128 * KIB
/** At 2+1, its shards have several sub-blocks. */
const LONG_BLOCK_BYTES = 336 * KIB
const deviceId = deviceIdOf

/** Rows in memory. */
const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))

/** The number of different buffers that hold the first pieces of readers that all stop after them. */
async function memoriesOf(world: ShardWorld, extent: Extent): Promise<number> {
  const range = { extent, offsetBytes: 0, lengthBytes: extent.lengthBytes }
  const memories = new Set<ArrayBufferLike>()
  for (let reader = 0; reader < 200; reader += 1) {
    const { signal } = new AbortController()
    const pieces = streamOf(world.blocks.read(range, signal, "reader"))[Symbol.asyncIterator]()
    const first = await world.clock.runUntil(pieces.next())
    assert.ok(first.done !== true)
    memories.add(first.value.buffer)
    await pieces.return?.()
    await world.clock.advance(10_000)
  }
  return memories.size
}

const World = {
  open: (policy: Policy, devices = shardCount(policy), refuseSingleCopy = false) =>
    ShardWorld.open(makeRows, policy, { devices, refuseSingleCopy, blockBytes: BLOCK_BYTES }),
}

const POLICIES = ["ec:2+1", "ec:2+1/xor", "ec:3+2/vandermonde", "ec:4+2", "ec:4+3", "replica:1", "replica:3"]

for (const text of POLICIES) {
  const policy = parsePolicy(text)
  const slots = shardCount(policy)
  const dataSlots = shardsNeeded(policy)

  test(`${text}: every pattern of lost shards returns the right bytes or a refusal`, async () => {
    const world = await World.open(policy)
    const bytes = world.random.bytes(2 * BLOCK_BYTES + 70_001)
    const extent = await world.writeExtent(bytes)
    for (let pattern = 0; pattern < 1 << slots; pattern += 1) {
      const lost = Array.from({ length: slots }, (_, slot) => slot).filter(slot => (pattern >> slot) & 1)
      world.meddle = (_, id) => {
        if (lost.includes(id.slot)) throw fail(id.slot % 2 === 0 ? "noSuchNeedle" : "corruptNeedle")
      }
      const read = world.read(extent)
      const isReadable = lost.length <= tolerance(policy) || (dataSlots > 1 && lost.every(slot => slot >= dataSlots))
      if (isReadable) assert.deepEqual(await read, Buffer.from(bytes), `lost ${lost.join()}`)
      else await assert.rejects(read, error => isFailure(error, "notEnoughShards"), `lost ${lost.join()}`)
    }
  })

  test(`${text}: removed needles and flipped bytes on disks never return wrong bytes`, async () => {
    const world = await World.open(policy)
    const random = world.random.fork("damage")
    const bytes = world.random.bytes(BLOCK_BYTES + 100_000)
    const extent = await world.writeExtent(bytes)
    for (let round = 0; round < 6; round += 1) {
      const device = 1 + random.below(slots)
      const path = must(world.disk.medium.namesIn(`/d${device}`)[0], "each device has a volume")
      const size = must(world.disk.medium.fileAt(`/d${device}/${path}`), "it was listed").current.length
      for (let flips = 0; flips < 4; flips += 1) {
        world.disk.flipBit(`/d${device}/${path}`, 8 * 4096 + random.below(8 * (size - 4096)))
      }
      const read = await world.read(extent).catch((error: unknown) => error)
      const isRefused = isFailure(read, "notEnoughShards")
      assert.ok(isRefused || (read instanceof Buffer && read.equals(bytes)), `round ${round}: ${String(read)}`)
      if (round === 0) assert.equal(isRefused, tolerance(policy) === 0 && isRefused)
    }
  })
}

test("ranges of all shapes match the body, with all shards and without a data shard", async () => {
  for (const text of ["ec:4+2", "replica:2"]) {
    const world = await World.open(parsePolicy(text))
    const bytes = world.random.bytes(2 * BLOCK_BYTES + 12_345)
    const extent = await world.writeExtent(bytes)
    const shard = BLOCK_BYTES / 4
    const edges = [0, 1, 63, 64, shard - 1, shard, shard + 1, 65_536, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1]
    const offsets = [...edges, 2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 3_100, bytes.length - 1]
    for (const lost of [undefined, 0, 1]) {
      world.meddle = (_, id) => {
        if (id.slot === lost) throw fail("noSuchNeedle")
      }
      for (const from of offsets) {
        for (const end of [...offsets, bytes.length].filter(each => each > from)) {
          const got = await world.read(extent, from, end - from)
          assert.ok(got.equals(bytes.subarray(from, end)), `${text} [${from}, ${end}) without shard ${lost}`)
        }
      }
    }
  }
})

test("the remaining shards of a block are read once, however many shards are lost", async () => {
  const world = await World.open(parsePolicy("ec:4+3"))
  const blocks = 3
  const bytes = world.random.bytes(blocks * BLOCK_BYTES)
  const extent = await world.writeExtent(bytes)
  for (const lost of [[0], [0, 1, 2], [1, 3]]) {
    let reads = 0
    world.meddle = (_, { slot }) => {
      if (lost.includes(slot)) throw fail("noSuchNeedle")
      reads += 1
    }
    assert.deepEqual(await world.read(extent), Buffer.from(bytes))
    // Shards requested before the first loss was found are read in addition.
    assert.ok(reads <= blocks * (4 + 4 - lost.length), `${reads} shards read without ${lost.join()}`)
  }
})

test("ranges deep inside long shards are rebuilt, lent or not, and the memory for it is freed", async () => {
  const policy = parsePolicy("ec:2+1")
  const world = await ShardWorld.open(makeRows, policy, { blockBytes: LONG_BLOCK_BYTES })
  const bytes = world.random.bytes(3 * LONG_BLOCK_BYTES - 5_000)
  const extent = await world.writeExtent(bytes)
  const shard = LONG_BLOCK_BYTES / 2
  const ranges = [0, 70_000, shard - 1, shard + 100_000, LONG_BLOCK_BYTES + 140_000].flatMap(from =>
    [1, 66_000, 2 * LONG_BLOCK_BYTES].map(length => ({ offsetBytes: from, lengthBytes: length })),
  )
  for (const lost of [0, 1, 2]) {
    world.meddle = (_, { slot }) => {
      if (slot === lost) throw fail("noSuchNeedle")
    }
    for (const range of ranges.filter(each => each.offsetBytes + each.lengthBytes <= bytes.length)) {
      const expected = bytes.subarray(range.offsetBytes, range.offsetBytes + range.lengthBytes)
      for (const owner of ["caller", "reader"] as const) {
        const pieces: Uint8Array[] = []
        const stream = streamOf(world.blocks.read({ extent, ...range }, new AbortController().signal, owner))
        for await (const piece of stream) pieces.push(owner === "caller" ? piece : Uint8Array.from(piece))
        assert.ok(Buffer.concat(pieces).equals(expected), `${JSON.stringify(range)} without ${lost}, ${owner}`)
      }
    }
  }
  const probe = world.compute.shards.take(64 * KIB)
  world.compute.shards.give(probe)
  const all = world.compute.shards.take(SHARD_MEMORY_BYTES)
  assert.equal(all.buffer, probe.buffer, "all of the region is free")
  assert.deepEqual(world.damaged, [], "whole shards are not reported as damaged and do not take the slow path")
})

test("readers that stop after their first piece return the memory that pieces are lent from", async () => {
  const world = await ShardWorld.open(makeRows, parsePolicy("replica:1"), { blockBytes: LONG_BLOCK_BYTES })
  const extent = await world.writeExtent(world.random.bytes(3 * LONG_BLOCK_BYTES))
  assert.equal(await memoriesOf(world, extent), 1, "one memory was enough for all of them")
})

for (const trouble of ["lost", "unreadable", "slow"] as const) {
  test(`readers whose first shards are ${trouble} return the memory too`, async () => {
    const world = await World.open(parsePolicy("ec:2+2"))
    const extent = await world.writeExtent(world.random.bytes(4 * BLOCK_BYTES))
    const [first] = slotsOf(world.layout, partitionOf(extent.uploadId, 0, 0))
    const id = must(first, "slot 0 is placed")
    const folder = `/d${parseInt(id, 16)}/`
    if (trouble === "lost") world.devices.takeOffline(id)
    world.disk.intercept(async call => {
      if (call.kind !== "read" || !call.path.startsWith(folder)) return
      if (trouble === "unreadable") throw fail("deviceFailed", { code: "EIO" })
      await world.clock.sleep(3_000, new AbortController().signal)
    })
    assert.equal(await memoriesOf(world, extent), 1)
  })
}

test("a short range whose shards are in the page cache is lent as a whole; other ranges are streamed", async () => {
  const world = await World.open(parsePolicy("ec:2+1"))
  const bytes = world.random.bytes(2 * BLOCK_BYTES)
  const extent = await world.writeExtent(bytes)
  let [isAtHand, taken] = [true, 0]
  for (const [id, device] of [...world.devices.live]) {
    const shards = new Map<string, Uint8Array>()
    const read: Volumes["read"] = (needle, { offsetBytes, lengthBytes }, ifSlow, allocate) => {
      const shard = shards.get(needleKeyOf(needle))
      if (shard === undefined || !isAtHand)
        return ifSlow(async () => device.volumes.read(needle, { offsetBytes, lengthBytes }, waitIfSlow, allocate))
      taken += 1
      const memory = allocate?.(lengthBytes) ?? new Uint8Array(lengthBytes)
      memory.set(shard.subarray(offsetBytes, offsetBytes + lengthBytes))
      return memory
    }
    for (const { key, bodyBytes } of device.volumes.indexed(ALL_NEEDLES)) {
      const whole = { offsetBytes: 0, lengthBytes: bodyBytes }
      shards.set(key, await device.volumes.read(needleIdOfKey(key), whole, waitIfSlow))
    }
    world.devices.live.set(id, { ...device, volumes: changed(device.volumes, { read }) })
  }
  const range = { extent, offsetBytes: 10_000, lengthBytes: BLOCK_BYTES }
  const expected = Buffer.from(bytes.subarray(10_000, 10_000 + BLOCK_BYTES))
  const { signal } = new AbortController()
  const memories = new Set<ArrayBufferLike>()
  for (let time = 0; time < 100; time += 1) {
    const lent = world.blocks.read(range, signal, "reader")
    assert.ok(isLent(lent) && expected.equals(lent.bytes))
    memories.add(lent.bytes.buffer)
    lent.giveBack()
  }
  assert.equal(memories.size, 1, "returned memory is lent again")
  assert.ok(taken > 100, "a piece of each shard")
  assert.ok(!isLent(world.blocks.read(range, signal)), "bytes that the caller owns are not lent")
  assert.ok(!isLent(world.blocks.read({ ...range, lengthBytes: SYNC_READ_BYTES_MAX + 1 }, signal, "reader")))
  isAtHand = false
  const stream = world.blocks.read(range, signal, "reader")
  assert.ok(!isLent(stream))
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(Uint8Array.from(piece))
  assert.ok(expected.equals(Buffer.concat(pieces)))
})

test("readers whose synchronous reads fail after taking memory return it", async () => {
  const world = await World.open(parsePolicy("ec:2+2"))
  const extent = await world.writeExtent(world.random.bytes(4 * BLOCK_BYTES))
  for (const [id, device] of [...world.devices.live]) {
    const read: Volumes["read"] = (needle, range, ifSlow, allocate) => {
      allocate?.(range.lengthBytes)
      return ifSlow(() => asPromise(() => device.volumes.read(needle, range, waitIfSlow, allocate)))
    }
    world.devices.live.set(id, { ...device, volumes: changed(device.volumes, { read }) })
  }
  assert.equal(await memoriesOf(world, extent), 1)
})

test("memory into which an offline device still reads is not reused until the read has ended", async () => {
  const queues: QueuedDisk[] = []
  const { signal } = new AbortController()
  const world = await ShardWorld.open(makeRows, parsePolicy("ec:2+2"), {
    blockBytes: 250 * KIB,
    behind: disk => {
      const queue = queuedDisk(disk, new SimClock(), CALL_LIMITS, signal, () => undefined)
      queues.push(queue)
      return queue
    },
  })
  const bytes = world.random.bytes(250 * KIB)
  const extent = await world.writeExtent(bytes)
  const [lost, slow] = slotsOf(world.layout, partitionOf(extent.uploadId, 0, 0))
  world.devices.takeOffline(must(lost, "slot 0 is placed"))
  const slowId = must(slow, "slot 1 is placed")
  const number = 1 + [...world.layout.devices].sort().indexOf(slowId)
  let goOn: () => void = () => undefined
  const late = new Promise<void>(resolve => (goOn = resolve))
  world.disk.intercept(call => (call.kind === "read" && call.path.startsWith(`/d${number}/`) ? late : undefined))
  assert.ok((await world.clock.runUntil(world.read(extent))).equals(bytes))
  must(queues[number - 1], "each device has a queue").retire(fail("deviceFailed"))
  world.devices.takeOffline(slowId)
  await later()
  const { shards } = world.compute
  const others = Array.from({ length: SHARD_MEMORY_BYTES / (64 * KIB) }, () => shards.take(64 * KIB).fill(0xa5))
  goOn()
  for (let turn = 0; turn < 10; turn += 1) await later()
  for (const each of others)
    assert.ok(
      each.every(byte => byte === 0xa5),
      "others write on it",
    )
  for (const each of others) shards.give(each)
  const all = shards.take(SHARD_MEMORY_BYTES)
  assert.ok(all.buffer.byteLength > SHARD_MEMORY_BYTES, "all of the region is free")
})

for (const end of ["before it comes back", "after that"] as const) {
  test(`a write that hangs holds no slab; bytes that it takes from another block, ${end}, are never used`, async () => {
    const queues: QueuedDisk[] = []
    const { signal } = new AbortController()
    const [gone, folder] = [deviceId(1), "/d1"]
    let [goOn, hangs]: [() => void, boolean] = [() => undefined, false]
    const late = new Promise<void>(resolve => (goOn = resolve))
    const world = await ShardWorld.open(makeRows, parsePolicy("ec:2+2"), {
      blockBytes: BLOCK_BYTES,
      behind: disk => {
        const hanging = interceptedDisk(disk, call =>
          hangs && call.kind === "write" && call.path.startsWith(folder) ? late : undefined,
        )
        const queue = queuedDisk(hanging, new SimClock(), CALL_LIMITS, signal, () => undefined)
        queues.push(queue)
        return queue
      },
    })
    const bodies = [1, 2, 3].map(() => world.random.bytes(BLOCK_BYTES))
    const write = (body: number) => world.clock.runUntil(world.writeExtent(must(bodies[body], "three bodies")))
    const sizeBytes = (): number =>
      must(world.disk.medium.fileAt(`${folder}/0000000001.volume`), "the volume was created").current.length
    const extents = [await write(0)]
    const before = sizeBytes()
    hangs = true
    extents.push(await write(1))
    must(queues[0], "each device has a queue").retire(fail("deviceFailed"))
    world.devices.takeOffline(gone)
    await later()
    assert.equal(
      world.compute.slabs.slabsFree,
      world.compute.slabs.slabsTotal,
      "uploads continue, however long the write hangs",
    )
    extents.push(await write(2))
    hangs = false
    if (end === "after that") await world.devices.reopen(gone)
    goOn()
    for (let turn = 0; turn < 10; turn += 1) await later()
    assert.ok(sizeBytes() > before, "it was written")
    await world.devices.reopen(gone)
    assert.equal(world.devices.needlesOn(gone), 1, "only the needles from before")
    for (const [i, extent] of extents.entries()) {
      assert.ok((await world.read(extent)).equals(must(bodies[i], "three bodies")))
    }
    assert.deepEqual(world.damaged, [])
  })
}

for (const kind of ["deviceFailed", "corruptRow"] as const) {
  test(`a read treats an index that can no longer be read (${kind}) as one more loss, and continues`, async () => {
    const world = await World.open(parsePolicy("ec:4+3"))
    const bytes = world.random.bytes(4 * BLOCK_BYTES)
    const extent = await world.writeExtent(bytes)
    const [first, second] = [must(world.layout.devices[0], "a device"), must(world.layout.devices[1], "another")]
    for (const id of [first, second]) {
      const device = must(world.devices.live.get(id), "it is live")
      const lost = fail(kind, { device: id })
      const has = (): boolean => {
        throw lost
      }
      const volumes = changed(device.volumes, {
        has,
        read: (_, __, ifSlow) => ifSlow(() => Promise.reject(lost)),
        fetch: () => Promise.reject(lost),
      })
      world.devices.live.set(id, { ...device, volumes })
    }
    // Like the store, which looks up each reported shard.
    world.damaged.push = () => {
      throw fail("corruptRow")
    }
    assert.ok((await world.read(extent)).equals(bytes))
  })
}

test("a shard found damaged during a rebuild is noted and replaced by others", async () => {
  const world = await ShardWorld.open(makeRows, parsePolicy("ec:2+2"), { blockBytes: 250 * KIB })
  const bytes = world.random.bytes(250 * KIB)
  const extent = await world.writeExtent(bytes)
  const slots = slotsOf(world.layout, partitionOf(extent.uploadId, 0, 0))
  const holder = must(slots[1], "slot 1 is placed")
  const number = 1 + [...world.devices.live.keys()].indexOf(holder)
  const name = must(world.disk.medium.namesIn(`/d${number}`)[0], "each device has a volume")
  const size = must(world.disk.medium.fileAt(`/d${number}/${name}`), "it was listed").current.length
  world.disk.flipBit(`/d${number}/${name}`, 8 * (size - 20_000))
  world.meddle = (_, { slot }) => {
    if (slot === 0) throw fail("noSuchNeedle")
  }
  assert.ok((await world.read(extent)).equals(bytes))
  assert.ok(world.damaged.some(({ deviceId: of, id }) => of === holder && id.slot === 1))
})

test("empty bodies and bodies of whole blocks are read back", async () => {
  const world = await World.open(parsePolicy("ec:2+1"))
  for (const length of [0, 1, 63, 64, 65, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES]) {
    const bytes = world.random.bytes(length)
    assert.deepEqual(await world.read(await world.writeExtent(bytes)), Buffer.from(bytes), `${length} bytes`)
  }
})

test("a body that breaks off leaves no slab in use and no needle behind", async () => {
  const world = await World.open(parsePolicy("ec:2+1"))
  const { slabs } = world.compute
  const bytes = world.random.bytes(6 * BLOCK_BYTES)
  for (const failsAfter of [0, 50_000, BLOCK_BYTES, 2 * BLOCK_BYTES + 1, 5 * BLOCK_BYTES]) {
    await assert.rejects(world.write(bytes, piecesOf(bytes, failsAfter)), error => isFailure(error, "incompleteBody"))
    await world.clock.advance(10)
    assert.equal(slabs.slabsFree, slabs.slabsTotal, `slabs after ${failsAfter} bytes`)
  }
  const stopped = new AbortController()
  async function* aborting(): AsyncGenerator<Uint8Array> {
    yield* piecesOf(bytes.subarray(0, 3 * BLOCK_BYTES))
    stopped.abort(fail("stopping"))
    yield* piecesOf(bytes)
  }
  await assert.rejects(world.write(bytes, aborting(), stopped.signal), error => isFailure(error, "stopping"))
  world.meddle = what => {
    if (what === "append") throw fail("deviceFull")
  }
  await assert.rejects(world.write(bytes), error => isFailure(error, "deviceFull"))
  await world.clock.advance(1_000)
  assert.equal(slabs.slabsFree, slabs.slabsTotal)
  for (let upload = 1; upload <= 7; upload += 1) {
    assert.equal(await world.held(upload.toString(16).padStart(32, "0"), 6), 0, `needles of upload ${upload}`)
  }
})

/** Appends to these slots wait until the returned function is called. */
function holding(world: ShardWorld, slots: readonly number[]): () => void {
  let proceed: () => void = () => undefined
  const gate = new Promise<void>(resolve => (proceed = resolve))
  world.meddle = (what, id) => (what === "append" && slots.includes(id.slot) ? gate : undefined)
  return () => proceed()
}

test("a whole body is stored like a streamed one, with its hints; a refused one leaves nothing behind", async () => {
  const world = await World.open(parsePolicy("ec:2+2"))
  const { slabs } = world.compute
  for (const failing of [undefined, deviceId(2)]) {
    world.meddle = (what, _, device) => {
      if (what === "append" && device === failing) throw fail("deviceFailed")
    }
    for (const length of [1, 64 * KIB, 64 * KIB + 1, BLOCK_BYTES]) {
      const bytes = world.random.bytes(length)
      const { content, hints } = await world.clock.runUntil(world.write(bytes, bytes))
      assert(content.kind === "extent")
      const { extent } = content
      assert.deepEqual(await world.read(extent), Buffer.from(bytes))
      const { uploadId, ...comes } = await world.clock.runUntil(world.writeExtent(bytes))
      assert.notEqual(uploadId, extent.uploadId)
      assert.equal(comes.exceptions.length, extent.exceptions.length)
      assert.equal(hints.length, failing === undefined ? 0 : 1)
      assert.deepEqual({ ...comes, uploadId, exceptions: [] }, { ...extent, uploadId, exceptions: [] })
    }
  }
  world.meddle = (what, { slot }) => {
    if (what === "append" && slot > 1) throw fail("deviceFull")
  }
  const refused = world.random.bytes(100)
  await assert.rejects(world.clock.runUntil(world.write(refused, refused)), error => isFailure(error, "deviceFull"))
  await world.clock.advance(1_000)
  assert.equal(slabs.slabsFree, slabs.slabsTotal)
  assert.equal(await world.held((17).toString(16).padStart(32, "0"), 1), 0)
})

test("a write waits for one late shard only for the straggler time, and notes it", async () => {
  const world = await World.open(parsePolicy("ec:4+2"))
  const proceed = holding(world, [3])
  const bytes = world.random.bytes(100_000)
  const writing = world.write(bytes)
  let settled = false
  void writing.then(() => (settled = true))
  await world.clock.advance(200)
  assert.equal(settled, false, "the straggler time is not over")
  const written = await world.clock.runUntil(writing)
  assert.ok(written.content.kind === "extent")
  const { extent } = written.content
  assert.deepEqual(
    extent.exceptions.map(exception => exception.missingSlots),
    [[3]],
  )
  const partition = partitionOf(extent.uploadId, 0, 0)
  assert.deepEqual(written.hints, [{ partition, deviceId: slotsOf(world.layout, partition)[3] }])
  assert.equal(world.compute.slabs.slabsFree, world.compute.slabs.slabsTotal - 1, "the late write reads from its slab")
  assert.deepEqual(await world.read(extent), Buffer.from(bytes))
  proceed()
  await world.clock.advance(10)
  assert.equal(world.compute.slabs.slabsFree, world.compute.slabs.slabsTotal)
})

test("a write waits for two late shards: the block must survive one more loss", async () => {
  const world = await World.open(parsePolicy("ec:4+2"))
  const proceed = holding(world, [0, 5])
  const writing = world.write(world.random.bytes(100_000))
  let settled = false
  void writing.then(() => (settled = true))
  await world.clock.advance(10_000)
  assert.equal(settled, false)
  proceed()
  const written = await world.clock.runUntil(writing)
  assert.deepEqual(written.hints, [])
})

test("one failed device gets a missing-shard hint; two failed devices refuse the body", async () => {
  const world = await World.open(parsePolicy("ec:4+2"))
  const bytes = world.random.bytes(3 * BLOCK_BYTES)
  const [first, second] = [deviceId(1), deviceId(2)]
  world.meddle = (what, _, device) => {
    if (what === "append" && device === first) throw fail("deviceFailed")
  }
  const written = await world.clock.runUntil(world.write(bytes))
  assert.deepEqual([...new Set(written.hints.map(hint => hint.deviceId))], [first])
  assert.equal(written.hints.length, 3)
  assert.ok(written.content.kind === "extent")
  assert.deepEqual(await world.read(written.content.extent), Buffer.from(bytes))
  world.meddle = (what, _, device) => {
    if (what === "append" && (device === first || device === second)) throw fail("deviceFailed")
  }
  await assert.rejects(world.clock.runUntil(world.write(bytes)), error => isFailure(error, "deviceFailed"))
})

test("with read-only devices, bodies are written so that one more loss is survived, and are read back", async () => {
  for (const [text, devices] of [
    ["ec:4+2", 6],
    ["ec:4+3", 7],
    ["ec:2+1", 3],
    ["replica:3", 3],
  ] as const) {
    for (let down = 1; down < devices; down += 1) {
      const world = await World.open(parsePolicy(text))
      for (let i = 1; i <= down; i += 1) world.down.add(deviceId(i))
      const bytes = world.random.bytes(2 * BLOCK_BYTES + 999)
      const extent = await world.writeExtent(bytes)
      assert.deepEqual(await world.read(extent), Buffer.from(bytes), `${text}, ${down} down`)
      const policy = must(extent.exceptions[0], "the blocks differ from their extent").policy
      const liveCount = devices - down
      if (liveCount === 1) continue
      for (let lost = down + 1; lost <= devices; lost += 1) {
        world.meddle = (what, _, device) => {
          if (what === "read" && device === deviceId(lost)) throw fail("deviceFailed")
        }
        const got = await world.read(extent)
        assert.ok(got.equals(bytes), `${text} as ${textOfPolicy(policy)}, ${down} down, ${lost} lost`)
      }
      world.meddle = () => undefined
      await world.blocks.remove(extent)
      assert.equal(await world.held(extent.uploadId, 3), 0, "all its needles are removed")
    }
  }
  const world = await World.open(parsePolicy("replica:2"))
  world.down.add(deviceId(1)).add(deviceId(2))
  await assert.rejects(world.write(world.random.bytes(10)), error => isFailure(error, "deviceFailed"))
})
