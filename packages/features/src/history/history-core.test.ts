/** Histories: from the start of a bucket's history on, its versions show the objects of each former moment. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isDeepStrictEqual } from "node:util"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parsePosition, type BucketId, type ObjectKey, type VersionId } from "@hayloft/base/ids.js"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { historyRowKeys, HISTORY_SHARDS } from "@hayloft/engine/format/objects/history.js"
import { decisionIdOf, objectRowKey, suffixRange, versionRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeVersionHead, versionIdOfHead, type VersionHead } from "@hayloft/engine/format/objects/version-record.js"
import { partsOfVersionId } from "@hayloft/engine/format/objects/version-id.js"
import { query, type RowView } from "@hayloft/engine/metadata/index.js"
import type { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { encodeLifecycleRules } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { expireNoncurrent } from "../lifecycle/expire-commands-core.js"
import { closeBucket, dropBucket, setSetting, setVersioning } from "@hayloft/objects/commands/bucket-commands-core.js"
import { requireBucket } from "@hayloft/objects/commands/bucket-rows-core.js"
import { findLatest } from "@hayloft/objects/commands/found-versions-core.js"
import { historySince, historySinceIn, restartHistory } from "./history-core.js"
import { renameObject } from "@hayloft/objects/commands/rename-core.js"
import { extentOf, newBucket, putOf, randomOf, refuses } from "@hayloft/objects/commands/testing-bucket.js"
import { putVersion, removeLatest, removeVersion, setTags } from "@hayloft/objects/commands/version-commands-core.js"
import "../index.js"

const KEYS = ["a", "b", "c/d", "e"].map(objectKeyOfText)
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** The latest version of each key; "" if it is a delete marker, or the key has no version. */
type State = readonly string[]

const shown = (head: VersionHead | undefined): string =>
  head === undefined || head.isMarker ? "" : `${versionIdOfHead(head)} ${head.order}`

const stateNow = query("StateNow", (view, bucketId: BucketId): State =>
  KEYS.map(key => shown(findLatest(view, objectRowKey(bucketId, key))?.head)),
)

/** The newest version whose order is not later. */
function latestAt(view: RowView, bucketId: BucketId, key: ObjectKey, us: number): VersionHead | undefined {
  const row = objectRowKey(bucketId, key)
  const current = view.get("current", row)
  const head = current && decodeVersionHead(current.value)
  if (head !== undefined && head.order <= us) return head
  const [first] = view.range("versions", { ...suffixRange(row), start: versionRowKey(row, us) })
  return first && decodeVersionHead(first[1].value)
}

const stateAt = query("StateAt", (view, bucketId: BucketId, us: number): State =>
  KEYS.map(key => shown(latestAt(view, bucketId, key, us))),
)

const headsOf = query("HeadsOf", (view, bucketId: BucketId, key: ObjectKey): readonly VersionHead[] => {
  const row = objectRowKey(bucketId, key)
  const current = view.get("current", row)
  const older = Array.from(view.range("versions", suffixRange(row)), ([, { value }]) => value)
  return [...(current ? [current.value] : []), ...older].map(decodeVersionHead)
})

const RULES = encodeLifecycleRules({
  transitionMinimum: "all_storage_classes_128K",
  rules: [
    { id: "old", isEnabled: true, filter: { form: "prefix", prefix: "" }, noncurrent: { days: 1, newerKept: 1 } },
  ],
})

interface Moment {
  readonly us: number
  readonly state: State
}

/** A bucket with versioning and perhaps null versions, whose state is recorded after each command. */
class RecordedBucket {
  readonly moments: Moment[] = []
  private number = 0

  private constructor(
    readonly metadata: MemoryMetadata,
    readonly bucketId: BucketId,
    private readonly random: SimRandom,
  ) {}

