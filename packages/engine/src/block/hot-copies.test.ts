/** Copies of hot pieces behind the reader: right bytes, one read for all, bounded memory, no effect on others. */
import assert from "node:assert/strict"
import { setMaxListeners } from "node:events"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseLogSequence } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { isLent, streamOf } from "@hayloft/base/memory/pieces.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { Rows } from "../device/index.js"
import type { Extent } from "../format/needles/extent.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import type { HotCopies } from "./hot-copies.js"
import { HOT_COPY_LIMITS } from "./hot-copies-core.js"
import { BLOCK_LIMITS } from "./limits.js"
import { OWNER, ShardWorld } from "./testing-blocks.js"

const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
const { signal } = new AbortController()
setMaxListeners(0, signal)
const BLOCK_BYTES = 256 * KIB
/** Its shards have several sub-blocks. */
const LONG_BLOCK_BYTES = 336 * KIB

class Scene {
  reads = 0

  private constructor(readonly world: ShardWorld) {
    this.count()
  }

  static async open(policy = "ec:4+2", budgetBytes = 4 * MIB, blockBytes = BLOCK_BYTES): Promise<Scene> {
    const hotCopies = { budgetBytes, readsPerMinute: 10 }
    return new Scene(await ShardWorld.open(makeRows, parsePolicy(policy), { blockBytes, hotCopies }))
  }

  /** Counts reads of devices; `before` may make them fail or wait. */
  count(before: (slot: number) => void | Promise<void> = () => undefined): void {
    this.world.meddle = (what, { slot }) => {
      if (what !== "read") return
      this.reads += 1
      return before(slot)
    }
  }

  get copies(): HotCopies {
    return must(this.world.blocks.hotCopies, "copies are on")
  }

  /** Like a GET of a range, whose client takes everything. */
  get(extent: Extent, offsetBytes = 0, lengthBytes = extent.lengthBytes - offsetBytes): Promise<Buffer> {
    return this.world.clock.runUntil(this.take(extent, offsetBytes, lengthBytes))
  }

  async take(extent: Extent, offsetBytes = 0, lengthBytes = extent.lengthBytes - offsetBytes): Promise<Buffer> {
    const pieces: Uint8Array[] = []
    const read = this.world.blocks.read({ extent, offsetBytes, lengthBytes }, signal, "reader")
    for await (const piece of streamOf(read)) pieces.push(Uint8Array.from(piece))
    return Buffer.concat(pieces)
  }

  heat(extent: Extent, times = 10): Promise<void> {
    return this.repeat(times, async () => void (await this.take(extent)))
  }

  /** Does the work again and again, within one stretch of simulated time. */
  repeat(times: number, work: (time: number) => Promise<void>): Promise<void> {
    const all = async (): Promise<void> => {
      for (let i = 0; i < times; i += 1) await work(i)
    }
    return this.world.clock.runUntil(all())
  }

  /** Lets minutes pass, and the job run in each. */
  async pass(minutes: number): Promise<void> {
    for (let i = 0; i < minutes; i += 1) {
      await this.world.clock.advance(60_000)
      this.copies.dropCold()
    }
  }
}

for (const policy of ["ec:3+1", "replica:2"]) {
  test(`${policy}: every range of a hot extent has the right bytes, and needs no device`, async () => {
    const scene = await Scene.open(policy)
    const bytes = Buffer.from(scene.world.random.bytes(2 * BLOCK_BYTES + 70_001))
    const extent = await scene.world.writeExtent(bytes)
    await scene.heat(extent)
    assert.equal(scene.copies.figures.usedBytes, bytes.length)
    scene.reads = 0
    const random = scene.world.random.fork("ranges")
    await scene.repeat(200, async i => {
      const from = random.below(bytes.length)
      const length = 1 + random.below(Math.min(bytes.length - from, i % 2 === 0 ? 1_000 : bytes.length))
      assert.ok(bytes.subarray(from, from + length).equals(await scene.take(extent, from, length)))
    })
    assert.equal(scene.reads, 0)
  })
}

