/** Renames to another bucket: bytes and all that is stored with them, sealed with keys of the other bucket. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId } from "@hayloft/base/ids.js"
import type { Protection } from "@hayloft/access/keys/contract.js"
import { refuses } from "./commands/testing-bucket.js"
import type { Bucket, GetRequest, ObjectInfo, PutRequest, RenameRequest } from "./contract.js"
import { noSignal } from "@hayloft/upkeep/repair/testing-repair.js"
import { SMALL_PART_BYTES } from "@hayloft/upkeep/testing-services.js"
import { rename, TwoBuckets } from "@hayloft/features/transactions/testing-transactions.js"
import { sourceOf } from "./bodies/testing-bodies.js"

const SIZES = [0, 100, 70_001, 500_000]
const CLIENT_KEY = createHash("sha256").update("a client's key").digest()
const KMS = { keyArn: "arn:aws:kms:eu-west-1:123456789012:key/a", context: '{"aws:s3:arn":"arn:aws:s3:::bucket"}' }

function put(scene: TwoBuckets, key: string, bytes: Uint8Array, how: Partial<PutRequest> = {}) {
  const request = {
    ...scene.world.putting(key, sourceOf(bytes)),
    bucket: scene.one,
    tags: [["team", "storage"]] as const,
  }
  return scene.run(scene.world.services.objects.put({ ...request, ...how }))
}

function move(scene: TwoBuckets, from: string, to: string, how: Partial<RenameRequest> = {}) {
  const operation = rename({ bucket: scene.one, key: from }, { bucket: scene.two, key: to }, how)
  assert.ok(operation.kind === "rename")
  return scene.run(scene.world.services.renames.rename(operation.rename))
}

async function read(scene: TwoBuckets, bucket: Bucket, key: string, how: Partial<GetRequest> = {}) {
  const reading = async () => {
    const body = await scene.world.services.objects.get({ bucket, key: objectKeyOfText(key), conditions: {}, ...how })
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(noSignal)) pieces.push(Uint8Array.from(piece))
    return { info: body.info, bytes: Buffer.concat(pieces) }
  }
  return scene.run(reading())
}

/** All details except for those that a rename changes. */
const kept = ({ versionId: _, lastModifiedMs: _at, ...info }: ObjectInfo) => info

test("objects of every size go to another bucket with their bytes, ETag, tags and encryption, and back", async () => {
  for (const encryption of [undefined, { mode: "s3" }] as const) {
    const scene = await TwoBuckets.open()
    const { one, two, world } = scene
    for (const size of SIZES) {
      const bytes = world.random.bytes(size)
      await put(scene, "from", bytes, { encryption, storageClass: "STANDARD_IA" })
      const before = await read(scene, one, "from")
      await move(scene, "from", "to")
      const after = await read(scene, two, "to")
      assert.equal(Buffer.compare(after.bytes, bytes), 0, `${encryption?.mode} ${size}`)
      assert.deepEqual(kept(after.info), kept(before.info))
      assert.deepEqual(await scene.keys(one), [])
      assert.deepEqual(scene.counters(one), { objects: 0, versions: 0, bytes: 0, uploads: 0 })
      assert.deepEqual(scene.counters(two), { objects: 1, versions: 1, bytes: size, uploads: 0 })
      await move(new TwoBuckets(world, two, one), "to", "back")
      assert.equal(Buffer.compare((await read(scene, one, "back")).bytes, bytes), 0)
      await scene.run(world.services.objects.remove({ bucket: one, key: objectKeyOfText("back"), conditions: {} }))
    }
    await world.settle("collector")
    assert.equal(world.needles, 0, "nothing is left of what was renamed")
  }
})