  static async open(random: SimRandom): Promise<RecordedBucket> {
    const { metadata, bucketId } = await newBucket()
    const bucket = new RecordedBucket(metadata, bucketId, random)
    for (const key of KEYS) if (random.below(2) === 0) await bucket.put(key)
    await metadata.run(setVersioning(bucketId, "enabled"))
    await metadata.run(setSetting(bucketId, "lifecycle", RULES))
    return bucket
  }

  private pick<T>(items: readonly T[]): T {
    return must(items[this.random.below(items.length)], "there is something to choose from")
  }

  private async put(key: ObjectKey): Promise<void> {
    this.number += 1
    const random = Buffer.alloc(8)
    random.writeUInt32BE(this.number)
    await this.metadata.run(putVersion({ ...putOf(this, this.number, { random }), key }))
  }

  async setHistory(isOn: boolean): Promise<void> {
    await this.metadata.run(setSetting(this.bucketId, "history", isOn ? "{}" : undefined))
  }

  private async rename(from: ObjectKey): Promise<void> {
    const { metadata, bucketId } = this
    const [head] = await metadata.ask(headsOf(bucketId, from))
    const to = this.pick(KEYS)
    if (head === undefined || head.isMarker || to === from) return
    this.number += 2
    await metadata
      .run(
        renameObject({
          bucketId,
          from,
          to,
          conditions: {},
          sourceConditions: {},
          hints: [],
          sealing: undefined,
          clockMs: 0,
          version: head,
          bytes: { kind: "extent", extent: extentOf(this.number) },
          random: randomOf(this.number % 250),
          markerRandom: randomOf((this.number + 1) % 250),
        }),
      )
      .catch((error: unknown) => assert.ok(isFailure(error, "noSuchKey"), String(error)))
  }

  async step(): Promise<void> {
    const { metadata, bucketId, random } = this
    const key = this.pick(KEYS)
    metadata.aheadMs += this.pick([0, 0, 1, 50, HOUR_MS, -HOUR_MS, DAY_MS])
    switch (random.below(10)) {
      case 0:
      case 1:
      case 2:
        return this.put(key)
      case 3:
      case 4: {
        const marker = { bucketId, key, conditions: {}, random: randomOf(random.below(250)) }
        return void (await metadata.run(removeLatest(marker)))
      }
      case 5:
      case 6: {
        const heads = await metadata.ask(headsOf(bucketId, key))
        if (heads.length === 0) return
        const versionId = versionIdOfHead(this.pick(heads))
        return void (await metadata.run(removeVersion({ bucketId, key, versionId, conditions: {} })))
      }
      case 7:
        return this.rename(key)
      case 8: {
        const nowMs = 1_700_000_000_000 + metadata.aheadMs + this.pick([0, 2 * DAY_MS])
        const from = suffixRange(objectRowKey(bucketId, key)).start
        return void (await metadata.run(expireNoncurrent({ bucketId, key, from }, { nowMs, dayMs: DAY_MS })))
      }
      default:
        metadata.aheadMs += this.pick([DAY_MS, 3 * DAY_MS])
    }
  }

  async record(): Promise<void> {
    const { metadata, bucketId } = this
    const us = await metadata.closeTo()
    this.moments.push({ us, state: await metadata.ask(stateNow(bucketId)) })
  }

  /** The last moment whose object differs from what the versions show now: the history begins after it. */
  async lastLost(): Promise<number> {
    const { metadata, bucketId, moments } = this
    for (let index = moments.length - 1; index >= 0; index -= 1) {
      const { us, state } = must(moments[index], "a moment")
      if (!isDeepStrictEqual(await metadata.ask(stateAt(bucketId, us)), state)) return index
    }
    return -1
  }
}

