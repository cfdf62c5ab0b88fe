/**
 * Deduplication of a bucket that has opted in: blocks that it has already are referenced instead of written. See decision 87.
 *
 * Promises  Before a bucket opts in, the devices refuse earlier releases, which do not know parts that refer to others.
 *           Digests of blocks say nothing outside of their bucket: they have a key that derives from the bucket's secret.
 * Refuses   `invalidRequest` where bytes are encrypted: equal ones are stored differently then.
 */
import { concatBytes } from "../base/bytes.js"
import { fail, isFailure } from "../base/failures.js"
import type { BucketId, RowKey, UploadId } from "../base/ids.js"
import { asPromise } from "../base/soon.js"
import type { StorageClass } from "../base/storage-class.js"
import type { KnownBlocks } from "../block/index.js"
import { blockCount, type Extent } from "../format/extent.js"
import type { ObjectKeys, Protection } from "../keys/contract.js"
import { multipartIdOf, RANDOM_BYTES } from "../format/version-id.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Random } from "../seams/random/contract.js"
import type { Metrics } from "../seams/telemetry/contract.js"
import type { Metadata } from "../metadata/index.js"
import { setSetting } from "./commands/bucket-commands-core.js"
import { segmentsOf } from "./commands/append-commands-core.js"
import {
  DEDUP_LIMITS,
  digestRowsOf,
  findKnownBlock,
  indexBlocks,
  indexedAtOnce,
  putDeduplicated,
  type PutDeduplicated,
} from "./commands/dedup-commands-core.js"
import type { Stored } from "./commands/version-commands-core.js"
import type { Bucket } from "./contract.js"
import type { SegmentsName } from "./queries/manifest-core.js"
import { DedupMetrics } from "./dedup-metrics.js"
import { BodyBlocks, lastOffsetOf, type BodyPieces } from "./dedup-body.js"

interface DedupSeams {
  readonly clock: Pick<Clock, "wallMs">
  readonly random: Random
  readonly metadata: Metadata
  readonly keys: Pick<ObjectKeys, "digestKey">
  readonly encryptsAtRest: boolean
}

interface NewBody {
  readonly bucket: Bucket
  readonly storageClass: StorageClass
  readonly blockBytes: number
  /** Shorter bodies are not deduplicated. */
  readonly shortBytes: number
  nextUpload(): UploadId
}

export class Dedup {
  readonly metrics: DedupMetrics

  constructor(
    private readonly seams: DedupSeams,
    metrics: Metrics,
    /** Resolves once the devices refuse releases that do not know the rows of deduplication. */
    private readonly prepare: () => Promise<void>,
  ) {
    this.metrics = new DedupMetrics(metrics)
  }

  /** Switches deduplication of new objects of the bucket on or off. Throws `noSuchBucket`, and for refused settings. */
  async setDedup(bucket: Pick<Bucket, "id">, isOn: boolean): Promise<void> {
    const { metadata, encryptsAtRest } = this.seams
    if (isOn && encryptsAtRest)
      throw fail("invalidRequest", {
        message:
          "the store encrypts all bytes (--encrypt-at-rest), and encrypted bytes are never equal: none of its buckets can be deduplicated",
      })
    if (isOn) await this.prepare()
    await metadata.run(setSetting(bucket.id, "dedup", isOn ? "{}" : undefined))
  }

  /** The blocks for a body of an object; undefined if its bucket is not deduplicated, or the key is out of reach. */
  async ofBody({ bucket, ...body }: NewBody): Promise<BodyBlocks | undefined> {
    const key = await this.keyOf(bucket, body.storageClass)
    const find = (wanted: Parameters<typeof findKnownBlock>[0]) => this.seams.metadata.ask(findKnownBlock(wanted))
    return key && new BodyBlocks({ ...body, bucketId: bucket.id, key, find })
  }

  /** The blocks for a body that becomes a part of an upload. */
  async ofPart({ bucket, storageClass }: Pick<NewBody, "bucket" | "storageClass">): Promise<PartBlocks | undefined> {
    const key = await this.keyOf(bucket, storageClass)
    return key && new PartBlocks(key)
  }

