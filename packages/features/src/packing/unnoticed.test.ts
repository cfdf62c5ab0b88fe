/** Clients see the same of an object before and after it is packed, and after packing is undone. */
import { DEDUP_SERVICES } from "../dedup/index.js"
import { PACKING_SERVICE } from "./services.js"
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { asPromise } from "@hayloft/base/soon.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { copying, assertCounted, assertNothing, settle, type Scene } from "../dedup/testing-dedup.js"
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

/** All objects fit in one block. */
const LARGE = { blockBytes: MIB }
const sizes = (i: number): number => 1 + ((i * 1_733) % (15 * KIB))

async function seen({ world, bucket }: Scene, key: string) {
  const { objects } = world.services
  const target = { bucket, key: objectKeyOfText(key), conditions: {} }
  return world.clock.runUntil(
    (async () => {
      const whole = await objects.get(target)
      const bytes: Uint8Array[] = []
      for await (const piece of whole.read(never)) bytes.push(piece.slice())
      const size = whole.info.sizeBytes
      const range = { kind: "fromTo", first: Math.floor(size / 2), last: size - 1 } as const
      const part = await objects.get({ ...target, range: { kind: "part", partNumber: 1 } })
      part.close()
      const some = await objects.get({ ...target, range })
      const half: Uint8Array[] = []
      for await (const piece of some.read(never)) half.push(piece.slice())
      const [all, rest] = [Buffer.concat(bytes), Buffer.concat(half)]
      // Only those that follow an object are told, and objects that were appended to are not packed.
      const { stream: _, ...info } = whole.info
      return { info, all, rest, partRange: part.range }
    })(),
  )
}

const undo = async (scene: Scene): Promise<void> => {
  const { clock, services } = scene.world
  await clock.runUntil(PACKING_SERVICE.of(services.core).set(scene.bucket, undefined))
  await renew(scene)
  const work = DEDUP_SERVICES.of(services.core).dedupUpkeep.open(scene.bucket, {
    kind: "unpack",
    reads: false,
    run: "1",
  })
  for (let cursor: string | undefined = ""; cursor !== undefined;) {
    const page: Awaited<ReturnType<typeof work.itemsAfter>> = await clock.runUntil(
      work.itemsAfter(cursor, undefined, 100),
    )
    for (const item of page.items) assert.deepEqual(await clock.runUntil(work.work(item)), { isRepaired: true })
    cursor = page.next
  }
}

test("ETags, checksums, times, metadata, tags, ranges, part numbers, figures and quotas stay, and stay when it is undone", async () => {
  const scene = await opened("ec:2+1", undefined, LARGE)
  const { clock, services } = scene.world
  const bodies = new Map<string, Buffer>()
  for (let i = 0; i < 40; i += 1) {
    const bytes = Buffer.from(scene.world.random.bytes(sizes(i)))
    bodies.set(keyOf(i), bytes)
    const userMetadata = [["note", "x".repeat(i % 3 === 0 ? 700 : 3)]] as const
    const attributes = { headers: { contentType: `text/${i}` }, userMetadata }
    const body = { ...sourceOf(bytes), checksumAlgorithm: "CRC32" as const }
    await clock.runUntil(
      services.objects.put({
        ...scene.world.putting(keyOf(i), body),
        bucket: scene.bucket,
        attributes,
        tags: [["a", `${i}`]],
      }),
    )
  }
  const before: Awaited<ReturnType<typeof seen>>[] = []
  for (const key of bodies.keys()) before.push(await seen(scene, key))
  const usage = await clock.runUntil(services.buckets.usage(scene.bucket))
  const same = async (): Promise<void> => {
    let i = 0
    for (const key of bodies.keys()) assert.deepEqual(await seen(scene, key), before[i++])
    assert.deepEqual(await clock.runUntil(services.buckets.usage(scene.bucket)), usage)
    assertCounted(scene)
  }
  await clock.runUntil(PACKING_SERVICE.of(services.core).set(scene.bucket, { afterSeconds: 0, maxBytes: 65_536 }))
  await renew(scene)
  await pass(scene)
  await settle(scene)
  assert.equal((await clock.runUntil(PACKING_SERVICE.of(services.core).stat(scene.bucket))).packedObjects, 40)
  await same()
  await undo(scene)
  assert.equal(packsIn(scene).length, 0)
  await settle(scene)
  await same()
  // Objects that have their own bytes again can be packed again.
  await clock.runUntil(PACKING_SERVICE.of(services.core).set(scene.bucket, { afterSeconds: 0, maxBytes: 65_536 }))
  await renew(scene)
  await pass(scene)
  await settle(scene)
  assert.equal((await clock.runUntil(PACKING_SERVICE.of(services.core).stat(scene.bucket))).packedObjects, 40)
  await same()
  for (const key of bodies.keys()) await clock.runUntil(removing(scene, key))
  await assertNothing(scene)
})

