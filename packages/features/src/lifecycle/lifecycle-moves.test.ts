/** Lifecycle moves versions to other storage classes: what moves, what stays, and what is decided again. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parsePosition, type VersionId } from "@hayloft/base/ids.js"
import { encodeLifecycleRules, type LifecycleRule } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { decisionIdOf } from "@hayloft/engine/format/row-key.js"
import {
  decodeVersion,
  NO_DETAILS,
  versionIdOfHead,
  type VersionRecord,
} from "@hayloft/engine/format/objects/version-record.js"
import type { Command } from "@hayloft/engine/metadata/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { setBucketLock, setSetting, setVersioning } from "@hayloft/objects/commands/bucket-commands-core.js"
import { newBucket, putOf, randomOf, type Scene } from "@hayloft/objects/commands/testing-bucket.js"
import { putVersion, removeLatest } from "@hayloft/objects/commands/version-commands-core.js"
import { REAL_DAYS } from "@hayloft/objects/days.js"
import { setStorageClass } from "./move-commands-core.js"
import { Lifecycle } from "./lifecycle-job.js"
import { STORE_DAYS } from "@hayloft/objects/days.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import "@hayloft/objects/testing-features.js"

const DAY = REAL_DAYS.dayMs
const START = 20_000 * DAY
const SIZE = 200_000
const never = new AbortController().signal
const KEY = objectKeyOfText("a")
const COLD = { transitions: [{ storageClass: "STANDARD_IA", days: 30 }] } as const
const OLD_COLD = { noncurrentTransitions: [{ storageClass: "GLACIER_IR", days: 1 }] } as const

class World {
  nowMs = START
  private position = 1000
  readonly calls: string[] = []
  readonly telemetry = new SimTelemetry()

  private constructor(readonly scene: Scene) {}

  static async open(
    rules: readonly Partial<LifecycleRule>[],
    versioning: readonly ("enabled" | "suspended")[] = [],
  ): Promise<World> {
    const world = new World(await newBucket())
    for (const state of versioning) world.decide(setVersioning(world.scene.bucketId, state))
    world.setRules(rules)
    return world
  }

  setRules(rules: readonly Partial<LifecycleRule>[]): void {
    const whole = rules.map((rule, number) => ({
      id: `rule ${number}`,
      isEnabled: true,
      filter: { form: "filter" } as const,
      ...rule,
    }))
    const document = encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules: whole })
    this.decide(setSetting(this.scene.bucketId, "lifecycle", document))
  }

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

  put(change: Parameters<typeof putOf>[2] = {}): VersionId {
    this.position += 1
    const random = randomOf(this.position & 0xff)
    const put = putOf(this.scene, this.position, { random, sizeBytes: SIZE, ...change })
    return versionIdOfHead(this.decide(putVersion({ ...put, key: KEY })).head)
  }

  delete(): void {
    const { bucketId } = this.scene
    this.decide(removeLatest({ bucketId, key: KEY, conditions: {}, random: randomOf(7) }))
  }

  move(versionId: VersionId) {
    const { bucketId } = this.scene
    return this.decide(setStorageClass({ bucketId, key: KEY, versionId }, { ...REAL_DAYS, nowMs: this.nowMs }))
  }

  async pass(days: number): Promise<Lifecycle> {
    this.nowMs += days * DAY
    const clock = { wallMs: () => this.nowMs }
    const storeClock = { shownMs: this.nowMs, isDoubtful: false }
    const { metadata } = this.scene
    const random = new SimRandom(1)
    const classes = { policyOf: () => undefined, use: () => void this.calls.push("use") }
    const seams = { clock, storeClock, random, metadata, log: this.telemetry.log, classes }
    const job = new Lifecycle(seams, STORE_DAYS)
    for (let steps = 0; (await job.step(never)) === "busy"; steps += 1) assert.ok(steps < 1000, "the pass ends")
    return job
  }

  get records(): readonly VersionRecord[] {
    return (["current", "versions"] as const).flatMap(family =>
      [...this.scene.metadata.committed.range(family, ALL_ROWS)].map(([, { value }]) => decodeVersion(value)),
    )
  }

  /** The classes of the versions, newest first; `*` for a delete marker. */
  get classes(): readonly string[] {
    return [...this.records]
      .sort((a, b) => b.head.order - a.head.order)
      .map(({ head }) => (head.isMarker ? "*" : head.storageClass))
  }
}

