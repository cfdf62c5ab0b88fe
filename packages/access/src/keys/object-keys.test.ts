/** Keys of objects: what opens, and what does not. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { fail, isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketId, type BucketId } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import type { SealingKey } from "@hayloft/engine/format/needles/sealing.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { BucketSecret, BucketSecrets, LostBucketKey } from "./bucket-secrets.js"
import type { BoundFacts, DataKeys, ObjectKeys, Protection } from "./contract.js"
import { bindKeyOf, prepareKey } from "./derive.js"
import { DerivedObjectKeys } from "./object-keys.js"

const [PHOTOS, PLANS] = [parseBucketId(7), parseBucketId(8)]
const ARN = "arn:aws:kms:eu-west-1:123456789012:key/a"
const CONTEXT = '{"aws:s3:arn":"arn:aws:s3:::photos/a"}'
const CLIENT_KEY = new Uint8Array(32).fill(9)

/** One secret for each bucket, and one bucket key. */
class Secrets implements BucketSecrets {
  current(bucketId: BucketId): BucketSecret {
    return this.get(bucketId, 1)
  }

  get(bucketId: BucketId, number: number): BucketSecret {
    if (number !== 1) throw fail("keysUnavailable", { bucketId, secret: number })
    const key = prepareKey(new Uint8Array(32).fill(bucketId))
    return { number, key, bindKey: bindKeyOf(key), sealed: { epoch: 1, sealed: Uint8Array.of(bucketId) } }
  }

  readonly restored: unknown[] = []

  currentBucketKey() {
    return { number: 3, plain: new Uint8Array(32).fill(3), ciphertext: this.bucketKeyOf() }
  }

  bucketKeyOf(): Uint8Array {
    return Uint8Array.of(33)
  }

  openSecret(bucketId: BucketId): Uint8Array {
    return new Uint8Array(32).fill(bucketId)
  }

  async restore(bucketId: BucketId, secret: Uint8Array): Promise<void> {
    this.restored.push([bucketId, hexOf(secret)])
  }

  async restoreBucketKey(bucketId: BucketId, lost: LostBucketKey): Promise<void> {
    this.restored.push([bucketId, lost])
  }

  openBucketKey(bucketId: BucketId, number: number): Uint8Array {
    assert.equal(bucketId, PHOTOS)
    return new Uint8Array(32).fill(number)
  }
}

/** Each ciphertext is the context and the key that it opens to. */
const KMS: DataKeys = {
  newDataKey: (keyArn, context) => ({
    plain: new Uint8Array(32).fill(5),
    ciphertext: Buffer.from(`${keyArn} ${context}`),
  }),
  openDataKey(keyArn, ciphertext, context) {
    if (Buffer.from(ciphertext).toString() !== `${keyArn} ${context}`) throw fail("accessDenied")
    return new Uint8Array(32).fill(5)
  },
}

const WITH_KMS: Protection = { mode: "kms", keyArn: ARN, context: CONTEXT, usesBucketKey: false }
const PROTECTIONS: readonly Protection[] = [
  { mode: "atRest" },
  { mode: "s3" },
  WITH_KMS,
  { mode: "kms", keyArn: ARN, context: CONTEXT, usesBucketKey: true },
  { mode: "client", key: CLIENT_KEY },
]

const open = (dataKeys: DataKeys | undefined = KMS, secrets = new Secrets()): ObjectKeys =>
  new DerivedObjectKeys(new SimRandom(1), secrets, dataKeys)

const isKind =
  (kind: FailureKind) =>
  (error: unknown): boolean =>
    isFailure(error, kind)

for (const protection of PROTECTIONS) {
  const name = protection.mode === "kms" && protection.usesBucketKey ? "kms with a bucket key" : protection.mode
  test(`mode ${name}: the key that was created is opened again, in its own bucket only`, async () => {
    const keys = open()
    const { sealing, key, secret } = await keys.create(PHOTOS, protection)
    const clientKey = protection.mode === "client" ? CLIENT_KEY : undefined
    assert.equal(hexOf(await open().open(PHOTOS, sealing, clientKey)), hexOf(key))
    assert.deepEqual(secret, await keys.rowsOf(PHOTOS, sealing))
    assert.equal(secret.bucketKey !== undefined, name === "kms with a bucket key")
    assert.notEqual(hexOf((await keys.create(PHOTOS, protection)).key), hexOf(key), "each object has a key of its own")
    if (name === "kms with a bucket key") return
    const elsewhere = asPromise(() => keys.open(PLANS, sealing, clientKey))
    if (protection.mode === "client") await assert.rejects(elsewhere, isKind("accessDenied"))
    else assert.notEqual(hexOf(await elsewhere), hexOf(key))
  })
}

