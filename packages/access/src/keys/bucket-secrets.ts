/**
 * Secrets of buckets, which the keys of their objects derive from, and their bucket keys of SSE-KMS.
 *
 * Promises  A bucket has one secret, whichever process makes it: it is in the metadata before it is used. No secret
 *           outlives a change by another process: opened secrets are forgotten when the metadata's generation increases.
 * Limits    BUCKET_KEY_LIMITS.
 */
import type { KeyObject } from "node:crypto"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { BucketId } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import { BUCKET_SECRET, purposeOfSecret, type BucketKey } from "@hayloft/engine/format/objects/bucket-key.js"
import { openBytes, sealBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SharedWork } from "@hayloft/base/life/index.js"
import {
  addBucketKey,
  addBucketSecret,
  freshBucketKey,
  readBucketKey,
  restoreBucketKey,
  type BucketKeyUse,
} from "./bucket-keys-core.js"
import type { DataKeys, EpochKey, EpochKeys, SealedSecret } from "./contract.js"
import { bindKeyOf, prepareKey } from "./derive.js"
import { contextOfText, textOfContext } from "./encryption-context.js"
import { BUCKET_KEY_LIMITS } from "./limits.js"

/** An opened secret. */
export interface BucketSecret {
  readonly number: number
  readonly key: KeyObject
  readonly bindKey: KeyObject
  readonly sealed: SealedSecret
}

/** A data key that objects of a bucket share. */
interface OpenBucketKey {
  readonly number: number
  /** 32 bytes. */
  readonly plain: Uint8Array
  readonly ciphertext: Uint8Array
}

/** A bucket key whose row was lost. */
export interface LostBucketKey {
  readonly number: number
  readonly keyArn: string
  readonly ciphertext: Uint8Array | undefined
  /** Canonical JSON of an object's context. */
  readonly context: string
}

export interface BucketSecrets {
  /** New objects use it; the first use makes it. Throws `keysUnavailable`. */
  current(bucketId: BucketId): Soon<BucketSecret>
  /** Throws `keysUnavailable` if there is none of this number, it was erased, or no epoch key opens it. */
  get(bucketId: BucketId, number: number): Soon<BucketSecret>
  /** For new objects of SSE-KMS. `context`: canonical JSON. Throws `keysUnavailable`, and what the KMS throws. */
  currentBucketKey(bucketId: BucketId, keyArn: string, context: string, dataKeys: DataKeys): Soon<OpenBucketKey>
  /** Throws `keysUnavailable` if there is none of this number, and what the KMS throws. */
  openBucketKey(bucketId: BucketId, number: number, dataKeys: DataKeys): Soon<Uint8Array>
  /** Throws `keysUnavailable` if there is none of this number. */
  bucketKeyOf(bucketId: BucketId, number: number): Soon<Uint8Array>
  /** Throws `keysUnavailable`. */
  openSecret(bucketId: BucketId, secret: SealedSecret): Soon<Uint8Array>
  /** Adds the secret if the bucket has none. Throws `keysUnavailable` if it has another one, or it was erased. */
  restore(bucketId: BucketId, secret: Uint8Array): Promise<void>
  /** Likewise for a bucket key. Throws `keysUnavailable` too if neither the row nor the caller has it. */
  restoreBucketKey(bucketId: BucketId, lost: LostBucketKey): Promise<void>
}

/** Secrets that were read at one are those of another only if it is the same. */
interface Moment {
  readonly generation: number
  readonly forgotten: number
}

const SECRET_BYTES = 32
/** The context has the ARN of the bucket under this name, if the bucket has a bucket key. */
const ARN_NAME = "aws:s3:arn"

const unavailable = (bucketId: BucketId, number: number, reason: string): Failure =>
  fail("keysUnavailable", { bucketId, number, reason })

export class StoredBucketSecrets implements BucketSecrets {
  /** Bucket keys that are being made. */
  private readonly making = new SharedWork<string, OpenBucketKey>()
  /** By bucket; all of one generation. */
  private readonly opened = new Map<BucketId, BucketSecret>()
  private generation = 0
  /** How often all were forgotten by `forget`. */
  private forgotten = 0

