/**
 * K2V items over metadata in memory: random concurrent histories against a plain model, what a page costs, what wakes, and
 * what buckets and quotas make of items.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import type { CausalContext } from "@hayloft/engine/format/k2v/k2v-token.js"
import { bucketRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import type { Metadata, Query } from "@hayloft/engine/metadata/index.js"
import type { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { BucketService } from "@hayloft/objects/buckets/bucket-service.js"
import { setBucketQuota, finishBucketUsage } from "../quotas/quota-commands-core.js"
import { quotaState, walkUsage } from "../quotas/usage-queries-core.js"
import { Items, type SeenChanges } from "./items.js"
import { WATCH_LIMITS } from "@hayloft/objects/change-watch.js"
import { ITEM_LIMITS } from "./limits.js"
import { key, NOTHING, opened, PK, textsOf } from "./testing-items.js"
import "@hayloft/objects/testing-features.js"

const ALL = { conflictsOnly: false, tombstones: false }

type World = Awaited<ReturnType<typeof opened>>

test("an item is written, read, superseded and deleted, with a value in the row or beside it", async () => {
  const { bucket, items, put, read, metadata } = await opened()
  assert.equal(await read("a"), undefined)
  const large = "x".repeat(ITEM_LIMITS.inlineBytesMax + 1)
  await put("a", large)
  const first = await read("a")
  assert.deepEqual(first && textsOf(first), [large])
  await put("a", "b")
  const both = await read("a")
  assert.deepEqual(both && textsOf(both), [large, "b"])
  await put("a", undefined, first?.context)
  assert.deepEqual(textsOf((await read("a")) ?? { values: [] }), ["b", null])
  const range = suffixRange(bucketRowKey(bucket.id))
  assert.equal([...metadata.committed.range("k2vValues", range)].length, 0)
  assert.equal([...metadata.committed.range("k2vChanges", range)].length, 1)
  const { found } = await items.partitions(bucket, {})
  assert.deepEqual(found, [{ partition: PK, entries: 1, conflicts: 1, values: 1, bytes: 1 }])
})

test("a value of 1 MiB is kept, a larger one refused, and so are too many concurrent values", async () => {
  const { bucket, items, put, read } = await opened()
  const bytes = new Uint8Array(MIB).fill(7)
  await items.write(bucket, [{ partition: PK, sortKey: key("a"), seen: NOTHING, bytes }])
  const item = await read("a")
  assert.ok(Buffer.from(item?.values[0] ?? []).equals(bytes))
  const more = { partition: PK, sortKey: key("a"), seen: NOTHING, bytes: new Uint8Array(MIB + 1) }
  await assert.rejects(items.write(bucket, [more]), error => isFailure(error, "entityTooLarge"))
  for (let i = 0; i < ITEM_LIMITS.valuesMax; i += 1) await put("b", `${i}`)
  await assert.rejects(put("b", "one more"), error => isFailure(error, "limitExceeded"))
  const full = await read("b")
  assert.equal(full?.values.length, ITEM_LIMITS.valuesMax)
  await put("b", "instead", full?.context)
  assert.deepEqual(textsOf((await read("b")) ?? { values: [] }), ["instead"])
})

interface ModelItem {
  readonly values: ReadonlyMap<number, string | null>
}

/** Everything that the store says must be what the model says. */
async function compare({ bucket, items }: World, model: ReadonlyMap<string, ModelItem>): Promise<void> {
  const byKey = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
  const shown = new Map(byKey.map(([name, { values }]) => [name, new Set(values.values())]))
  const { found } = await items.search(bucket, PK, {}, { conflictsOnly: false, tombstones: true })
  assert.deepEqual(new Map(found.map(item => [textOfObjectKey(item.sortKey), new Set(textsOf(item))])), shown)
  const all = [...shown.values()]
  const live = all.filter(values => [...values].some(value => value !== null))
  const present = all.flatMap(values => [...values].filter(value => value !== null))
  const partition = (await items.partitions(bucket, {})).found[0]
  assert.deepEqual(partition ?? { partition: PK, entries: 0, conflicts: 0, values: 0, bytes: 0 }, {
    partition: PK,
    entries: live.length,
    conflicts: live.length === 0 ? 0 : all.filter(v => v.size > 1).length,
    values: present.length,
    bytes: present.reduce((sum, value) => sum + Buffer.byteLength(value), 0),
  })
}

