/** Packed objects in transactions, at moments, and in rules that move versions to other storage classes. */
import { PACKING_SERVICE } from "./services.js"
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, type VersionId } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { asPromise } from "@hayloft/base/soon.js"
import { encodeLifecycleRules } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { setSetting } from "@hayloft/objects/commands/bucket-commands-core.js"
import { REAL_DAYS } from "@hayloft/objects/days.js"
import { setStorageClass } from "../lifecycle/move-commands-core.js"
import { assertCounted, assertNothing, settle, type Scene } from "../dedup/testing-dedup.js"
import { remove, rename } from "../transactions/testing-transactions.js"
import {
  assertBodies,
  bodyIn,
  keyOf,
  never,
  opened,
  packsIn,
  pass,
  put,
  putMany,
  removing,
  renew,
} from "./testing-packing.js"

const LARGE = { blockBytes: MIB }
const sizes = (i: number): number => 200 + ((i * 1_733) % (15 * KIB))

const packedIn = async ({ world, bucket }: Scene) =>
  (await world.clock.runUntil(PACKING_SERVICE.of(world.services.core).stat(bucket))).packedObjects

async function read({ world, bucket }: Scene, key: string, versionId: VersionId): Promise<Buffer> {
  const target = { bucket, key: objectKeyOfText(key), versionId, conditions: {} }
  return world.clock.runUntil(
    (async () => {
      const pieces: Uint8Array[] = []
      for await (const piece of (await world.services.objects.get(target)).read(never)) pieces.push(piece.slice())
      return Buffer.concat(pieces)
    })(),
  )
}

test("a transaction removes and renames packed objects, or leaves all as they are", async () => {
  const scene = await opened("ec:2+1", undefined, LARGE)
  const { clock, services } = scene.world
  await clock.runUntil(PACKING_SERVICE.of(services.core).set(scene.bucket, { afterSeconds: 0, maxBytes: 64 * KIB }))
  const bodies = await putMany(scene, 40, sizes)
  await pass(scene)
  const { bucket } = scene
  const renamed = rename({ bucket, key: keyOf(2) }, { bucket, key: "renamed" })
  const replaced = rename({ bucket, key: keyOf(3) }, { bucket, key: keyOf(4) })
  const refused = remove(bucket, keyOf(5), { ifMatch: ["0".repeat(32)] })
  const run = (...operations: Parameters<typeof services.transactions.run>[0]["operations"]) =>
    clock.runUntil(services.transactions.run({ operations, token: undefined }))
  await assert.rejects(run(renamed, replaced, refused), error => isFailure(error, "preconditionFailed"))
  await settle(scene)
  await assertBodies(scene, bodies)
  assert.equal(await packedIn(scene), 40)
  await run(renamed, replaced, remove(bucket, keyOf(5)))
  bodies.set("renamed", bodyIn(bodies, 2))
  bodies.set(keyOf(4), bodyIn(bodies, 3))
  for (const i of [2, 3, 5]) bodies.delete(keyOf(i))
  await settle(scene)
  await assertBodies(scene, bodies)
  assertCounted(scene)
  for (const key of bodies.keys()) await clock.runUntil(removing(scene, key))
  await assertNothing(scene)
})

test("objects at a moment before they were packed and replaced have their bytes", async () => {
  const scene = await opened("ec:2+1", undefined, LARGE)
  const { clock, services } = scene.world
  await clock.runUntil(services.buckets.setVersioning(scene.bucket, "enabled"))
  await clock.runUntil(services.histories.begin(scene.bucket))
  await clock.runUntil(PACKING_SERVICE.of(services.core).set(scene.bucket, { afterSeconds: 0, maxBytes: 64 * KIB }))
  await renew(scene)
  const bodies = await putMany(scene, 40, sizes)
  const atUs = await clock.runUntil(services.moments.now())
  await pass(scene)
  for (let i = 0; i < 30; i += 1) await put(scene, keyOf(i), scene.world.random.bytes(sizes(i + 1)))
  for (let i = 30; i < 35; i += 1) await clock.runUntil(removing(scene, keyOf(i)))
  await pass(scene)
  await settle(scene)
  assert.equal(await packedIn(scene), 70)
  const listing = { bucket: scene.bucket, prefix: "", delimiter: "", after: "", max: 100 }
  const { entries } = await clock.runUntil(services.moments.list(listing, atUs))
  assert.equal(entries.length, 40)
  const versions = await clock.runUntil(
    Promise.all([...bodies.keys()].map(key => services.moments.versionAt(scene.bucket, objectKeyOfText(key), atUs))),
  )
  for (const [i, [key, bytes]] of [...bodies].entries())
    assert.ok((await read(scene, key, must(versions[i], "it was there"))).equals(bytes), `${key} has other bytes`)
})

test("a rule moves packed versions: the next pass packs them with those of their new class", async () => {
  const scene = await opened("ec:2+1", undefined, LARGE)
  const { clock, services, tablet } = scene.world
  await clock.runUntil(PACKING_SERVICE.of(services.core).set(scene.bucket, { afterSeconds: 0, maxBytes: 64 * KIB }))
  const bodies = await putMany(scene, 60, sizes)
  await pass(scene)
  assert.equal(packsIn(scene).length, 1)
  const { id: bucketId } = scene.bucket
  const rule = {
    transitions: [{ storageClass: "STANDARD_IA", days: 1 }],
    filter: { form: "filter", sizeAbove: 1 },
  } as const
  const rules = [{ id: "r", isEnabled: true, ...rule }]
  const document = encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules })
  await clock.runUntil(tablet.run(setSetting(bucketId, "lifecycle", document)))
  const nowMs = clock.wallMs() + 10 * REAL_DAYS.dayMs
  for (let i = 0; i < 20; i += 1) {
    const key = objectKeyOfText(keyOf(i))
    const object = await clock.runUntil(
      asPromise(() => services.objects.get({ bucket: scene.bucket, key, conditions: {} })),
    )
    object.close()
    const target = { bucketId, key, versionId: object.info.versionId }
    await clock.runUntil(tablet.run(setStorageClass(target, { ...REAL_DAYS, nowMs })))
  }
  await pass(scene)
  await settle(scene)
  assert.deepEqual(
    packsIn(scene)
      .map(({ count }) => count)
      .sort((a, b) => a - b),
    [20, 40],
  )
  await assertBodies(scene, bodies)
  assertCounted(scene)
  for (const key of bodies.keys()) await clock.runUntil(removing(scene, key))
  await assertNothing(scene)
})
