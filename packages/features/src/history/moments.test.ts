/** Reads at moments compared with states that were recorded, over random histories. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, type ObjectKey, type VersionId } from "@hayloft/base/ids.js"
import { partsOfVersionId } from "@hayloft/engine/format/objects/version-id.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { Bucket, ListEntry, ListRequest } from "@hayloft/objects/contract.js"
import { open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { SMALL_PART_BYTES } from "@hayloft/upkeep/testing-services.js"
import { putMultipart } from "@hayloft/upkeep/encrypt/testing-encrypt.js"
import { MomentService } from "./moments.js"
import { commonPrefixOf } from "@hayloft/objects/queries/listing-core.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"

const KEYS = ["a", "a/", "a/1", "a/2", "a/b/1", "a/b/2", "b", "b/1", "c/1", "c/2", "d", "é", "z/y/x"]
const noSignal = new AbortController().signal

/** The state of a bucket at a moment: versions and sizes by key. */
interface State {
  readonly atUs: number
  readonly objects: ReadonlyMap<ObjectKey, { readonly versionId: VersionId; readonly sizeBytes: number }>
}

async function kept(): Promise<{ world: World; bucket: Bucket }> {
  const world = await open("replica:2")
  await world.clock.advance(1_700_000_000_000 - world.clock.wallMs())
  const { buckets, histories } = world.services
  await buckets.setVersioning(world.home, "enabled")
  await histories.begin(world.home)
  return { world, bucket: await buckets.open(world.home.name) }
}

async function latestOf(world: World, bucket: Bucket): Promise<State["objects"]> {
  const { entries } = await world.services.objects.listVersions({
    bucket,
    prefix: "",
    delimiter: "",
    keyMarker: "",
    versionIdMarker: undefined,
    max: 1_000,
  })
  return new Map(
    entries.flatMap(entry =>
      entry.kind === "version" && entry.isLatest
        ? [[entry.object.key, { versionId: entry.versionId, sizeBytes: entry.object.sizeBytes }] as const]
        : [],
    ),
  )
}

/** All versions that are objects. */
async function versionsOf(world: World, bucket: Bucket) {
  const { entries } = await world.services.objects.listVersions({
    bucket,
    prefix: "",
    delimiter: "",
    keyMarker: "",
    versionIdMarker: undefined,
    max: 1_000,
  })
  return entries.flatMap(entry =>
    entry.kind === "version" ? [{ key: entry.object.key, versionId: entry.versionId }] : [],
  )
}

/** One random change; those that are refused change nothing. */
async function change(world: World, bucket: Bucket, random: SimRandom): Promise<void> {
  const key = () => objectKeyOfText(must(KEYS[random.below(KEYS.length)], "there are keys"))
  const { objects, renames } = world.services
  const to = key()
  const target = { bucket, key: to, conditions: {} }
  switch (random.below(8)) {
    case 0:
    case 1:
      await objects.remove(target)
      return
    case 2: {
      const source = { bucket, key: key(), conditions: {} }
      const copy = { replaceAttributes: { headers: {}, userMetadata: [["n", "1"]] }, replaceTags: undefined } as const
      await objects.copy({ ...target, ...copy, source, checksumAlgorithm: undefined, signal: noSignal }).catch(orAbsent)
      return
    }
    case 3: {
      const conditions = { sourceConditions: {}, conditions: {} }
      const rename = { bucket, from: key(), to, ...conditions, clientToken: undefined, signal: noSignal }
      await renames.rename(rename).catch(orAbsent)
      return
    }
    case 4:
      world.tablet.aheadMs += random.below(3)
      return
    default:
      await objects.put({ ...world.putting(to, sourceOf(random.bytes(random.below(2_000)))), bucket })
  }
}

function orAbsent(error: unknown): void {
  assert.ok(isFailure(error, "noSuchKey", "invalidRequest", "notImplemented"), String(error))
}

/** All pages of a listing, each with at most `max` entries. */
async function allPages(
  moments: MomentService,
  request: Omit<ListRequest, "after">,
  atUs: number,
): Promise<{ entries: readonly ListEntry[]; pages: number }> {
  const entries: ListEntry[] = []
  let from: Pick<ListRequest, "after" | "afterExactly"> = { after: "" }
  for (let pages = 1; ; pages += 1) {
    const page = await moments.list({ ...request, ...from }, atUs)
    assert.ok(page.entries.length <= request.max)
    entries.push(...page.entries)
    if (page.next === undefined) return { entries, pages }
    from = { after: page.next, afterExactly: page.isMidway === true }
  }
}

