/** Changes that are copied elsewhere: stores that repeat each other's writes agree in the end, and notes of changes are exact. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, type ObjectKey } from "@hayloft/base/ids.js"
import { parseTimestamp, textOfTimestamp, timestampOfMs, type Timestamp } from "@hayloft/base/text/timestamp.js"
import { decodeChange } from "@hayloft/engine/format/objects/change.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import { must } from "@hayloft/base/assert.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { readVersion } from "../queries/object-info-core.js"
import { readObjectChanges } from "../queries/changes-page-core.js"
import { setSetting, setVersioning } from "./bucket-commands-core.js"
import { endObjectChange, exactTimestamp, noteObjectChanges } from "./changes-core.js"
import { KEY, newBucket, putOf, randomOf, refuses, type Scene } from "./testing-bucket.js"
import { putVersion, removeLatest, setAttributes, setTags } from "./version-commands-core.js"
import "../testing-features.js"

/** The state of a store at a key. */
interface State {
  readonly timestamp: Timestamp
  /** The MD5 of the object; undefined if it is removed. */
  readonly md5: Uint8Array | undefined
}

async function store(): Promise<Scene> {
  const scene = await newBucket()
  await scene.metadata.run(setSetting(scene.bucketId, "sync", "{}"))
  return scene
}

/** Returns undefined if nothing is known of the key. */
function stateOf({ metadata, bucketId }: Scene, key: ObjectKey): State | undefined {
  const row = objectRowKey(bucketId, key)
  if (metadata.committed.get("current", row) !== undefined) {
    const { record, details } = readVersion(metadata.committed, bucketId, key, undefined)
    const stated = details.headers.find(([name]) => name === "timestamp")?.[1]
    return { timestamp: exactTimestamp(record.head, stated), md5: record.head.md5 }
  }
  const change = metadata.committed.get("changes", row)
  const removedAt = change && decodeChange(change.value).removedAt
  return removedAt === undefined ? undefined : { timestamp: removedAt, md5: undefined }
}

/** Returns true if the store took the change. */
async function repeat(scene: Scene, key: ObjectKey, { timestamp, md5 }: State): Promise<boolean> {
  const { metadata, bucketId } = scene
  const details = { ...NO_DETAILS, headers: [["timestamp", textOfTimestamp(timestamp)]] as const }
  const put = md5 && { ...putOf(scene, 1, { md5, details }), key, timestamp }
  try {
    if (put !== undefined) await metadata.run(putVersion(put))
    else await metadata.run(removeLatest({ bucketId, key, conditions: {}, random: randomOf(1), timestamp }))
    return true
  } catch (error) {
    if (!isFailure(error, "preconditionFailed") || error.details["condition"] !== "X-Timestamp") throw error
    return false
  }
}

const shown = (state: State | undefined) =>
  state && [textOfTimestamp(state.timestamp), state.md5 === undefined ? "removed" : hexOf(state.md5)]

interface Message {
  readonly key: ObjectKey
  readonly state: State
}

const rankOf = ({ md5 }: State): string => (md5 === undefined ? "" : hexOf(md5))
const byTime = (a: State, b: State): number => a.timestamp - b.timestamp || (rankOf(a) < rankOf(b) ? -1 : 1)

const changesOf = ({ metadata }: Scene, keptFromMs = 0) =>
  readObjectChanges(undefined, keptFromMs, 100).answer(metadata.committed).changes

for (let seed = 1; seed <= 30; seed += 1) {
  test(`stores that repeat each other's changes in any order agree in the end: seed ${seed}`, async () => {
    const random = new SimRandom(seed)
    const stores = [await store(), await store(), await store()]
    const keys = ["a", "b"].map(objectKeyOfText)
    const pick = <T>(list: readonly T[]): T => must(list[random.below(list.length)], "one of them")
    const underWay: Message[] = []
    const now = timestampOfMs(1_700_000_000_100)
    for (let step = 0; step < 120; step += 1) {
      const [scene, key] = [pick(stores), pick(keys)]
      const { metadata, bucketId } = scene
      const roll = random.below(10)
      if (roll < 2) await metadata.run(putVersion({ ...putOf(scene, 1, { md5: random.bytes(16) }), key }))
      else if (roll === 2) await metadata.run(removeLatest({ bucketId, key, conditions: {}, random: randomOf(1) }))
      else if (roll < 5) {
        // The change is from a store that is far away: at the same time as others, and within a millisecond.
        const timestamp = must(
          parseTimestamp(textOfTimestamp(now).replace(/.$/, String(random.below(3)))),
          "a timestamp",
        )
        underWay.push({ key, state: { timestamp, md5: random.below(3) === 0 ? undefined : random.bytes(16) } })
      } else if (underWay.length > 0) {
        // It may arrive late, and more than once.
        const message = pick(underWay)
        await repeat(pick(stores), message.key, message.state)
      }
      for (const each of stores) {
        const state = stateOf(each, key)
        if (state !== undefined && random.below(2) === 0) underWay.push({ key, state })
      }
    }
    for (const each of stores)
      for (const key of keys) {
        const state = stateOf(each, key)
        if (state !== undefined) underWay.push({ key, state })
      }
    for (const scene of stores) {
      const left = [...underWay]
      while (left.length > 0) {
        const [message] = left.splice(random.below(left.length), 1)
        if (message !== undefined) await repeat(scene, message.key, message.state)
      }
    }
    for (const key of keys) {
      const last = underWay.filter(message => message.key === key).map(({ state }) => state)
      const expected = shown(last.sort(byTime).at(-1))
      for (const scene of stores) assert.deepEqual(shown(stateOf(scene, key)), expected, key)
    }
  })
}