test("random histories: at every moment since the history is complete, the versions show what was there", async () => {
  let [checked, moved] = [0, 0]
  const seeds = seedsOf(12)
  for (const seed of seeds) {
    const bucket = await RecordedBucket.open(new SimRandom(seed))
    const { metadata, bucketId, moments } = bucket
    await bucket.record()
    await bucket.setHistory(true)
    const begun = moments.length
    let from = begun
    await bucket.record()
    for (let step = 0; step < 60; step += 1) {
      await bucket.step()
      await bucket.record()
      const since = must(await metadata.ask(historySince(bucketId)), "it has a history")
      for (const { us, state } of moments) {
        if (us < since) continue
        assert.deepEqual(await metadata.ask(stateAt(bucketId, us)), state, `seed ${seed}, step ${step}, at ${us}`)
        checked += 1
      }
      // The history begins no later than necessary: between two recorded moments.
      from = Math.max(from, (await bucket.lastLost()) + 1)
      const [before, first] = [must(moments[from - 1], "a moment before"), must(moments[from], "a moment")]
      assert.ok(before.us < since && since <= first.us, `seed ${seed}, step ${step}: ${before.us} ${since} ${first.us}`)
      if (from > begun) moved += 1
    }
  }
  assert.ok(checked > 250 * seeds.length && moved > 12 * seeds.length, `${checked} ${moved}`)
})

test("removing a version that was replaced long ago leaves the time since then complete; removing the latest nothing", async () => {
  const bucket = await RecordedBucket.open(new SimRandom(1))
  const { metadata, bucketId } = bucket
  const [key = objectKeyOfText("a")] = KEYS
  const put = async (number: number) => {
    const { head } = await metadata.run(putVersion({ ...putOf({ bucketId }, number), key }))
    metadata.aheadMs += 30 * DAY_MS
    return head
  }
  const remove = (head: VersionHead) =>
    metadata.run(removeVersion({ bucketId, key, versionId: versionIdOfHead(head), conditions: {} }))
  await bucket.setHistory(true)
  const begun = await metadata.ask(historySince(bucketId))
  const [first, second, third] = [await put(101), await put(102), await put(103)]
  assert.equal(await metadata.ask(historySince(bucketId)), begun)
  await remove(first)
  assert.equal(await metadata.ask(historySince(bucketId)), second.order)
  await metadata.run(setTags({ bucketId, key, versionId: undefined }, [["a", "b"]]))
  assert.equal(await metadata.ask(historySince(bucketId)), second.order)
  await remove(third)
  const now = await metadata.closeTo()
  assert.ok(((await metadata.ask(historySince(bucketId))) ?? 0) > third.order + 29 * DAY_MS * 1_000)
  assert.ok(((await metadata.ask(historySince(bucketId))) ?? 0) <= now)
})

test("removing a delete marker that hides no object leaves the whole history complete", async () => {
  const bucket = await RecordedBucket.open(new SimRandom(1))
  const { metadata, bucketId } = bucket
  const key = objectKeyOfText("f")
  let number = 0
  const next = () => randomOf((number += 1))
  const mark = async () => {
    metadata.aheadMs += DAY_MS
    const { versionId } = await metadata.run(removeLatest({ bucketId, key, conditions: {}, random: next() }))
    return must(versionId, "a marker")
  }
  const remove = async (versionId: VersionId) => {
    metadata.aheadMs += DAY_MS
    await metadata.run(removeVersion({ bucketId, key, versionId, conditions: {} }))
    return metadata.ask(historySince(bucketId))
  }
  await bucket.setHistory(true)
  const begun = await metadata.ask(historySince(bucketId))
  // There was never an object.
  const [a, b, c] = [await mark(), await mark(), await mark()]
  for (const marker of [b, c, a]) assert.equal(await remove(marker), begun)
  // The object is gone before its marker, as lifecycle rules remove them.
  const { head } = await metadata.run(putVersion({ ...putOf({ bucketId }, 101), key }))
  const [first, second] = [await mark(), await mark()]
  const orderOf = (versionId: VersionId) => partsOfVersionId(versionId).order
  assert.equal(await remove(versionIdOfHead(head)), orderOf(first))
  assert.equal(await remove(second), orderOf(first))
  assert.equal(await remove(first), orderOf(first))
  // A marker that hides an object is missed until the next version, or until its removal.
  await metadata.run(putVersion({ ...putOf({ bucketId }, 102), key }))
  const [third, fourth] = [await mark(), await mark()]
  assert.equal(await remove(third), orderOf(fourth))
  const before = await metadata.closeTo()
  assert.ok(((await remove(fourth)) ?? 0) > before)
})

