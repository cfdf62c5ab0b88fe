/** K2V items in a rescue: they come from the snapshot, with their vectors. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseItemKey } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { DoomedStore, type Rescued } from "./testing-rescue.js"

const key = parseItemKey
const NOTHING = new Map<string, number>()

async function write(store: DoomedStore, bucket: Bucket, sortKey: string, text: string | undefined): Promise<void> {
  const bytes = text === undefined ? undefined : Buffer.from(text)
  const value = { partition: key("p"), sortKey: key(sortKey), seen: NOTHING, bytes }
  await store.machine.clock.runUntil(store.services.items.write(bucket, [value]))
}

const told = ({ entries }: Rescued): readonly string[] =>
  entries
    .filter(({ kind }) => kind === "items")
    .map(({ list, bucket, key: of, notes }) => `${list} ${bucket}/${of} ${notes.join()}`)

/** Sort keys, with the values of their items. */
const itemsOf = ({ target }: Rescued, bucket: Bucket): Promise<readonly string[]> =>
  target.rows.itemsOf(bucket.name, key("p"))

async function filled() {
  const store = await DoomedStore.open(4)
  const bucket = await store.bucket("mail")
  await write(store, bucket, "a", "one")
  await write(store, bucket, "a", "two")
  await write(store, bucket, "b", "x".repeat(50 * KIB))
  await write(store, bucket, "c", "gone")
  const removed = store.services.items.remove(bucket, key("p"), key("c"))
  assert.equal(await store.machine.clock.runUntil(removed), 1)
  await store.backUp()
  await write(store, bucket, "late", "after the snapshot")
  return { store, bucket }
}

test("items of the snapshot come back with concurrent values, large values and tombstones", async () => {
  const { store, bucket } = await filled()
  const rescued = await store.rescue([1, 2])
  assert.deepEqual(await itemsOf(rescued, bucket), ["a: one,two", `b: ${"x".repeat(50 * KIB)}`, "c: "])
  assert.deepEqual(told(rescued), ["certain mail/p 3 items"])
  assert.deepEqual(rescued.summary.items, { count: 3, lostValues: 0 })
  const dry = await store.rescue([1, 2, 3, 4], { isDryRun: true })
  assert.deepEqual(dry.summary.items, rescued.summary.items)
})

test("a source that is read in several passes gives each item once", async () => {
  const { store, bucket } = await filled()
  const photos = await store.bucket("photos")
  for (let i = 0; i < 8; i += 1) await store.put(photos, `o${i}`, store.bytes(20 * KIB))
  await store.backUp()
  const rescued = await store.rescue([1, 2, 3, 4], { needlesMax: 20 })
  assert.ok(rescued.summary.passes > 1)
  assert.equal(rescued.summary.items.count, 4)
  assert.equal((await itemsOf(rescued, bucket)).length, 4)
})
