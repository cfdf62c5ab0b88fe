import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseLogSequence, parseUploadId, type DeviceId, type RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { streamOf } from "@hayloft/base/memory/pieces.js"
import type { Soon } from "@hayloft/base/soon.js"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { Rows } from "../device/index.js"
import type { Extent } from "../format/needles/extent.js"
import { needleKeyOf, type NeedleId } from "../format/needles/needle.js"
import { partitionOf } from "../format/needles/partition.js"
import { planNext } from "../placement/index.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { IndexedNeedle, Volumes } from "../volume/contract.js"
import { LocalBlocks } from "./blocks.js"
import type { LiveBlock, ShardDevice } from "./contract.js"
import type { ShardStore } from "./shard-store.js"
import { shardScanPage } from "./shard-scan.js"
import { ALL_NEEDLES, type BlockGroup, type ShardScanPage } from "./shard-scan-core.js"
import { changed, distant, OWNER, ShardWorld, type WrongAnswers, type LocalDevice } from "./testing-blocks.js"

const noSignal = new AbortController().signal
const BLOCK_BYTES = 128 * KIB
const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
const open = (policy: string, devices: number) => ShardWorld.open(makeRows, parsePolicy(policy), { devices })

/** The world's blocks, over the same devices as remote ones. `wrongAnswersOf`: the wrong answers of each device. */
class Distance {
  readonly devices = new Map<DeviceId, ShardDevice>()
  readonly blocks: LocalBlocks

  constructor(
    readonly world: ShardWorld,
    wrongAnswersOf: (id: DeviceId) => WrongAnswers = () => ({}),
  ) {
    for (const [id, { volumes }] of world.devices.live) {
      this.devices.set(id, { id, volumes: distant(volumes, wrongAnswersOf(id)), isWritable: true })
    }
    const { metrics } = new SimTelemetry()
    this.blocks = new LocalBlocks(world.clock, world.compute, world.layouts, this.devices, metrics)
  }

  async read(extent: Extent): Promise<Buffer> {
    const pieces: Uint8Array[] = []
    const whole = { extent, offsetBytes: 0, lengthBytes: extent.lengthBytes }
    for await (const piece of streamOf(this.blocks.read(whole, noSignal))) pieces.push(piece.slice())
    return Buffer.concat(pieces)
  }

  async groups(): Promise<readonly BlockGroup[]> {
    return (await this.blocks.shardScan(ALL_NEEDLES.start)).groups
  }

  /** The shards that the devices really have. */
  async truth(): Promise<readonly BlockGroup[]> {
    return (await this.world.blocks.shardScan(ALL_NEEDLES.start)).groups
  }

  async mendAll(extent: Extent): Promise<number> {
    const live: LiveBlock = { extent, owner: OWNER, recoveryHeader: () => undefined }
    let removed = 0
    for (const group of await this.groups()) removed += (await this.blocks.mend(group, live)).removed
    return removed
  }

  /** Makes the layout assign shards to other devices. */
  relayout(): void {
    const { layouts } = this.world
    const { current } = layouts
    const weighted = current.devices.map((id, i) => ({ id, weight: 1 + 3 * (i % 2) }))
    layouts.publish(planNext(current, weighted, current.width, current.version + 1), current)
  }
}

/** The shards with a copy on any device. */
const shardsOf = (groups: readonly BlockGroup[]): readonly string[] => {
  const keys = groups.flatMap(group => group.shards.map(({ slot }) => needleKeyOf({ ...group, slot })))
  return [...new Set(keys)].sort()
}

