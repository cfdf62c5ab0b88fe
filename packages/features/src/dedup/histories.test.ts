/**
 * Random histories: clients write, overwrite, copy and delete objects of few different blocks, and the collector deletes what
 * is left, while jobs of deduplication run. A verification never has findings; rebuilding and compacting change nothing that
 * clients see, and in the end everything agrees.
 */
import { DEDUP_SERVICES } from "./services.js"
import assert from "node:assert/strict"
import { test } from "node:test"
import { concatBytes } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { BLOCK, copying, openScene, pagesOf, rowsOf, runJob, settle, wait, type Scene } from "./testing-upkeep.js"
import type { DedupJob } from "./rows-core.js"

const HOUR_MS = 3_600_000
const KEYS = ["a", "b", "c", "d"]
const CLIENTS = 3
const never = new AbortController().signal

class History {
  private readonly random: SimRandom
  private readonly alphabet: readonly Uint8Array[]
  /** The objects that clients know of; while a client works on a key, the key belongs to that client alone. */
  private readonly objects = new Map<string, Uint8Array>()
  private readonly busy = new Set<string>()

  constructor(
    private readonly scene: Scene,
    seed: number,
  ) {
    this.random = new SimRandom(seed)
    this.alphabet = Array.from({ length: 4 }, () => this.random.bytes(BLOCK))
    const { clock, tablet } = scene.world
    const pauses = this.random.fork("pauses")
    DEDUP_SERVICES.of(scene.world.services.core).dedupUpkeep.limits.segmentsPerQuery = 2
    tablet.before = () => clock.sleep(pauses.below(4), never)
    tablet.later = () => (pauses.below(3) === 0 ? clock.sleep(pauses.below(3), never) : undefined)
  }

  private body(): Uint8Array {
    const { random } = this
    const count = 2 + random.below(4)
    const blocks = Array.from(
      { length: count },
      () => this.alphabet[random.below(this.alphabet.length)] ?? Buffer.of(1),
    )
    return concatBytes(random.below(3) === 0 ? [...blocks, random.bytes(1 + random.below(BLOCK))] : blocks)
  }

  async client(steps: number): Promise<void> {
    const { scene, random, objects, busy } = this
    const { objects: service } = scene.world.services
    for (let step = 0; step < steps; step += 1) {
      const free = KEYS.filter(key => !busy.has(key))
      const key = free[random.below(free.length)]
      if (key === undefined) continue
      busy.add(key)
      try {
        const choice = random.below(10)
        const other = KEYS.find(each => each !== key && !busy.has(each) && objects.has(each))
        if (choice === 0 && other !== undefined) await this.copy(other, key)
        else if (choice < 6) {
          const bytes = this.body()
          await this.again(() => service.put({ ...scene.world.putting(key, sourceOf(bytes)), bucket: scene.bucket }))
          objects.set(key, bytes)
        } else if (choice < 9) {
          await service.remove({ bucket: scene.bucket, key: objectKeyOfText(key), conditions: {} })
          objects.delete(key)
        } else {
          const bytes = objects.get(key)
          if (bytes !== undefined) assert.ok((await this.read(key)).equals(bytes), `${key} reads back`)
        }
      } finally {
        busy.delete(key)
      }
    }
  }

  private async copy(from: string, to: string): Promise<void> {
    this.busy.add(from)
    try {
      await copying(this.scene, from, to)
      this.objects.set(to, this.objects.get(from) ?? Buffer.of())
    } finally {
      this.busy.delete(from)
    }
  }

  /** Blocks that were found may be deleted by the time of the command. */
  private async again(put: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await put()
        return
      } catch (error) {
        if (!isFailure(error, "tooManyInFlight")) throw error
      }
    }
  }

  private async read(key: string): Promise<Buffer> {
    const request = { bucket: this.scene.bucket, key: objectKeyOfText(key), conditions: {} }
    const body = await this.scene.world.services.objects.get(request)
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(never)) pieces.push(Uint8Array.from(piece))
    body.close()
    return Buffer.concat(pieces)
  }

  /** Clients, the collector and jobs, all at the same time. */
  async run(kinds: readonly DedupJob[]): Promise<readonly string[]> {
    const { world } = this.scene
    const findings: string[] = []
    let isOver = false
    const clients = async (): Promise<void> => {
      await Promise.all(Array.from({ length: CLIENTS }, () => this.client(25)))
      isOver = true
    }
    const collector = async (): Promise<void> => {
      while (!isOver) {
        await world.job("collector").step(never)
        await world.clock.sleep(this.random.below(20), never)
      }
    }
    const jobs = async (): Promise<void> => {
      for (let n = 0; !isOver; n += 1) {
        const kind = kinds[n % kinds.length] ?? "verify"
        for await (const { finding } of pagesOf(this.scene, kind, { reads: n % 2 === 0 }))
          if (finding !== undefined) findings.push(`${kind}: ${finding}`)
      }
    }
    await world.clock.runUntil(Promise.all([clients(), collector(), jobs()]))
    return findings
  }

  async checkEnd(): Promise<void> {
    const { world } = this.scene
    world.tablet.before = () => undefined
    world.tablet.later = () => undefined
    await settle(this.scene)
    await wait(this.scene, HOUR_MS)
    for (const [key, bytes] of this.objects)
      assert.ok((await world.clock.runUntil(this.read(key))).equals(bytes), `${key} reads back in the end`)
    const { findings, changing } = await runJob(this.scene, "verify", { reads: true })
    assert.deepEqual([findings, changing], [[], []])
    for (const key of this.objects.keys()) await world.remove(key)
    await settle(this.scene)
    assert.equal(world.needles, 0)
    for (const family of ["references", "segments", "pendingDeletions", "blockDigests", "blockIndex"] as const)
      assert.equal(rowsOf(this.scene, family).length, 0, family)
  }
}

test("a verification has no findings while clients write", async () => {
  for (const seed of seedsOf(2)) {
    const history = new History(await openScene("dedup"), seed)
    assert.deepEqual(await history.run(["verify"]), [], `seed ${seed}`)
    await history.checkEnd()
  }
})

test("rebuilding and compacting while clients write loses nothing, and leaves what agrees", async () => {
  for (const seed of seedsOf(2)) {
    const history = new History(await openScene("dedup"), seed)
    assert.deepEqual(await history.run(["rebuild", "compact", "verify"]), [], `seed ${seed}`)
    await history.checkEnd()
  }
})
