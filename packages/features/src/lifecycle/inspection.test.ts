/** Tests that `explain` and `preview` agree with what the pass does. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketName } from "@hayloft/base/ids.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import { encodeLifecycleRules, type LifecycleRule } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { setBucketLock, setSetting, setVersioning } from "@hayloft/objects/commands/bucket-commands-core.js"
import { newBucket, putOf, randomOf, type Scene } from "@hayloft/objects/commands/testing-bucket.js"
import { createUpload } from "@hayloft/objects/commands/multipart-commands-core.js"
import { putVersion, removeLatest } from "@hayloft/objects/commands/version-commands-core.js"
import { REAL_DAYS } from "@hayloft/objects/days.js"
import { INSPECTION_LIMITS, LifecycleInspection } from "./inspection.js"
import "@hayloft/objects/testing-features.js"

const { dayMs } = REAL_DAYS
/** The time of the engine in memory. */
const PUT_MS = 1_700_000_000_000
const NAME = parseBucketName("bucket")

const RULES: readonly LifecycleRule[] = [
  { id: "week", isEnabled: true, filter: { form: "filter", prefix: "logs/" }, expiration: { days: 7 } },
  { id: "old", isEnabled: true, filter: { form: "filter" }, noncurrent: { days: 2, newerKept: 1 } },
  { id: "off", isEnabled: false, filter: { form: "filter" }, expiration: { days: 1 } },
]

async function world(rules: readonly LifecycleRule[] = RULES) {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await metadata.run(setVersioning(bucketId, "enabled"))
  if (rules.length > 0) await metadata.run(setSetting(bucketId, "lifecycle", documentOf(rules)))
  const rests = { count: 0, then: () => undefined as void }
  const atEndOfTurn = (call: () => void): void => {
    rests.count += 1
    rests.then()
    call()
  }
  const inspect = (days: number, limits = INSPECTION_LIMITS) => {
    const time = () => ({ nowMs: PUT_MS + days * dayMs, ...REAL_DAYS, abandonedDays: 7 })
    return new LifecycleInspection(metadata, time, { atEndOfTurn }, limits)
  }
  return { ...scene, inspect, rests }
}

const documentOf = (rules: readonly LifecycleRule[]): string =>
  encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules })

let puts = 0
async function put(scene: Scene, key: string, change: Parameters<typeof putOf>[2] = {}): Promise<void> {
  puts += 1
  const put = putOf(scene, puts, { random: randomOf(puts & 0xff), ...change })
  await scene.metadata.run(putVersion({ ...put, key: objectKeyOfText(key) }))
}

test("each version of a key is explained, newest first", async () => {
  const scene = await world()
  for (let version = 0; version < 3; version += 1) await put(scene, "logs/1")
  const { versions, hasRules, hasMore } = await scene.inspect(4).explain(NAME, objectKeyOfText("logs/1"))
  assert.deepEqual([hasRules, hasMore], [true, false])
  assert.deepEqual(
    versions.map(({ isLatest, next }) => [isLatest, next?.ruleId, next?.action]),
    [
      [true, "week", "hide"],
      [false, undefined, undefined],
      [false, "old", "removeVersion"],
    ],
  )
  assert.deepEqual(
    versions[1]?.rules.map(({ when }) => when),
    ["noAction", "newerKept", "disabled"],
  )
  const other = await world()
  await put(other, "other")
  const explained = await other.inspect(4).explain(NAME, objectKeyOfText("other"))
  assert.deepEqual(explained.versions[0]?.rules[0], { ruleId: "week", when: "prefix" })
})

test("a preview counts what the next pass removes, by rule", async () => {
  const scene = await world()
  for (let key = 0; key < 12; key += 1) {
    await put(scene, `logs/${key}`)
    await put(scene, `logs/${key}`)
    await put(scene, `logs/${key}`)
  }
  await put(scene, "other")
  const early = await scene.inspect(1).preview(NAME)
  assert.deepEqual(
    early.rules.map(({ hidden, versions }) => hidden + versions),
    [0, 0, 0],
  )
  const { rules, locked } = await scene.inspect(9).preview(NAME)
  const [week, old] = rules
  assert.deepEqual([week?.ruleId, week?.hidden, week?.versions, week?.bytes], ["week", 12, 0, 1200])
  assert.deepEqual([old?.ruleId, old?.hidden, old?.versions, old?.bytes], ["old", 0, 12, 1200])
  assert.equal(old?.examples.length, 5)
  assert.deepEqual(
    rules.map(({ isEnabled }) => isEnabled),
    [true, true, false],
  )
  assert.equal(locked, 0)
})