  private async keyOf({ id, settings }: Bucket, storageClass: StorageClass): Promise<Uint8Array | undefined> {
    if (!settings.includes("dedup")) return undefined
    try {
      return await asPromise(() => this.seams.keys.digestKey(id, storageClass))
    } catch (error) {
      // Without the key, blocks are written as in any other bucket.
      if (isFailure(error, "keysUnavailable")) return undefined
      throw error
    }
  }

  /**
   * Makes a version of blocks of others and of its own. Throws as `putVersion`; `tooManyInFlight` if blocks that were found
   * are being deleted by now: the body is gone, and the request must be repeated.
   */
  async put(put: Omit<PutDeduplicated, keyof BodyPieces | "multipartId">, pieces: BodyPieces): Promise<Stored> {
    const { metadata, clock, random } = this.seams
    const multipartId = multipartIdOf(clock.wallMs() * 1000, random.bytes(RANDOM_BYTES))
    const { segments, digests } = pieces
    const sources = segments.flatMap(segment => (segment.kind === "source" ? [segment.source] : []))
    const hasSources = sources.length > 0
    const appended = { lastOffset: lastOffsetOf(segments), uploadedParts: 0, ...(hasSources && { hasSources }) }
    const version = { ...put.version, content: segmentsOf(multipartId, appended) }
    try {
      const stored = await metadata.run(putDeduplicated({ ...put, version, multipartId, ...pieces }))
      this.metrics.note(put.version.sizeBytes, sources)
      if (indexedAtOnce(digests) < digests.length) await this.index(put.bucketId, { key: put.key, multipartId })
      return stored
    } catch (error) {
      if (!isFailure(error, "conflict")) throw error
      throw fail(
        "tooManyInFlight",
        { message: "blocks that the object shares are being deleted: repeat the request" },
        error,
      )
    }
  }

  /**
   * Adds the blocks of segments to the index. Throws no failure: the object is made, and blocks that are not in the index are
   * only not found; `dedup rebuild` adds them.
   */
  async index(bucketId: BucketId, name: SegmentsName): Promise<void> {
    try {
      await this.indexAll(bucketId, name)
    } catch (error) {
      if (!isFailure(error)) throw error
    }
  }

  private async indexAll(bucketId: BucketId, name: SegmentsName): Promise<void> {
    const { metadata } = this.seams
    for (let from: RowKey | undefined, isFirst = true; isFirst || from !== undefined; isFirst = false) {
      const page: { readonly rows: readonly RowKey[]; readonly next: RowKey | undefined } = await metadata.ask(
        digestRowsOf(bucketId, name, from),
      )
      if (page.rows.length > 0) await metadata.run(indexBlocks(bucketId, page.rows))
      from = page.next
    }
  }
}

/** The digests of the blocks of a part, all of which are written. */
export class PartBlocks implements KnownBlocks {
  readonly blocksMax = DEDUP_LIMITS.digestsOfPart
  private readonly digests: Uint8Array[] = []

  constructor(readonly key: Uint8Array) {}

  isKnown(digest: Uint8Array): boolean {
    this.digests.push(digest)
    return false
  }

  nextUpload(): UploadId {
    throw fail("internal", { reason: "all blocks of a part are written" })
  }

  /** The digests of all blocks of the part; undefined if there are too many. */
  ofExtent({ kind, extent }: { readonly kind: string; readonly extent?: Extent }): Uint8Array | undefined {
    const isWhole = kind === "extent" && extent !== undefined && this.digests.length === blockCount(extent)
    return isWhole && this.digests.length > 0 ? concatBytes(this.digests) : undefined
  }
}

/**
 * Equal bytes that are encrypted are stored differently, so a bucket with deduplication takes none. Throws `invalidRequest`.
 */
export function refuseEncryption({ settings }: Pick<Bucket, "settings">, asked: Protection | undefined): void {
  if (asked === undefined || asked.mode === "atRest" || !settings.includes("dedup")) return
  throw fail("invalidRequest", {
    message:
      "the bucket is deduplicated (its setting dedup), and encrypted bytes are never equal: it takes no encrypted objects",
  })
}
