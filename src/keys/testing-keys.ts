/** Keys of objects for tests: one secret for each bucket, which later processes know too, and a KMS in memory. */
import { createHash } from "node:crypto"
import { equalBytes } from "../base/bytes.js"
import { fail } from "../base/failures.js"
import type { BucketId } from "../base/ids.js"
import { SimRandom } from "../seams/random/sim.js"
import type { BucketSecret, BucketSecrets } from "./bucket-secrets.js"
import type { DataKeys, ObjectKeys } from "./contract.js"
import { bindKeyOf, prepareKey } from "./derive.js"
import { DerivedObjectKeys } from "./object-keys.js"

const keyNamed = (name: string): Uint8Array => createHash("sha256").update(name).digest()

class TestSecrets implements BucketSecrets {
  private readonly known = new Map<BucketId, BucketSecret>()

  current(bucketId: BucketId): BucketSecret {
    return this.get(bucketId, 1)
  }

  get(bucketId: BucketId, number: number): BucketSecret {
    if (number !== 1) throw fail("keysUnavailable", { bucketId, secret: number })
    const known = this.known.get(bucketId)
    if (known !== undefined) return known
    const key = prepareKey(keyNamed(`secret ${bucketId}`))
    const secret = { number, key, bindKey: bindKeyOf(key), sealed: { epoch: 1, sealed: Uint8Array.of(bucketId) } }
    this.known.set(bucketId, secret)
    return secret
  }

  currentBucketKey(bucketId: BucketId) {
    return { number: 3, plain: this.openBucketKey(bucketId, 3), ciphertext: this.bucketKeyOf() }
  }

  bucketKeyOf(): Uint8Array {
    return Buffer.from("bucket key")
  }

  openSecret(bucketId: BucketId): Uint8Array {
    return keyNamed(`secret ${bucketId}`)
  }

  async restore(bucketId: BucketId, secret: Uint8Array): Promise<void> {
    if (!equalBytes(secret, this.openSecret(bucketId))) throw fail("keysUnavailable", { bucketId })
  }

  async restoreBucketKey(): Promise<void> {
    // It is always there.
  }

  openBucketKey(bucketId: BucketId, number: number): Uint8Array {
    return keyNamed(`bucket key ${bucketId} ${number}`)
  }
}

/** Each ciphertext is the key and the context that it opens with. */
const KMS: DataKeys = {
  newDataKey: (keyArn, context) => ({
    plain: keyNamed(`data key ${keyArn} ${context}`),
    ciphertext: Buffer.from(`${keyArn} ${context}`),
  }),
  openDataKey(keyArn, ciphertext, context) {
    if (Buffer.from(ciphertext).toString() !== `${keyArn} ${context}`) throw fail("accessDenied")
    return keyNamed(`data key ${keyArn} ${context}`)
  },
}

export const testingKeys = (random = new SimRandom(56)): ObjectKeys =>
  new DerivedObjectKeys(random.fork("keys"), new TestSecrets(), KMS)
