/** Two buckets of a store in memory, and operations on them, for tests of transactions. */
import { createHash } from "node:crypto"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, textOfObjectKey, type VersionId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import type { Bucket, CompletedPart, Conditions, RenameRequest } from "@hayloft/objects/contract.js"
import type { OperationResult, TransactionOperation, TransactionToken } from "./contract.js"
import { noSignal, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { readCounters } from "@hayloft/objects/commands/bucket-rows-core.js"
import { ALL_OBJECT_ROWS } from "@hayloft/objects/queries/extent-rows.js"
import { plainUpload, sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { must } from "@hayloft/base/assert.js"

export const ACCOUNT = parseAccountId("root")

export const tokenOf = (token: string, document: string): TransactionToken => ({
  account: ACCOUNT,
  token,
  digest: createHash("sha256").update(document).digest(),
})

export const check = (bucket: Bucket, key: string, conditions: Conditions): TransactionOperation => ({
  kind: "check",
  bucket,
  conditions,
  key: objectKeyOfText(key),
})

export const remove = (
  bucket: Bucket,
  key: string,
  conditions: Conditions = {},
  versionId?: VersionId,
): TransactionOperation => ({
  kind: "delete",
  remove: { bucket, key: objectKeyOfText(key), conditions, versionId },
})

interface Place {
  readonly bucket: Bucket
  readonly key: string
}

export const rename = (from: Place, to: Place, change: Partial<RenameRequest> = {}): TransactionOperation => ({
  kind: "rename",
  rename: {
    bucket: to.bucket,
    fromBucket: from.bucket,
    signal: noSignal,
    clientToken: undefined,
    from: objectKeyOfText(from.key),
    to: objectKeyOfText(to.key),
    conditions: {},
    sourceConditions: {},
    ...change,
  },
})

/** A store, or a process of one, with two buckets. */
export class TwoBuckets {
  constructor(
    readonly world: World,
    readonly one: Bucket,
    readonly two: Bucket,
  ) {}

  static async open(versioned: readonly ("one" | "two")[] = []): Promise<TwoBuckets> {
    const world = await open("ec:2+1", undefined, 192 * KIB)
    const { buckets } = world.services
    const name = parseBucketName("second")
    const second = await world.clock.runUntil(buckets.create({ name, owner: ACCOUNT, location: "" }))
    const scene = new TwoBuckets(world, world.home, second)
    for (const which of versioned) await scene.run(buckets.setVersioning(scene[which], "enabled"))
    return scene.refreshed()
  }

  /** The same scene with the buckets as they are now. */
  async refreshed(): Promise<TwoBuckets> {
    const { buckets } = this.world.services
    return new TwoBuckets(this.world, await buckets.open(this.one.name), await buckets.open(this.two.name))
  }

  /** The next process of the store. */
  restart(incarnation: number): TwoBuckets {
    return new TwoBuckets(this.world.restart(incarnation), this.one, this.two)
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.world.clock.runUntil(work)
  }

  commit(operations: readonly TransactionOperation[], token?: TransactionToken): Promise<readonly OperationResult[]> {
    return this.run(this.world.services.transactions.run({ operations, token }))
  }

  async put(bucket: Bucket, key: string, bytes: Uint8Array): Promise<string> {
    const request = { ...this.world.putting(key, sourceOf(bytes)), bucket }
    return (await this.run(this.world.services.objects.put(request))).etag
  }

  /** An upload with these parts, and the operation that completes it. */
  upload(
    bucket: Bucket,
    key: string,
    bodies: readonly Uint8Array[],
    conditions: Conditions = {},
  ): Promise<TransactionOperation> {
    return this.run(this.uploading(bucket, key, bodies, conditions))
  }

  /** Makes the same upload while others drive the clock. */
  async uploading(
    bucket: Bucket,
    key: string,
    bodies: readonly Uint8Array[],
    conditions: Conditions,
  ): Promise<TransactionOperation> {
    const { multipart } = this.world.services
    const target = { bucket, key: objectKeyOfText(key) }
    const { multipartId } = await multipart.create(plainUpload(bucket, target.key))
    const parts: CompletedPart[] = []
    for (const [at, bytes] of bodies.entries()) {
      const put = { ...target, multipartId, partNumber: at + 1, body: sourceOf(bytes), signal: noSignal }
      const { etag } = await multipart.putPart(put)
      parts.push({ partNumber: at + 1, etag, checksum: undefined })
    }
    const nothing = { sizeBytes: undefined, checksum: undefined, checksumType: undefined, signal: noSignal }
    return { kind: "put", complete: { ...target, multipartId, parts, conditions, ...nothing } }
  }

  /** The bytes of the object; undefined if there is none. */
  async read(bucket: Bucket, key: string, versionId?: VersionId): Promise<Buffer | undefined> {
    const reading = async () => {
      const target = { bucket, key: objectKeyOfText(key), conditions: {}, ...(versionId && { versionId }) }
      const body = await this.world.services.objects.get(target)
      const pieces: Uint8Array[] = []
      for await (const piece of body.read(noSignal)) pieces.push(Uint8Array.from(piece))
      return Buffer.concat(pieces)
    }
    try {
      return await this.run(reading())
    } catch (error) {
      if (isFailure(error, "noSuchKey")) return undefined
      throw error
    }
  }

  async etag(bucket: Bucket, key: string): Promise<string> {
    const target = { bucket, key: objectKeyOfText(key), conditions: {}, headersOnly: true }
    const body = await this.run(Promise.resolve(this.world.services.objects.get(target)))
    body.close()
    return body.info.etag
  }

  async keys(bucket: Bucket): Promise<readonly string[]> {
    const page = { prefix: "", delimiter: "", after: "", max: 1_000 }
    const { entries } = await this.run(this.world.services.objects.list({ bucket, ...page }))
    return entries.map(entry => textOfObjectKey(must(entry.kind === "object" ? entry.object : undefined, "a key").key))
  }

  counters(bucket: Bucket) {
    return readCounters(this.world.tablet.committed, bucket.id)
  }

  /** All rows except pending deletions, as text. */
  rows(): string {
    const { committed } = this.world.tablet
    const families = ["current", "versions", "heads", "details", "uploads", "parts", "transactions", "usage"] as const
    const all = families.flatMap(family =>
      [...committed.range(family, { ...ALL_OBJECT_ROWS, start: ALL_OBJECT_ROWS.start })].map(
        ([key, { value }]) =>
          `${family} ${Buffer.from(key, "latin1").toString("hex")} ${Buffer.from(value).toString("hex")}`,
      ),
    )
    return all.join("\n")
  }
}