const nameOf = (entry: ListEntry): string =>
  entry.kind === "prefix" ? `${entry.prefix} *` : `${entry.object.key} ${entry.object.sizeBytes}`

/** The expected listing of the recorded state. */
function expectedOf(
  { objects }: State,
  scope: { readonly prefix: string; readonly delimiter: string },
): readonly string[] {
  const shown = [...objects]
    .filter(([key]) => key.startsWith(scope.prefix))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, { sizeBytes }]) => {
      const common = commonPrefixOf(key, scope)
      return common === undefined ? `${key} ${sizeBytes}` : `${common} *`
    })
  return [...new Set(shown)]
}

async function assertState(bucket: Bucket, moments: MomentService, state: State, random: SimRandom) {
  const { atUs, objects } = state
  for (const text of KEYS) {
    const key = objectKeyOfText(text)
    const found = await moments.versionAt(bucket, key, atUs).catch((error: unknown) => {
      assert.ok(isFailure(error, "noSuchKey"), String(error))
      return undefined
    })
    assert.equal(found, objects.get(key)?.versionId, `${text} at ${atUs}`)
  }
  const scope = {
    prefix: must(["", "", "a", "a/", "b", "c/", "none"][random.below(7)], "there are prefixes"),
    delimiter: must(["", "/"][random.below(2)], "there are delimiters"),
  }
  const max = must([1, 2, 1_000][random.below(3)], "there are sizes")
  const listed = await allPages(moments, { bucket, ...scope, max }, atUs)
  assert.deepEqual(listed.entries.map(nameOf), expectedOf(state, scope), JSON.stringify({ ...scope, max, atUs }))
}

test("every moment of random histories shows the state that was recorded, on pages of every style", async () => {
  const random = new SimRandom(11)
  for (let round = 0; round < 6; round += 1) {
    const { world, bucket } = await kept()
    const limits = { rowsPerQuery: 1 + random.below(60), seekRows: 1 + random.below(4), steps: random.below(4) }
    const moments = new MomentService(world.tablet, limits)
    const states: State[] = []
    for (let step = 0; step < 60; step += 1) {
      await world.clock.runUntil(change(world, bucket, random))
      states.push({ atUs: await moments.now(), objects: await latestOf(world, bucket) })
    }
    for (const state of states) await assertState(bucket, moments, state, random)
    for (const { key, versionId } of await versionsOf(world, bucket)) {
      const { order } = partsOfVersionId(versionId)
      assert.equal(await moments.versionAt(bucket, key, order), versionId, "at its own moment it is there")
      const before = await moments.versionAt(bucket, key, order - 1).catch(() => undefined)
      assert.notEqual(before, versionId, "before its moment it is not")
      const listed = await allPages(moments, { bucket, prefix: key, delimiter: "", max: 1_000 }, order)
      assert.ok(
        listed.entries.some(entry => entry.kind === "object" && entry.object.key === key),
        "its own moment lists it",
      )
    }
    const [first, last] = [must(states[10], "there are states"), must(states.at(-1), "there are states")]
    await assertDifferences(bucket, moments, first, last)
    await assertDifferences(bucket, moments, last, last)
  }
})

/** Checks that pages of differences match the states, and count the unchanged objects. */
async function assertDifferences(bucket: Bucket, moments: MomentService, first: State, last: State): Promise<void> {
  const found = new Map<string, string>()
  let unchanged = 0
  for (let after: string | undefined = ""; after !== undefined;) {
    const page = await moments.differences({ bucket, prefix: "", after, fromUs: first.atUs, toUs: last.atUs, max: 2 })
    for (const { key, before, after: now } of page.differences) found.set(key, `${before?.versionId} ${now?.versionId}`)
    unchanged += page.unchanged.objects
    after = page.next
  }
  const keys = new Set([...first.objects.keys(), ...last.objects.keys()])
  for (const key of keys) {
    const [before, now] = [first.objects.get(key), last.objects.get(key)]
    if (found.has(key)) assert.equal(found.get(key), `${before?.versionId} ${now?.versionId}`)
    // Another version with the same bytes and headers is no difference, such as an empty object that is put again.
    else assert.ok(before?.sizeBytes === now?.sizeBytes, `${key} differs`)
  }
  const same = [...keys].filter(key => first.objects.get(key)?.versionId === last.objects.get(key)?.versionId)
  assert.ok(unchanged >= same.length)
  assert.equal(unchanged + found.size, keys.size)
}