test("a large object has the size that clients see, and a preview counts its stored bytes", async () => {
  const filter = { form: "filter", sizeAbove: 1_000_000 } as const
  const scene = await world([{ id: "big", isEnabled: true, filter, expiration: { days: 7 } }])
  await put(scene, "large", { largeObject: { sizeBytes: 5_000_000, md5: new Uint8Array(16), parts: 5 } })
  const { versions } = await scene.inspect(9).explain(NAME, objectKeyOfText("large"))
  assert.deepEqual([versions[0]?.sizeBytes, versions[0]?.next?.ruleId], [5_000_000, "big"])
  const [big] = (await scene.inspect(9).preview(NAME)).rules
  assert.deepEqual([big?.hidden, big?.bytes], [1, 100])
})

test("a preview counts unfinished uploads by the rule that removes them, and those that none removes", async () => {
  const scene = await world([
    ...RULES,
    { id: "uploads", isEnabled: true, filter: { form: "filter", prefix: "logs/" }, abortDays: 3 },
  ])
  for (const [at, key] of ["logs/1", "logs/2", "other"].entries()) {
    const address = {
      bucketId: scene.bucketId,
      key: objectKeyOfText(key),
      multipartId: multipartIdOf(PUT_MS, randomOf(at)),
    }
    await scene.metadata.run(createUpload(address, { checksum: undefined, details: NO_DETAILS, completion: undefined }))
  }
  const counted = async (days: number) => {
    const { rules, abandonedUploads } = await scene.inspect(days).preview(NAME)
    return [rules.map(({ uploads }) => uploads), abandonedUploads]
  }
  assert.deepEqual(await counted(1), [[0, 0, 0, 0], 0])
  assert.deepEqual(await counted(4), [[0, 0, 0, 2], 0])
  assert.deepEqual(await counted(8), [[0, 0, 0, 2], 1])
})

test("with versioning suspended a current null version goes, and another is hidden", async () => {
  const scene = await world()
  await put(scene, "logs/hidden")
  await scene.metadata.run(setVersioning(scene.bucketId, "suspended"))
  await put(scene, "logs/null")
  const { rules } = await scene.inspect(9).preview(NAME)
  assert.deepEqual([rules[0]?.hidden, rules[0]?.versions, rules[0]?.bytes], [1, 1, 200])
  for (const [key, action] of [["logs/hidden", "hide"] as const, ["logs/null", "removeVersion"] as const]) {
    const { versions } = await scene.inspect(9).explain(NAME, objectKeyOfText(key))
    assert.deepEqual(
      versions.map(({ next }) => next?.action),
      [action],
    )
  }
})

test("a rule with so many days that it never acts is shown at the last date", async () => {
  const scene = await world([
    { id: "never", isEnabled: true, filter: { form: "filter" }, expiration: { days: 2_147_483_647 } },
  ])
  await put(scene, "a")
  const { versions } = await scene.inspect(1).explain(NAME, objectKeyOfText("a"))
  const lastMs = Date.parse("9999-12-31T00:00:00Z")
  assert.deepEqual(
    versions.map(({ next, rules }) => [next?.dueMs, rules]),
    [[lastMs, [{ ruleId: "never", when: lastMs }]]],
  )
})