test("a version moves at the midnight after its days, and keeps everything else", async () => {
  const world = await World.open([COLD], ["enabled"])
  world.put({ details: { ...NO_DETAILS, tags: [["a", "b"]] } })
  const [before] = world.records
  await world.pass(30)
  assert.deepEqual(world.classes, ["STANDARD"])
  const job = await world.pass(1)
  const [after] = world.records
  assert.deepEqual({ ...after, head: { ...after?.head, storageClass: "STANDARD" } }, before)
  assert.deepEqual(world.classes, ["STANDARD_IA"])
  const { moved, movedBytes, versions } = job.report().removed
  assert.deepEqual([moved, movedBytes, versions], [1, SIZE, 0])
  assert.deepEqual(world.calls, ["use"])
  assert.match(job.progress(), /1 versions moved to another storage class/)
  assert.equal((await world.pass(1)).report().removed.moved, 0)
})

test("a noncurrent version moves by the time of its successor, and a lock does not keep it", async () => {
  const world = await World.open([COLD, OLD_COLD], ["enabled"])
  world.decide(setBucketLock(world.scene.bucketId, undefined))
  world.put({ lock: { retention: { mode: "COMPLIANCE", untilMs: START + 1000 * DAY }, legalHold: true } })
  world.nowMs += 10 * DAY
  world.put()
  await world.pass(2)
  assert.deepEqual(world.classes, ["STANDARD", "GLACIER_IR"])
  assert.equal(world.records.filter(({ lock }) => lock !== undefined).length, 1)
})

test("what is removed for good does not move before, and what a lock keeps moves instead", async () => {
  const both = { ...OLD_COLD, noncurrent: { days: 2 } }
  const world = await World.open([both], ["enabled"])
  world.decide(setBucketLock(world.scene.bucketId, undefined))
  world.put()
  world.put({ lock: { retention: undefined, legalHold: true } })
  world.put()
  const { removed } = (await world.pass(5)).report()
  assert.deepEqual([removed.versions, removed.moved], [1, 1])
  assert.deepEqual(world.classes, ["STANDARD", "GLACIER_IR"])
})

test("in a bucket without versions an object that expires on the day of its transition goes", async () => {
  const world = await World.open([COLD, { expiration: { days: 30 } }])
  const id = world.put()
  world.nowMs += 31 * DAY
  assert.equal(world.move(id).moved, 0)
  const { removed } = (await world.pass(0)).report()
  assert.deepEqual([removed.versions, removed.moved], [1, 0])
})

test("an object that is hidden on the day of its transition moves before", async () => {
  const world = await World.open([COLD, { expiration: { days: 30 } }], ["enabled"])
  world.put()
  const { removed } = (await world.pass(31)).report()
  assert.deepEqual([removed.hidden, removed.moved], [1, 1])
  assert.deepEqual(world.classes, ["*", "STANDARD_IA"])
})

test("null versions move as others do, and delete markers have no class", async () => {
  const world = await World.open([OLD_COLD, { transitions: [{ storageClass: "ONEZONE_IA", days: 30 }] }], ["enabled"])
  world.put()
  world.decide(setVersioning(world.scene.bucketId, "suspended"))
  world.put()
  assert.equal((await world.pass(31)).report().removed.moved, 2)
  assert.deepEqual(world.classes, ["ONEZONE_IA", "GLACIER_IR"])
  world.delete()
  assert.equal((await world.pass(31)).report().removed.moved, 0)
  assert.deepEqual(world.classes, ["*", "GLACIER_IR"])
})

test("a version that was overwritten after a slice was read stays, if its place is another one now", async () => {
  const world = await World.open([COLD], ["enabled"])
  const id = world.put()
  world.nowMs += 31 * DAY
  world.put()
  assert.equal(world.move(id).moved, 0)
  assert.deepEqual(world.classes, ["STANDARD", "STANDARD"])
})

test("a version does not move by rules that were removed, and not to an archive that is not mapped", async () => {
  const world = await World.open([COLD])
  const id = world.put()
  world.nowMs += 31 * DAY
  world.setRules([{ transitions: [{ storageClass: "GLACIER", days: 0 }] }])
  assert.equal(world.move(id).moved, 0)
  world.setRules([{ expiration: { days: 1000 } }])
  assert.equal(world.move(id).moved, 0)
  world.setRules([COLD])
  assert.equal(world.move(id).moved, 1)
  assert.equal(world.move(id).moved, 0)
})
