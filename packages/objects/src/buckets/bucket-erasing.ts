/**
 * Erasing buckets: what an erasure does to the rows of a bucket. The keys, and what waits for devices, are the caller's;
 * see decision 56.
 *
 * Limits  ERASING_LIMITS.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, BucketName } from "@hayloft/base/ids.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { removeKeysOf } from "./bucket-key-removal.js"
import { removeContentsOf } from "./contents-removal.js"
import type { StoreClock } from "../store-clock.js"
import { bucketNamed } from "./bucket-service.js"
import type { StartedFeature } from "../door/feature.js"
import { bucketContents } from "../door/parts.js"
import { openBucket } from "../commands/bucket-commands-core.js"
import {
  bucketErasures,
  closeForErasure,
  countUnsealed,
  dropErasedBucket,
  dropErasedKey,
  dropErasedUpload,
  epochOfSecret,
  eraseBucket,
  erasedEpochs,
  firstCountPlace,
  leftoversOf,
  traceOfBucket,
  type BucketErasure,
  type CountedSlice,
  type CountPlace,
} from "../commands/erase-commands-core.js"
import { endUploadBy } from "../ended-upload.js"

const ERASING_LIMITS = {
  rowsPerSlice: 2_000,
  /** Keys and uploads that one step removes. */
  removedPerStep: 64,
} as const

export class BucketErasing {
  constructor(
    private readonly metadata: Metadata,
    private readonly storeClock: Pick<StoreClock, "nowMs">,
    private readonly features: readonly Pick<StartedFeature, "erase">[] = [],
  ) {}

  /** The bucket, and the epoch of its secret. Throws `noSuchBucket`, `conflict` if nothing in it was ever encrypted. */
  async find(name: BucketName): Promise<{ readonly id: BucketId; readonly epoch: number }> {
    const bucket = await this.metadata.ask(bucketNamed(name))
    if (bucket === undefined) throw fail("noSuchBucket", { bucket: name })
    return { id: bucket.id, epoch: await this.epochOf(bucket.id) }
  }

  async epochOf(id: BucketId): Promise<number> {
    const epoch = await this.metadata.ask(epochOfSecret(id))
    if (epoch !== undefined) return epoch
    throw fail("conflict", {
      message: "nothing in the bucket is encrypted, so there is no key to erase; delete it instead",
    })
  }

  /** Throws `conflict` with the numbers if something in the bucket is not encrypted; `objectLocked` if a version is. */
  async refuseUnsealed(id: BucketId): Promise<void> {
    const counts = { versions: 0, parts: 0, uploads: 0, values: 0 }
    const inContents = new Map<Family, number>()
    let locked = 0
    const bounds = { rowsMax: ERASING_LIMITS.rowsPerSlice, clockMs: this.storeClock.nowMs() }
    for (let place: CountPlace | undefined = firstCountPlace(id); place !== undefined;) {
      const slice: CountedSlice = await this.metadata.ask(countUnsealed(id, place, bounds))
      counts[slice.counted] += slice.unsealed
      inContents.set(slice.family, (inContents.get(slice.family) ?? 0) + slice.unsealed)
      locked += slice.locked
      place = slice.next
    }
    if (locked > 0) throw fail("objectLocked", { message: `${locked} versions of the bucket are locked`, locked })
    const { versions, parts, uploads } = counts
    for (const { counted, eraseRefusal } of bucketContents()) {
      const values = inContents.get(counted) ?? 0
      if (values > 0) throw fail("conflict", { message: eraseRefusal(values), ...counts })
    }
    if (versions + parts + uploads === 0) return
    throw fail("conflict", {
      message:
        `${versions} versions, ${parts} parts and ${uploads} uploads of the bucket are not encrypted, and would stay ` +
        "readable on disks: delete them, or copy the objects onto themselves with encryption and delete the versions before",
      ...counts,
    })
  }

  /** Refuses writes from now on. Throws `noSuchBucket`, `bucketClosing`, `objectLocked`. */
  close(id: BucketId): Promise<void> {
    return this.metadata.run(closeForErasure(id))
  }

  reopen(id: BucketId): Promise<void> {
    return this.metadata.run(openBucket(id))
  }

  /** Destroys the secret of a closed bucket. `newest`: an epoch key that never sealed it. Throws `conflict` otherwise. */
  erase(id: BucketId, newest: number): Promise<void> {
    return this.metadata.run(eraseBucket(id, newest))
  }

  async underWay(): Promise<readonly BucketErasure[]> {
    return this.metadata.ask(bucketErasures())
  }

  /**
   * Returns true if the bucket is gone, and its secret was destroyed before. Throws `noSuchBucket` if there never was
   * one.
   */
  async isErased(id: BucketId): Promise<boolean> {
    const trace = await this.metadata.ask(traceOfBucket(id))
    if (trace === "never") throw fail("noSuchBucket", { bucketId: id })
    return trace === "erased"
  }

  /** No secret is sealed under keys of epochs up to this one once all are sealed again; undefined: none was destroyed. */
  async erasedEpochs(): Promise<number | undefined> {
    return this.metadata.ask(erasedEpochs())
  }

  /** Removes some rows of an erased bucket; their bytes follow. Returns false if there were none. */
  async removeSome(id: BucketId): Promise<boolean> {
    const { uploads, keys } = await this.metadata.ask(leftoversOf(id, ERASING_LIMITS.removedPerStep))
    for (const address of uploads) {
      await endUploadBy(this.metadata, address, frozen => dropErasedUpload(address, frozen))
    }
    const clockMs = this.storeClock.nowMs()
    for (const key of keys) await this.metadata.run(dropErasedKey(id, key, clockMs))
    if (uploads.length + keys.length > 0) return true
    for (const { erase } of this.features) if ((await erase?.(id)) === true) return true
    return false
  }

  /** Drops the row of an erased bucket: the erasure is complete. Throws `bucketNotEmpty`. */
  async end(id: BucketId): Promise<void> {
    await this.metadata.run(dropErasedBucket(id))
    await removeKeysOf(this.metadata, id)
    await removeContentsOf(this.metadata, id)
  }
}
