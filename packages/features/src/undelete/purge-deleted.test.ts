/** The purge of what undelete keeps: nothing goes before its time by two clocks, and everything goes in the end. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parsePosition, type BucketId } from "@hayloft/base/ids.js"
import { decisionIdOf } from "@hayloft/engine/format/row-key.js"
import { decodeUsage, deletedUsageRowKey } from "@hayloft/engine/format/objects/usage.js"
import type { Command, DecisionTime } from "@hayloft/engine/metadata/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { newBucket, putOf, randomOf, released } from "@hayloft/objects/commands/testing-bucket.js"
import { setUndelete } from "./undelete-commands-core.js"
import { putVersion, removeLatest } from "@hayloft/objects/commands/version-commands-core.js"
import { PurgeDeletedJob } from "./purge-deleted.js"
import "../index.js"

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const ROWS_PER_STEP = 256

class Scene {
  readonly clock = new SimClock()
  readonly telemetry = new SimTelemetry()
  /** The store's clock is behind the wall clock by this. */
  behindMs = 0
  isKnown = true
  /** It was set far ahead at the start. */
  isDoubtful = false
  private position = 1_000

  private constructor(private readonly bucket: Awaited<ReturnType<typeof newBucket>>) {}

  static async open(days: number): Promise<Scene> {
    const scene = new Scene(await newBucket())
    scene.decide(setUndelete({ bucketId: scene.bucketId, days }))
    return scene
  }

  get bucketId(): BucketId {
    return this.bucket.bucketId
  }

  /** Decides by the wall clock. */
  private decide<Result>(command: Command<Result>): Result {
    this.position += 1
    const position = parsePosition(this.position)
    const { incarnations } = this.bucket.metadata
    const nowMs = this.clock.wallMs()
    const time: DecisionTime = { nowMs, commitUs: nowMs * 1000, position, id: decisionIdOf(position), incarnations }
    return this.bucket.metadata.runAt(command, time)
  }

  take(number: number): void {
    const key = objectKeyOfText(`key${number}`)
    this.decide(putVersion({ ...putOf(this.bucket, number), key }))
    this.decide(removeLatest({ bucketId: this.bucketId, key, conditions: {}, random: randomOf(1) }))
  }

  job(): PurgeDeletedJob {
    const { metadata } = this.bucket
    const nowMs = () => (this.isKnown ? this.clock.wallMs() - this.behindMs : 0)
    const isDoubtful = () => this.isDoubtful
    const storeClock = {
      nowMs,
      get isDoubtful() {
        return isDoubtful()
      },
    }
    return new PurgeDeletedJob({
      clock: this.clock,
      storeClock,
      log: this.telemetry.log,
      metadata: { ask: query => metadata.ask(query), run: async command => this.decide(command) },
    })
  }

  get kept(): readonly [rows: number, objects: number, bytes: number] {
    const { metadata } = this.bucket
    const row = metadata.committed.get("usage", deletedUsageRowKey(this.bucketId))
    const { objects, bytes } = row ? decodeUsage(row.value) : { objects: 0, bytes: 0 }
    return [metadata.rows("deleted"), objects, bytes]
  }

  get released(): number {
    return released(this.bucket).length
  }
}

/** A whole pass; returns its steps. */
async function pass(job: PurgeDeletedJob): Promise<number> {
  for (let steps = 1; ; steps += 1) if ((await job.step()) === "idle") return steps
}

test("what has reached its time goes, an hour later at most, and not before", async () => {
  const scene = await Scene.open(3)
  const job = scene.job()
  scene.take(1)
  await scene.clock.advance(DAY_MS)
  scene.take(2)
  await pass(job)
  assert.equal(job.progress(), "2 deleted objects are kept; a purge would free 200 B")
  await scene.clock.advance(2 * DAY_MS - 1)
  await pass(job)
  assert.deepEqual([scene.kept, scene.released], [[2, 2, 200], 0])
  await scene.clock.advance(HOUR_MS)
  await pass(job)
  assert.deepEqual([scene.kept, scene.released], [[1, 1, 100], 1])
  await scene.clock.advance(DAY_MS + HOUR_MS)
  await pass(job)
  assert.deepEqual([scene.kept, scene.released], [[0, 0, 0], 2])
})

test("a store's clock that is behind or unknown makes it stay longer", async () => {
  const scene = await Scene.open(1)
  const job = scene.job()
  scene.take(1)
  scene.isKnown = false
  await scene.clock.advance(2 * DAY_MS)
  await pass(job)
  assert.equal(scene.released, 0)
  scene.isKnown = true
  scene.behindMs = DAY_MS + HOUR_MS
  await pass(job)
  assert.equal(scene.released, 0)
  scene.behindMs = DAY_MS
  await scene.clock.advance(HOUR_MS)
  await pass(job)
  assert.equal(scene.released, 1)
})

test("nothing goes while the clock of a store that has just started is doubtful", async () => {
  const scene = await Scene.open(1)
  scene.take(1)
  await scene.clock.advance(365 * DAY_MS)
  scene.isDoubtful = true
  const job = scene.job()
  await pass(job)
  assert.deepEqual([scene.kept, scene.released], [[1, 1, 100], 0])
  assert.match(job.progress(), /^waits/)
  scene.isDoubtful = false
  await pass(job)
  assert.deepEqual([scene.kept, scene.released], [[0, 0, 0], 1])
})

test("a pass is bounded in each step, and rests for an hour", async () => {
  const scene = await Scene.open(1)
  for (let number = 1; number <= ROWS_PER_STEP + 10; number += 1) scene.take(number)
  const job = scene.job()
  await scene.clock.advance(DAY_MS)
  assert.equal(await job.step(), "busy")
  assert.equal(scene.kept[0], 10)
  assert.equal(await job.step(), "idle")
  assert.deepEqual(scene.kept, [0, 0, 0])
  scene.take(1)
  await scene.clock.advance(HOUR_MS - 1)
  await pass(job)
  assert.equal(job.progress(), "0 deleted objects are kept; a purge would free 0 B")
  await scene.clock.advance(1)
  await pass(job)
  assert.equal(job.progress(), "1 deleted objects are kept; a purge would free 100 B")
})
