/** K2V items in a rescue: they come from the snapshot, with their vectors. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseItemKey } from "../base/ids.js"
import { KIB } from "../base/limits.js"
import type { Bucket } from "../object/index.js"
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

/** Sort keys, with the values of their portions. */
const itemsOf = ({ target }: Rescued, place: string): readonly string[] =>
  (target.items.get(place) ?? []).map(({ sortKey, item, value }) => {
    const values = item.flatMap(state => state.values.map(dot => dot.value))
    const texts = values.map(each => (each.kind === "inline" ? Buffer.from(each.bytes).toString() : each.kind))
    return `${sortKey}: ${texts.join()}${value === undefined ? "" : ` ${value.bytes.length}`}`
  })

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
  return store
}

test("items of the snapshot come back with concurrent values, large values and tombstones", async () => {
  const store = await filled()
  const rescued = await store.rescue([1, 2])
  assert.deepEqual(itemsOf(rescued, "mail/p"), ["a: one,two", `b: row ${50 * KIB}`, "b: ", "c: tombstone"])
  assert.deepEqual(told(rescued), ["certain mail/p 3 items"])
  assert.deepEqual(rescued.summary.items, { count: 3, lostValues: 0 })
  const dry = await store.rescue([1, 2, 3, 4], { isDryRun: true })
  assert.deepEqual(dry.summary.items, rescued.summary.items)
})

test("a source that is read in several passes gives each item once", async () => {
  const store = await filled()
  const bucket = await store.bucket("photos")
  for (let i = 0; i < 8; i += 1) await store.put(bucket, `o${i}`, store.bytes(20 * KIB))
  await store.backUp()
  const rescued = await store.rescue([1, 2, 3, 4], { needlesMax: 20 })
  assert.ok(rescued.summary.passes > 1)
  assert.equal(rescued.summary.items.count, 4)
  assert.equal(itemsOf(rescued, "mail/p").length, 5)
})
