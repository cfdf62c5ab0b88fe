/** Checksums of the sub-blocks of a needle's body, which every read of a part of it verifies. Pure. */
import { SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { CHECKSUM_BYTES, subBlockSeed } from "@hayloft/base/simd/sub-block.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { needleSeed, payloadSeed, type NeedleHeader } from "../format/needles/needle.js"

/**
 * Returns the first sub-block that fails its checksum among the bytes of a body from sub-block `first` on (whole ones, only
 * the body's last may be shorter); undefined if all are good.
 */
export function firstBadSubBlock(header: NeedleHeader, bytes: Uint8Array, first: number): number | undefined {
  if (header.kind === "tombstone") return undefined
  const seed = header.kind === "payload" ? payloadSeed(header.family, header.key) : needleSeed(header.id)
  const { checksums } = header
  const view = new DataView(checksums.buffer, checksums.byteOffset, checksums.length)
  for (let at = 0; at < bytes.length; at += SUB_BLOCK_BYTES) {
    const subBlock = first + at / SUB_BLOCK_BYTES
    const found = xxh64(bytes.subarray(at, at + SUB_BLOCK_BYTES), subBlockSeed(seed, subBlock))
    if (found !== view.getBigUint64(subBlock * CHECKSUM_BYTES, true)) return subBlock
  }
  return undefined
}
