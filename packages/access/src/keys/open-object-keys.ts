/** Opens the keys of objects over one metadata engine. */
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { StoredBucketSecrets } from "./bucket-secrets.js"
import type { DataKeys, EpochKeys, ObjectKeys } from "./contract.js"
import { DerivedObjectKeys } from "./object-keys.js"

interface Seams {
  readonly metadata: Pick<Metadata, "known" | "run" | "generation">
  readonly clock: Clock
  readonly random: Random
}

export interface OpenedObjectKeys {
  readonly keys: ObjectKeys
  /** Call after this process has changed secrets of buckets: none that was opened before is used again. */
  forgetSecrets(): void
}

/** `dataKeys`: undefined in a store without a key service. */
export function openObjectKeys(
  { metadata, clock, random }: Seams,
  { epochs, dataKeys }: { readonly epochs: EpochKeys; readonly dataKeys?: DataKeys | undefined },
): OpenedObjectKeys {
  const secrets = new StoredBucketSecrets(metadata, epochs, clock, random)
  return { keys: new DerivedObjectKeys(random, secrets, dataKeys), forgetSecrets: () => secrets.forget() }
}
