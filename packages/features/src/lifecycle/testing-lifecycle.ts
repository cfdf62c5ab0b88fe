/** For tests: lifecycle over rows in memory, by a clock that the test moves. */
import assert from "node:assert/strict"
import { objectKeyOfText, parsePosition } from "@hayloft/base/ids.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import { encodeLifecycleRules, type LifecycleRule } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { decodeVersion, NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import { decisionIdOf, parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { type Command } from "@hayloft/engine/metadata/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { setSetting, setVersioning } from "@hayloft/objects/commands/bucket-commands-core.js"
import { createUpload } from "@hayloft/objects/commands/multipart-commands-core.js"
import { newBucket, putOf, randomOf, type Scene } from "@hayloft/objects/commands/testing-bucket.js"
import { putVersion, removeLatest } from "@hayloft/objects/commands/version-commands-core.js"
import { REAL_DAYS } from "@hayloft/objects/days.js"
import { Lifecycle } from "./lifecycle-job.js"
import { STORE_DAYS, type StoreDays } from "@hayloft/objects/days.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import "@hayloft/objects/testing-features.js"

export const DAY = REAL_DAYS.dayMs
/** A midnight. */
export const START = 20_000 * DAY
export const never = new AbortController().signal
export const keyOf = (text: string): ObjectKey => objectKeyOfText(text)

const NO_CLASSES = { classes: { policyOf: () => undefined, use: () => undefined } }

export class World {
  nowMs = START
  wallMs = Infinity
  isDoubtful = false
  private position = 1000
  readonly telemetry = new SimTelemetry()

  private constructor(readonly scene: Scene) {}

  static async open(rules: readonly Partial<LifecycleRule>[], versioning?: "enabled" | "suspended"): Promise<World> {
    const world = new World(await newBucket())
    if (versioning === "suspended") world.decide(setVersioning(world.scene.bucketId, "enabled"))
    if (versioning !== undefined) world.decide(setVersioning(world.scene.bucketId, versioning))
    world.setRules(rules)
    return world
  }

  setRules(rules: readonly Partial<LifecycleRule>[], bucketId = this.scene.bucketId): void {
    const whole = rules.map((rule, number) => ({
      id: `rule ${number}`,
      isEnabled: true,
      filter: { form: "filter" } as const,
      ...rule,
    }))
    const document = encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules: whole })
    this.decide(setSetting(bucketId, "lifecycle", rules.length === 0 ? undefined : document))
  }

  /** Decides at the moment of this world. */
  decide<Result>(command: Command<Result>): Result {
    this.position += 1
    const { metadata } = this.scene
    const position = parsePosition(this.position)
    const { incarnations } = metadata
    return metadata.runAt(command, {
      nowMs: this.nowMs,
      commitUs: this.nowMs * 1000,
      position,
      id: decisionIdOf(position),
      incarnations,
    })
  }

  put(key: string, change: Parameters<typeof putOf>[2] = {}) {
    this.position += 1
    const random = randomOf(this.position & 0xff)
    const put = putOf(this.scene, this.position, { random, ...change })
    return this.decide(putVersion({ ...put, key: keyOf(key) }))
  }

  delete(key: string): void {
    const { bucketId } = this.scene
    this.decide(removeLatest({ bucketId, key: keyOf(key), conditions: {}, random: randomOf(7) }))
  }

  upload(key: string, bucketId = this.scene.bucketId) {
    const address = {
      bucketId,
      key: keyOf(key),
      multipartId: multipartIdOf(this.nowMs, randomOf(1)),
    }
    this.decide(createUpload(address, { checksum: undefined, details: NO_DETAILS, completion: undefined }))
    return address
  }

  days(count: number): void {
    this.nowMs += count * DAY
  }

  job(settings: Partial<StoreDays> = {}, seed = 1): Lifecycle {
    const { metadata } = this.scene
    const clock = { wallMs: () => Math.min(this.wallMs, this.nowMs) }
    const storeClock = Object.defineProperties(
      { shownMs: 0, isDoubtful: false },
      { shownMs: { get: () => this.nowMs }, isDoubtful: { get: () => this.isDoubtful } },
    )
    const random = new SimRandom(seed)
    return new Lifecycle(
      { clock, storeClock, random, metadata, log: this.telemetry.log, ...NO_CLASSES },
      { ...STORE_DAYS, ...settings },
    )
  }

  /** Everything that is due now. */
  async pass(job = this.job()): Promise<Lifecycle> {
    for (let steps = 0; (await job.step(never)) === "busy"; steps += 1) assert.ok(steps < 1000, "the pass ends")
    return job
  }

  /** Key, and how each version is stored, newest first: `*` for a delete marker. */
  shown(): readonly string[] {
    const rows = (["current", "versions"] as const).flatMap(family => [
      ...this.scene.metadata.committed.range(family, ALL_ROWS),
    ])
    return rows
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([rowKey, { value }]) => `${parseObjectRowKey(rowKey).key}${decodeVersion(value).head.isMarker ? "*" : ""}`)
  }

  get uploads(): number {
    return [...this.scene.metadata.committed.range("uploads", ALL_ROWS)].length
  }
}
