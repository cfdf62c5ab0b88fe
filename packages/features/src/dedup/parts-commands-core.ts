/** Commands on the segments of an upload that is completed in a bucket with deduplication. Pure. See decision 87. */
import { fail } from "@hayloft/base/failures.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { encodeUpload, type SegmentRecord } from "@hayloft/engine/format/records.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { command } from "@hayloft/engine/metadata/index.js"
import {
  addressKeyOf,
  type Completion,
  requireUpload,
  sealedBy,
  segmentWrites,
  sourcesOf,
  type UploadAddress,
  withReferences,
} from "@hayloft/objects/door/rows.js"
import { digestWrites, requireKnown, type NewDigests } from "./dedup-commands-core.js"

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
