/**
 * Deduplication of a bucket that has opted in: blocks that it has already are referenced instead of written. See decision 87.
 *
 * Promises  Before a bucket opts in, the devices refuse earlier releases, which do not know parts that refer to others.
 *           Digests of blocks say nothing outside of their bucket: they have a key that derives from the bucket's secret.
 * Refuses   `invalidRequest` where bytes are encrypted: equal ones are stored differently then.
 */
import { concatBytes } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { BucketId, RowKey, UploadId } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { blockCount, type Extent } from "@hayloft/engine/format/needles/extent.js"
import type { UploadedPart } from "@hayloft/engine/format/records.js"
import type { ObjectKeys } from "@hayloft/access/keys/contract.js"
import { multipartIdOf, RANDOM_BYTES } from "@hayloft/engine/format/objects/version-id.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { BodySharing, Bucket, NewBody, SharedPart, SharedSegments } from "@hayloft/objects/door/index.js"
import { type SegmentsName, segmentsOf, setSetting, type Stored } from "@hayloft/objects/door/rows.js"
import {
  DEDUP_LIMITS,
  digestRowsOf,
  findKnownBlock,
  indexBlocks,
  indexedAtOnce,
  putDeduplicated,
  type DigestRows,
} from "./dedup-commands-core.js"
import { DedupMetrics } from "./dedup-metrics.js"
import { BodyBlocks, lastOffsetOf, type BodyPieces, type NewShared } from "./body-blocks.js"
import { UploadSegments, type SharingUpload } from "./shared-parts.js"
import { walkPages } from "@hayloft/base/walk-pages.js"

interface DedupSeams {
  readonly clock: Pick<Clock, "wallMs">
  readonly random: Random
  readonly metadata: Metadata
  readonly keys: Pick<ObjectKeys, "digestKey">
  readonly encryptsAtRest: boolean
}

export class Dedup implements BodySharing {
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
    const make = (put: NewShared, pieces: BodyPieces) => this.make(put, pieces)
    return key && new BodyBlocks({ ...body, bucketId: bucket.id, key, find, make })
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

  ofUpload(bucket: Bucket, upload: SharingUpload, parts: readonly UploadedPart[]): SharedSegments | undefined {
    if (!bucket.settings.includes("dedup") || !parts.some(part => part.digests)) return undefined
    const { bucketId, key, multipartId } = upload.address
    return new UploadSegments(this.seams.metadata, upload, parts.length, async (sizeBytes, sources) => {
      this.metrics.note(sizeBytes, sources)
      await this.index(bucketId, { key, multipartId })
    })
  }

  /**
   * Makes a version of blocks of others and of its own. Throws as `putVersion`; `tooManyInFlight` if blocks that were found
   * are being deleted by now: the body is gone, and the request must be repeated.
   */
  private async make(put: NewShared, pieces: BodyPieces): Promise<Stored> {
    const { metadata, clock, random } = this.seams
    const multipartId = multipartIdOf(clock.wallMs() * 1000, random.bytes(RANDOM_BYTES))
    const { segments, digests } = pieces
    const sources = segments.flatMap(segment => (segment.kind === "source" ? [segment.source] : []))
    const hasSources = sources.length > 0
    const byOffset = { lastOffset: lastOffsetOf(segments), uploadedParts: 0, ...(hasSources && { hasSources }) }
    const version = { ...put.version, content: segmentsOf(multipartId, byOffset) }
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
   * only not found; `dedup verify` adds them.
   */
  private async index(bucketId: BucketId, name: SegmentsName): Promise<void> {
    try {
      await this.indexAll(bucketId, name)
    } catch (error) {
      if (!isFailure(error)) throw error
    }
  }

  private async indexAll(bucketId: BucketId, name: SegmentsName): Promise<void> {
    const { metadata } = this.seams
    const pages = walkPages<RowKey | undefined, DigestRows>(undefined, from =>
      metadata.ask(digestRowsOf(bucketId, name, from)),
    )
    for await (const { rows } of pages) if (rows.length > 0) await metadata.run(indexBlocks(bucketId, rows))
  }
}

/** The digests of the blocks of a part, all of which are written. */
class PartBlocks implements SharedPart {
  readonly kind = "part"
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
  ofExtent(extent: Extent): Uint8Array | undefined {
    const isWhole = this.digests.length === blockCount(extent)
    return isWhole && this.digests.length > 0 ? concatBytes(this.digests) : undefined
  }
}
