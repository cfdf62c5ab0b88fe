/** Secrets of buckets: one for each, also if two nodes make it, and none without its epoch key. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { derive } from "@hayloft/base/encryption/derive-key.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseAccountId, parseBucketId, parseBucketName, type BucketId } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import { bucketKeyRowKey, encodeBucketKey, purposeOfSecret } from "@hayloft/engine/format/objects/bucket-key.js"
import { encodeBucket } from "@hayloft/engine/format/records.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { openBytes, sealBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { StoredBucketSecrets, type BucketSecret } from "./bucket-secrets.js"
import type { DataKeys } from "./contract.js"
import { BUCKET_KEY_LIMITS } from "./limits.js"
import { FixedEpochKeys } from "./testing-epochs.js"

const [BUCKET, OTHER] = [parseBucketId(1), parseBucketId(2)]
const ARN = "arn:aws:kms:eu:1:key/a"
const CONTEXT = '{"aws:s3:arn":"arn:aws:s3:::photos","team":"a"}'
const DAY_MS = BUCKET_KEY_LIMITS.bucketKeyMs

/** Each data key is the number of its ciphertext. */
class Kms implements DataKeys {
  made = 0
  readonly contexts: string[] = []

  newDataKey(_: string, context: string) {
    this.made += 1
    this.contexts.push(context)
    return { plain: new Uint8Array(32).fill(this.made), ciphertext: Uint8Array.of(this.made) }
  }

  openDataKey(_: string, ciphertext: Uint8Array, context: string): Uint8Array {
    assert.ok(this.contexts.includes(context))
    return new Uint8Array(32).fill(ciphertext[0] ?? 0)
  }
}

function plantBucket(metadata: MemoryMetadata, id: BucketId, state: "open" | "closing" = "open"): void {
  const record = {
    id,
    name: parseBucketName(`bucket-${id}`),
    owner: parseAccountId("root"),
    createdMs: 1,
    location: "",
    versioning: "never" as const,
    state,
    settingsVersion: 1,
    settings: [],
  }
  metadata.plant("buckets", bucketRowKey(id), encodeBucket(record))
}

class World {
  readonly metadata = new MemoryMetadata()
  readonly epochs = new FixedEpochKeys()
  readonly clock = new SimClock()
  readonly kms = new Kms()

  constructor() {
    plantBucket(this.metadata, BUCKET)
    plantBucket(this.metadata, OTHER)
  }

  /** Another process of the store. */
  node(seed: number, metadata = this.metadata): StoredBucketSecrets {
    return new StoredBucketSecrets(metadata, this.epochs, { wallMs: () => this.metadataMs }, new SimRandom(seed))
  }

  /** The clock of the metadata in memory. */
  metadataMs = 1_700_000_000_000
}

/** Returns a value that derives from a secret and tells it apart. */
const traceOf = ({ key }: BucketSecret): string => hexOf(derive(key, "trace"))
const isUnavailable = (error: unknown): boolean => isFailure(error, "keysUnavailable")

test("a bucket gets one secret, also if two nodes make one at once, and keeps it after a restart", async () => {
  const world = new World()
  const [a, b] = [world.node(1), world.node(2)]
  const [one, two] = await Promise.all([a.current(BUCKET), b.current(BUCKET)])
  assert.equal(traceOf(one), traceOf(two))
  assert.deepEqual(one.sealed, two.sealed)
  assert.equal(world.metadata.rows("bucketKeys"), 1)
  assert.equal(traceOf(await world.node(3).get(BUCKET, 1)), traceOf(one))
  assert.notEqual(traceOf(await a.current(OTHER)), traceOf(one))
})

test("a secret that was opened needs neither rows nor an epoch key again, until another process changes rows", async () => {
  const { metadata, epochs, ...world } = new World()
  const secrets = new StoredBucketSecrets(metadata, epochs, world.clock, new SimRandom(1))
  await secrets.current(BUCKET)
  const made = await secrets.current(BUCKET)
  const uses = epochs.uses
  assert.equal(secrets.current(BUCKET), made)
  assert.equal(secrets.get(BUCKET, 1), made)
  assert.equal(epochs.uses, uses)
  metadata.plant("bucketKeys", bucketKeyRowKey(BUCKET, 1), encodeBucketKey({ kind: "erased", createdMs: 1, epoch: 1 }))
  metadata.generation += 1
  await assert.rejects(
    asPromise(() => secrets.get(BUCKET, 1)),
    isUnavailable,
  )
  await assert.rejects(
    asPromise(() => secrets.current(BUCKET)),
    isUnavailable,
    "an erased secret is not replaced",
  )
})

