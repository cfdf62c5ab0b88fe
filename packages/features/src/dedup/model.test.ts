/**
 * Deduplication against a model: random histories of writers, which share blocks of a small alphabet, while the collector
 * works and processes end. At any time each object has its bytes and the counts are exact; in the end nothing is left.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import {
  assertExact,
  assertNothing,
  BLOCK,
  copying,
  never,
  opened,
  putting,
  uploading,
  type Scene,
} from "./testing-dedup.js"
import { SMALL_PART_BYTES } from "@hayloft/upkeep/testing-services.js"

const STEPS = 50
const KEYS = ["a", "b", "c", "d", "e"]
const BLOCKS = 5
const TAILS = [0, 0, 1, 700, BLOCK - 1]

type Write =
  | { readonly kind: "put" | "upload"; readonly key: string; readonly parts: readonly Uint8Array[] }
  | { readonly kind: "copy"; readonly key: string; readonly from: string }
  | { readonly kind: "remove"; readonly key: string }

class History {
  /** The bodies that an object may have; undefined stands for an absent object. */
  private readonly bodies = new Map<string, readonly (Uint8Array | undefined)[]>()
  private readonly random: SimRandom
  private readonly blocks: readonly Uint8Array[]
  private readonly parts: readonly Uint8Array[]
  private incarnation = 1
  private written: ReadonlySet<string> = new Set()
  refused = 0

  constructor(
    private readonly scene: Scene,
    seed: number,
  ) {
    this.random = new SimRandom(seed)
    this.blocks = Array.from({ length: BLOCKS }, () => this.random.bytes(BLOCK))
    this.parts = Array.from({ length: 2 }, () => this.random.bytes(SMALL_PART_BYTES))
  }

  private pick<T>(list: readonly T[]): T {
    return must(list[this.random.below(list.length)], "the list has items")
  }

  private body(): Uint8Array {
    const blocks = Array.from({ length: 1 + this.random.below(6) }, () => this.pick(this.blocks))
    const tail = this.pick(this.blocks).subarray(0, this.pick(TAILS))
    return Buffer.concat([...blocks, tail])
  }

  private write(): Write {
    const key = this.pick(KEYS)
    const choice = this.random.below(20)
    if (choice < 12) return { kind: "put", key, parts: [this.body()] }
    if (choice < 13) return { kind: "upload", key, parts: [this.pick(this.parts), this.pick(this.parts), this.body()] }
    if (choice < 16) return { kind: "copy", key, from: this.pick(KEYS) }
    return { kind: "remove", key }
  }

  private async carryOut(write: Write): Promise<void> {
    const { scene } = this
    if (write.kind === "put") await putting(scene, write.key, must(write.parts[0], "it has one"))
    else if (write.kind === "upload") await uploading(scene, write.key, write.parts)
    else if (write.kind === "copy") await copying(scene, write.from, write.key)
    else
      await scene.world.services.objects.remove({
        bucket: scene.bucket,
        key: objectKeyOfText(write.key),
        conditions: {},
      })
  }

  /** Some concurrent writers, each with a key of its own, and perhaps the collector. */
  async step(): Promise<void> {
    const writes = new Map<string, Write>()
    for (let i = 1 + this.random.below(3); i > 0; i -= 1) {
      const write = this.write()
      writes.set(write.key, write)
    }
    const before = new Map(this.bodies)
    this.written = new Set(writes.keys())
    const work: Promise<unknown>[] = []
    for (const write of writes.values()) work.push(this.attempt(write, before))
    for (let i = this.random.below(4); i > 0; i -= 1) work.push(this.scene.world.job("collector").step(never))
    const outcomes = await this.scene.world.clock.runUntil(Promise.allSettled(work))
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason
    if (this.random.below(8) === 0) await this.restart()
  }

  private async attempt(write: Write, before: ReadonlyMap<string, readonly (Uint8Array | undefined)[]>): Promise<void> {
    const { key } = write
    try {
      await this.carryOut(write)
    } catch (error) {
      const isCopy = write.kind === "copy"
      const isFine = isCopy
        ? isFailure(error, "noSuchKey", "invalidRequest", "tooManyInFlight")
        : isFailure(error, "tooManyInFlight")
      if (!isFine) throw error
      if (isFailure(error, "tooManyInFlight")) this.refused += 1
      return
    }
    if (write.kind === "remove") this.bodies.set(key, [undefined])
    else if (write.kind === "copy")
      // The source of a copy may be written meanwhile.
      this.bodies.set(key, [
        ...(before.get(write.from) ?? [undefined]),
        ...(this.bodies.get(write.from) ?? [undefined]),
      ])
    else this.bodies.set(key, [Buffer.concat(write.parts)])
  }

  private async restart(): Promise<void> {
    this.incarnation += 1
    const world = this.scene.world.restart(this.incarnation)
    await world.clock.runUntil(world.services.storeClock.start())
    this.scene.world = world
  }

  /** Checks all keys, or one and those that were written. */
  async check(all = false): Promise<void> {
    assertExact(this.scene)
    const looked = this.pick(KEYS)
    for (const key of KEYS.filter(each => all || each === looked || this.written.has(each))) {
      const may = this.bodies.get(key) ?? [undefined]
      const found = await this.scene.world.get(key).catch((error: unknown) => {
        if (isFailure(error, "noSuchKey")) return undefined
        throw error
      })
      const at = may.find(body => (body === undefined ? found === undefined : found?.equals(body)))
      assert.ok(at !== undefined || (found === undefined && may.includes(undefined)), `${key} has other bytes`)
      this.bodies.set(key, [at])
    }
  }

  async end(): Promise<void> {
    await this.check(true)
    for (const key of KEYS) await this.scene.world.remove(key)
    await assertNothing(this.scene)
  }
}

for (const seed of seedsOf(1)) {
  test(`objects have their bytes, counts are exact, and nothing is left (seed ${seed})`, async () => {
    const history = new History(await opened(), seed)
    for (let step = 0; step < STEPS; step += 1) {
      await history.step()
      await history.check()
    }
    await history.end()
  })
}