test("older versions are packed, and are removed one by one", async () => {
  const scene = await opened("ec:2+1", undefined, LARGE)
  const { clock, services } = scene.world
  await clock.runUntil(services.buckets.setVersioning(scene.bucket, "enabled"))
  await renew(scene)
  const bodies = []
  for (let i = 0; i < 30; i += 1) {
    const bytes = Buffer.from(scene.world.random.bytes(sizes(i)))
    const { versionId } = await put(scene, keyOf(i % 3), bytes)
    bodies.push({ key: objectKeyOfText(keyOf(i % 3)), versionId: must(versionId, "it has one"), bytes })
  }
  await clock.runUntil(PACKING_SERVICE.of(services.core).set(scene.bucket, { afterSeconds: 0, maxBytes: 65_536 }))
  await renew(scene)
  await pass(scene)
  await settle(scene)
  assert.equal((await clock.runUntil(PACKING_SERVICE.of(services.core).stat(scene.bucket))).packedObjects, 30)
  const { bucket } = scene
  for (const { key, versionId, bytes } of bodies) {
    const body = await clock.runUntil(asPromise(() => services.objects.get({ bucket, key, versionId, conditions: {} })))
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(never)) pieces.push(piece.slice())
    assert.ok(Buffer.concat(pieces).equals(bytes))
    await clock.runUntil(services.objects.remove({ bucket, key, versionId, conditions: {} }))
    assertCounted(scene)
  }
  await assertNothing(scene)
})

test("what undelete keeps of a packed object can be put back, also when its pack is packed again", async () => {
  const scene = await opened()
  const { clock, services } = scene.world
  await clock.runUntil(services.undelete.setUndelete(scene.bucket.id, 7))
  await renew(scene)
  const bodies = await putMany(scene, 40, sizes)
  await pass(scene)
  for (let i = 0; i < 30; i += 1) await clock.runUntil(removing(scene, keyOf(i)))
  await settle(scene)
  await pass(scene)
  await settle(scene)
  const { bucket } = scene
  for (let i = 0; i < 30; i += 1)
    await clock.runUntil(services.undelete.undelete(bucket.id, objectKeyOfText(keyOf(i)), {}))
  await assertBodies(scene, bodies)
  assertCounted(scene)
})

test("copies, renames and overwrites of packed objects have the bytes", async () => {
  const scene = await opened()
  const { clock, services } = scene.world
  const bodies = await putMany(scene, 40, sizes)
  await pass(scene)
  await clock.runUntil(copying(scene, keyOf(1), "copy"))
  bodies.set("copy", bodyIn(bodies, 1))
  const { bucket } = scene
  await clock.runUntil(
    services.renames.rename({
      bucket,
      from: objectKeyOfText(keyOf(2)),
      to: objectKeyOfText("renamed"),
      conditions: {},
      sourceConditions: {},
      clientToken: undefined,
      signal: never,
    }),
  )
  bodies.set("renamed", bodyIn(bodies, 2))
  bodies.delete(keyOf(2))
  const other = Buffer.from(scene.world.random.bytes(700))
  await put(scene, keyOf(3), other)
  bodies.set(keyOf(3), other)
  await settle(scene)
  await assertBodies(scene, bodies)
  await assert.rejects(scene.world.get(keyOf(2)), error => isFailure(error, "noSuchKey"))
  assertCounted(scene)
})
