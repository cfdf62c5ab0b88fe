/**
 * Packing against a model: random histories of writers, while the packing job, the collector and ends of processes come in
 * between. At any time each object has its bytes and its ETag, and the counts are exact; in the end nothing is left.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { copying, assertCounted, assertNothing, type Scene } from "../dedup/testing-dedup.js"
import { keyOf, never, opened, packsIn, putting, removing, renew } from "./testing-packing.js"

const HISTORIES = 4
const STEPS = 60
const KEYS = 48

type Body = Uint8Array | undefined

class History {
  /** The bodies that an object may have. */
  private readonly bodies = new Map<string, readonly Body[]>()
  private readonly random: SimRandom
  private incarnation = 1
  packs = 0

  constructor(
    private readonly scene: Scene,
    seed: number,
    private readonly isVersioned: boolean,
  ) {
    this.random = new SimRandom(seed)
  }

  async begin(): Promise<void> {
    const { scene } = this
    const { services, clock } = scene.world
    if (this.isVersioned) await clock.runUntil(services.buckets.setVersioning(scene.bucket, "enabled"))
    await renew(scene)
    for (let i = 0; i < KEYS; i += 1) await clock.runUntil(this.write(keyOf(i)))
  }

  private async write(key: string): Promise<void> {
    const bytes = this.random.bytes(1 + this.random.below(this.random.below(2) === 0 ? 900 : 18_000))
    await putting(this.scene, key, bytes)
    this.bodies.set(key, [bytes])
  }

  private async change(key: string, before: ReadonlyMap<string, readonly Body[]>): Promise<void> {
    const choice = this.random.below(10)
    if (choice < 6) return this.write(key)
    if (choice < 8) {
      await removing(this.scene, key)
      this.bodies.set(key, [undefined])
      return
    }
    const from = keyOf(this.random.below(KEYS))
    try {
      await copying(this.scene, from, key)
      // The source may be written meanwhile.
      this.bodies.set(key, [...(before.get(from) ?? [undefined]), ...(this.bodies.get(from) ?? [undefined])])
    } catch (error) {
      if (!isFailure(error, "noSuchKey", "invalidRequest")) throw error
    }
  }

  /** Concurrent writers, each with a key of its own, and jobs. */
  async step(): Promise<void> {
    const { world } = this.scene
    const before = new Map(this.bodies)
    const keys = new Set(Array.from({ length: this.random.below(4) }, () => keyOf(this.random.below(KEYS))))
    const work: Promise<unknown>[] = []
    for (const key of keys) work.push(this.change(key, before))
    for (let i = this.random.below(5); i > 0; i -= 1)
      work.push(world.job(this.random.below(3) === 0 ? "collector" : "packing").step(never))
    const outcomes = await world.clock.runUntil(Promise.allSettled(work))
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason
    await world.clock.advance(this.random.below(40_000))
    if (this.random.below(10) === 0) await this.restart()
    this.packs = Math.max(this.packs, packsIn(this.scene).length)
  }

  private async restart(): Promise<void> {
    this.incarnation += 1
    const world = this.scene.world.restart(this.incarnation)
    await world.clock.runUntil(world.services.storeClock.start())
    this.scene.world = world
  }

  async check(all = false): Promise<void> {
    assertCounted(this.scene)
    for (let i = 0; i < KEYS; i += 1) {
      const key = keyOf(i)
      const may = this.bodies.get(key) ?? [undefined]
      if (!all && may.length === 1 && this.random.below(12) > 0) continue
      const found = await this.scene.world.clock.runUntil(this.read(key))
      const at = may.find(body => (body === undefined ? found === undefined : found?.equals(body)))
      assert.ok(at !== undefined || (found === undefined && may.includes(undefined)), `${key} has other bytes`)
      this.bodies.set(key, [at])
    }
  }

  private async read(key: string): Promise<Buffer | undefined> {
    const { world, bucket } = this.scene
    try {
      const body = await world.services.objects.get({ bucket, key: objectKeyOfText(key), conditions: {} })
      const pieces: Uint8Array[] = []
      for await (const piece of body.read(never)) pieces.push(piece.slice())
      const bytes = Buffer.concat(pieces)
      assert.equal(body.info.etag, hexOf(Buffer.from(digestOnce("md5", bytes, "hex"), "hex")))
      return bytes
    } catch (error) {
      if (isFailure(error, "noSuchKey", "isDeleteMarker")) return undefined
      throw error
    }
  }

  async end(): Promise<void> {
    await this.check(true)
    assert.ok(this.packs > 0, "nothing was packed")
    if (this.isVersioned) return
    for (let i = 0; i < KEYS; i += 1) await this.scene.world.clock.runUntil(removing(this.scene, keyOf(i)))
    await assertNothing(this.scene)
  }
}

for (let n = 0; n < HISTORIES; n += 1) {
  test(`objects have their bytes, counts are exact, and nothing is left: history ${n}`, async () => {
    const history = new History(await opened(), TEST_SEED + n, n % 2 === 1)
    await history.begin()
    for (let step = 0; step < STEPS; step += 1) {
      await history.step()
      await history.check()
    }
    await history.end()
  })
}