test("a cold read waits for its row and for its epoch key", async () => {
  const world = new World()
  const made = await world.node(1).current(BUCKET)
  let turns = 0
  world.metadata.later = () => Promise.resolve().then(() => void (turns += 1))
  assert.equal(traceOf(await world.node(2).get(BUCKET, 1)), traceOf(made))
  assert.equal(turns, 1)
})

test("no secret opens for another bucket, without its epoch key, or under another number", async () => {
  const world = new World()
  const { metadata, epochs } = world
  const random = new SimRandom(5)
  const sealed = sealBytes(epochs.get(1), purposeOfSecret(BUCKET, 1), random.bytes(32), random)
  metadata.plant(
    "bucketKeys",
    bucketKeyRowKey(OTHER, 1),
    encodeBucketKey({ kind: "secret", createdMs: 1, epoch: 1, sealed }),
  )
  const refused = async (bucketId: BucketId, number: number) =>
    assert.rejects(
      asPromise(() => world.node(6).get(bucketId, number)),
      isUnavailable,
    )
  await refused(OTHER, 1)
  await refused(BUCKET, 1)
  await world.node(1).current(BUCKET)
  await refused(BUCKET, 2)
  epochs.keys.set(1, new Uint8Array(32))
  await refused(BUCKET, 1)
  epochs.keys.delete(1)
  await refused(BUCKET, 1)
})

test("a secret is sealed for its bucket under the epoch key, and is nowhere in the rows as it is", async () => {
  const world = new World()
  const { sealed, key } = await world.node(1).current(BUCKET)
  const plain = openBytes(world.epochs.get(1), "bucket secret 1 1", sealed.sealed)
  assert.equal(hexOf(plain ?? new Uint8Array(0)), hexOf(key.export()))
  assert.equal(sealed.epoch, 1)
})

test("opened secrets are bounded", async () => {
  const world = new World()
  const secrets = world.node(1)
  await secrets.current(BUCKET)
  const first = await secrets.current(BUCKET)
  const random = new SimRandom(5)
  for (let id = 2; id <= BUCKET_KEY_LIMITS.openedSecretsMax + 1; id += 1) {
    const bucketId = parseBucketId(id)
    const sealed = sealBytes(world.epochs.get(1), purposeOfSecret(bucketId, 1), new Uint8Array(32), random)
    const value = encodeBucketKey({ kind: "secret", createdMs: 1, epoch: 1, sealed })
    world.metadata.plant("bucketKeys", bucketKeyRowKey(bucketId, 1), value)
    await secrets.get(bucketId, 1)
  }
  assert.notEqual(secrets.get(BUCKET, 1), first, "it was forgotten, and opened again")
})

test("a bucket that is being deleted gets no key", async () => {
  const world = new World()
  plantBucket(world.metadata, BUCKET, "closing")
  await assert.rejects(
    asPromise(() => world.node(1).current(BUCKET)),
    error => isFailure(error, "bucketClosing"),
  )
  await assert.rejects(
    asPromise(() => world.node(1).currentBucketKey(BUCKET, ARN, CONTEXT, world.kms)),
    error => isFailure(error, "bucketClosing"),
  )
  assert.equal(world.metadata.rows("bucketKeys"), 0)
})

test("objects of a bucket share a bucket key for a day, on every node, and later ones still open", async () => {
  const world = new World()
  const { kms } = world
  const [a, b] = [world.node(1), world.node(2)]
  const [one, two] = await Promise.all([
    a.currentBucketKey(BUCKET, ARN, CONTEXT, kms),
    b.currentBucketKey(BUCKET, ARN, CONTEXT, kms),
  ])
  assert.deepEqual(one, two)
  assert.equal(one.number, 2, "the first number is that of the secret")
  world.metadataMs += DAY_MS - 1
  assert.deepEqual(await a.currentBucketKey(BUCKET, ARN, '{"aws:s3:arn":"arn:aws:s3:::photos"}', kms), one)
  assert.deepEqual(new Set(kms.contexts), new Set(['{"aws:s3:arn":"arn:aws:s3:::photos"}']))
  assert.deepEqual(await a.openBucketKey(BUCKET, 2, kms), one.plain)
})

