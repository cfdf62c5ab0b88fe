/**
 * Packer: reads versions, writes them one behind the other as one block, and makes them reference it.
 *
 * Promises  A version that has changed since it was read is neither in the pack nor in its directory, unless it changes while
 *           the directory is written. A version has whole bytes at any moment. An interruption leaves unreferenced needles, which are removed like those
 *           of any upload. Bytes that readers still use stay until those have ended.
 * Limits    `PACKER_LIMITS`, and those of `PACK_LIMITS`.
 */
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { bytesOfHex, equalBytes } from "@hayloft/base/bytes.js"
import { owned } from "@hayloft/base/memory/lent.js"
import { MIB, PACKED_PART, WHOLE_BYTES_MAX } from "@hayloft/base/limits.js"
import type { MultipartId } from "@hayloft/base/ids.js"
import { NEVER } from "@hayloft/base/never.js"
import { streamOf } from "@hayloft/base/memory/pieces.js"
import { shardCount, shardsNeeded } from "@hayloft/base/policy.js"
import { lacksSpace } from "@hayloft/base/space/full-disk-core.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import {
  encodePackDirectory,
  idOfVersion,
  packDirectoryBytesMax,
  type PackedCounts,
  type PackEntry,
} from "@hayloft/engine/format/objects/packing-rows.js"
import { encodeRecoveryHeader } from "@hayloft/engine/format/needles/recovery-header.js"
import type { BucketRecord } from "@hayloft/engine/format/records.js"
import { multipartIdOf, RANDOM_BYTES } from "@hayloft/engine/format/objects/version-id.js"
import type { VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import { query } from "@hayloft/engine/metadata/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Core, Ingest, RateBound, ReadPin, ReadPins } from "@hayloft/objects/door/index.js"
import { extentsOfSegment, headersOf, manifestOf, segmentsOfRange } from "@hayloft/objects/door/rows.js"
import type { PackingCandidate } from "./candidates-core.js"
import { layoutPack } from "./layout-core.js"
import { NOTHING_PACKED, PACK_LIMITS, packVersions, type BytesBefore, type PackedObject } from "./pack-commands-core.js"

export const PACKER_LIMITS = {
  /** The limit is for one pack: so much is kept in memory for each storage class. */
  packBytesMax: 4 * MIB,
} as const

/** Longer objects are not packed: several fit in a block, with the directory. */
export const packableBytesMax = (blockBytes: number): number => Math.min(WHOLE_BYTES_MAX, Math.floor(blockBytes / 8))

/** A version with its bytes. */
export interface HeldObject {
  readonly candidate: PackingCandidate
  readonly bytes: Uint8Array
}

export interface PackerSeams extends Pick<Core, "clock" | "metadata" | "blocks" | "log"> {
  readonly pins: ReadPins
  readonly ingest: Ingest
  readonly random: Random
}

type ReadVersion = Pick<PackingCandidate, "family" | "rowKey" | "row">

/** Which of these versions are as they were when they were read. */
export const areUnchanged = query("PackingUnchanged", (view, read: readonly ReadVersion[]): readonly boolean[] =>
  read.map(({ family, rowKey, row }) => {
    const now = view.get(family, rowKey)
    return now !== undefined && equalBytes(now.value, row.value)
  }),
)

export class Packer {
  constructor(
    private readonly seams: PackerSeams,
    private readonly bound: RateBound,
  ) {}

  /** The bytes of a version; undefined: they cannot be read, or have changed. */
  async read(
    bucket: Pick<BucketRecord, "id">,
    candidate: PackingCandidate,
    pin: ReadPin,
  ): Promise<HeldObject | undefined> {
    const { metadata, log } = this.seams
    const { family, rowKey, row, record } = candidate
    try {
      const bytes =
        record.content.kind === "inline"
          ? await owned(metadata.payload(family, rowKey, row))
          : await this.readBlocks(bucket, candidate, pin)
      // The row may have changed since it was read.
      return bytes?.length === record.head.sizeBytes ? { candidate, bytes } : undefined
    } catch (error) {
      if (!isFailure(error)) throw error
      log.debug("packing_unreadable", { bucket_id: bucket.id, reason: error.message })
      return undefined
    }
  }

  private async readBlocks(
    bucket: Pick<BucketRecord, "id">,
    { key, record }: PackingCandidate,
    pin: ReadPin,
  ): Promise<Uint8Array> {
    const { blocks, metadata } = this.seams
    const { head, content } = record
    const pieces: Uint8Array[] = []
    const take = async (ranges: Parameters<typeof blocks.read>[0]): Promise<void> => {
      for await (const bytes of streamOf(blocks.read(ranges, NEVER, "caller"))) {
        pin.progress()
        pieces.push(bytes)
      }
    }
    if (content.kind === "extent") await take({ extent: content.extent, offsetBytes: 0, lengthBytes: head.sizeBytes })
    const manifest = manifestOf(bucket.id, key, record)
    const whole = { first: 0, lengthBytes: head.sizeBytes }
    if (manifest !== undefined)
      for await (const { segment, ownOffsetBytes, lengthBytes } of segmentsOfRange(metadata, manifest, whole))
        await take(extentsOfSegment(segment, ownOffsetBytes, lengthBytes))
    return Buffer.concat(pieces)
  }

  /**
   * Packs versions of one class. Returns what was packed, and those for which the pack had no room; nothing is packed if too
   * many of them have changed, which leaves the others, if the first has changed while the bytes were written, or if those
   * could not be written, which is the failure; a lack of space leaves all that have not changed.
   */
  async pack(
    bucket: BucketRecord,
    storageClass: StorageClass,
    held: readonly HeldObject[],
  ): Promise<{ readonly packed: PackedCounts; readonly left: readonly HeldObject[]; readonly failure?: Failure }> {
    const { clock, ingest, metadata, log } = this.seams
    const policy = await ingest.policyFor(bucket.id, storageClass)
    const unchanged = await metadata.ask(areUnchanged(held.map(({ candidate }) => candidate)))
    const kept = held.filter((_, i) => unchanged[i])
    const isLess = kept.length < held.length && kept.length < PACK_LIMITS.objectsMin
    if (isLess || kept.length === 0) return { packed: NOTHING_PACKED, left: kept }
    const planned = this.plan(bucket, kept, shardsNeeded(policy))
    const { objects, body, left } = planned
    const key = must(objects[0], "a pack has objects").key
    const multipartId = this.newId(clock.wallMs() * 1000)
    try {
      const packed = await ingest.run(
        {
          bucket,
          key,
          part: PACKED_PART,
          multipartId,
          inlineBytesMax: 0,
          client: { signal: NEVER },
          storageClass,
          body: {
            lengthBytes: body.length,
            gather: () => undefined,
            declaredChecksum: () => undefined,
            async *open() {
              yield await Promise.resolve(body)
            },
          },
          checksumAlgorithm: undefined,
          contentType: "",
          userMetadata: [],
          isMoved: true,
        },
        async ({ content, hints }) => {
          const { extent } = must(content.kind === "extent" ? content : undefined, "a pack is in blocks")
          this.bound.spend((body.length * shardCount(policy)) / shardsNeeded(policy), clock.monotonicMs())
          const pack = { bucketId: bucket.id, key, multipartId, storageClass, extent, objects, hints }
          return metadata.run(packVersions(pack))
        },
      )
      return { packed, left }
    } catch (error) {
      if (!isFailure(error)) throw error
      log.debug("pack_not_made", { bucket: bucket.name, reason: error.message })
      // A client that was faster is no failure: the next pass takes those that are as they were.
      const failure = error.kind === "conflict" ? undefined : error
      return { packed: NOTHING_PACKED, left: lacksSpace(error) ? kept : [], ...(failure && { failure }) }
    }
  }

  /** Plans a pack of as many objects as fit in one block, at least one. */
  private plan(bucket: BucketRecord, held: readonly HeldObject[], shards: number) {
    const { blockBytes } = this.seams.ingest
    const all = held
      .slice(0, PACK_LIMITS.objectsMax)
      .map(each => entryOf(bucket, each, this.newId(each.candidate.record.head.order)))
    for (let count = all.length; count > 0; count -= 1) {
      const [taken, entries] = [held.slice(0, count), all.slice(0, count)]
      const reserveBytes = packDirectoryBytesMax(entries)
      const sizes = taken.map(({ bytes }) => bytes.length)
      const layout = layoutPack(sizes, { shards, blockBytes, reserveBytes })
      if (layout === undefined) continue
      const placed = entries.map((entry, i) => ({ ...entry, offsetBytes: must(layout.offsets[i], "each has a place") }))
      const body = Buffer.alloc(layout.lengthBytes)
      taken.forEach(({ bytes }, i) => body.set(bytes, layout.offsets[i]))
      const directory = encodePackDirectory(placed)
      body.set(directory, body.length - directory.length)
      const objects = taken.map(({ candidate }, i) => this.objectOf(candidate, must(placed[i], "each has a place")))
      return { objects, body, left: held.slice(count) }
    }
    throw fail("internal", { reason: "an object does not fit in a block" })
  }

  private objectOf({ key, record }: PackingCandidate, { segments, offsetBytes, lengthBytes }: PackEntry): PackedObject {
    const { order, random } = record.head
    const before = bytesBeforeOf(record)
    return { key, order, random, before, multipartId: segments, offsetBytes, lengthBytes }
  }

  /** The order of the version whose segments get the id: `versionOfSegments` looks there first. */
  private newId(order: number): MultipartId {
    return multipartIdOf(order, this.seams.random.bytes(RANDOM_BYTES))
  }
}

/** The place of the object is not known yet. */
function entryOf({ name }: BucketRecord, { candidate, bytes }: HeldObject, segments: MultipartId): PackEntry {
  const { key, record, details } = candidate
  const { lock, head, content } = record
  const { contentType = "" } = headersOf(details)
  const { userMetadata } = details
  const { storageClass, sizeBytes: plannedLengthBytes } = head
  const header = { bucket: name, contentType, userMetadata, plannedLengthBytes, multipartId: "" }
  const more = { ...(lock && { lock }), ...(storageClass !== "STANDARD" && { storageClass }) }
  const recoveryHeader = encodeRecoveryHeader({ ...header, ...more })
  const upload = content.kind === "extent" ? bytesOfHex(content.extent.uploadId) : undefined
  const place = { offsetBytes: 0, lengthBytes: bytes.length }
  return { key, version: idOfVersion(head), upload, segments, ...place, recoveryHeader }
}

function bytesBeforeOf({ content }: VersionRecord): BytesBefore {
  if (content.kind === "extent") return { kind: "extent", uploadId: content.extent.uploadId }
  return content.kind === "segments" ? { kind: "segments", multipartId: content.multipartId } : { kind: "inline" }
}
