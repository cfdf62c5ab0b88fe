/**
 * Parts of an upload in a bucket with deduplication, when it is completed: those whose blocks are all known, one behind the
 * other, refer to the bytes of other objects, and their own are removed like those of any part that is not used. See
 * decision 87.
 *
 * Limits  DEDUP_LIMITS: beyond them parts keep their bytes.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { countOfDigests, splitDigests } from "@hayloft/engine/format/objects/dedup-rows.js"
import type { PartRecord, ReferringPart, SegmentRecord, UploadedPart } from "@hayloft/engine/format/records.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { FrozenUpload, SharedSegments } from "@hayloft/objects/door/index.js"
import { DEDUP_LIMITS, findKnownParts, type KnownRun, type NewDigests } from "./dedup-commands-core.js"
import { digestRows } from "./body-blocks.js"
import { putPartDigests, putSharedSegment } from "./parts-commands-core.js"

export interface SharingUpload extends FrozenUpload {
  /** Shorter parts are found only behind others. */
  readonly shortBytes: number
}

interface PartsToShare extends Pick<SharingUpload, "shortBytes"> {
  readonly bucketId: BucketId
  readonly storageClass: StorageClass
  /** All parts of the object. */
  readonly uploadedParts: number
}

/** A segment, with everything that the write of its row needs. */
interface SharedSegment {
  readonly segment: SegmentRecord
  readonly reliesOn: readonly RowKey[]
  readonly digests: readonly NewDigests[]
}

type OwnSegment = SegmentRecord & { readonly parts: readonly UploadedPart[] }

/** The segments of an upload that is completed in a bucket with deduplication. */
export class UploadSegments implements SharedSegments {
  private readonly sharing: PartsToShare

  constructor(
    private readonly metadata: Pick<Metadata, "ask" | "run">,
    private readonly upload: SharingUpload,
    uploadedParts: number,
    readonly completed: SharedSegments["completed"],
  ) {
    const { address, shortBytes } = upload
    const { storageClass = "STANDARD" } = upload.upload
    this.sharing = { bucketId: address.bucketId, storageClass, uploadedParts, shortBytes }
  }

  async put(number: number, segment: OwnSegment): Promise<SegmentRecord> {
    try {
      return await this.write(number, await shareParts(this.metadata, this.sharing, segment))
    } catch (error) {
      if (!isFailure(error, "conflict")) throw error
      // The referenced bytes are being deleted by now: the parts have their own bytes.
      return this.write(number, sharedSegmentOf(this.sharing, segment, []))
    }
  }

  private async write(number: number, { segment, reliesOn, digests }: SharedSegment): Promise<SegmentRecord> {
    const { address, completion } = this.upload
    const { storageClass } = this.sharing
    const { digestRowsAtOnce } = DEDUP_LIMITS
    const written = { number, segment, storageClass, reliesOn, digests: digests.slice(0, digestRowsAtOnce) }
    await this.metadata.run(putSharedSegment(address, completion, written))
    for (let at = digestRowsAtOnce; at < digests.length; at += digestRowsAtOnce)
      await this.metadata.run(putPartDigests(address, completion, digests.slice(at, at + digestRowsAtOnce)))
    return segment
  }
}

/** Looks for the parts of a segment. */
async function shareParts(
  metadata: Pick<Metadata, "ask">,
  upload: PartsToShare,
  segment: OwnSegment,
): Promise<SharedSegment> {
  const { bucketId, storageClass, shortBytes } = upload
  const found: (KnownRun | undefined)[] = []
  for (const group of groupsOf(segment.parts)) {
    const parts = group.map(wantedOf)
    const follows = placeBehind(found.at(-1))
    found.push(...(await metadata.ask(findKnownParts({ bucketId, storageClass, shortBytes, parts, follows }))))
  }
  return sharedSegmentOf(upload, segment, found)
}

const placeBehind = (run: KnownRun | undefined) =>
  run && { key: run.key, multipartId: run.multipartId, offsetBytes: run.offsetBytes + run.lengthBytes }

const wantedOf = ({ digests, extent: { blockBytes, lengthBytes } }: UploadedPart) => ({
  digests: digests === undefined ? [] : splitDigests(digests),
  blockBytes,
  lengthBytes,
})

/** Groups of parts, each for one query. */
function groupsOf(parts: readonly UploadedPart[]): UploadedPart[][] {
  const groups: UploadedPart[][] = []
  let blocks = 0
  for (const part of parts) {
    const ofPart = part.digests === undefined ? 0 : countOfDigests(part.digests)
    blocks += ofPart
    const last = groups.at(-1)
    if (last !== undefined && blocks <= DEDUP_LIMITS.blocksPerQuery) last.push(part)
    else {
      groups.push([part])
      blocks = ofPart
    }
  }
  return groups
}

/** `found`: for each part of the segment, the run of its bytes if that is known. */
function sharedSegmentOf(
  upload: PartsToShare,
  { offsetBytes, parts }: OwnSegment,
  found: readonly (KnownRun | undefined)[],
): SharedSegment {
  const reliesOn = new Set<RowKey>()
  const own: UploadedPart[] = []
  const referring: ReferringPart[] = []
  const digests: NewDigests[] = []
  let at = offsetBytes
  for (const [i, part] of parts.entries()) {
    const run = found[i]
    if (run !== undefined && mayRelyOn(reliesOn, run)) referring.push(referringPartOf(part, run))
    else {
      own.push(part)
      addDigests(upload, digests, at, part)
    }
    at += part.extent.lengthBytes
  }
  const segment: SegmentRecord = { offsetBytes, parts: own, ...(referring.length > 0 && { referring }) }
  return { segment, reliesOn: [...reliesOn], digests }
}

/** Adds the rows, unless there were too many. */
function mayRelyOn(reliesOn: Set<RowKey>, run: KnownRun): boolean {
  const further = run.reliesOn.filter(rowKey => !reliesOn.has(rowKey))
  if (reliesOn.size + further.length > DEDUP_LIMITS.reliedOnOfSegment) return false
  for (const rowKey of further) reliesOn.add(rowKey)
  return true
}

function referringPartOf(part: PartRecord, { reliesOn: _, ...source }: KnownRun): ReferringPart {
  const { partNumber, md5, modifiedMs, checksumValue } = part
  return { partNumber, md5, modifiedMs, checksumValue, source }
}

/** Adds the digests of a part to those of the part before it, if they are neighbours. */
function addDigests(upload: PartsToShare, rows: NewDigests[], offsetBytes: number, part: UploadedPart): void {
  if (part.digests === undefined) return
  const digests = splitDigests(part.digests)
  const { blockBytes, lengthBytes } = part.extent
  const last = rows.at(-1)
  const isNext =
    last?.record.blockBytes === blockBytes &&
    last.record.lengthBytes % blockBytes === 0 &&
    last.offsetBytes + last.record.lengthBytes === offsetBytes &&
    last.record.digests.length + digests.length <= DEDUP_LIMITS.digestsPerRow
  if (last === undefined || !isNext) {
    const { storageClass, uploadedParts } = upload
    rows.push(...digestRows({ storageClass, uploadedParts, blockBytes }, offsetBytes, { digests, lengthBytes }))
    return
  }
  const { record } = last
  const both = { lengthBytes: record.lengthBytes + lengthBytes, digests: [...record.digests, ...digests] }
  rows[rows.length - 1] = { ...last, record: { ...record, ...both } }
}