test("blocks are read, scanned, mended and removed on devices that always answer asynchronously", async () => {
  const world = await ShardWorld.open(makeRows, parsePolicy("ec:2+1"), { devices: 5, layoutWidth: 3 })
  const bytes = world.random.bytes(10 * BLOCK_BYTES)
  const extent = await world.writeExtent(bytes)
  const far = new Distance(world)
  assert.deepEqual(await far.read(extent), Buffer.from(bytes))
  assert.deepEqual(await far.groups(), (await world.blocks.shardScan(ALL_NEEDLES.start)).groups)
  for (let block = 0; block < 10; block += 1) {
    assert.equal(await far.blocks.isAssigned(extent, block), true)
    assert.equal(await far.blocks.shardsThere(extent, block), 2)
  }

  far.relayout()
  const areAssigned: boolean[] = []
  for (let block = 0; block < 10; block += 1) areAssigned.push(await far.blocks.isAssigned(extent, block))
  assert.ok(areAssigned.includes(false))
  assert.ok((await far.mendAll(extent)) > 0)
  for (let block = 0; block < 10; block += 1) assert.equal(await world.blocks.isAssigned(extent, block), true)
  assert.equal(
    (await far.groups()).reduce((sum, { shards }) => sum + shards.length, 0),
    30,
    "copies that moved are removed",
  )
  assert.deepEqual(await world.read(extent), Buffer.from(bytes))

  const [group] = await far.groups()
  const { deviceId, slot } = must(group?.shards[0], "a shard")
  const id = { ...must(group, "a block"), slot }
  assert.equal(await far.blocks.markSuspect({ deviceId, id }), true)
  assert.equal(await far.blocks.markSuspect({ deviceId, id }), false, "known")
  await far.blocks.remove(extent)
  assert.equal(await world.held(extent.uploadId, 10), 0)
})

test("a shard to which no layout leads is found on a remote device", async () => {
  const world = await ShardWorld.open(makeRows, parsePolicy("ec:2+1"), { devices: 6, layoutWidth: 3 })
  const bytes = world.random.bytes(6 * BLOCK_BYTES)
  const extent = await world.writeExtent(bytes)
  const far = new Distance(world)
  far.relayout()
  world.layouts.publish({ ...world.layouts.current, version: world.layouts.current.version + 1 }, undefined)
  assert.deepEqual(await far.read(extent), Buffer.from(bytes))
})

test("wrong answers of a device about its shards never lose a needed shard or return wrong bytes", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.infiniteStream(fc.nat(9)),
      fc.constantFrom("ec:2+1", "replica:2", "ec:2+2"),
      async (dice, policy) => {
        const drawn = dice[Symbol.iterator]()
        const isWrong = (): boolean => drawn.next().value < 4
        const world = await ShardWorld.open(makeRows, parsePolicy(policy), {
          devices: 6,
          layoutWidth: policy === "ec:2+2" ? 4 : 3,
        })
        const bytes = world.random.bytes(4 * BLOCK_BYTES)
        const extent = await world.writeExtent(bytes)
        const all = [...(await world.blocks.shardScan(ALL_NEEDLES.start)).groups]
        const keys = all.flatMap(group => group.shards.map(({ slot }) => needleKeyOf({ ...group, slot })))
        let isLying = true
        // It reports shards that it lacks, and omits shards that it has.
        const wrongAnswersOf = (): WrongAnswers => ({
          has: (_, isThere) => (isLying && isWrong() ? !isThere : isThere),
          indexed: (needles, { start, end }) => {
            if (!isLying) return needles
            const reported = new Map<RowKey, IndexedNeedle>(
              needles.filter(() => !isWrong()).map(needle => [needle.key, needle]),
            )
            const shape = { policy: parsePolicy(policy), blockLengthBytes: BLOCK_BYTES }
            for (const key of keys) {
              if (key < start || key >= end || reported.has(key) || !isWrong()) continue
              reported.set(key, { key, bodyBytes: needles[0]?.bodyBytes ?? 64, shape, isSuspect: isWrong() })
            }
            return [...reported.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
          },
        })
        const far = new Distance(world, wrongAnswersOf)
        far.relayout()
        for (let round = 0; round < 3; round += 1) {
          await far.mendAll(extent)
          assert.deepEqual(shardsOf(await far.truth()), shardsOf(all), "a copy of each shard is left")
          const read = await far.read(extent).catch((error: unknown) => {
            if (isFailure(error, "notEnoughShards")) return undefined
            throw error
          })
          if (read) assert.deepEqual(read, Buffer.from(bytes))
        }
        isLying = false
        assert.deepEqual(await far.read(extent), Buffer.from(bytes), "every byte is still there")
        await far.mendAll(extent)
        for (let block = 0; block < 4; block += 1) assert.equal(await far.blocks.isAssigned(extent, block), true)
      },
    ),
    { numRuns: runsOf(8) },
  )
})

