/** Commands and queries of segments that reference those of other objects. */
import { must } from "@hayloft/base/assert.js"
import {
  decodePendingDeletion,
  decodeSegment,
  type SegmentRecord,
  type SegmentSource,
} from "@hayloft/engine/format/records.js"
import { multipartRowKey, objectRowKey, parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import { segmentsOf } from "@hayloft/objects/commands/segments-core.js"
import type { RowAsRead } from "@hayloft/objects/commands/pending-deletion-commands-core.js"
import {
  dropSource,
  keepReferenced,
  referencesOf,
  replaceSource,
} from "@hayloft/objects/commands/reference-commands-core.js"
import { concatenate, intoSegments, segmentsFrom } from "@hayloft/features/appends/concatenation-commands-core.js"
import { NO_CHECKSUM } from "@hayloft/objects/commands/row-editor-core.js"
import { sourceAt } from "@hayloft/objects/detach-sources.js"
import { referablesOf } from "./append-kinds.js"
import { lengthOf } from "./multipart-kinds.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

interface SourceRow {
  readonly row: RowAsRead
  readonly bucketId: ReturnType<Scene["bucketId"]>
  readonly key: ReturnType<Scene["key"]>
  readonly multipartId: SegmentSource["multipartId"]
  readonly segment: SegmentRecord
}

/** Segments that reference others. */
function sourceRows(scene: Scene): readonly SourceRow[] {
  return scene.rows("segments").flatMap(([rowKey, { value }]): readonly SourceRow[] => {
    const segment = decodeSegment(value)
    if (segment.source === undefined) return []
    const { bucketId: id, key, suffix } = parseObjectRowKey(rowKey)
    const bucket = scene.buckets().find(each => each.id === id)
    const name = { key, multipartId: multipartIdOfSuffix(suffix) }
    return bucket === undefined ? [] : [{ row: ["segments", rowKey, value], bucketId: bucket.id, ...name, segment }]
  })
}

function joined(scene: Scene) {
  const able = referablesOf(scene)
  if (able.length === 0) return undefined
  const { bucketId } = scene.pick(able)
  const chosen = Array.from({ length: 1 + scene.random.below(3) }, () =>
    scene.pick(able.filter(each => each.bucketId === bucketId)),
  )
  const sources = chosen.map(({ key, multipartId, uploadedParts, sizeBytes }): SegmentSource => {
    const offsetBytes = scene.random.below(Math.max(1, sizeBytes))
    return { key, multipartId, uploadedParts, offsetBytes, lengthBytes: Math.max(1, sizeBytes - offsetBytes) }
  })
  const sizeBytes = sources.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
  const lastOffset = sizeBytes - (sources.at(-1)?.lengthBytes ?? 0)
  const sealed = scene.addresses("uploads").filter(each => each.bucketId === bucketId && scene.upload(each)?.completion)
  const ending = sealed.length > 0 && scene.oneIn(2) ? scene.pick(sealed) : undefined
  const completion = ending && scene.upload(ending)?.completion
  const key = ending?.key ?? scene.key()
  const multipartId = ending?.multipartId ?? scene.newMultipartId()
  return concatenate({
    bucketId,
    key,
    conditions: scene.conditions({ bucketId, key }),
    clockMs: 0,
    sources,
    version: {
      content: segmentsOf(multipartId, { lastOffset, uploadedParts: 0, hasSources: true }),
      payload: undefined,
      sizeBytes,
      md5: scene.random.bytes(16),
      parts: 1,
      random: scene.random.bytes(8),
      checksum: NO_CHECKSUM,
      details: scene.details(),
      storageClass: "STANDARD",
      isShared: false,
    },
    through: chosen.map(each => ({ key: each.key, multipartId: each.multipartId })),
    ...(completion && ending && { upload: { completion, partsBytes: lengthOf(scene.parts(ending)) } }),
  })
}

function into(scene: Scene) {
  const { bucketId, key } = scene.object()
  const latest = scene.versions({ bucketId, key }).find(({ family }) => family === "current")
  const isInline = latest?.record.content.kind === "inline"
  const extent = scene.extent(0xffff)
  const moved = { extent, lengthBytes: extent.lengthBytes, checksumValue: undefined, isOpen: scene.oneIn(2) }
  const order = latest?.record.head.order ?? 1
  const multipartId = scene.newMultipartId()
  return intoSegments({
    bucketId,
    key,
    order,
    multipartId,
    hints: scene.hints(),
    clockMs: 0,
    moved: isInline ? moved : undefined,
  })
}

function replaced(scene: Scene) {
  const found = sourceRows(scene)
  if (found.length === 0) return undefined
  const { bucketId, key, multipartId, segment } = scene.pick(found)
  const source = must(segment.source, "it references others")
  const lengthBytes = scene.oneIn(2) ? source.lengthBytes : Math.ceil(source.lengthBytes / 2)
  const extent = { ...scene.extent(0xffff), lengthBytes }
  return replaceSource({ bucketId, key, multipartId, segment, extent, lengthBytes, hints: scene.hints() })
}

const released = (scene: Scene): readonly RowAsRead[] =>
  scene.rows("pendingDeletions").flatMap(([rowKey, { value }]): readonly RowAsRead[] => {
    return decodePendingDeletion(value).kind === "segments" ? [["pendingDeletions", rowKey, value]] : []
  })

export const REFERENCE_COMMANDS: readonly PlayKind[] = [
  commandKind("IntoSegments", 5, into),
  commandKind("Concatenate", 8, joined),
  commandKind("DropSource", 3, scene => {
    const found = sourceRows(scene)
    if (found.length === 0) return undefined
    const { bucketId, row } = scene.pick(found)
    return dropSource(bucketId, row)
  }),
  commandKind("ReplaceSource", 3, replaced),
  commandKind("KeepReferenced", 4, scene => {
    const found = released(scene)
    return found.length === 0 ? undefined : keepReferenced(scene.pick(found))
  }),
]

export const REFERENCE_QUERIES: readonly PlayKind[] = [
  queryKind("ReferencesOf", scene => {
    const { bucketId, key, multipartId } = scene.pickOr(referablesOf(scene), () => scene.uploadAddress())
    return referencesOf(multipartRowKey(objectRowKey(bucketId, key), multipartId))
  }),
  queryKind("SegmentsFrom", scene => {
    const { bucketId, key, multipartId } = scene.pickOr(sourceRows(scene), () => scene.uploadAddress())
    return segmentsFrom(bucketId, { key, multipartId }, scene.pick([0, 0, 1_000]))
  }),
  queryKind("SourceAt", scene => {
    const found = sourceRows(scene)
    return found.length === 0 ? undefined : sourceAt(scene.pick(found).row[1])
  }),
]
