/** Uses of named keys: none is missed, whatever happens to versions and uploads while they are counted. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import type { Protection } from "@hayloft/access/keys/contract.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { setVersioning } from "../commands/bucket-commands-core.js"
import { noSignal, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { EncryptionKeyUses } from "./key-uses.js"
import { plainUpload, sourceOf } from "./testing-bodies.js"

const KMS: Protection = {
  mode: "kms",
  keyArn: "arn:aws:kms:eu-west-1:123456789012:key/a",
  usesBucketKey: true,
  context: '{"aws:s3:arn":"arn:aws:s3:::bucket"}',
}

async function put(world: World, key: string, encryption: Protection | undefined) {
  const bytes = world.random.bytes(KIB)
  return world.clock.runUntil(world.services.objects.put({ ...world.putting(key, sourceOf(bytes)), encryption }))
}

/** `between`: happens before the page of this number is read. */
function usesWith({ tablet }: World, between: (page: number) => Promise<void>): EncryptionKeyUses {
  let pages = 0
  const metadata: Pick<Metadata, "ask" | "askEveryReplica"> = {
    async ask(query) {
      await between(pages)
      pages += 1
      return tablet.ask(query)
    },
    askEveryReplica: (sinceMs, query) => tablet.askEveryReplica(sinceMs, query),
  }
  return new EncryptionKeyUses(metadata)
}

const totalOf = async (uses: EncryptionKeyUses): Promise<number> =>
  [...((await uses.count()).get("a") ?? [])].reduce((sum, [, count]) => sum + count, 0)

test("versions, with keys of their own or bucket keys, and uploads count by bucket", async () => {
  const world = await open("ec:2+1")
  await put(world, "one", KMS)
  await put(world, "two", { ...KMS, usesBucketKey: false })
  await put(world, "other", { mode: "s3" })
  const request = { ...plainUpload(world.home, objectKeyOfText("big")), encryption: KMS }
  await world.services.multipart.create(request)
  const uses = await new EncryptionKeyUses(world.tablet).count()
  assert.deepEqual(
    [...uses].map(([id, buckets]) => [id, [...buckets.values()]]),
    [["a", [3]]],
  )
  assert.deepEqual(await new EncryptionKeyUses(world.tablet).countOnEveryReplica(), uses)
})

test("what undelete keeps still needs its key", async () => {
  const world = await open("ec:2+1")
  await world.services.undelete.setUndelete(world.home.id, 3)
  await put(world, "one", KMS)
  await put(world, "two", KMS)
  await put(world, "two", KMS)
  await world.remove("one")
  assert.equal(await totalOf(new EncryptionKeyUses(world.tablet)), 3)
  await world.clock.runUntil(world.services.undelete.purgeDeleted(world.home.id, { prefix: "one", max: 10 }))
  assert.equal(await totalOf(new EncryptionKeyUses(world.tablet)), 2)
})

test("a version that becomes the current one is counted whenever it does", async () => {
  for (let moment = 0; moment < 3; moment += 1) {
    const world = await open("ec:2+1")
    const { id: bucketId } = world.home
    await world.tablet.run(setVersioning(bucketId, "enabled"))
    await put(world, "m", KMS)
    const { versionId } = await put(world, "m", undefined)
    // So that the object is on the second page of versions.
    const plain = must(world.tablet.committed.get("current", objectRowKey(bucketId, objectKeyOfText("m"))), "an object")
    for (let i = 0; i < 1_200; i += 1)
      world.tablet.plant("current", objectRowKey(bucketId, objectKeyOfText(`a${i}`)), plain.value)
    const uses = usesWith(world, async page => {
      if (page !== moment) return
      await world.services.objects.remove({ bucket: world.home, key: objectKeyOfText("m"), versionId, conditions: {} })
    })
    assert.equal(await totalOf(uses), 1, `before page ${moment}`)
  }
})

test("an upload that is completed during the count is counted", async () => {
  for (let moment = 0; moment < 3; moment += 1) {
    const world = await open("ec:2+1")
    const { multipart } = world.services
    const target = { bucket: world.home, key: objectKeyOfText("big") }
    const { multipartId } = await multipart.create({ ...plainUpload(target.bucket, target.key), encryption: KMS })
    const part = { ...target, multipartId, partNumber: 1, body: sourceOf(world.random.bytes(KIB)), signal: noSignal }
    const { etag } = await world.clock.runUntil(multipart.putPart(part))
    const parts = [{ partNumber: 1, etag, checksum: undefined }]
    const complete = { ...target, multipartId, parts, conditions: {}, signal: noSignal, checksum: undefined }
    const uses = usesWith(world, async page => {
      if (page === moment) await multipart.complete({ ...complete, sizeBytes: undefined, checksumType: undefined })
    })
    assert.ok((await totalOf(uses)) >= 1, `before page ${moment}`)
  }
})

test("what only one replica has is counted, and nothing while one cannot be asked", async () => {
  const [world, other] = [await open("ec:2+1"), await open("ec:2+1")]
  await put(other, "one", KMS)
  const uses = new EncryptionKeyUses(world.tablet)
  assert.equal((await uses.countOnEveryReplica())?.size, 0)
  world.tablet.otherReplicas = [other.tablet.committed]
  assert.equal((await uses.countOnEveryReplica())?.size, 1)
  world.tablet.isReplicaMissing = true
  assert.equal(await uses.countOnEveryReplica(), undefined)
})
