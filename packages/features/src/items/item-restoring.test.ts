/** Items that come back from a copy of the metadata: into an empty bucket, and into one that knows more, or other things. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { bucketRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import type { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { WALK_START, walkSlice, type WalkedRow, type WalkPlace } from "@hayloft/upkeep/backup/metadata-backup-core.js"
import { FoundItems, type FoundItem } from "./found-items-core.js"
import { bringBack } from "./item-restoring.js"
import { ITEM_LIMITS } from "./limits.js"
import { key, NOTHING, opened, PK, textsOf } from "./testing-items.js"
import "@hayloft/objects/testing-features.js"

type World = Awaited<ReturnType<typeof opened>>

const LIMITS = { rowsPerStep: 5, bytesPerStep: MIB, rowsPerSliceMax: 1_000 }

/** The items of a copy of the rows, in the order in which a backup has them. */
function itemsOf(metadata: MemoryMetadata, isCopied: (row: WalkedRow) => boolean = () => true): readonly FoundItem[] {
  const items = new FoundItems()
  const found: (FoundItem | undefined)[] = []
  for (let place: WalkPlace | undefined = WALK_START; place !== undefined;) {
    const slice: ReturnType<typeof walkSlice> = walkSlice(metadata.committed, place, LIMITS)
    for (const walked of slice.rows) {
      if (isCopied(walked)) found.push(items.take({ ...walked, value: walked.row.value }))
    }
    place = slice.next
  }
  return [...found, items.finish()].filter(item => item !== undefined)
}

async function restore({ metadata, bucket }: World, items: readonly FoundItem[]): Promise<void> {
  for (const { partition, portions } of items) await bringBack(metadata, bucket.id, partition, portions)
}

async function shownOf({ bucket, items }: World) {
  const { found } = await items.search(bucket, PK, {}, { conflictsOnly: false, tombstones: true })
  return found.map(item => [item.sortKey, [...item.context], textsOf(item)] as const)
}

const large = (text: string): string => text.repeat(3 * KIB)

/** Some concurrent values, small and large ones, a deleted item, and one that was deleted while another client wrote. */
async function fill(world: World): Promise<void> {
  const { put, read } = world
  for (const text of ["one", large("2"), large("3"), "four"]) await put("concurrent", text)
  await put("deleted", "x")
  await put("deleted", undefined, (await read("deleted"))?.context)
  await put("both", large("y"))
  const { context } = (await read("both")) ?? { context: NOTHING }
  await put("both", "newer")
  await put("both", undefined, context)
  await put("plain", "z")
}

test("items come into another store with their vectors: what clients have read there still replaces exactly that", async () => {
  const [from, to] = [await opened(), await opened()]
  await fill(from)
  const [before, copied] = [await shownOf(from), itemsOf(from.metadata)]
  const seen = await from.read("concurrent")
  await from.put("concurrent", "after the copy")
  const later = await from.read("concurrent")
  await restore(to, copied)
  assert.deepEqual(await shownOf(to), before)
  const counts = async ({ bucket, items }: World) => (await items.partitions(bucket, {})).found
  const usage = await to.buckets.usage(to.bucket)
  assert.deepEqual(usage.bytes, (await counts(to))[0]?.bytes)
  await restore(to, copied)
  assert.deepEqual(await shownOf(to), before, "again")
  // A token of what the copy does not have covers what it has, and nothing that is written from now on.
  await to.put("concurrent", "new", later?.context)
  assert.deepEqual(textsOf((await to.read("concurrent")) ?? { values: [] }), ["new"])
  await to.put("concurrent", "newer", seen?.context)
  assert.deepEqual(new Set(textsOf((await to.read("concurrent")) ?? { values: [] })), new Set(["new", "newer"]))
})