test("a version that cannot have the commit timestamp, since its key has a later one, moves the beginning to its own", async () => {
  const { metadata, bucketId } = await newBucket()
  await metadata.run(setVersioning(bucketId, "enabled"))
  const put = (number: number) => putVersion(putOf({ bucketId }, number))
  // In earlier releases, a node with a fast clock could set such a commit timestamp.
  const position = parsePosition(1)
  const time = { nowMs: 1_900_000_000_000, commitUs: 1_900_000_000_000_000, position, id: decisionIdOf(position) }
  metadata.runAt(put(1), { ...time, incarnations: metadata.incarnations })
  await metadata.run(setSetting(bucketId, "history", "{}"))
  const { head } = await metadata.run(put(2))
  assert.equal(head.order, 1_900_000_000_000_001)
  assert.equal(await metadata.ask(historySince(bucketId)), head.order)
})

test("a history needs versioning, which cannot be suspended meanwhile, and no remote", async () => {
  const { metadata, bucketId } = await newBucket()
  const setHistory = (document: string | undefined) => metadata.run(setSetting(bucketId, "history", document))
  await refuses(setHistory("{}"), "invalidRequest")
  await metadata.run(setVersioning(bucketId, "suspended"))
  await refuses(setHistory("{}"), "invalidRequest")
  await metadata.run(setVersioning(bucketId, "enabled"))
  assert.equal(await metadata.ask(historySince(bucketId)), undefined)
  await setHistory("{}")
  await metadata.run(setVersioning(bucketId, "enabled"))
  await refuses(metadata.run(setVersioning(bucketId, "suspended")), "invalidRequest")
  await refuses(metadata.run(setSetting(bucketId, "remote", "<a/>")), "invalidRequest")
  await setHistory(undefined)
  assert.equal(await metadata.ask(historySince(bucketId)), undefined)
  await metadata.run(setVersioning(bucketId, "suspended"))
  await metadata.run(setSetting(bucketId, "remote", "<a/>"))
  await metadata.run(setVersioning(bucketId, "enabled"))
  await refuses(setHistory("{}"), "invalidRequest")
})

test("a history that is set again goes on; one that was removed, restarted or has lost a row does not", async () => {
  const { metadata, bucketId } = await newBucket()
  await metadata.run(setVersioning(bucketId, "enabled"))
  const setHistory = (document: string | undefined) => metadata.run(setSetting(bucketId, "history", document))
  const sinceIn = query("SinceIn", view => historySinceIn(view, requireBucket(view, bucketId)))
  const since = async () => must(await metadata.ask(sinceIn()), "it has a history")
  await setHistory("{}")
  const first = await since()
  await setHistory("{}")
  assert.equal(await since(), first)
  await metadata.run(restartHistory(bucketId))
  const second = await since()
  assert.ok(second > first)
  await setHistory(undefined)
  assert.equal(metadata.rows("history"), 0)
  await setHistory("{}")
  assert.ok((await since()) > second)
  const [row] = historyRowKeys(bucketId)
  metadata.lose("history", must(row, "it has rows"))
  assert.equal(await since(), Infinity)
})

test("a bucket that is dropped leaves nothing of its history", async () => {
  const { metadata, bucketId } = await newBucket()
  await metadata.run(setVersioning(bucketId, "enabled"))
  await metadata.run(setSetting(bucketId, "history", "{}"))
  assert.equal(metadata.rows("history"), HISTORY_SHARDS)
  await metadata.run(closeBucket(bucketId))
  await metadata.run(dropBucket(bucketId))
  assert.equal(metadata.rows("history"), 0)
})