test("a short range of a hot extent is lent at once, and its memory stays until it is returned", async () => {
  const scene = await Scene.open()
  const bytes = Buffer.from(scene.world.random.bytes(64 * KIB))
  const extent = await scene.world.writeExtent(bytes)
  await scene.heat(extent)
  const lent = scene.world.blocks.read({ extent, offsetBytes: 0, lengthBytes: bytes.length }, signal, "reader")
  assert.ok(isLent(lent))
  await scene.pass(10)
  assert.ok(bytes.equals(lent.bytes), "dropped, but still held")
  assert.deepEqual([scene.copies.figures.usedBytes, scene.copies.figures.cooled], [bytes.length, 1])
  lent.giveBack()
  assert.equal(scene.copies.figures.usedBytes, 0)
  assert.equal(lent.bytes.length, 0, "its memory is freed at once")
})

test("readers that come while a copy is made share one read of the devices", async () => {
  const scene = await Scene.open()
  const bytes = Buffer.from(scene.world.random.bytes(BLOCK_BYTES))
  const extent = await scene.world.writeExtent(bytes)
  await scene.heat(extent, 9)
  let open: () => void = () => undefined
  const gate = new Promise<void>(resolve => (open = resolve))
  scene.reads = 0
  scene.count(() => gate)
  const readers = Array.from({ length: 200 }, () => scene.take(extent))
  await scene.world.clock.advance(1)
  open()
  for (const read of await scene.world.clock.runUntil(Promise.all(readers))) assert.ok(bytes.equals(read))
  assert.equal(scene.reads, 4, "each of the 4 data shards was read once")
})

test("a hot block that lost shards is rebuilt once, and not for each GET", async () => {
  const scene = await Scene.open()
  const bytes = Buffer.from(scene.world.random.bytes(BLOCK_BYTES))
  const extent = await scene.world.writeExtent(bytes)
  scene.count(slot => {
    if (slot < 2) throw fail("noSuchNeedle")
  })
  await scene.heat(extent)
  scene.reads = 0
  await scene.repeat(50, async () => assert.ok(bytes.equals(await scene.take(extent))))
  assert.equal(scene.reads, 0)
})

test("ranges that are intact are read although no copy of their unit can be made, which is tried rarely", async () => {
  const scene = await Scene.open("ec:2+1", 4 * MIB, LONG_BLOCK_BYTES)
  const bytes = Buffer.from(scene.world.random.bytes(LONG_BLOCK_BYTES))
  const extent = await scene.world.writeExtent(bytes)
  // The second half of the block cannot be read, nor rebuilt.
  const failing = new Set([1, 2])
  scene.count(slot => {
    if (failing.has(slot)) throw fail("corruptNeedle")
  })
  const half = bytes.subarray(0, LONG_BLOCK_BYTES / 2)
  await scene.repeat(30, async () => assert.ok(half.equals(await scene.take(extent, 0, half.length))))
  const { failed, usedBytes } = scene.copies.figures
  assert.deepEqual([failed, usedBytes], [1, 0])
  await assert.rejects(scene.get(extent), (error: unknown) => isFailure(error, "notEnoughShards"))
  failing.clear()
  await scene.pass(2)
  await scene.heat(extent)
  assert.equal(scene.copies.figures.usedBytes, bytes.length)
})

test("readers that waited for a copy that could not be made get their bytes themselves", async () => {
  const scene = await Scene.open("ec:2+1")
  const bytes = Buffer.from(scene.world.random.bytes(BLOCK_BYTES))
  const extent = await scene.world.writeExtent(bytes)
  await scene.heat(extent, 9)
  scene.count(async () => {
    await scene.world.clock.sleep(1, signal)
    if (scene.copies.figures.failed === 0) throw fail("deviceFailed")
  })
  const readers = Array.from({ length: 20 }, () => scene.take(extent))
  for (const read of await scene.world.clock.runUntil(Promise.all(readers))) assert.ok(bytes.equals(read))
  assert.equal(scene.copies.figures.failed, 1)
})

test("a reader that leaves while a copy is made, or while it holds one, leaves nothing held", async () => {
  const scene = await Scene.open()
  const extent = await scene.world.writeExtent(scene.world.random.bytes(2 * BLOCK_BYTES))
  await scene.heat(extent, 9)
  const range = { extent, offsetBytes: 0, lengthBytes: extent.lengthBytes }
  const leave = async () => {
    const pieces = streamOf(scene.world.blocks.read(range, signal, "reader"))[Symbol.asyncIterator]()
    await scene.world.clock.runUntil(pieces.next())
    await pieces.return?.()
  }
  await leave()
  await leave()
  const before = new AbortController()
  const aborted = streamOf(scene.world.blocks.read(range, before.signal, "reader"))[Symbol.asyncIterator]()
  await scene.world.clock.runUntil(aborted.next())
  before.abort()
  await assert.rejects(scene.world.clock.runUntil(aborted.next()))
  await scene.pass(10)
  const { usedBytes, copies } = scene.copies.figures
  assert.deepEqual([usedBytes, copies], [0, 0])
})