test("the client's key must be the object's, and only objects of SSE-C take one", async () => {
  const keys = open()
  const { sealing } = await keys.create(PHOTOS, { mode: "client", key: CLIENT_KEY })
  const other = new Uint8Array(32).fill(8)
  await assert.rejects(
    asPromise(() => keys.open(PHOTOS, sealing, other)),
    isKind("accessDenied"),
  )
  await assert.rejects(
    asPromise(() => keys.open(PHOTOS, sealing, undefined)),
    isKind("invalidRequest"),
  )
  const plain = await keys.create(PHOTOS, { mode: "s3" })
  await assert.rejects(
    asPromise(() => keys.open(PHOTOS, plain.sealing, CLIENT_KEY)),
    isKind("invalidRequest"),
  )
  await assert.rejects(
    asPromise(() => keys.create(PHOTOS, { mode: "client", key: new Uint8Array(16) })),
    isKind("invalidArgument"),
  )
})

test("the context of a data key is that of the record", async () => {
  const keys = open()
  const { sealing } = await keys.create(PHOTOS, WITH_KMS)
  assert.ok(sealing.key.mode === "kms")
  const key: SealingKey = { ...sealing.key, context: '{"aws:s3:arn":"arn:aws:s3:::photos/b"}' }
  await assert.rejects(
    asPromise(() => keys.open(PHOTOS, { ...sealing, key }, undefined)),
    isKind("accessDenied"),
  )
})

test("a store without a key service refuses SSE-KMS, and nothing else", async () => {
  const { sealing } = await open().create(PHOTOS, WITH_KMS)
  const keys = new DerivedObjectKeys(new SimRandom(2), new Secrets(), undefined)
  await assert.rejects(
    asPromise(() => keys.create(PHOTOS, WITH_KMS)),
    isKind("keysUnavailable"),
  )
  await assert.rejects(
    asPromise(() => keys.open(PHOTOS, sealing, undefined)),
    isKind("keysUnavailable"),
  )
  assert.equal((await keys.create(PHOTOS, { mode: "s3" })).key.length, 32)
})

test("a record is bound to bucket, key, version, size, ETag, parts and its whole sealing", async () => {
  const keys = open()
  const random = new Uint8Array(8).fill(1)
  const facts: BoundFacts = {
    bucketId: PHOTOS,
    key: objectKeyOfText("a"),
    random,
    sizeBytes: 5,
    md5: new Uint8Array(16),
    parts: 1,
  }
  const { sealing } = await keys.create(PHOTOS, WITH_KMS)
  const bound = await keys.bind(sealing, facts)
  await keys.checkBind(bound, facts)
  const others: readonly Partial<BoundFacts>[] = [
    { bucketId: PLANS },
    { key: objectKeyOfText("b") },
    { random: new Uint8Array(8).fill(2) },
    { sizeBytes: 6 },
    { md5: new Uint8Array(16).fill(1) },
    { parts: 2 },
  ]
  for (const other of others)
    await assert.rejects(
      asPromise(() => keys.checkBind(bound, { ...facts, ...other })),
      isKind("corruptSeal"),
    )
  assert.ok(bound.key.mode === "kms")
  const changed: readonly SealingKey[] = [
    { mode: "s3" },
    { ...bound.key, keyArn: `${ARN}b` },
    { ...bound.key, dataKey: 3 },
    { ...bound.key, context: undefined },
  ]
  for (const key of changed)
    await assert.rejects(
      asPromise(() => keys.checkBind({ ...bound, key }, facts)),
      isKind("corruptSeal"),
    )
  const salt = new Uint8Array(16)
  await assert.rejects(
    asPromise(() => keys.checkBind({ ...bound, salt }, facts)),
    isKind("corruptSeal"),
  )
})

test("the rows that a sealing needs are put back: the secret, and the bucket key that it names", async () => {
  const secrets = new Secrets()
  const keys = open(KMS, secrets)
  const secret = new Uint8Array(32).fill(6)
  const bucketKey = Uint8Array.of(8)
  for (const protection of PROTECTIONS) {
    const { sealing } = await keys.create(PHOTOS, protection)
    secrets.restored.length = 0
    await keys.restore(PHOTOS, sealing, { secret, bucketKey })
    const ofBucket = { number: 3, keyArn: ARN, ciphertext: bucketKey, context: CONTEXT }
    const isOfBucket = protection.mode === "kms" && protection.usesBucketKey
    assert.deepEqual(secrets.restored, [[PHOTOS, hexOf(secret)], ...(isOfBucket ? [[PHOTOS, ofBucket]] : [])])
  }
})