test("a change here follows what it replaces, by a millisecond at least, also after a removal and while the clock is behind", async () => {
  const scene = await store()
  const { metadata, bucketId } = scene
  const future = must(parseTimestamp("1800000000.00007"), "a timestamp")
  const times: number[] = []
  const note = () => times.push(must(stateOf(scene, KEY), "a state").timestamp)
  await repeat(scene, KEY, { timestamp: future, md5: new Uint8Array(16) })
  note()
  await metadata.run(putVersion(putOf(scene, 2)))
  note()
  const attributes = { headers: [], userMetadata: [["a", "b"]] as const, conditions: {}, clockMs: 0 }
  await metadata.run(setAttributes({ bucketId, key: KEY, versionId: undefined }, attributes))
  note()
  await metadata.run(removeLatest({ bucketId, key: KEY, conditions: {}, random: randomOf(1) }))
  note()
  await metadata.run(putVersion(putOf(scene, 3)))
  note()
  assert.equal(times[0], future)
  for (const [index, time] of times.slice(1).entries()) assert.ok(time - (times[index] ?? 0) > 90, times.join())
})

test("a change is noted once for an object, until the one that was copied is the last", async () => {
  const scene = await store()
  const { metadata, bucketId } = scene
  await metadata.run(putVersion(putOf(scene, 1)))
  await metadata.run(putVersion(putOf(scene, 2)))
  const [before, ...more] = changesOf(scene)
  assert.ok(before !== undefined && more.length === 0)
  await metadata.run(putVersion(putOf(scene, 3)))
  await metadata.run(endObjectChange(before, false))
  const [now] = changesOf(scene)
  assert.ok(now !== undefined && now.id !== before.id, "the later change is still to be copied")
  await metadata.run(endObjectChange(now, false))
  assert.deepEqual(changesOf(scene), [])
  // Tags are not copied.
  await metadata.run(setTags({ bucketId, key: KEY, versionId: undefined }, [["a", "b"]]))
  assert.deepEqual(changesOf(scene), [])
  await metadata.run(noteObjectChanges(bucketId, [KEY]))
  assert.equal(changesOf(scene).length, 1)
})

test("a removal stays known after it was copied, for as long as is asked; what is older is refused meanwhile", async () => {
  const scene = await store()
  const { metadata, bucketId } = scene
  await metadata.run(putVersion(putOf(scene, 1)))
  const old = must(stateOf(scene, KEY), "an object")
  await metadata.run(removeLatest({ bucketId, key: KEY, conditions: {}, random: randomOf(1) }))
  const [removal] = changesOf(scene)
  assert.ok(removal?.removedAt !== undefined && !removal.isCopied)
  await metadata.run(endObjectChange(removal, true))
  assert.deepEqual(changesOf(scene), [])
  assert.equal(await repeat(scene, KEY, old), false)
  const [kept] = changesOf(scene, Infinity)
  assert.ok(kept?.isCopied)
  await metadata.run(endObjectChange(kept, false))
  assert.equal(await repeat(scene, KEY, old), true, "nothing is known of the removal any more")
})

test("a removal counts as noted when it is repeated here, however long ago another store made it", async () => {
  const scene = await store()
  await repeat(scene, KEY, { timestamp: timestampOfMs(1_000), md5: undefined })
  const [removal] = changesOf(scene)
  assert.ok(removal !== undefined)
  await scene.metadata.run(endObjectChange(removal, true))
  assert.deepEqual(changesOf(scene, 1_700_000_000_000), [], "it is kept")
  assert.equal(changesOf(scene, 1_800_000_000_000).length, 1)
})

test("buckets that are not synchronized note nothing, and a synchronized one gets no versions", async () => {
  const plain = await newBucket()
  await plain.metadata.run(putVersion(putOf(plain, 1)))
  await plain.metadata.run(removeLatest({ bucketId: plain.bucketId, key: KEY, conditions: {}, random: randomOf(1) }))
  await plain.metadata.run(noteObjectChanges(plain.bucketId, [KEY]))
  assert.deepEqual(changesOf(plain), [])
  const scene = await store()
  await refuses(scene.metadata.run(setVersioning(scene.bucketId, "enabled")), "invalidRequest")
})