for (const seed of [1, 2, 3, 4]) {
  test(`random histories of clients that do not know of each other match the model (${seed})`, async () => {
    const world = await opened()
    const { bucket, items } = world
    const random = new SimRandom(seed)
    const pick = (max: number): number => random.below(max)
    const model = new Map<string, ModelItem>()
    const clients = [0, 1, 2].map(() => new Map<string, { token: CausalContext; seen: Set<number> }>())
    let marker: SeenChanges | undefined
    const followed = new Map<string, (string | null)[]>()
    for (let step = 1; step <= 150; step += 1) {
      const name = `k${pick(5)}`
      const client = clients[pick(3)]
      if (client === undefined) continue
      const known = client.get(name) ?? { token: NOTHING, seen: new Set<number>() }
      const before = model.get(name)?.values ?? new Map<number, string | null>()
      const chosen = pick(10)
      if (chosen < 4) {
        const item = await items.read(bucket, PK, key(name))
        if (item !== undefined)
          client.set(name, { token: item.context, seen: new Set([...known.seen, ...before.keys()]) })
      } else if (chosen < 9) {
        // Some values are the same as others, some are larger than a row takes.
        const text = chosen === 4 ? undefined : `v${pick(6)}`.repeat(pick(4) === 0 ? KIB : 1)
        const value = text ?? null
        await items.write(bucket, [
          {
            partition: PK,
            sortKey: key(name),
            seen: known.token,
            bytes: text === undefined ? text : Buffer.from(text),
          },
        ])
        const kept = [...before].filter(([id, one]) => !known.seen.has(id) && one !== value)
        model.set(name, { values: new Map([...kept, [step, value]]) })
      } else {
        const changes = await items.changes(bucket, PK, {}, marker)
        marker = changes.seen
        for (const item of changes.found) followed.set(textOfObjectKey(item.sortKey), textsOf(item))
      }
      if (step % 25 === 0) await compare(world, model)
    }
    const changes = await items.changes(bucket, PK, {}, marker)
    for (const item of changes.found) followed.set(textOfObjectKey(item.sortKey), textsOf(item))
    const { found } = await items.search(bucket, PK, {}, { conflictsOnly: false, tombstones: true })
    const now = new Map(found.map(item => [textOfObjectKey(item.sortKey), textsOf(item)]))
    // Tombstones that were there before the first poll are not content.
    for (const [name, values] of now) if (values.some(v => v !== null)) assert.deepEqual(followed.get(name), values)
    for (const [name, values] of followed) assert.deepEqual(now.get(name), values)
  })
}

test("a batch writes in its order, also an item that occurs twice", async () => {
  const { bucket, items, read } = await opened()
  const values = Array.from({ length: 200 }, (_, i) => ({
    partition: key(i % 7 === 0 ? "q" : "p"),
    sortKey: key(`k${i % 90}`),
    seen: NOTHING,
    bytes: Buffer.from(`${i}`),
  }))
  await items.write(bucket, values)
  assert.deepEqual(textsOf((await read("k1")) ?? { values: [] }), ["1", "181"])
  const { found } = await items.partitions(bucket, {})
  assert.equal(
    found.reduce((sum, { values: count }) => sum + count, 0),
    200,
  )
})

test("listings: prefix, start, end, limit and reverse, as the specification has them", async () => {
  const { bucket, items, put } = await opened()
  for (const name of ["a", "ab", "abc", "b", "é", "\u{1f600}"]) await put(name, name)
  await put("deleted", undefined)
  const list = async (bounds: Record<string, string | boolean>, limit?: number) => {
    const typed = Object.fromEntries(
      Object.entries(bounds).map(([name, value]) => [name, typeof value === "string" ? key(value) : value]),
    )
    const { found, next } = await items.search(bucket, PK, typed, ALL, limit)
    return [found.map(({ sortKey }) => textOfObjectKey(sortKey)).join(), next && textOfObjectKey(next)]
  }
  assert.deepEqual(await list({}), ["a,ab,abc,b,é,\u{1f600}", undefined])
  assert.deepEqual(await list({ prefix: "ab" }), ["ab,abc", undefined])
  assert.deepEqual(await list({ start: "ab", end: "b" }), ["ab,abc", undefined])
  assert.deepEqual(await list({ start: "ab", end: "b" }, 2), ["ab,abc", undefined])
  assert.deepEqual(await list({ start: "ab" }, 2), ["ab,abc", "b"])
  assert.deepEqual(await list({ reverse: true }, 2), ["\u{1f600},é", "b"])
  assert.deepEqual(await list({ reverse: true, start: "b", end: "a" }), ["b,abc,ab", undefined])
  assert.deepEqual(await list({ reverse: true, start: "a", end: "b" }), ["", undefined])
  assert.deepEqual(await list({ reverse: true, prefix: "ab" }, 1), ["abc", "ab"])
  assert.deepEqual(await list({ start: "c" }, 0), ["", "é"])
  assert.deepEqual(await list({ only: "ab" }), ["ab", undefined])
  assert.deepEqual(await list({ only: "aa" }), ["", undefined])
})