test("locked versions are counted apart, and a delete marker is told from versions", async () => {
  const scene = await world([
    { id: "old", isEnabled: true, filter: { form: "filter" }, noncurrent: { days: 2 } },
    { id: "markers", isEnabled: true, filter: { form: "filter" }, expiration: { expiredMarkers: true } },
  ])
  const { metadata, bucketId } = scene
  await metadata.run(setBucketLock(bucketId, undefined))
  await put(scene, "kept", { lock: { retention: undefined, legalHold: true } })
  await put(scene, "kept")
  await metadata.run(removeLatest({ bucketId, key: objectKeyOfText("gone"), conditions: {}, random: randomOf(1) }))
  const { rules, locked } = await scene.inspect(9).preview(NAME)
  assert.equal(locked, 1)
  assert.deepEqual(
    rules.map(({ versions, markers }) => [versions, markers]),
    [
      [0, 0],
      [0, 1],
    ],
  )
  const { versions } = await scene.inspect(9).explain(NAME, objectKeyOfText("kept"))
  assert.deepEqual(
    versions.map(({ isLocked }) => isLocked),
    [false, true],
  )
})

test("a bucket without rules, an unknown bucket and an unknown key", async () => {
  const scene = await world([])
  await put(scene, "a")
  const inspection = scene.inspect(9)
  assert.equal((await inspection.preview(NAME)).hasRules, false)
  const { hasRules, versions } = await inspection.explain(NAME, objectKeyOfText("a"))
  assert.deepEqual([hasRules, versions[0]?.next, versions[0]?.rules], [false, undefined, []])
  await assert.rejects(inspection.preview(parseBucketName("other")), error => isFailure(error, "noSuchBucket"))
  await assert.rejects(inspection.explain(NAME, objectKeyOfText("b")), error => isFailure(error, "noSuchKey"))
})

const WANTED = new AbortController().signal
const EVERYTHING: LifecycleRule = { id: "all", isEnabled: true, filter: { form: "filter" }, expiration: { days: 1 } }

test("rules that are tried out show what they would do once they are set, and set nothing", async () => {
  const scene = await world([])
  for (let key = 0; key < 5; key += 1) await put(scene, `logs/${key}`)
  await put(scene, "other")
  const document = documentOf(RULES)
  const tried = await scene.inspect(9).tryRules(NAME, document, WANTED)
  assert.deepEqual(
    tried.rules.map(({ ruleId, hidden, bytes }) => [ruleId, hidden, bytes]),
    [
      ["week", 5, 500],
      ["old", 0, 0],
      ["off", 0, 0],
    ],
  )
  assert.deepEqual([tried.isComplete, tried.examined], [true, 6])
  assert.equal((await scene.inspect(9).preview(NAME)).hasRules, false)
  await scene.metadata.run(setSetting(scene.bucketId, "lifecycle", document))
  assert.deepEqual(await scene.inspect(9).preview(NAME), tried)
  const other = await scene.inspect(9).tryRules(NAME, documentOf([EVERYTHING]), WANTED)
  assert.deepEqual(
    other.rules.map(({ ruleId, hidden }) => [ruleId, hidden]),
    [["all", 6]],
    "in place of those of the bucket",
  )
})

test("rules are tried out on so many rows only, between which other work goes on, and while they are wanted", async () => {
  const scene = await world([])
  for (let key = 0; key < 12; key += 1) await put(scene, `logs/${String(key).padStart(2, "0")}`)
  const inspection = scene.inspect(9, { ...INSPECTION_LIMITS, rowsPerSlice: 4, triedRowsMax: 8 })
  const tried = (signal = WANTED) => inspection.tryRules(NAME, documentOf([EVERYTHING]), signal)
  const bounded = await tried()
  assert.deepEqual([bounded.isComplete, bounded.examined, bounded.rules[0]?.hidden], [false, 8, 8])
  assert.equal(scene.rests.count, 3, "one slice of uploads, two of versions")
  const others = Array.from({ length: 49_999 }, (_, at) => ({ ...EVERYTHING, id: `rule ${at}`, isEnabled: false }))
  const many = await inspection.tryRules(NAME, documentOf([EVERYTHING, ...others]), WANTED)
  assert.equal(many.examined, 8, "slices are shorter with many rules, and there are more of them")
  scene.rests.count = 3
  const leaving = new AbortController()
  scene.rests.then = () => leaving.abort()
  const left = await tried(leaving.signal)
  assert.deepEqual([left.isComplete, left.examined], [false, 0])
  await scene.metadata.run(setSetting(scene.bucketId, "lifecycle", documentOf([EVERYTHING])))
  assert.equal((await inspection.preview(NAME)).examined, 12, "those that are set are previewed to the end")
})