test("writes that need a new bucket key at the same time share one call of the KMS, and later ones try again", async () => {
  const world = new World()
  const { kms } = world
  const secrets = world.node(1)
  const failing: DataKeys = {
    openDataKey: () => assert.fail("none is kept"),
    newDataKey: () => Promise.reject(fail("keysUnavailable")),
  }
  const use = (keys: DataKeys) => asPromise(() => secrets.currentBucketKey(BUCKET, ARN, CONTEXT, keys))
  const refused = [1, 2].map(() => assert.rejects(use(failing), isUnavailable))
  await Promise.all(refused)
  const made = await Promise.all([1, 2, 3].map(() => use(kms)))
  assert.equal(kms.made, 1)
  assert.deepEqual(new Set(made.map(({ number }) => number)), new Set([2]))
})

test("another named key, another name of the bucket, or a day makes another bucket key", async () => {
  const world = new World()
  const { kms, metadata } = world
  const secrets = world.node(1)
  const first = await secrets.currentBucketKey(BUCKET, ARN, CONTEXT, kms)
  const other = await secrets.currentBucketKey(BUCKET, `${ARN}b`, CONTEXT, kms)
  assert.deepEqual([first.number, other.number], [2, 3])
  const renamed = await secrets.currentBucketKey(BUCKET, ARN, '{"aws:s3:arn":"arn:aws:s3:::renamed"}', kms)
  assert.equal(renamed.number, 4, "the key service would not open that of the former name")
  assert.equal((await secrets.currentBucketKey(BUCKET, ARN, CONTEXT, kms)).number, 2)
  const aged = { kind: "dataKey", keyArn: ARN, context: '{"aws:s3:arn":"arn:aws:s3:::photos"}' } as const
  const old = encodeBucketKey({ ...aged, createdMs: world.metadataMs - DAY_MS, ciphertext: Uint8Array.of(7) })
  metadata.plant("bucketKeys", bucketKeyRowKey(BUCKET, 2), old)
  metadata.plant("bucketKeys", bucketKeyRowKey(BUCKET, 3), old)
  metadata.plant("bucketKeys", bucketKeyRowKey(BUCKET, 4), old)
  assert.equal((await secrets.currentBucketKey(BUCKET, ARN, CONTEXT, kms)).number, 5)
  assert.deepEqual(await secrets.openBucketKey(BUCKET, 2, kms), new Uint8Array(32).fill(7), "its objects stay readable")
  await assert.rejects(
    asPromise(() => secrets.openBucketKey(BUCKET, 9, kms)),
    isUnavailable,
  )
})

test("a lost secret is put back once, and no other in its place", async () => {
  const world = new World()
  const made = await world.node(1).current(BUCKET)
  const before = new World()
  const [a, b] = [before.node(1), before.node(2)]
  const secret = await a.openSecret(BUCKET, made.sealed)
  await a.restore(BUCKET, secret)
  await b.restore(BUCKET, secret)
  assert.equal(traceOf(await before.node(3).get(BUCKET, 1)), traceOf(made))
  assert.equal(before.metadata.rows("bucketKeys"), 1)
  await assert.rejects(a.restore(BUCKET, new Uint8Array(32)), isUnavailable)
  await assert.rejects(
    asPromise(() => a.openSecret(OTHER, made.sealed)),
    isUnavailable,
  )
  before.metadata.plant(
    "bucketKeys",
    bucketKeyRowKey(BUCKET, 1),
    encodeBucketKey({ kind: "erased", createdMs: 1, epoch: 1 }),
  )
  before.metadata.generation += 1
  await assert.rejects(b.restore(BUCKET, secret), isUnavailable, "what was erased stays erased")
})

test("a lost bucket key is put back under its number, for the bucket's context, and never used for new objects", async () => {
  const world = new World()
  const { kms } = world
  const secrets = world.node(1)
  kms.contexts.push('{"aws:s3:arn":"arn:aws:s3:::photos"}')
  const lost = { number: 5, keyArn: ARN, ciphertext: Uint8Array.of(9), context: CONTEXT }
  await assert.rejects(secrets.restoreBucketKey(BUCKET, { ...lost, ciphertext: undefined }), isUnavailable)
  await secrets.restoreBucketKey(BUCKET, lost)
  await secrets.restoreBucketKey(BUCKET, { ...lost, ciphertext: undefined })
  assert.deepEqual(await secrets.openBucketKey(BUCKET, 5, kms), new Uint8Array(32).fill(9))
  await assert.rejects(secrets.restoreBucketKey(BUCKET, { ...lost, ciphertext: Uint8Array.of(1) }), isUnavailable)
  assert.equal((await secrets.currentBucketKey(BUCKET, ARN, CONTEXT, kms)).number, 6)
})
