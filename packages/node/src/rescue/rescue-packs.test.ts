/** Objects that were packed are found whatever a rescue has of the metadata: older than the pack, newer, or none. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { encodePackingSetting } from "@hayloft/engine/format/objects/packing-rows.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { DoomedStore, type Rescued } from "./testing-rescue.js"

const HOUR_MS = 3_600_000

async function withObjects(sizeOf: (i: number) => number) {
  const store = await DoomedStore.open(4)
  const bucket = await store.bucket("plain")
  const bodies = new Map<string, Uint8Array>()
  for (let i = 0; i < 20; i += 1) {
    const bytes = store.bytes(sizeOf(i))
    await store.put(bucket, `k${i}`, bytes)
    bodies.set(`k${i}`, bytes)
  }
  return { store, bucket, bodies }
}

async function pack(store: DoomedStore, bucket: Bucket): Promise<void> {
  await store.set(bucket, "packing", encodePackingSetting({ afterSeconds: 0, maxBytes: 65_536 }))
  await store.machine.clock.advance(HOUR_MS)
  await store.settle("packing")
  await store.settle("collector")
}

function assertAll({ target }: Rescued, bodies: ReadonlyMap<string, Uint8Array>): void {
  for (const [key, bytes] of bodies) {
    const found = target.latest("plain", key)
    assert.deepEqual(found?.bytes, Buffer.from(bytes), key)
    assert.deepEqual(found?.details.headers, [["contentType", `text/${key}`]])
  }
}

/** Some are stored with their rows, others in shards of their own; all of them fit in one block. */
const sizes = (i: number): number => (i % 2 === 0 ? 300 + i : 4_100 + i)

test("rows from after packing lead to the packs", async () => {
  const { store, bucket, bodies } = await withObjects(sizes)
  await pack(store, bucket)
  await store.backUp()
  const rescued = await store.rescue([1, 3])
  assertAll(rescued, bodies)
  assert.equal(rescued.summary.certain.objects, 20)
})

test("rows from before packing find the bytes in packs that they do not know", async () => {
  const { store, bucket, bodies } = await withObjects(sizes)
  await store.backUp()
  await pack(store, bucket)
  const rescued = await store.rescue([1, 2, 3, 4])
  assertAll(rescued, bodies)
  assert.deepEqual([rescued.summary.certain.objects, rescued.summary.incomplete.objects], [20, 0])
  assertAll(await store.rescue([2, 4], { needlesMax: 20 }), bodies)
})

test("without any rows, directories of packs attest the objects, also those that were stored with their rows", async () => {
  const { store, bucket, bodies } = await withObjects(sizes)
  await pack(store, bucket)
  const rescued = await store.rescue([1, 4])
  assertAll(rescued, bodies)
  assert.equal(rescued.summary.probable.objects, 20)
  // The newest upload of a key counts, not what was packed before.
  const newer = store.bytes(9_000)
  await store.put(bucket, "k3", newer)
  bodies.set("k3", newer)
  assertAll(await store.rescue([1, 4]), bodies)
})

/** Passes of packing remove what is gone from packs; objects that are fewer than a pack takes get bytes of their own. */
async function packAgain(store: DoomedStore): Promise<void> {
  await store.settle("collector")
  await store.machine.clock.advance(2 * HOUR_MS)
  await store.settle("packing")
  await store.settle("collector")
}

for (const isBackedUp of [true, false])
  test(`objects that got bytes of their own back are found; rows from before that: ${isBackedUp}`, async () => {
    const { store, bucket, bodies } = await withObjects(i => 1_000 + i)
    await pack(store, bucket)
    if (isBackedUp) await store.backUp()
    for (let i = 0; i < 14; i += 1) {
      await store.remove(bucket, `k${i}`)
      bodies.delete(`k${i}`)
    }
    await packAgain(store)
    const rescued = await store.rescue([1, 2, 3, 4])
    assertAll(rescued, bodies)
    const { certain, probable, incomplete } = rescued.summary
    assert.deepEqual([certain.objects, probable.objects, incomplete.objects], isBackedUp ? [6, 0, 14] : [0, 6, 0])
    for (const key of bodies.keys()) assert.equal(rescued.target.latest("plain", key)?.content.kind, "single")
    assert.equal(rescued.target.latest("plain", "k0"), undefined)
  })

test("rows from before packing find bytes that were packed twice", async () => {
  const { store, bucket, bodies } = await withObjects(i => 1_000 + i)
  for (let i = 20; i < 45; i += 1) {
    bodies.set(`k${i}`, store.bytes(900 + i))
    await store.put(bucket, `k${i}`, bodies.get(`k${i}`) ?? Buffer.of())
  }
  await store.backUp()
  await pack(store, bucket)
  for (let i = 0; i < 25; i += 1) {
    await store.remove(bucket, `k${i}`)
    bodies.delete(`k${i}`)
  }
  await packAgain(store)
  const rescued = await store.rescue([1, 2, 3, 4])
  assertAll(rescued, bodies)
  assert.equal(rescued.summary.probable.objects, 0)
})

test("without rows, what was changed while it waited for its pack is as it was acknowledged", async () => {
  const store = await DoomedStore.open(4)
  const bucket = await store.bucket("plain")
  for (let i = 0; i < 1_030; i += 1) await store.put(bucket, `k${String(i).padStart(4, "0")}`, store.bytes(4_200))
  await store.set(bucket, "packing", encodePackingSetting({ afterSeconds: 0, maxBytes: 65_536 }))
  await store.machine.clock.advance(HOUR_MS)
  for (let steps = 0; steps < 2; steps += 1) await store.step("packing")
  await store.put(bucket, "k0997", store.bytes(9_000))
  await store.remove(bucket, "k0998")
  await store.settle("packing")
  await store.settle("collector")
  const { target } = await store.rescue([1, 2, 3, 4])
  const lengths = ["k0996", "k0997", "k0998"].map(key => target.latest("plain", key)?.bytes.length)
  assert.deepEqual(lengths, [4_200, 9_000, undefined])
})

test("without rows, the newest of the versions in packs counts", async () => {
  const store = await DoomedStore.open(4)
  const bucket = await store.bucket("plain", "enabled")
  // Some of them are stored with their rows.
  for (const size of [5_000, 300, 7_000, 6_000, 400]) await store.put(bucket, "k", store.bytes(size))
  for (let i = 0; i < 20; i += 1) await store.put(bucket, `x${i}`, store.bytes(5_000))
  await store.put(bucket, "x1", store.bytes(4_500))
  await pack(store, bucket)
  const latest = async (key: string) => (await store.rescue([1, 2, 3, 4])).target.latest("plain", key)?.bytes.length
  assert.deepEqual([await latest("k"), await latest("x1")], [400, 4_500])
  await store.put(bucket, "k", store.bytes(8_000))
  assert.equal(await latest("k"), 8_000)
})
