/**
 * Digests of the blocks of segments (family `blockDigests`), and the index that finds a block by its digest (`blockIndex`).
 * Segments with digests may get references from objects to come; a feature writes them, and they go with their segments. Pure.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { firstOf } from "@hayloft/base/first-of.js"
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import {
  blockIndexRowKey,
  decodeBlockDigests,
  decodeBlockPlace,
  type BlockDigestsRecord,
  type BlockPlace,
} from "@hayloft/engine/format/objects/dedup-rows.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { decodeSegment, encodeUpload } from "@hayloft/engine/format/records.js"
import { parseObjectRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import { command } from "@hayloft/engine/metadata/index.js"
import { sourcesOf } from "../queries/manifest-core.js"
import {
  addressKeyOf,
  requireUpload,
  sealedBy,
  type Completion,
  type UploadAddress,
} from "./multipart-commands-core.js"
import type { RowAsRead } from "./pending-deletion-commands-core.js"
import { withoutReferences } from "./reference-commands-core.js"

/** Rows of digests that one command drops. */
const DROPPED_AT_ONCE = 256

/** The offset of the first block in a row of digests. */
export function offsetOfRow(rowKey: RowKey): number {
  const { suffix } = parseObjectRowKey(rowKey)
  const complement = Buffer.from(suffix.slice(MULTIPART_ID_BYTES), "latin1").readBigUInt64BE()
  return Number(0xffff_ffff_ffff_ffffn - complement)
}

const MULTIPART_ID_BYTES = 16

/** A block that an object has several times is found where it comes first. */
export function uniqueBlocks(writes: readonly EntryWrite[]): readonly EntryWrite[] {
  const first = new Map<RowKey, EntryWrite>()
  for (const write of writes) if (!first.has(write.key)) first.set(write.key, write)
  return [...first.values()]
}

/** Drops a row of digests, and their blocks from the index as far as it names these. Does nothing if the row has changed. */
export const dropDigests = command<[bucketId: BucketId, row: RowAsRead], void>({
  name: "DropDigests",
  grows: false,
  touches: (_bucketId, [family, rowKey]) => [[family, rowKey]],
  decide(view, _time, bucketId, [family, rowKey, value]) {
    const row = view.ifPresent(family, rowKey)
    if (row === undefined || !equalBytes(row.value, value)) return { writes: [], result: undefined }
    const writes: EntryWrite[] = [{ family, key: rowKey, value: undefined }]
    for (const { digest, key, multipartId } of placesOf(rowKey, decodeBlockDigests(value))) {
      const indexKey = blockIndexRowKey(bucketId, digest)
      const indexed = view.ifPresent("blockIndex", indexKey)
      const place = indexed && decodeBlockPlace(indexed.value)
      if (place?.key === key && place.multipartId === multipartId)
        writes.push({ family: "blockIndex", key: indexKey, value: undefined })
    }
    return { writes: uniqueBlocks(writes), result: undefined }
  },
})

/** The blocks of a row of digests with their places. */
export function placesOf(
  rowKey: RowKey,
  { blockBytes, lengthBytes, digests }: BlockDigestsRecord,
): readonly (BlockPlace & { readonly digest: Uint8Array })[] {
  const { key, suffix } = parseObjectRowKey(rowKey)
  const multipartId = multipartIdOfSuffix(suffix)
  const startBytes = offsetOfRow(rowKey)
  return digests.map((digest, i) => ({
    digest,
    key,
    multipartId,
    offsetBytes: startBytes + i * blockBytes,
    lengthBytes: Math.min(blockBytes, lengthBytes - i * blockBytes),
  }))
}

/**
 * Drops some of what an earlier attempt to complete the upload has left: digests first, since segments tell that there may be
 * some. Returns whether there may be more. Throws `conflict`.
 */
export const dropStale = command<[address: UploadAddress, completion: Completion], boolean>({
  name: "DropStale",
  grows: false,
  touches: address => [["uploads", addressKeyOf(address)]],
  decide(view, time, address, completion) {
    const upload = requireUpload(view, address)
    if (!sealedBy(upload, completion)) throw fail("conflict")
    const range = suffixRange(addressKeyOf(address))
    const dropped: EntryWrite[] = []
    for (const [key] of view.range("blockDigests", range)) {
      if (dropped.length >= DROPPED_AT_ONCE) break
      dropped.push({ family: "blockDigests", key, value: undefined })
    }
    const first = dropped.length < DROPPED_AT_ONCE ? firstOf(view.range("segments", range)) : undefined
    if (first !== undefined) {
      const [key, { value }] = first
      const references = withoutReferences(view, time, address.bucketId, sourcesOf(decodeSegment(value)))
      dropped.push({ family: "segments", key, value: undefined }, ...references)
    }
    if (dropped.length === 0) return { writes: [], result: false }
    const write: EntryWrite = { family: "uploads", key: addressKeyOf(address), value: encodeUpload(upload) }
    return { writes: [write, ...dropped], result: true }
  },
})
