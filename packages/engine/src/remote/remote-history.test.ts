/**
 * Random histories: bodies are written, read, mended and removed over local and remote devices while the network is cut
 * and heals, from a seed. What was acknowledged is read back right or not at all, and whole after the network has healed.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { ALL_NEEDLES } from "../block/index.js"
import { OWNER } from "../block/testing-blocks.js"
import type { Extent } from "../format/needles/extent.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { MixedBlocks } from "./testing-remote.js"

const HISTORIES = 8
const STEPS = 60
const BLOCK_BYTES = 128 * KIB
const NODES = ["", "b", "c", "d", "b", "c"]

interface Body {
  readonly extent: Extent
  readonly bytes: Uint8Array
  isRemoved: boolean
}

class History {
  readonly bodies: Body[] = []
  readonly log: string[] = []

  constructor(
    readonly world: MixedBlocks,
    readonly random: SimRandom,
  ) {}

  /** The outcome of work: `done`, or a failure that unreachable devices explain. */
  private async outcome(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
      this.log.push(`${what} done`)
    } catch (error) {
      if (!isFailure(error, "deviceFailed", "notEnoughShards", "noSuchNeedle", "tooManyInFlight")) throw error
      this.log.push(`${what} ${error.kind}`)
    }
  }

  private some(): Body | undefined {
    const kept = this.bodies.filter(body => !body.isRemoved)
    return kept.length === 0 ? undefined : kept[this.random.below(kept.length)]
  }

  step(): Promise<void> {
    const { random, world } = this
    const body = this.some()
    switch (body === undefined ? 0 : random.below(6)) {
      case 0:
      case 1:
        return this.outcome("write", () => this.write(random.bytes(1 + random.below(3 * BLOCK_BYTES))))
      case 2:
        return this.outcome("mend", () => this.mendAll())
      case 3:
        if (random.below(3) > 0) return Promise.resolve()
        return this.outcome("remove", async () => {
          const removed = must(body, "checked above")
          removed.isRemoved = true
          await world.blocks.remove(removed.extent)
        })
      default:
        return this.outcome("read", () => this.read(must(body, "checked above")))
    }
  }

  private async write(bytes: Uint8Array): Promise<void> {
    const { content } = await this.world.begin(bytes)
    assert.ok(content.kind === "extent")
    this.bodies.push({ extent: content.extent, bytes, isRemoved: false })
  }

  async read({ extent, bytes, ...body }: Body): Promise<void> {
    const from = this.random.below(bytes.length)
    const length = 1 + this.random.below(bytes.length - from)
    const found = await this.world.beginRead(extent, from, length)
    if (!body.isRemoved)
      assert.ok(Buffer.from(bytes.subarray(from, from + length)).equals(found), "the bytes of a read")
  }

  /** Mends what rows reference; the bodies are the rows. */
  async mendAll(): Promise<void> {
    const { groups } = await this.world.blocks.shardScan(ALL_NEEDLES.start)
    for (const group of groups) {
      const of = this.bodies.find(({ extent }) => extent.uploadId === group.uploadId)
      if (of === undefined || of.isRemoved) continue
      await this.world.blocks.mend(group, { extent: of.extent, owner: OWNER, recoveryHeader: () => Uint8Array.of(1) })
    }
  }
}

function disturb({ nodes: { network } }: MixedBlocks, random: SimRandom): void {
  const name = must(["b", "c", "d"][random.below(3)], "three nodes")
  switch (random.below(12)) {
    case 0:
      network.partition(["here"], [name])
      break
    case 1:
      network.cut("here", name)
      break
    case 2:
      network.cut(name, "here")
      break
    case 3:
      network.dropAll()
      break
    case 4:
    case 5:
    case 6:
      network.healAll()
      break
    default:
  }
}

async function history(seed: number): Promise<string> {
  const random = new SimRandom(seed)
  const world = await MixedBlocks.open({
    policy: "ec:4+2",
    blockBytes: BLOCK_BYTES,
    nodes: NODES,
    seed,
    limits: { deadlineMs: { client: 3_000, background: 6_000 }, sendBytesMax: 64 * KIB, pageNeedlesMax: 7 },
    network: { delayMs: { least: 0.1, most: 0.1 + random.below(10) }, lossOneIn: random.below(3) === 0 ? 300 : 0 },
  })
  const { clock, nodes, shards } = world
  const history = new History(world, random)
  const steps: Promise<void>[] = []
  for (let i = 0; i < STEPS; i += 1) {
    steps.push(history.step())
    disturb(world, random)
    await clock.advance(random.below(3) === 0 ? random.below(4_000) : random.below(60))
  }
  nodes.network.healAll()
  nodes.network.lossOneIn = 0
  await nodes.run(Promise.all(steps))
  await clock.advance(40_000)
  assert.deepEqual(
    [...world.devices.values()].map(({ isWritable }) => isWritable),
    NODES.map(() => true),
    "every hint recovers",
  )
  // Twice: blocks that were written under fewer devices keep their policy.
  for (let round = 0; round < 2; round += 1) await nodes.run(history.mendAll())
  const kept = history.bodies.filter(({ isRemoved }) => !isRemoved)
  for (const body of kept) {
    assert.ok(Buffer.from(body.bytes).equals(await world.read(body.extent)), "an acknowledged body is whole")
  }
  assert.deepEqual(world.damaged, [], "no shard counts as damaged because of the network")
  assert.deepEqual(await world.scan(), await world.truth(), "the index of each device is seen as it is")
  const { slabsFree, slabsTotal } = shards.compute.slabs
  assert.equal(slabsFree, slabsTotal, "no memory is left in a call")
  await nodes.close()
  assert.deepEqual([nodes.network.connections, clock.sleepers], [0, 0])
  return JSON.stringify([history.log, clock.monotonicMs()])
}

test("random histories: what was acknowledged is read back, however the network is cut, and nothing else is", async () => {
  const seen = new Set<string>()
  for (let i = 0; i < HISTORIES; i += 1) {
    const log = await history(TEST_SEED + i)
    for (const outcome of ["write done", "write deviceFailed", "read done", "mend done", "remove done"]) {
      if (log.includes(outcome)) seen.add(outcome)
    }
  }
  assert.equal(seen.size, 5, "the histories reach every outcome")
})

test("a seed repeats its history", async () => {
  assert.equal(await history(7), await history(7))
})