test("a device wrongly considered writable loses only its own shard, and gets a hint", async () => {
  const world = await open("ec:2+2", 4)
  const far = new Distance(world)
  const [bad] = [...far.devices.values()]
  const { id, volumes } = must(bad, "a device")
  const append = (): Promise<never> => Promise.reject(fail("deviceFailed"))
  far.devices.set(id, { id, volumes: { ...volumes, append }, isWritable: true })
  const bytes = world.random.bytes(3 * BLOCK_BYTES)
  const { content, hints } = await far.blocks.write({
    uploadId: parseUploadId("7".repeat(32)),
    part: 0,
    owner: OWNER,
    policy: world.policy,
    blockBytes: BLOCK_BYTES,
    plan: { md5: true, sha256: false, checksum: undefined },
    source: bytes,
    lengthBytesMax: bytes.length,
    inlineBytesMax: 0,
    recoveryHeader: undefined,
  })
  assert.ok(content.kind === "extent")
  assert.deepEqual(await far.read(content.extent), Buffer.from(bytes))
  assert.deepEqual(new Set(hints.map(hint => hint.deviceId)), new Set([id]))
})

/** A device whose index must be read in the turn of the request. */
function nearDevice(number: number, keys: readonly RowKey[], damaged: readonly RowKey[], empty: Volumes): LocalDevice {
  const indexed = ({ start, end }: KeyRange): Iterable<IndexedNeedle> => {
    let isOver = false
    void Promise.resolve().then(() => (isOver = true))
    return (function* () {
      for (const key of [...keys].sort()) {
        assert.ok(!isOver, "read within one turn")
        if (key < start || key >= end) continue
        if (damaged.includes(key)) throw fail("corruptRow")
        yield { key, bodyBytes: 64, shape: undefined, isSuspect: false }
      }
    })()
  }
  const id = parseDeviceId(number.toString(16).padStart(16, "0"))
  return { id, volumes: changed(empty, { indexed }), isWritable: true }
}

/** The same device as a remote one; it returns no more than requested, and reports damage early or in its place. */
function farDevice({ id, volumes, isWritable }: LocalDevice): ShardDevice {
  const indexed: ShardStore["indexed"] = async (range, needlesMin) => {
    await Promise.resolve()
    const found: IndexedNeedle[] = []
    let failure: unknown
    try {
      for (const needle of volumes.indexed(range)) {
        if (found.length === needlesMin) return found
        found.push(needle)
      }
    } catch (error) {
      if (found.length === 0) throw error
      failure = error
    }
    return (function* () {
      yield* found
      if (failure !== undefined) throw asFailure(failure)
    })()
  }
  return { id, volumes: { ...distant(volumes), indexed }, isWritable }
}

test("a shard scan of local and remote devices matches one of local devices, for any page size", async () => {
  const { devices } = await open("ec:2+1", 1)
  const empty = must([...devices.live.values()][0], "one device").volumes
  const anyNeedle = fc
    .record({
      upload: fc.nat(12),
      block: fc.nat(2),
      generation: fc.nat(1),
      slot: fc.nat(3),
      device: fc.nat(3),
      at: fc.nat(9),
    })
    .map(({ upload, block, generation, slot, device, at }) => {
      const uploadId = parseUploadId(upload.toString(16).padStart(32, "0"))
      const id: NeedleId = { partition: partitionOf(uploadId, 0, block), uploadId, part: 0, block, generation, slot }
      return { key: needleKeyOf(id), device, isDamaged: at === 0 }
    })
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyNeedle, { maxLength: 80 }),
      fc.integer({ min: 1, max: 30 }),
      fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      async (needles, needlesMax, areFar) => {
        const near = [0, 1, 2, 3].map(number => {
          const own = needles.filter(({ device }) => device === number)
          const damaged = own.filter(({ isDamaged }) => isDamaged).map(({ key }) => key)
          return nearDevice(number, [...new Set(own.map(({ key }) => key))], damaged, empty)
        })
        const mixed = near.map((device, i) => (areFar[i] === true ? farDevice(device) : device))
        const [lowest = ALL_NEEDLES.start] = needles.map(({ key }) => key).sort()
        for (let start: RowKey | undefined = lowest; start !== undefined;) {
          const range: KeyRange = { ...ALL_NEEDLES, start }
          const page: Soon<ShardScanPage> = shardScanPage(near, range, needlesMax)
          assert.ok(!(page instanceof Promise), "the scan waits for no device")
          assert.deepEqual(await shardScanPage(mixed, range, needlesMax), page)
          start = page.next
        }
      },
    ),
    { numRuns: runsOf(15) },
  )
})
