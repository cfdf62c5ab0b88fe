/** Objects, settings and deletions as large as services accept them: what works on many at once keeps to the limits of a command. */
import { PACKING_SERVICE } from "@hayloft/features/packing/index.js"
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { KIB, LIFECYCLE_BYTES_MAX, MIB, SETTING_BYTES_MAX } from "@hayloft/base/limits.js"
import { SETTING_NAMES } from "@hayloft/engine/format/records.js"
import { PACK_LIMITS } from "@hayloft/features/packing/pack-commands-core.js"
import { opened, packsIn, pass } from "@hayloft/features/packing/testing-packing.js"
import { remove } from "@hayloft/features/transactions/testing-transactions.js"
import { assertNothing, type Scene } from "@hayloft/features/dedup/testing-dedup.js"
import { sourceOf } from "./bodies/testing-bodies.js"

/** Returns a key of the maximum length, 1,024 bytes. */
const keyOf = (i: number): string => String(i).padStart(4, "0") + "\u0000".repeat(1_020)

/** Attributes that fit into the row of a version, and the largest, which have a row of their own. */
const DETAILS = {
  inRow: {
    attributes: { headers: { contentType: "t".repeat(200) }, userMetadata: [["m", "v".repeat(200)]] },
    tags: [],
  },
  largest: {
    attributes: {
      headers: { contentType: "t".repeat(2 * KIB), contentDisposition: "d".repeat(4 * KIB) },
      userMetadata: [["m".repeat(48), "v".repeat(2_000)]],
    },
    tags: Array.from({ length: 10 }, (_, i) => [`${i}`.padEnd(128, "\u20ac"), "\u20ac".repeat(256)] as const),
  },
} as const

async function putLargest(scene: Scene, count: number, details: keyof typeof DETAILS): Promise<readonly string[]> {
  const { world, bucket } = scene
  const keys = Array.from({ length: count }, (_, i) => keyOf(i))
  for (const key of keys) {
    const request = { ...world.putting(key, sourceOf(world.random.bytes(600))), bucket, ...DETAILS[details] }
    await world.clock.runUntil(world.services.objects.put(request))
  }
  return keys
}

for (const details of ["inRow", "largest"] as const)
  test(`objects with the longest keys and attributes (${details}) are packed, read and removed`, async () => {
    const scene = await opened("ec:2+1", { afterSeconds: 0, maxBytes: 64 * KIB }, { blockBytes: 8 * MIB })
    const { clock, services } = scene.world
    const keys = await putLargest(scene, 2 * PACK_LIMITS.objectsMax, details)
    await pass(scene)
    const { packedObjects } = await clock.runUntil(PACKING_SERVICE.of(services.core).stat(scene.bucket))
    assert.deepEqual([packedObjects, packsIn(scene).length], [keys.length, 2])
    for (const key of keys) assert.equal((await scene.world.get(key)).length, 600)
    for (const key of keys)
      await clock.runUntil(services.objects.remove({ bucket: scene.bucket, key: objectKeyOfText(key), conditions: {} }))
    await assertNothing(scene)
  })

test("what undelete keeps of the largest objects is purged", async () => {
  const scene = await opened("ec:2+1", undefined)
  const { clock, services } = scene.world
  await clock.runUntil(services.undelete.setUndelete(scene.bucket.id, 1))
  scene.bucket = await services.buckets.open(scene.bucket.name)
  const keys = await putLargest(scene, 300, "inRow")
  for (const key of keys)
    await clock.runUntil(services.objects.remove({ bucket: scene.bucket, key: objectKeyOfText(key), conditions: {} }))
  await clock.advance(3 * 86_400_000)
  await scene.world.settle("purge-deleted")
  await assertNothing(scene)
})

test("a transaction removes as many of the largest objects as one may have operations", async () => {
  const scene = await opened("ec:2+1", undefined)
  const { clock, services } = scene.world
  const keys = await putLargest(scene, 100, "largest")
  const operations = keys.map(key => remove(scene.bucket, key))
  await clock.runUntil(services.transactions.run({ operations, token: undefined }))
  await assertNothing(scene)
})

test("a bucket has every setting at its largest", async () => {
  const scene = await opened("ec:2+1", undefined)
  const { clock, services } = scene.world
  const owner = parseAccountId("root")
  for (const [name, excluded] of [
    ["plain", ["remote", "dedup"]],
    ["remote", ["history", "packing", "copies", "dedup"]],
    ["dedup", ["remote", "encryption"]],
  ] as const) {
    const create = services.buckets.create({ name: parseBucketName(`is-${name}`), owner, location: "l".repeat(100) })
    const bucket = await clock.runUntil(create)
    await clock.runUntil(services.buckets.setVersioning(bucket, "enabled"))
    for (const setting of SETTING_NAMES) {
      if (excluded.some(each => each === setting)) continue
      const document = "x".repeat(setting === "lifecycle" ? LIFECYCLE_BYTES_MAX : SETTING_BYTES_MAX)
      await clock.runUntil(services.buckets.setSetting(bucket, setting, document))
    }
  }
})