test("a thousand stalled clients of a hot extent hold its bytes once", async () => {
  const scene = await Scene.open()
  const bytes = scene.world.random.bytes(1 * MIB)
  const extent = await scene.world.writeExtent(bytes)
  await scene.heat(extent)
  const range = { extent, offsetBytes: 0, lengthBytes: extent.lengthBytes }
  const memories = new Set<ArrayBufferLike>()
  const clients: AsyncIterator<Uint8Array>[] = []
  await scene.repeat(1_000, async () => {
    const client = streamOf(scene.world.blocks.read(range, signal, "reader"))[Symbol.asyncIterator]()
    const first = await client.next()
    if (first.done !== true) memories.add(first.value.buffer)
    clients.push(client)
  })
  assert.equal(memories.size, 1)
  assert.equal(scene.copies.figures.usedBytes, bytes.length)
  for (const client of clients) await client.return?.()
  await scene.pass(10)
  assert.equal(scene.copies.figures.usedBytes, 0)
})

test("shards that are damaged after the copy change nothing for its readers, and are still found", async () => {
  const scene = await Scene.open("ec:2+1")
  const bytes = Buffer.from(scene.world.random.bytes(BLOCK_BYTES))
  const extent = await scene.world.writeExtent(bytes)
  await scene.heat(extent)
  scene.count(() => {
    throw fail("corruptNeedle")
  })
  assert.ok(bytes.equals(await scene.get(extent)))
  assert.equal(scene.world.damaged.length, 0)
  await assert.rejects(
    scene.world.clock.runUntil(scene.world.read(extent)),
    "a reader that owns its bytes reads devices",
  )
  assert.ok(scene.world.damaged.length > 0)
})

test("a re-encoded block is read from its new shards, and gets a copy of its own", async () => {
  const scene = await Scene.open("ec:2+1")
  const { world } = scene
  const bytes = Buffer.from(world.random.bytes(BLOCK_BYTES))
  const extent = await world.writeExtent(bytes)
  await scene.heat(extent)
  const policy = parsePolicy("replica:2")
  const request = { extent, block: 0, owner: OWNER, policy, generation: 1, recoveryHeader: undefined }
  await world.clock.runUntil(world.blocks.reencode(request, signal))
  const exception = { firstBlock: 0, lastBlock: 0, policy, generation: 1, missingSlots: [], placedSlots: [] }
  const recoded: Extent = { ...extent, exceptions: [exception] }
  scene.reads = 0
  assert.ok(bytes.equals(await scene.get(recoded)))
  assert.ok(scene.reads > 0, "the copy of the former generation does not answer for it")
  await scene.heat(recoded)
  scene.reads = 0
  assert.ok(bytes.equals(await scene.get(recoded)))
  assert.equal(scene.reads, 0)
})

test("a removed extent's copy leaves once it is no longer read", async () => {
  const scene = await Scene.open()
  const extent = await scene.world.writeExtent(scene.world.random.bytes(BLOCK_BYTES))
  await scene.heat(extent)
  assert.ok(await scene.world.blocks.remove(extent))
  await scene.pass(5)
  assert.equal(scene.copies.figures.usedBytes, 0)
})

test("a backup that reads everything once leaves hot copies where they are", async () => {
  const scene = await Scene.open("ec:2+1", BLOCK_BYTES)
  const hot = await scene.world.writeExtent(scene.world.random.bytes(BLOCK_BYTES))
  await scene.heat(hot)
  const cold: Extent[] = []
  for (let i = 0; i < 40; i += 1) cold.push(await scene.world.writeExtent(scene.world.random.bytes(1_000)))
  await scene.repeat(40, async i => void (await scene.take(must(cold[i], "it was written"))))
  scene.reads = 0
  await scene.get(hot)
  assert.deepEqual([scene.reads, scene.copies.figures.evicted], [0, 0])
})

test("a reader counts once for a unit, in however many pieces it reads it", async () => {
  const scene = await Scene.open("ec:2+1", 4 * MIB, LONG_BLOCK_BYTES)
  const extent = await scene.world.writeExtent(scene.world.random.bytes(LONG_BLOCK_BYTES))
  await scene.heat(extent, 9)
  assert.ok(scene.reads > 18, "more than a piece of each shard")
  assert.deepEqual([scene.copies.figures.misses, scene.copies.figures.made], [9, 0])
})

