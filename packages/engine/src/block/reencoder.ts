/**
 * Re-encoder: one block of an extent, read and re-encoded in its own slab, or sealed in it. Background work: it takes memory only while
 * plenty is free.
 */
import { copyPlainly } from "@hayloft/base/bytes.js"
import { openedBytesOf } from "@hayloft/base/encryption/segments.js"
import type { Extent } from "../format/needles/extent.js"
import { partitionOf } from "../format/needles/partition.js"
import type { Compute, Slab } from "@hayloft/base/seams/compute/contract.js"
import type { BlockReader } from "./block-reader.js"
import type { BlockWriter } from "./block-writer.js"
import type { ReencodedBlock, ReencodeRequest } from "./contract.js"
import { hintsOf } from "./describe-core.js"
import { blockShape, type ExtentRange } from "./read-plan-core.js"

const NO_DIGESTS = { md5: false, sha256: false, checksum: undefined }

/** See `Blocks.reencode`. */
export async function reencodeBlock(
  compute: Compute,
  reader: BlockReader,
  writer: BlockWriter,
  request: ReencodeRequest,
  signal: AbortSignal,
): Promise<ReencodedBlock | undefined> {
  const { extent, block, owner, policy, generation, recoveryHeader, sealKey } = request
  const { uploadId, part } = extent
  const range = sealKey === undefined ? rangeOfBlock(extent, block) : rangeOfSealedBlock(extent, block)
  const isLast = range.offsetBytes + range.lengthBytes === extent.lengthBytes
  const seal = sealKey && { key: sealKey, block, isLast }
  const target = { uploadId, part, owner, policy, recoveryHeader, generation, seal, care: "whole" } as const
  writer.check(target, block)
  const slab = compute.slabs.tryMore()
  if (slab === undefined) return undefined
  const lengthBytes = await fill(reader, slab, range, signal).catch((error: unknown) => {
    slab.release()
    throw error
  })
  const pipeline = compute.openHashPipeline(NO_DIGESTS)
  try {
    const written = await writer.write(target, pipeline, slab, block, lengthBytes)
    const hints = hintsOf([written], of => partitionOf(uploadId, part, of))
    return { missingSlots: written.missingSlots, hints }
  } finally {
    pipeline.close()
  }
}

const rangeOfBlock = (extent: Extent, block: number): ExtentRange => {
  const { lengthBytes } = blockShape(extent, block)
  return { extent, offsetBytes: block * extent.blockBytes, lengthBytes }
}

/** The plaintext of a block of the sealed extent: a full one has less than a plain block. */
function rangeOfSealedBlock(extent: Extent, block: number): ExtentRange {
  const plainBytes = openedBytesOf(extent.blockBytes)
  const offsetBytes = block * plainBytes
  return { extent, offsetBytes, lengthBytes: Math.min(plainBytes, extent.lengthBytes - offsetBytes) }
}

/** Reads the range to the beginning of the slab. */
async function fill(reader: BlockReader, slab: Slab, range: ExtentRange, signal: AbortSignal): Promise<number> {
  let at = 0
  for await (const piece of reader.stream([range], signal, "reader")) {
    copyPlainly(slab.bytes, piece, at)
    at += piece.length
  }
  return at
}
