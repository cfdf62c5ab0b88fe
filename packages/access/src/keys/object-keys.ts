/**
 * Keys of objects, derived from the secrets of their buckets.
 *
 * Promises  What a caller gets depends on nothing but the arguments and the bucket's secret: `open` returns the key that
 *           `create` returned, on every node and after every restart. A record whose `bind` fails is never served.
 */
import { timingSafeEqual } from "node:crypto"
import { fail } from "@hayloft/base/failures.js"
import type { BucketId } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { BoundSealing, Sealing, SealingKey } from "@hayloft/engine/format/needles/sealing.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { BucketSecret, BucketSecrets } from "./bucket-secrets.js"
import type {
  BoundFacts,
  CreatedKey,
  DataKeys,
  LostKeys,
  ObjectKeys,
  Protection,
  SealedSecret,
  SealingRows,
} from "./contract.js"
import { bindOf, checkOf, digestKeyOf, objectKeyOf } from "./derive.js"

const [SALT_BYTES, CLIENT_KEY_BYTES] = [16, 32]

/** The data that the KMS or the client provides for a key, and how the record says so. */
interface Provided {
  readonly key: SealingKey
  readonly provided: Uint8Array | undefined
  readonly bucketKey?: Uint8Array
}

/** S3 uses this message for a wrong key of SSE-C. */
const OTHER_KEY =
  "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key."

export class DerivedObjectKeys implements ObjectKeys {
  /** `dataKeys`: undefined in a store without a KMS. */
  constructor(
    private readonly random: Random,
    private readonly secrets: BucketSecrets,
    private readonly dataKeys: DataKeys | undefined,
  ) {}

  create(bucketId: BucketId, protection: Protection): Soon<CreatedKey> {
    return after(this.secrets.current(bucketId), secret => {
      const salt = this.random.bytes(SALT_BYTES)
      if (protection.mode === "client") return ofClient(secret, salt, protection.key)
      return after(this.provide(bucketId, protection), ({ key, provided, bucketKey }) => ({
        sealing: { key, secret: secret.number, salt },
        key: objectKeyOf(secret.key, key.mode, salt, provided),
        secret: bucketKey === undefined ? secret.sealed : { ...secret.sealed, bucketKey },
      }))
    })
  }

  open(bucketId: BucketId, sealing: Sealing, clientKey: Uint8Array | undefined): Soon<Uint8Array> {
    const { key, secret: number, salt } = sealing
    if ((key.mode === "client") !== (clientKey !== undefined)) throw fail("invalidRequest", { mode: key.mode })
    return after(this.secrets.get(bucketId, number), secret => {
      if (key.mode === "client" && clientKey !== undefined) return openOfClient(secret, salt, key.check, clientKey)
      if (key.mode !== "kms") return objectKeyOf(secret.key, key.mode, salt)
      return after(this.openDataKey(bucketId, key), provided => objectKeyOf(secret.key, key.mode, salt, provided))
    })
  }

  bind(sealing: Sealing, facts: BoundFacts): Soon<BoundSealing> {
    return after(this.secrets.get(facts.bucketId, sealing.secret), ({ bindKey }) => ({
      ...sealing,
      bind: bindOf(bindKey, sealing, facts),
    }))
  }

  checkBind(sealing: BoundSealing, facts: BoundFacts): Soon<void> {
    return after(this.secrets.get(facts.bucketId, sealing.secret), ({ bindKey }) => {
      if (!timingSafeEqual(bindOf(bindKey, sealing, facts), sealing.bind))
        throw fail("corruptSeal", { bucketId: facts.bucketId, key: facts.key })
    })
  }

  rowsOf(bucketId: BucketId, { key, secret: number }: Sealing): Soon<SealingRows> {
    return after(this.secrets.get(bucketId, number), ({ sealed }) => {
      if (key.mode !== "kms" || typeof key.dataKey !== "number") return sealed
      return after(this.secrets.bucketKeyOf(bucketId, key.dataKey), bucketKey => ({ ...sealed, bucketKey }))
    })
  }

  digestKey(bucketId: BucketId, storageClass: StorageClass): Soon<Uint8Array> {
    return after(this.secrets.current(bucketId), secret => digestKeyOf(secret.key, storageClass))
  }

  openSecret(bucketId: BucketId, secret: SealedSecret): Soon<Uint8Array> {
    return this.secrets.openSecret(bucketId, secret)
  }

  restoreSecret(bucketId: BucketId, secret: Uint8Array): Promise<void> {
    return this.secrets.restore(bucketId, secret)
  }

  async restore(bucketId: BucketId, { key }: Sealing, { secret, bucketKey: ciphertext }: LostKeys): Promise<void> {
    await this.secrets.restore(bucketId, secret)
    if (key.mode !== "kms" || typeof key.dataKey !== "number") return
    const { keyArn, dataKey: number, context = "{}" } = key
    await this.secrets.restoreBucketKey(bucketId, { number, keyArn, ciphertext, context })
  }

  private provide(bucketId: BucketId, protection: Exclude<Protection, { readonly mode: "client" }>): Soon<Provided> {
    if (protection.mode !== "kms") return { key: { mode: protection.mode }, provided: undefined }
    const { mode, keyArn, context, usesBucketKey } = protection
    const dataKeys = this.kms(keyArn)
    if (usesBucketKey) {
      return after(
        this.secrets.currentBucketKey(bucketId, keyArn, context, dataKeys),
        ({ number, plain, ciphertext }) => ({
          key: { mode, keyArn, dataKey: number, context },
          provided: plain,
          bucketKey: ciphertext,
        }),
      )
    }
    return after(dataKeys.newDataKey(keyArn, context), ({ plain, ciphertext }) => ({
      key: { mode, keyArn, dataKey: ciphertext, context },
      provided: plain,
    }))
  }

  private openDataKey(
    bucketId: BucketId,
    { keyArn, dataKey, context }: Extract<SealingKey, { readonly mode: "kms" }>,
  ): Soon<Uint8Array> {
    const dataKeys = this.kms(keyArn)
    if (typeof dataKey !== "number") return dataKeys.openDataKey(keyArn, dataKey, context ?? "{}")
    return this.secrets.openBucketKey(bucketId, dataKey, dataKeys)
  }

  private kms(keyArn: string): DataKeys {
    if (this.dataKeys === undefined) throw fail("keysUnavailable", { message: "the store has no key service", keyArn })
    return this.dataKeys
  }
}

function ofClient(secret: BucketSecret, salt: Uint8Array, clientKey: Uint8Array): CreatedKey {
  const key = clientObjectKey(secret, salt, clientKey)
  const sealing: Sealing = { key: { mode: "client", check: checkOf(key) }, secret: secret.number, salt }
  return { sealing, key, secret: secret.sealed }
}

function openOfClient(secret: BucketSecret, salt: Uint8Array, check: Uint8Array, clientKey: Uint8Array): Uint8Array {
  const key = clientObjectKey(secret, salt, clientKey)
  if (!timingSafeEqual(checkOf(key), check)) throw fail("accessDenied", { message: OTHER_KEY })
  return key
}

function clientObjectKey(secret: BucketSecret, salt: Uint8Array, clientKey: Uint8Array): Uint8Array {
  if (clientKey.length !== CLIENT_KEY_BYTES) throw fail("invalidArgument", { lengthBytes: clientKey.length })
  return objectKeyOf(secret.key, "client", salt, clientKey)
}
