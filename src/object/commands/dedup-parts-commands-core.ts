/** Commands on the segments of an upload that is completed in a bucket with deduplication. Pure. See decision 87. */
import { fail } from "../../base/failures.js"
import { firstOf } from "../../base/first-of.js"
import type { RowKey } from "../../base/ids.js"
import type { StorageClass } from "../../base/storage-class.js"
import type { EntryWrite } from "../../format/entry.js"
import { decodeSegment, encodeUpload, type SegmentRecord } from "../../format/records.js"
import { objectRowKey, suffixRange } from "../../format/row-key.js"
import { command } from "../../metadata/index.js"
import { sourcesOf } from "../queries/manifest-core.js"
import { digestWrites, requireKnown, type NewDigests } from "./dedup-commands-core.js"
import {
  addressKeyOf,
  requireUpload,
  sealedBy,
  segmentWrites,
  type Completion,
  type UploadAddress,
} from "./multipart-commands-core.js"
import { withoutReferences, withReferences } from "./reference-commands-core.js"

/** Rows of digests that one command drops. */
const DROPPED_AT_ONCE = 256

/** A segment of a deduplicated object, with everything that its write needs. */
interface SharedParts {
  readonly number: number
  readonly segment: SegmentRecord
  readonly storageClass: StorageClass
  readonly reliesOn: readonly RowKey[]
  readonly digests: readonly NewDigests[]
}

/**
 * Writes one segment of the frozen part list, with what its parts refer to. Throws `conflict` if others do not have that any
 * more, and as `putSegment`.
 */
export const putSharedSegment = command<[address: UploadAddress, completion: Completion, shared: SharedParts], void>({
  name: "PutSharedSegment",
  touches: (address, _completion, { reliesOn }) => [
    ["uploads", addressKeyOf(address)],
    ...reliesOn.map(rowKey => ["blockDigests", rowKey] as const),
  ],
  decide(view, _time, address, completion, { number, segment, storageClass, reliesOn, digests }) {
    const writes = segmentWrites(view, address, completion, number, segment)
    requireKnown(view, reliesOn)
    const references = withReferences(view, address.bucketId, sourcesOf(segment), storageClass)
    const made = digestWrites(objectRowKey(address.bucketId, address.key), address.multipartId, digests)
    for (const { family, key } of made) view.get(family, key)
    return { writes: [...writes, ...references, ...made], result: undefined }
  },
})

/**
 * Writes digests of parts for which the command of their segment has no room. That command comes first, so that what a failed
 * attempt has left is found. Throws `conflict` unless the list is frozen as stated.
 */
export const putPartDigests = command<
  [address: UploadAddress, completion: Completion, digests: readonly NewDigests[]],
  void
>({
  name: "PutPartDigests",
  touches: address => [["uploads", addressKeyOf(address)]],
  decide(view, _time, address, completion, digests) {
    const upload = requireUpload(view, address)
    if (!sealedBy(upload, completion)) throw fail("conflict")
    const made = digestWrites(objectRowKey(address.bucketId, address.key), address.multipartId, digests)
    for (const { family, key } of made) view.get(family, key)
    const write: EntryWrite = { family: "uploads", key: addressKeyOf(address), value: encodeUpload(upload) }
    return { writes: [write, ...made], result: undefined }
  },
})

/**
 * Drops some of what an earlier attempt of deduplication has left: digests first, since segments tell that there may be
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