/** Counts the rows that queries read. */
function counting(metadata: MemoryMetadata) {
  const count = { rows: 0 }
  const view = metadata.committed
  const ask = <Result>(query: Query<Result>): Result =>
    query.copied().answer({
      ...view,
      get: (family, row) => {
        count.rows += 1
        return view.get(family, row)
      },
      range: function* (family, range) {
        for (const pair of view.range(family, range)) {
          count.rows += 1
          yield pair
        }
      },
    })
  return { count, ask }
}

test("a page of a partition with 20,000 items reads no more rows than one of a small partition", async () => {
  const { clock, bucket, items, metadata } = await opened()
  const values = Array.from({ length: 20_000 }, (_, i) => ({
    partition: PK,
    sortKey: key(`k${String(i).padStart(6, "0")}`),
    seen: NOTHING,
    bytes: Buffer.from("v"),
  }))
  for (let at = 0; at < values.length; at += 4_000) await items.write(bucket, values.slice(at, at + 4_000))
  const { count, ask } = counting(metadata)
  const prepare = async () => undefined
  const counted = new Items({ clock, metadata: { ask, run: metadata.run.bind(metadata) }, prepare, isShared: false })
  const costOf = async (read: () => Promise<unknown>): Promise<number> => {
    count.rows = 0
    await read()
    return count.rows
  }
  for (const start of ["k000000", "k010000", "k019900"]) {
    for (const reverse of [false, true]) {
      const cost = await costOf(() => counted.search(bucket, PK, { start: key(start), reverse }, ALL, 50))
      assert.ok(cost <= 52, `${start}: ${cost} rows`)
    }
  }
  const whole = await counted.changes(bucket, PK, {}, undefined)
  assert.equal(whole.found.length, ITEM_LIMITS.itemsPerSearch)
  const rest = await counted.changes(bucket, PK, {}, whole.seen)
  assert.deepEqual([rest.found.length, rest.seen.from], [20_000 - whole.found.length, undefined])
  await items.write(bucket, values.slice(5_000, 5_003))
  assert.ok((await costOf(() => counted.changes(bucket, PK, {}, rest.seen))) <= 8)
  assert.ok((await costOf(() => counted.partitions(bucket, {}))) <= 2)
  assert.equal((await counted.partitions(bucket, {})).found[0]?.entries, 20_000)
})

test("a watcher wakes for its item, and one of the partition for all", async () => {
  const { bucket, items, put } = await opened()
  const woken: string[] = []
  const watch = (name: string, sortKey?: string) => {
    const watcher = items.watchFor(bucket, PK, sortKey === undefined ? undefined : key(sortKey))
    watcher.wake = () => woken.push(name)
    return watcher
  }
  const watchers = [watch("a", "a"), watch("b", "b"), watch("all")]
  await put("a", "1")
  await put("c", "1")
  await put("a", "1", NOTHING, key("other"))
  assert.deepEqual(woken, ["a", "all", "all"])
  for (const watcher of watchers) watcher.end()
  await put("a", "2")
  assert.equal(woken.length, 3)
  assert.equal(items.watching, 0)
})

