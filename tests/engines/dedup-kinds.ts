/** Commands and queries of deduplication: blocks of a small alphabet, so that objects share some. */
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import { decodeBlockDigests, type BlockDigestsRecord } from "@hayloft/engine/format/objects/dedup-rows.js"
import {
  decodePendingDeletion,
  decodeSegment,
  type SegmentRecord,
  type SegmentSource,
} from "@hayloft/engine/format/records.js"
import { multipartRowKey, objectRowKey, parseObjectRowKey, uploadOfPartRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import { segmentsOf } from "@hayloft/objects/commands/segments-core.js"
import {
  digestRowsOf,
  findKnownBlock,
  findKnownParts,
  indexBlocks,
  putDeduplicated,
  type NewDigests,
  type NewSegment,
} from "@hayloft/features/dedup/dedup-commands-core.js"
import { dropDigests, placesOf } from "@hayloft/objects/commands/block-digests-core.js"
import { putPartDigests, putSharedSegment } from "@hayloft/features/dedup/parts-commands-core.js"
import { dropStale } from "@hayloft/objects/commands/block-digests-core.js"
import { closeReferences, isReferable, replaceReferring } from "@hayloft/objects/commands/reference-commands-core.js"
import { NO_CHECKSUM } from "@hayloft/objects/commands/row-editor-core.js"
import { hasStale } from "@hayloft/objects/ended-upload.js"
import { firstDigests } from "@hayloft/upkeep/garbage/collector.js"
import { lengthOf, PARTS } from "./multipart-kinds.js"
import { BLOCK_BYTES, commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const DIGESTS = [1, 2, 3, 4].map(number => new Uint8Array(32).fill(number))

interface DigestRow {
  readonly rowKey: RowKey
  readonly bucketId: BucketId
  readonly name: Pick<SegmentSource, "key" | "multipartId">
  readonly record: BlockDigestsRecord
  readonly value: Uint8Array
}

function digestRows(scene: Scene): readonly DigestRow[] {
  return scene.rows("blockDigests").flatMap(([rowKey, { value }]): readonly DigestRow[] => {
    const { bucketId: id, key, suffix } = parseObjectRowKey(rowKey)
    const bucket = scene.buckets().find(each => each.id === id)
    const name = { key, multipartId: multipartIdOfSuffix(suffix) }
    const record = decodeBlockDigests(value)
    return bucket === undefined ? [] : [{ rowKey, bucketId: bucket.id, name, record, value }]
  })
}

/** A run of a body: blocks of its own, or those of another object. */
function run(scene: Scene, rows: readonly DigestRow[], offsetBytes: number) {
  if (rows.length > 0 && scene.oneIn(2)) {
    const { name, record, rowKey } = scene.pick(rows)
    const [place] = placesOf(rowKey, record)
    const { uploadedParts, lengthBytes } = record
    const source: SegmentSource = { ...name, uploadedParts, offsetBytes: place?.offsetBytes ?? 0, lengthBytes }
    return { segment: { kind: "source", offsetBytes, source } satisfies NewSegment, reliesOn: [rowKey], lengthBytes }
  }
  const extent = scene.extent(0)
  const { lengthBytes } = extent
  const digests = Array.from({ length: Math.ceil(lengthBytes / BLOCK_BYTES) }, () => scene.pick(DIGESTS))
  const record = { storageClass: "STANDARD", uploadedParts: 0, blockBytes: BLOCK_BYTES, lengthBytes, digests } as const
  const written: NewDigests = { offsetBytes, record }
  const segment = { kind: "own", offsetBytes, extent } satisfies NewSegment
  return { segment, reliesOn: [], digests: written, lengthBytes }
}

function put(scene: Scene) {
  const { bucketId, key } = scene.object()
  const rows = digestRows(scene).filter(row => row.bucketId === bucketId)
  const runs = []
  let sizeBytes = 0
  for (let count = 1 + scene.random.below(3); count > 0; count -= 1) {
    const next = run(scene, rows, sizeBytes)
    runs.push(next)
    sizeBytes += next.lengthBytes
  }
  const segments = runs.map(({ segment }): NewSegment => segment)
  const multipartId = scene.newMultipartId()
  const lastOffset = segments.at(-1)?.offsetBytes ?? 0
  return putDeduplicated({
    bucketId,
    key,
    conditions: scene.conditions({ bucketId, key }),
    clockMs: 0,
    hints: scene.hints(),
    multipartId,
    segments,
    reliesOn: [...new Set(runs.flatMap(({ reliesOn }) => reliesOn))],
    digests: runs.flatMap(({ digests }) => digests ?? []),
    version: {
      content: segmentsOf(multipartId, { lastOffset, uploadedParts: 0, hasSources: true }),
      payload: undefined,
      sizeBytes,
      md5: scene.random.bytes(16),
      parts: 0,
      random: scene.random.bytes(8),
      checksum: NO_CHECKSUM,
      details: scene.details(),
      storageClass: "STANDARD",
      isShared: false,
    },
  })
}

/** Uploads that are being completed. */
const sealed = (scene: Scene) =>
  scene.addresses("uploads").flatMap(address => {
    const completion = scene.upload(address)?.completion
    return completion === undefined ? [] : [{ address, completion }]
  })

function segment(scene: Scene) {
  const open = sealed(scene)
  if (open.length === 0) return undefined
  const { address, completion } = scene.pick(open)
  const rows = digestRows(scene).filter(row => row.bucketId === address.bucketId)
  const reliesOn: RowKey[] = []
  const own = { md5: scene.random.bytes(16), modifiedMs: scene.nowMs, checksumValue: undefined }
  const referred = rows.length > 0 ? scene.random.below(PARTS) : 0
  const parts = Array.from({ length: PARTS - referred }, (_, i) => {
    return { ...own, partNumber: i + 1, extent: scene.extent(i + 1) }
  })
  const referring = Array.from({ length: referred }, (_, i) => {
    const { name, record, rowKey } = scene.pick(rows)
    reliesOn.push(rowKey)
    const [place] = placesOf(rowKey, record)
    const { uploadedParts, lengthBytes } = record
    const source = { ...name, uploadedParts, offsetBytes: place?.offsetBytes ?? 0, lengthBytes }
    return { ...own, partNumber: parts.length + i + 1, source }
  })
  const written: SegmentRecord = {
    offsetBytes: 0,
    parts,
    ...(referring.length > 0 && { referring }),
  }
  return putSharedSegment(address, completion, {
    number: 0,
    segment: written,
    storageClass: "STANDARD",
    reliesOn: [...new Set(reliesOn)],
    digests: parts.map(({ extent }, i) => newDigests(scene, extent.lengthBytes, lengthOf(parts.slice(0, i)))),
  })
}

function newDigests(scene: Scene, lengthBytes: number, offsetBytes: number) {
  const digests = Array.from({ length: Math.ceil(lengthBytes / BLOCK_BYTES) }, () => scene.pick(DIGESTS))
  const record = {
    storageClass: "STANDARD",
    uploadedParts: PARTS,
    blockBytes: BLOCK_BYTES,
    lengthBytes,
    digests,
  } as const
  return { offsetBytes, record }
}

function replaced(scene: Scene) {
  const found = scene.rows("segments").flatMap(([rowKey, { value }]) => {
    const of = decodeSegment(value)
    const { bucketId: id, key, suffix } = parseObjectRowKey(rowKey)
    const bucket = scene.buckets().find(each => each.id === id)
    const [part] = of.referring ?? []
    if (bucket === undefined || part === undefined) return []
    return [{ rowKey, segment: of, part, bucketId: bucket.id, key, multipartId: multipartIdOfSuffix(suffix) }]
  })
  if (found.length === 0) return undefined
  const { part, ...of } = scene.pick(found)
  const extent = { ...scene.extent(part.partNumber), lengthBytes: part.source.lengthBytes }
  return replaceReferring({ ...of, part, extent, hints: scene.hints() })
}

const released = (scene: Scene) =>
  scene.rows("pendingDeletions").flatMap(([, { value }]) => {
    const release = decodePendingDeletion(value)
    return release.kind === "segments" ? [release] : []
  })

export const DEDUP_COMMANDS: readonly PlayKind[] = [
  commandKind("PutDeduplicated", 10, put),
  commandKind("IndexBlocks", 4, scene => {
    const rows = digestRows(scene)
    if (rows.length === 0) return undefined
    const { bucketId } = scene.pick(rows)
    return indexBlocks(
      bucketId,
      rows.filter(row => row.bucketId === bucketId).map(({ rowKey }) => rowKey),
    )
  }),
  commandKind("DropDigests", 2, scene => {
    const rows = digestRows(scene)
    if (rows.length === 0) return undefined
    const { bucketId, rowKey, value } = scene.pick(rows)
    return dropDigests(bucketId, ["blockDigests", rowKey, value])
  }),
  commandKind("CloseReferences", 2, scene => {
    const rows = digestRows(scene)
    if (rows.length === 0) return undefined
    const { bucketId, rowKey } = scene.pick(rows)
    return closeReferences(bucketId, uploadOfPartRowKey(rowKey))
  }),
  commandKind("PutSharedSegment", 8, segment),
  commandKind("PutPartDigests", 3, scene => {
    const open = sealed(scene)
    if (open.length === 0) return undefined
    const { address, completion } = scene.pick(open)
    return putPartDigests(address, completion, [
      newDigests(scene, BLOCK_BYTES * (1 + scene.random.below(3)), BLOCK_BYTES),
    ])
  }),
  commandKind("DropStale", 3, scene => {
    const open = sealed(scene)
    if (open.length === 0) return undefined
    const { address, completion } = scene.pick(open)
    return dropStale(address, completion)
  }),
  commandKind("ReplaceReferring", 6, replaced),
]

const wantedIn = (scene: Scene) => ({
  bucketId: scene.pickOr(digestRows(scene), () => ({ bucketId: scene.bucketId() })).bucketId,
  storageClass: "STANDARD" as const,
})

export const DEDUP_QUERIES: readonly PlayKind[] = [
  queryKind("FindKnownBlock", scene =>
    findKnownBlock({
      ...wantedIn(scene),
      digest: scene.pick(DIGESTS),
      lengthBytes: BLOCK_BYTES,
      follows: undefined,
      isShort: false,
    }),
  ),
  queryKind("FindKnownParts", scene => {
    const [first] = digestRows(scene)
    const { digests = DIGESTS, lengthBytes = BLOCK_BYTES } = first?.record ?? {}
    const parts = [{ digests, blockBytes: BLOCK_BYTES, lengthBytes }]
    return findKnownParts({ ...wantedIn(scene), shortBytes: 1, follows: undefined, parts })
  }),
  queryKind("DigestRowsOf", scene => {
    const [first] = digestRows(scene)
    const { bucketId, key, multipartId } = scene.uploadAddress()
    return digestRowsOf(first?.bucketId ?? bucketId, first?.name ?? { key, multipartId })
  }),
  queryKind("IsReferable", scene => {
    const { bucketId, key, multipartId } = scene.pickOr(released(scene), () => scene.uploadAddress())
    return isReferable(bucketId, { key, multipartId })
  }),
  queryKind("HasStale", scene =>
    hasStale(scene.pickOr(sealed(scene), () => ({ address: scene.uploadAddress() })).address),
  ),
  queryKind("FirstDigests", scene => {
    const { bucketId, key, multipartId } = scene.pickOr(
      digestRows(scene).map(row => ({ bucketId: row.bucketId, ...row.name })),
      () => scene.uploadAddress(),
    )
    return firstDigests(multipartRowKey(objectRowKey(bucketId, key), multipartId))
  }),
]