test("a multipart object keeps its parts in another bucket", async () => {
  for (const encrypts of [false, true]) {
    const scene = await TwoBuckets.open()
    const { one, two, world } = scene
    const bodies = [SMALL_PART_BYTES, 70_001].map(length => world.random.bytes(length))
    await scene.commit([await scene.upload(one, "from", bodies)])
    const before = await read(scene, one, "from")
    // A rename seals plain bytes when it copies them, if the store encrypts by now.
    world.encrypts = encrypts
    const next = scene.restart(2)
    await move(next, "from", "to")
    const after = await read(next, two, "to")
    assert.equal(Buffer.compare(after.bytes, Buffer.concat(bodies)), 0)
    assert.deepEqual(kept(after.info), kept(before.info))
    const part = await read(next, two, "to", { range: { kind: "part", partNumber: 2 } })
    assert.equal(Buffer.compare(part.bytes, bodies[1] ?? bodies[0] ?? Buffer.alloc(0)), 0)
    await next.world.settle("collector")
    if (!encrypts) continue
    await next.world.settle("encrypt")
    assert.equal(next.world.services.encrypt?.report().isDone, true, "nothing that is not encrypted is found")
  }
})

test("the other bucket's default encrypts what comes, and its list is the caller's", async () => {
  const scene = await TwoBuckets.open()
  const { two, world } = scene
  const acl = { owner: parseAccountId("caller"), grants: [] }
  await put(scene, "from", world.random.bytes(70_001), { acl: { owner: parseAccountId("before"), grants: [] } })
  await move(scene, "from", "to", { elsewhere: { encryption: { mode: "s3" }, acl } })
  const { info } = await read(scene, two, "to")
  assert.deepEqual([info.encryption, info.acl], [{ mode: "s3" }, acl])
  await put(scene, "own", world.random.bytes(10), { acl })
  await move(scene, "own", "own", { elsewhere: { encryption: undefined, acl: undefined } })
  assert.equal((await read(scene, two, "own")).info.acl, undefined)
})

test("what a key of a client or the KMS encrypts stays in its bucket", async () => {
  const scene = await TwoBuckets.open()
  const { one, world } = scene
  const protections: readonly Protection[] = [
    { mode: "client", key: CLIENT_KEY },
    { mode: "kms", ...KMS, usesBucketKey: false },
    { mode: "kms", ...KMS, usesBucketKey: true },
  ]
  for (const encryption of protections)
    for (const size of [100, 70_001]) {
      await put(scene, "from", world.random.bytes(size), { encryption })
      const { needles } = world
      await refuses(move(scene, "from", "to"), "notImplemented")
      assert.deepEqual([await scene.keys(one), world.needles], [["from"], needles])
    }
})

test("a source that changes while it is copied is copied again, or refused, and nothing of it is left", async () => {
  const scene = await TwoBuckets.open()
  const { one, two, world } = scene
  await put(scene, "from", world.random.bytes(300_000))
  const bytes = world.random.bytes(200_001)
  const run = world.tablet.run.bind(world.tablet)
  let changes = 1
  world.tablet.run = async command => {
    if (command.name === "RenameObject" && changes > 0) {
      changes -= 1
      await world.services.objects.put({ ...world.putting("from", sourceOf(bytes)), bucket: one })
    }
    return run(command)
  }
  await move(scene, "from", "to")
  assert.equal(Buffer.compare((await read(scene, two, "to")).bytes, bytes), 0)
  changes = Infinity
  await put(scene, "from", bytes)
  await world.settle("collector")
  const { needles } = world
  await assert.rejects(move(scene, "from", "other"), error => isFailure(error, "conflict"))
  await world.settle("collector")
  assert.deepEqual([await scene.keys(one), await scene.keys(two), world.needles], [["from"], ["to"], needles])
})

test("a repeated rename with a token answers as before, from this bucket only", async () => {
  const scene = await TwoBuckets.open(["two"])
  const { one, two, world } = scene
  await put(scene, "from", world.random.bytes(1_000))
  const { versionId } = await move(scene, "from", "to", { clientToken: "t" })
  assert.equal((await move(scene, "from", "to", { clientToken: "t", isRepeated: true })).versionId, versionId)
  await put(scene, "from", world.random.bytes(1_000), { bucket: two })
  await refuses(move(scene, "from", "to", { clientToken: "t", fromBucket: two }), "idempotencyMismatch")
  await refuses(move(scene, "from", "other"), "noSuchKey")
  assert.deepEqual(await scene.keys(one), [])
})
