/** Objects that were packed are found whatever a rescue has of the metadata: older than the pack, newer, or none. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { encodePackingSetting } from "../format/packing-rows.js"
import type { Bucket } from "../object/index.js"
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
