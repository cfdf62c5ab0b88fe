/**
 * Partitions: the slices of the block-id hash space that the layout maps to devices.
 *
 * Frozen, even for a store of one folder: a needle's partition is part of its id, and a store that grows
 * to more devices moves partitions, never blocks between them.
 */
import { bytesOfHex } from "@hayloft/base/bytes.js"
import { must } from "@hayloft/base/assert.js"
import type { PartitionId, UploadId } from "@hayloft/base/ids.js"
import { parsePartitionId } from "@hayloft/base/ids.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"

const ID_BYTES = 22

/** Upload id (16 bytes), part (2), block (4), big-endian; the top 16 bits of their XXH64. */
export function partitionOf(uploadId: UploadId, part: number, block: number): PartitionId {
  const bytes = new Uint8Array(ID_BYTES)
  bytes.set(must(bytesOfHex(uploadId), "an upload id is hex"))
  const view = new DataView(bytes.buffer)
  view.setUint16(16, part)
  view.setUint32(18, block)
  return parsePartitionId(Number(xxh64(bytes) >> 48n))
}