  constructor(
    private readonly metadata: Pick<Metadata, "known" | "run" | "generation">,
    private readonly epochs: EpochKeys,
    private readonly clock: Pick<Clock, "wallMs">,
    private readonly random: Random,
  ) {}

  /** Call after this process has changed secrets: its own changes do not increase the metadata's generation. */
  forget(): void {
    this.opened.clear()
    this.forgotten += 1
  }

  current(bucketId: BucketId): Soon<BucketSecret> {
    return this.find(bucketId) ?? after(this.read(bucketId), known => known ?? this.make(bucketId))
  }

  get(bucketId: BucketId, number: number): Soon<BucketSecret> {
    if (number !== BUCKET_SECRET) throw unavailable(bucketId, number, "the bucket has no such secret")
    const opened = this.find(bucketId)
    if (opened !== undefined) return opened
    return after(this.read(bucketId), known => {
      if (known === undefined) throw unavailable(bucketId, number, "the bucket has no secret")
      return known
    })
  }

  currentBucketKey(bucketId: BucketId, keyArn: string, context: string, dataKeys: DataKeys): Soon<OpenBucketKey> {
    const use = { keyArn, context: contextOfBucket(context) }
    return after(this.metadata.known(freshBucketKey(bucketId, use, this.clock.wallMs())), fresh => {
      if (fresh === undefined) return this.makeOneBucketKey(bucketId, use, dataKeys)
      const opened = dataKeys.openDataKey(keyArn, fresh.key.ciphertext, use.context)
      return after(opened, plain => ({ number: fresh.number, plain, ciphertext: fresh.key.ciphertext }))
    })
  }

  openBucketKey(bucketId: BucketId, number: number, dataKeys: DataKeys): Soon<Uint8Array> {
    return after(this.readDataKey(bucketId, number), key =>
      dataKeys.openDataKey(key.keyArn, key.ciphertext, key.context),
    )
  }

  bucketKeyOf(bucketId: BucketId, number: number): Soon<Uint8Array> {
    return after(this.readDataKey(bucketId, number), ({ ciphertext }) => ciphertext)
  }

  private readDataKey(bucketId: BucketId, number: number): Soon<Extract<BucketKey, { readonly kind: "dataKey" }>> {
    return after(this.metadata.known(readBucketKey(bucketId, number)), key => {
      if (key?.kind !== "dataKey") throw unavailable(bucketId, number, "the bucket has no such bucket key")
      return key
    })
  }

  openSecret(bucketId: BucketId, { epoch, sealed }: SealedSecret): Soon<Uint8Array> {
    return after(this.epochs.get(epoch), epochKey => {
      const plain = openBytes(epochKey, purposeOfSecret(bucketId, BUCKET_SECRET), sealed)
      if (plain === undefined) throw unavailable(bucketId, BUCKET_SECRET, "the epoch key does not open the secret")
      return plain
    })
  }

  async restore(bucketId: BucketId, secret: Uint8Array): Promise<void> {
    const known =
      (await this.metadata.known(readBucketKey(bucketId, BUCKET_SECRET))) ?? (await this.add(bucketId, secret))
    if (known.kind !== "secret") throw unavailable(bucketId, BUCKET_SECRET, "the secret was erased")
    if (equalBytes(await this.openSecret(bucketId, known), secret)) return
    throw unavailable(bucketId, BUCKET_SECRET, "the bucket has another secret")
  }

  async restoreBucketKey(bucketId: BucketId, lost: LostBucketKey): Promise<void> {
    const { number, keyArn, ciphertext } = lost
    let known = await this.metadata.known(readBucketKey(bucketId, number))
    if (known === undefined && ciphertext !== undefined) {
      const key = { kind: "dataKey", createdMs: 0, keyArn, ciphertext, context: contextOfBucket(lost.context) } as const
      known = await this.metadata.run(restoreBucketKey(bucketId, number, key))
    }
    if (known?.kind !== "dataKey") throw unavailable(bucketId, number, "its bucket key is lost")
    if (ciphertext !== undefined && !equalBytes(known.ciphertext, ciphertext))
      throw unavailable(bucketId, number, "the bucket has another bucket key of this number")
  }

