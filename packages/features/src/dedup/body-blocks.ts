/**
 * The blocks of one body in a bucket with deduplication: the known ones, and the pieces of the final object. See
 * decision 87.
 *
 * Promises  Decisions depend on the blocks before. Neighbours in the same segments are one source.
 * Limits    DEDUP_LIMITS: beyond them blocks are written.
 */
import { must } from "@hayloft/base/assert.js"
import type { BucketId, RowKey, UploadId } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { WrittenRun } from "@hayloft/engine/block/index.js"
import type { SegmentSource } from "@hayloft/engine/format/records.js"
import type { SharedBody } from "@hayloft/objects/door/index.js"
import type { Stored } from "@hayloft/objects/door/rows.js"
import {
  DEDUP_LIMITS,
  type KnownBlock,
  type NewDigests,
  type NewSegment,
  type PutDeduplicated,
  type WantedBlock,
} from "./dedup-commands-core.js"

interface BodySettings {
  readonly bucketId: BucketId
  readonly storageClass: StorageClass
  /** The key of the digests. */
  readonly key: Uint8Array
  readonly blockBytes: number
  /** Shorter blocks are found only behind others. */
  readonly shortBytes: number
  find(wanted: WantedBlock): Soon<KnownBlock | undefined>
  nextUpload(): UploadId
  /** Makes the version, and throws as `SharedBody.put` does. */
  make(put: NewShared, pieces: BodyPieces): Promise<Stored>
}

/** A version of shared blocks, without its pieces. */
export type NewShared = Omit<PutDeduplicated, keyof BodyPieces | "multipartId">

/** Known blocks that are one source. */
interface SourceRun {
  readonly firstBlock: number
  readonly source: SegmentSource
}

/** The pieces of an object: its segments with their digests, and the rows that they rely on. */
export interface BodyPieces {
  readonly segments: readonly NewSegment[]
  readonly reliesOn: readonly RowKey[]
  readonly digests: readonly NewDigests[]
}

export class BodyBlocks implements SharedBody {
  readonly kind = "body"
  readonly key: Uint8Array
  readonly blocksMax = DEDUP_LIMITS.digestsOfBody
  readonly uploads: UploadId[] = []
  private readonly digests: Uint8Array[] = []
  private readonly sources: SourceRun[] = []
  private readonly reliesOn = new Set<RowKey>()
  private runs = 0
  private last: "written" | "known" | undefined

  constructor(private readonly settings: BodySettings) {
    this.key = settings.key
  }

  isKnown(digest: Uint8Array, block: number, lengthBytes: number): Soon<boolean> {
    this.digests.push(digest)
    if (this.runs >= DEDUP_LIMITS.runsMax) return this.note(undefined, block)
    const { bucketId, storageClass, shortBytes } = this.settings
    const last = this.last === "known" ? this.sources.at(-1)?.source : undefined
    const follows = last && {
      key: last.key,
      multipartId: last.multipartId,
      offsetBytes: last.offsetBytes + last.lengthBytes,
    }
    const isShort = lengthBytes < shortBytes
    if (isShort && follows === undefined) return this.note(undefined, block)
    const wanted = { bucketId, storageClass, digest, lengthBytes, follows, isShort }
    return after(this.settings.find(wanted), found => this.note(found, block))
  }

  nextUpload(): UploadId {
    const uploadId = this.settings.nextUpload()
    this.uploads.push(uploadId)
    return uploadId
  }

  /** Returns whether the block is known. */
  private note(found: KnownBlock | undefined, block: number): boolean {
    const isKnown = found !== undefined && this.mayRelyOn(found.reliesOn)
    if (!isKnown) {
      if (this.last !== "written") this.runs += 1
      this.last = "written"
      return false
    }
    this.reliesOn.add(found.reliesOn)
    const { key, multipartId, uploadedParts, offsetBytes, lengthBytes } = found
    const before = this.last === "known" ? this.sources.at(-1) : undefined
    const isNext =
      before?.source.key === key &&
      before.source.multipartId === multipartId &&
      before.source.offsetBytes + before.source.lengthBytes === offsetBytes
    if (before !== undefined && isNext) {
      const { firstBlock, source } = before
      this.sources[this.sources.length - 1] = {
        firstBlock,
        source: { ...source, lengthBytes: source.lengthBytes + lengthBytes },
      }
    } else {
      this.runs += 1
      this.sources.push({ firstBlock: block, source: { key, multipartId, uploadedParts, offsetBytes, lengthBytes } })
    }
    this.last = "known"
    return true
  }

  private mayRelyOn(rowKey: RowKey): boolean {
    return this.reliesOn.has(rowKey) || this.reliesOn.size < DEDUP_LIMITS.reliedOnMax
  }

  put(put: NewShared, written: readonly WrittenRun[]): Promise<Stored> {
    return this.settings.make(put, this.pieces(written))
  }

  /** The pieces of a body that was written. */
  pieces(written: readonly WrittenRun[]): BodyPieces {
    const { blockBytes } = this.settings
    const own = written.map(({ firstBlock, extent }): NewSegment => ({
      kind: "own",
      offsetBytes: firstBlock * blockBytes,
      extent,
    }))
    const known = this.sources.map(({ firstBlock, source }): NewSegment => ({
      kind: "source",
      offsetBytes: firstBlock * blockBytes,
      source,
    }))
    return {
      segments: [...own, ...known].sort((a, b) => a.offsetBytes - b.offsetBytes),
      reliesOn: [...this.reliesOn],
      digests: written.flatMap(run => this.digestsOfRun(run)),
    }
  }

  private digestsOfRun({ firstBlock, extent }: WrittenRun): readonly NewDigests[] {
    const { blockBytes, storageClass } = this.settings
    const blocks = Math.ceil(extent.lengthBytes / blockBytes)
    const digests = this.digests.slice(firstBlock, firstBlock + blocks)
    return digestRows({ storageClass, uploadedParts: 0, blockBytes }, firstBlock * blockBytes, {
      digests,
      lengthBytes: Math.min(extent.lengthBytes, digests.length * blockBytes),
    })
  }
}

/** Digests of neighbouring blocks as rows. */
export function digestRows(
  of: { readonly storageClass: StorageClass; readonly uploadedParts: number; readonly blockBytes: number },
  offsetBytes: number,
  { digests, lengthBytes }: { readonly digests: readonly Uint8Array[]; readonly lengthBytes: number },
): readonly NewDigests[] {
  const { digestsPerRow } = DEDUP_LIMITS
  const rows: NewDigests[] = []
  for (let at = 0; at < digests.length; at += digestsPerRow) {
    const [from, to] = [at * of.blockBytes, Math.min((at + digestsPerRow) * of.blockBytes, lengthBytes)]
    const record = { ...of, lengthBytes: to - from, digests: digests.slice(at, at + digestsPerRow) }
    rows.push({ offsetBytes: offsetBytes + from, record })
  }
  return rows
}

/** The offset of the last segment of an object. Throws if it has none. */
export const lastOffsetOf = (segments: readonly NewSegment[]): number =>
  must(segments.at(-1), "the object has bytes").offsetBytes