test("a large object has the size that clients see, whether or not it has changed", async () => {
  const { world, bucket } = await kept()
  const moments = new MomentService(world.tablet)
  const largeObject = { sizeBytes: 5_000_000, md5: new Uint8Array(16), parts: 5 }
  const put = (key: string) =>
    world.services.objects.put({
      ...world.putting(objectKeyOfText(key), sourceOf(new Uint8Array(300))),
      bucket,
      largeObject,
    })
  await world.clock.runUntil(put("same"))
  const fromUs = await moments.now()
  await world.clock.runUntil(put("new"))
  const range = { bucket, prefix: "", after: "", fromUs, toUs: await moments.now(), max: 10 }
  const { differences, unchanged } = await moments.differences(range)
  assert.deepEqual(
    differences.map(({ key, before, after }) => [key, before?.sizeBytes, after?.sizeBytes]),
    [["new", undefined, 5_000_000]],
  )
  assert.deepEqual(unchanged, { objects: 1, bytes: 5_000_000 })
})

test("a version that is removed permanently makes the moments before unreadable, and never wrong", async () => {
  const random = new SimRandom(12)
  const { world, bucket } = await kept()
  const moments = new MomentService(world.tablet)
  const states: State[] = []
  let refused = 0
  for (let step = 0; step < 120; step += 1) {
    await world.clock.runUntil(change(world, bucket, random))
    if (step % 10 === 9) {
      const { entries } = await world.services.objects.listVersions({
        bucket,
        prefix: "",
        delimiter: "",
        keyMarker: "",
        versionIdMarker: undefined,
        max: 1_000,
      })
      const entry = must(entries[random.below(entries.length)], "there are versions")
      assert.ok(entry.kind !== "prefix")
      const key = entry.kind === "version" ? entry.object.key : entry.key
      await world.services.objects.remove({ bucket, key, versionId: entry.versionId, conditions: {} })
    }
    states.push({ atUs: await moments.now(), objects: await latestOf(world, bucket) })
    const sinceUs = must(await world.services.histories.since(bucket), "the bucket has a history")
    const state = must(states[random.below(states.length)], "there are states")
    if (state.atUs >= sinceUs) await assertState(bucket, moments, state, random)
    else {
      refused += 1
      await assert.rejects(moments.list({ bucket, prefix: "", delimiter: "", after: "", max: 9 }, state.atUs), error =>
        isFailure(error, "historyIncomplete"),
      )
    }
  }
  assert.ok(refused > 10 && refused < 110, `${refused} moments could not be read`)
})

test("a bucket without a history, and a moment in the future, are refused", async () => {
  const { world, bucket } = await kept()
  const { moments, histories } = world.services
  const nowUs = await moments.now()
  await assert.rejects(moments.check(bucket, nowUs + 3_600_000_000), error => isFailure(error, "invalidArgument"))
  await moments.check(bucket, nowUs)
  await histories.end(bucket)
  await assert.rejects(moments.check(bucket, nowUs), error => isFailure(error, "historyIncomplete"))
})

test("an object that had expired by the moment is not there, one that expired later is", async () => {
  const { world, bucket } = await kept()
  const { moments, objects } = world.services
  const key = objectKeyOfText("a")
  const expiresAtSeconds = Math.floor(world.clock.wallMs() / 1000) + 10
  await world.clock.runUntil(
    objects.put({ ...world.putting("a", sourceOf(new Uint8Array(3))), bucket, expiresAtSeconds }),
  )
  const beforeUs = await moments.now()
  const versionId = await moments.versionAt(bucket, key, beforeUs)
  world.tablet.aheadMs += 20_000
  await world.clock.advance(20_000)
  assert.equal(await moments.versionAt(bucket, key, beforeUs), versionId)
  await assert.rejects(
    async () => moments.versionAt(bucket, key, await moments.now()),
    error => isFailure(error, "noSuchKey"),
  )
  const list = { bucket, prefix: "", delimiter: "", after: "", max: 9 }
  assert.equal((await moments.list(list, beforeUs)).entries.length, 1)
  assert.equal((await moments.list(list, await moments.now())).entries.length, 0)
})

test("a multipart object of a moment is read whole after it was replaced", async () => {
  const { world, bucket } = await kept()
  const { moments, objects } = world.services
  await putMultipart(world, "a", [SMALL_PART_BYTES, 1_000])
  const atUs = await moments.now()
  await world.put("a", new Uint8Array(5))
  await world.remove("a")
  const key = objectKeyOfText("a")
  const versionId = await moments.versionAt(bucket, key, atUs)
  const body = await world.clock.runUntil(Promise.resolve(objects.get({ bucket, key, versionId, conditions: {} })))
  assert.equal(body.info.sizeBytes, SMALL_PART_BYTES + 1_000)
  body.close()
})
