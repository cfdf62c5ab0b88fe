/** Keys of objects for tests: the epoch key is fixed, and a KMS is in memory. */
import { createHash } from "node:crypto"
import { fail } from "@hayloft/base/failures.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { DataKeys, ObjectKeys } from "./contract.js"
import { openObjectKeys } from "./open-object-keys.js"
import { FixedEpochKeys } from "./testing-epochs.js"

const keyNamed = (name: string): Uint8Array => createHash("sha256").update(name).digest()

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

export const testingKeys = (metadata: Metadata, clock: Clock, random = new SimRandom(56)): ObjectKeys =>
  openObjectKeys({ metadata, clock, random: random.fork("keys") }, { epochs: new FixedEpochKeys(), dataKeys: KMS }).keys