test("random readers with a tiny budget: right bytes always, and never more memory than the budget", async () => {
  for (const seed of [1, 2]) {
    const budgetBytes = 3 * BLOCK_BYTES + 1_000
    const scene = await Scene.open(seed === 1 ? "replica:2" : "ec:3+2", budgetBytes)
    const random = scene.world.random.fork(`readers ${seed}`)
    const bodies = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const bytes = Buffer.from(random.bytes(40_000 + i * 110_000))
        return { bytes, extent: await scene.world.writeExtent(bytes) }
      }),
    )
    scene.count(async slot => {
      await scene.world.clock.sleep(random.below(20), signal)
      if (slot === 0 && random.below(30) === 0) throw fail("deviceFailed")
    })
    const client = async () => {
      for (let i = 0; i < 30; i += 1) {
        const { bytes, extent } = must(bodies[Math.min(random.below(8), random.below(8))], "one of them")
        const from = random.below(bytes.length)
        const length = 1 + random.below(bytes.length - from)
        assert.ok(bytes.subarray(from, from + length).equals(await scene.take(extent, from, length)))
        assert.ok(scene.copies.figures.usedBytes <= budgetBytes)
        if (random.below(5) === 0) await scene.world.clock.sleep(random.below(20_000), signal)
        if (random.below(10) === 0) scene.copies.dropCold()
      }
    }
    await scene.world.clock.runUntil(Promise.all(Array.from({ length: 10 }, client)), 3_600_000)
    const { hits, made } = scene.copies.figures
    assert.ok(hits > 50 && made > 3, `${hits} hits, ${made} copies`)
    await scene.pass(10)
    assert.equal(scene.copies.figures.usedBytes, 0)
  }
})

test("a store without a budget has no copies, and its readers ask for none", async () => {
  const world = await ShardWorld.open(makeRows, parsePolicy("ec:2+1"), { blockBytes: BLOCK_BYTES })
  assert.equal(world.blocks.hotCopies, undefined)
  const extent = await world.writeExtent(world.random.bytes(BLOCK_BYTES))
  let reads = 0
  world.meddle = what => void (reads += what === "read" ? 1 : 0)
  await world.read(extent)
  const ofOne = reads
  for (let i = 0; i < 40; i += 1) await world.read(extent)
  assert.equal(reads, 41 * ofOne)
  assert.ok(HOT_COPY_LIMITS.unitBytes <= BLOCK_LIMITS.readBytesMax)
})

test("copies of all threads of the process are reported together", async () => {
  const here = await Scene.open()
  const [hot, own] = [
    await here.world.writeExtent(here.world.random.bytes(BLOCK_BYTES)),
    await here.world.writeExtent(here.world.random.bytes(BLOCK_BYTES)),
  ]
  for (let i = 0; i < 12; i += 1) await here.get(hot)
  for (let i = 0; i < 11; i += 1) await here.get(own)
  const alone = await here.copies.report(10)
  assert.deepEqual(alone, here.copies.own(10))
  assert.equal(alone.hottest.length, 2)
  const [ofOther] = alone.hottest
  assert.ok(ofOther)
  here.copies.others = max => {
    assert.equal(max, 5)
    const hottest = [{ ...ofOther, hits: 100, readsPerMinute: 200 }]
    return Promise.resolve([{ figures: { ...alone.figures, hits: 100, readsPerMinute: 3 }, hottest }])
  }
  const { figures, hottest } = await here.copies.report(5)
  const { hits, budgetBytes, usedBytes, copies, readsPerMinute } = alone.figures
  assert.deepEqual(
    [figures.hits, figures.budgetBytes, figures.usedBytes, figures.copies, figures.readsPerMinute],
    [hits + 100, 2 * budgetBytes, 2 * usedBytes, 2 * copies, readsPerMinute],
  )
  assert.deepEqual(
    hottest.map(each => [each.uploadId, each.copies, each.bytes, each.hits, each.readsPerMinute]),
    [
      [hot.uploadId, 2 * ofOther.copies, 2 * ofOther.bytes, ofOther.hits + 100, ofOther.readsPerMinute + 200],
      ...alone.hottest.slice(1).map(each => [each.uploadId, each.copies, each.bytes, each.hits, each.readsPerMinute]),
    ],
  )
})