test("changes by another node wake within two readings; nothing is read while nothing waits", async () => {
  const { clock, bucket, items, metadata } = await opened(true)
  let asked = 0
  const ask: Metadata["ask"] = query => {
    if (query.name === "ReadChangeTimes") asked += 1
    return metadata.ask(query)
  }
  const prepare = async () => undefined
  const here = new Items({ clock, metadata: { ask, run: metadata.run.bind(metadata) }, prepare, isShared: true })
  await clock.advance(1_000)
  assert.equal(asked, 0)
  let woken = 0
  const watcher = here.watchFor(bucket, PK, key("a"))
  watcher.wake = () => (woken += 1)
  await clock.advance(WATCH_LIMITS.everyMs)
  const before = woken
  await clock.advance(10 * WATCH_LIMITS.everyMs)
  assert.equal(woken, before, "nothing has changed")
  await items.write(bucket, [{ partition: PK, sortKey: key("a"), seen: NOTHING, bytes: Buffer.from("1") }])
  await clock.advance(WATCH_LIMITS.everyMs)
  assert.equal(woken, before + 1)
  watcher.end()
  const last = asked
  await clock.advance(1_000)
  assert.equal(asked, last)
})

test("too many watchers are refused", async () => {
  const { bucket, items } = await opened()
  const watchers = Array.from({ length: WATCH_LIMITS.watchersMax }, () => items.watchFor(bucket, PK))
  assert.throws(
    () => items.watchFor(bucket, PK),
    error => isFailure(error, "tooManyInFlight"),
  )
  for (const watcher of watchers) watcher.end()
  items.watchFor(bucket, PK).end()
})

test("a bucket with items is not removed; one with tombstones is, and leaves no rows", async () => {
  const { bucket, buckets, items, metadata, put } = await opened()
  await put("a", "1")
  await put("b", "1".repeat(2 * KIB))
  await assert.rejects(buckets.remove(bucket), error => isFailure(error, "bucketNotEmpty"))
  await put("c", "1")
  assert.equal(await items.removeAll(bucket, PK, {}), 3)
  assert.equal(await items.removeAll(bucket, PK, {}), 0)
  await buckets.remove(bucket)
  const range = suffixRange(bucketRowKey(bucket.id))
  for (const family of ["k2vItems", "k2vValues", "k2vPartitions", "k2vChanges", "counters"] as const)
    assert.deepEqual([...metadata.committed.range(family, range)], [], family)
})

test("rows that a crash has left of a removed bucket go at the next start", async () => {
  const { bucket, buckets, metadata, put, items } = await opened()
  await put("a", "1")
  await items.removeAll(bucket, PK, {})
  metadata.before = name => {
    if (name === "DropContents") throw new Error("the process is gone")
  }
  await buckets.remove(bucket)
  metadata.before = () => undefined
  const left = () => [...metadata.committed.range("k2vItems", suffixRange(bucketRowKey(bucket.id)))].length
  assert.equal(left(), 1)
  await new BucketService(metadata).start()
  assert.equal(left(), 0)
})

test("values count towards the bucket's bytes and its quota, and a count finds them again", async () => {
  const { bucket, buckets, metadata, put, read } = await opened()
  await put("a", "x".repeat(60))
  const quota = await metadata.run(setBucketQuota(bucket.id, { limits: { hardBytes: 100 }, restarts: false }))
  await metadata.run(finishBucketUsage(bucket.id, quota?.run ?? ""))
  await put("b", "y".repeat(40))
  await assert.rejects(put("c", "z"), error => isFailure(error, "quotaExceeded"))
  await put("a", undefined, (await read("a"))?.context)
  await put("c", "z")
  assert.equal((await buckets.usage(bucket)).bytes, 41)
  const state = metadata.committed
  const owner = { kind: "bucket", bucketId: bucket.id } as const
  assert.equal(quotaState(owner).answer(state)?.used?.bytes, 41)
  let bytes = 0
  for (let place: Parameters<typeof walkUsage>[1], isFirst = true; isFirst || place; isFirst = false) {
    const slice = walkUsage(bucket.id, place, quota?.run, 2).answer(state)
    bytes += slice.found.bytes
    place = slice.next
  }
  assert.equal(bytes, 41)
})

test("a batch of new items with more bytes than one command writes is written by several", async () => {
  const { bucket, items } = await opened()
  const values = ["a", "b", "c", "d"].map(name => ({
    partition: PK,
    sortKey: key(name),
    seen: NOTHING,
    bytes: new Uint8Array(MIB - 1).fill(7),
  }))
  await items.write(bucket, values)
  const { found } = await items.partitions(bucket, {})
  assert.deepEqual(found, [{ partition: PK, entries: 4, conflicts: 0, values: 4, bytes: 4 * (MIB - 1) }])
})