test("changes of restored items are found by who follows the partition, and so are those after them", async () => {
  const [from, to] = [await opened(), await opened()]
  await fill(from)
  await restore(to, itemsOf(from.metadata))
  const followed = await to.items.changes(to.bucket, PK, {}, { time: 0, from: undefined })
  assert.equal(followed.found.length, 4)
  await to.put("plain", "again")
  const next = await to.items.changes(to.bucket, PK, {}, followed.seen)
  assert.deepEqual(next.found.map(textsOf), [["z", "again"]])
  const range = suffixRange(bucketRowKey(to.bucket.id))
  assert.equal([...to.metadata.committed.range("k2vChanges", range)].length, 4)
})

test("a copy that knows less, and one that knows more, leave every item as the one that knows more has it", async () => {
  const world = await opened()
  await fill(world)
  const earlier = itemsOf(world.metadata)
  await world.put("deleted", "back", (await world.read("deleted"))?.context)
  await world.put("concurrent", "all in one", (await world.read("concurrent"))?.context)
  await world.put("plain", undefined, (await world.read("plain"))?.context)
  await world.put("new", large("n"))
  const shown = await shownOf(world)
  const later = itemsOf(world.metadata)
  await restore(world, earlier)
  assert.deepEqual(await shownOf(world), shown)
  const behind = await opened()
  await fill(behind)
  await restore(behind, later)
  // The vectors of its own writes are the same: it is the same bucket at an earlier moment.
  assert.deepEqual(await shownOf(behind), shown)
  const [counted] = (await behind.items.partitions(behind.bucket, {})).found
  assert.deepEqual([counted], (await world.items.partitions(world.bucket, {})).found)
  const values = [...behind.metadata.committed.range("k2vValues", suffixRange(bucketRowKey(behind.bucket.id)))]
  assert.equal(values.length, 1, "the large values that were replaced are gone")
})

test("an item whose change has the time of another one's is followed too", async () => {
  const [one, other] = [await opened(), await opened()]
  await one.put("a", "1")
  await other.put("b", "1")
  await restore(one, itemsOf(other.metadata))
  const { found, seen } = await one.items.changes(one.bucket, PK, {}, { time: 0, from: undefined })
  assert.deepEqual(found.map(textsOf), [["1"], ["1"]])
  await one.put("a", "2", (await one.read("a"))?.context)
  await one.put("b", "2", (await one.read("b"))?.context)
  const next = await one.items.changes(one.bucket, PK, {}, seen)
  assert.deepEqual(next.found.map(textsOf), [["2"], ["2"]])
})

test("values whose rows are not in the copy are counted, and the values that they replaced come back", async () => {
  const [from, to] = [await opened(), await opened()]
  await from.put("a", "first")
  await from.put("a", large("2"), (await from.read("a"))?.context)
  await from.put("a", "third")
  await from.put("b", large("b"))
  const items = itemsOf(from.metadata, ({ family }) => family !== "k2vValues")
  assert.deepEqual(
    items.map(({ lost, portions }) => [lost, portions.length]),
    [
      [1, 1],
      [1, 0],
    ],
  )
  await to.put("a", "first")
  await restore(to, items)
  assert.deepEqual(textsOf((await to.read("a")) ?? { values: [] }), ["first", "third"])
  assert.equal(await to.read("b"), undefined)
})

test("an item with more bytes than a command writes comes back whole", async () => {
  const [from, to] = [await opened(), await opened()]
  const values = Array.from({ length: 5 }, (_, i) => new Uint8Array(ITEM_LIMITS.valueBytesMax).fill(i))
  for (const bytes of values)
    await from.items.write(from.bucket, [{ partition: PK, sortKey: key("a"), seen: NOTHING, bytes }])
  await restore(to, itemsOf(from.metadata))
  const item = await to.read("a")
  assert.deepEqual(
    item?.values.map(value => value?.[0]),
    [0, 1, 2, 3, 4],
  )
  assert.ok(item.values.every(value => value?.length === ITEM_LIMITS.valueBytesMax))
})
