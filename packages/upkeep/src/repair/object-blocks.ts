/**
 * The blocks of an object, for people who look for its shards: which block has which bytes. Reads rows, and no block.
 *
 * Limits  BLOCKS_MAX in a page.
 */
import type { ObjectKey, VersionId } from "@hayloft/base/ids.js"
import type { ExtentRange } from "@hayloft/engine/block/index.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { plainBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import { versionIdOfHead } from "@hayloft/engine/format/objects/version-record.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { segmentsOfRange, versionAndPart, extentsOfSegment, manifestOf } from "@hayloft/objects/door/rows.js"

export interface BlockOfObject {
  readonly extent: Extent
  readonly block: number
  /** The range of the object in this block: its first byte, and how many. */
  readonly offsetBytes: number
  readonly lengthBytes: number
}

interface BlocksOfObject {
  readonly versionId: VersionId
  readonly sizeBytes: number
  /** The bytes are stored with the row, and have no block. */
  readonly isInline: boolean
  readonly blocks: readonly BlockOfObject[]
  /** The place where the next block begins; undefined at the end. */
  readonly nextOffset: number | undefined
}

interface BlocksRequest {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly versionId: VersionId | undefined
  /** Blocks from this byte of the object on. */
  readonly offsetBytes: number
  readonly max: number
}

/** Throws `noSuchKey`, `noSuchVersion`, `isDeleteMarker`. */
export async function blocksOfObject(
  metadata: Pick<Metadata, "ask">,
  { bucket, key, versionId, offsetBytes, max }: BlocksRequest,
): Promise<BlocksOfObject> {
  const { record } = await metadata.ask(versionAndPart(bucket.id, key, versionId, undefined, false))
  const { head, content } = record
  const { sizeBytes } = head
  const blocks: BlockOfObject[] = []
  const manifest = manifestOf(bucket.id, key, record)
  if (content.kind === "extent") {
    addBlocks(blocks, { extent: content.extent, offsetBytes, lengthBytes: sizeBytes - offsetBytes }, 0, max)
  } else if (manifest !== undefined) {
    const wanted = { first: offsetBytes, lengthBytes: sizeBytes - offsetBytes }
    for await (const { segment, ...part } of segmentsOfRange(metadata, manifest, wanted)) {
      let at = part.offsetBytes
      for (const range of extentsOfSegment(segment, part.ownOffsetBytes, part.lengthBytes)) {
        addBlocks(blocks, range, at - range.offsetBytes, max)
        at += range.lengthBytes
      }
      if (blocks.length > max) break
    }
  }
  return {
    versionId: versionIdOfHead(head),
    sizeBytes,
    isInline: content.kind === "inline",
    blocks: blocks.slice(0, max),
    nextOffset: blocks[max]?.offsetBytes,
  }
}

/** Adds the blocks of a range until there is one more than `max`; the extent begins at `start` of the object. */
function addBlocks(blocks: BlockOfObject[], range: ExtentRange, start: number, max: number): void {
  const { extent, offsetBytes, lengthBytes } = range
  const { blockBytes, isSealed } = extent
  const plainBlock = plainBytesOf({ lengthBytes: blockBytes, blockBytes, ...(isSealed && { isSealed }) })
  const end = offsetBytes + lengthBytes
  for (let block = Math.floor(offsetBytes / plainBlock); block * plainBlock < end && blocks.length <= max; block += 1) {
    // An object may have some bytes of another's block.
    const first = Math.max(block * plainBlock, offsetBytes)
    const length = Math.min((block + 1) * plainBlock, end) - first
    blocks.push({ extent, block, offsetBytes: start + first, lengthBytes: length })
  }
}