  private find(bucketId: BucketId): BucketSecret | undefined {
    const { generation } = this.metadata
    if (this.generation !== generation) {
      this.generation = generation
      this.opened.clear()
    }
    return this.opened.get(bucketId)
  }

  /** Returns undefined if the bucket has none yet. */
  private read(bucketId: BucketId): Soon<BucketSecret | undefined> {
    const readIn = this.moment()
    return after(this.metadata.known(readBucketKey(bucketId, BUCKET_SECRET)), key =>
      key === undefined ? undefined : this.open(bucketId, key, readIn),
    )
  }

  private async make(bucketId: BucketId): Promise<BucketSecret> {
    const readIn = this.moment()
    return this.open(bucketId, await this.add(bucketId, this.random.bytes(SECRET_BYTES)), readIn)
  }

  /** Returns the secret of the bucket, which may have another one. */
  private async add(bucketId: BucketId, secret: Uint8Array): Promise<BucketKey> {
    try {
      return await this.addUnder(bucketId, secret, await this.epochs.current())
    } catch (error) {
      if (!isFailure(error, "conflict") || typeof error.details["epoch"] !== "number") throw error
      // An erasure has made a newer key, which this process may not have read yet.
      return this.addUnder(bucketId, secret, await this.epochs.current(error.details["epoch"]))
    }
  }

  private addUnder(bucketId: BucketId, secret: Uint8Array, { number: epoch, key }: EpochKey): Promise<BucketKey> {
    const sealed = sealBytes(key, purposeOfSecret(bucketId, BUCKET_SECRET), secret, this.random)
    return this.metadata.run(addBucketSecret(bucketId, { epoch, sealed }))
  }

  private moment(): Moment {
    return { generation: this.metadata.generation, forgotten: this.forgotten }
  }

  /** `readIn`: before the key was read. */
  private open(bucketId: BucketId, key: BucketKey, readIn: Moment): Soon<BucketSecret> {
    if (key.kind !== "secret") throw unavailable(bucketId, BUCKET_SECRET, "the secret was erased")
    const { epoch, sealed } = key
    return after(this.openSecret(bucketId, key), plain => {
      const prepared = prepareKey(plain)
      const sealedSecret = { epoch, sealed }
      const secret = { number: BUCKET_SECRET, key: prepared, bindKey: bindKeyOf(prepared), sealed: sealedSecret }
      this.keep(bucketId, secret, readIn)
      return secret
    })
  }

  private keep(bucketId: BucketId, secret: BucketSecret, { generation, forgotten }: Moment): void {
    if (this.metadata.generation !== generation || this.forgotten !== forgotten) return
    this.find(bucketId)
    if (this.opened.size >= BUCKET_KEY_LIMITS.openedSecretsMax) this.opened.clear()
    this.opened.set(bucketId, secret)
  }

  /** Writes that need a new bucket key at the same time share one call of the KMS. */
  private makeOneBucketKey(bucketId: BucketId, use: BucketKeyUse, dataKeys: DataKeys): Promise<OpenBucketKey> {
    const name = `${bucketId} ${use.keyArn} ${use.context}`
    return this.making.of(name, () => this.makeBucketKey(bucketId, use, dataKeys))
  }

  private async makeBucketKey(bucketId: BucketId, use: BucketKeyUse, dataKeys: DataKeys): Promise<OpenBucketKey> {
    const made = await dataKeys.newDataKey(use.keyArn, use.context)
    const { number, key } = await this.metadata.run(addBucketKey(bucketId, use, made.ciphertext))
    const isOurs = equalBytes(key.ciphertext, made.ciphertext)
    const { ciphertext } = key
    const plain = isOurs ? made.plain : await dataKeys.openDataKey(use.keyArn, ciphertext, use.context)
    return { number, plain, ciphertext }
  }
}

/**
 * The context of a bucket key: the bucket's ARN only, since all objects of the bucket share it. Pairs that a client adds
 * are in the records of its objects, bound like everything in them.
 */
const contextOfBucket = (context: string): string =>
  textOfContext(contextOfText(context).filter(([name]) => name === ARN_NAME))
