/** Commands and queries of appends. */
import { ALL_OBJECT_ROWS } from "@hayloft/objects/queries/extent-rows.js"
import { setSetting } from "@hayloft/objects/commands/bucket-commands-core.js"
import { append, appendable, replaceSegments } from "@hayloft/features/appends/append-commands-core.js"
import { decodeSegment, type SegmentRecord } from "@hayloft/engine/format/records.js"
import { multipartRowKey, objectRowKey, segmentRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { openEndFrom, overAppends } from "@hayloft/features/appends/sealing.js"
import { readOrders } from "@hayloft/objects/watched-metadata.js"
import { firstOfFeatures } from "@hayloft/upkeep/garbage/collector.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const IDS = [1, 2, 3].map(number => new Uint8Array(16).fill(number))

/** An object, mostly of a bucket that allows appends. */
function object(scene: Scene) {
  const able = scene
    .buckets()
    .filter(({ settings, versioning }) => settings.includes("append") && versioning === "never")
  const found = scene.object()
  if (able.length === 0 || able.some(({ id }) => id === found.bucketId) || scene.oneIn(8)) return found
  return { bucketId: scene.pick(able).id, key: scene.key() }
}

function target(scene: Scene) {
  const { bucketId, key } = object(scene)
  const [latest] = scene.versions({ bucketId, key }).filter(({ family }) => family === "current")
  const atOffset = scene.pick([undefined, undefined, latest?.record.head.sizeBytes ?? 0, 7])
  return {
    bucketId,
    key,
    atOffset,
    idHash: scene.pick([undefined, ...IDS]),
    conditions: scene.conditions({ bucketId, key }),
  }
}

function bytes(scene: Scene) {
  const extent = scene.extent(0xffff)
  return { extent, lengthBytes: extent.lengthBytes, checksumValue: undefined, isOpen: !scene.oneIn(4) }
}

/** Objects whose bytes are in segments that others can reference. */
export const referablesOf = (scene: Scene) =>
  scene.versions().flatMap(({ bucketId, key, record: { head, content, sealing } }) => {
    const bucket = scene.buckets().find(({ id }) => id === bucketId)
    if (content.kind !== "segments" || sealing !== undefined || bucket?.settings.includes("append") !== true) return []
    const { multipartId, byOffset } = content
    if (byOffset?.hasSources === true) return []
    return [
      { bucketId, key, multipartId, uploadedParts: byOffset?.uploadedParts ?? head.parts, sizeBytes: head.sizeBytes },
    ]
  })

/** Appended segments of an object, in order. */
function segments(scene: Scene) {
  const found = scene.versions().flatMap(({ bucketId, key, record: { content } }) => {
    if (content.kind !== "segments" || content.byOffset === undefined) return []
    const { multipartId } = content
    const row = objectRowKey(bucketId, key)
    const range = { ...suffixRange(multipartRowKey(row, multipartId)), start: segmentRowKey(row, multipartId, 0xffff) }
    const rows = scene.rows("segments", range).map(([, { value }]): SegmentRecord => decodeSegment(value))
    return rows.length === 0 ? [] : [{ bucketId, key, multipartId, segments: rows.reverse() }]
  })
  return found.length === 0 ? undefined : scene.pick(found)
}

export const APPEND_COMMANDS: readonly PlayKind[] = [
  commandKind("SetSetting", 2, scene => setSetting(scene.bucketId(), "append", scene.pick(["{}", "{}", undefined]))),
  commandKind("Append", 14, scene => {
    const appended = target(scene)
    const latest = scene.versions(appended).find(({ family }) => family === "current")
    const isInline = latest?.record.content.kind === "inline"
    const moved = isInline ? { order: latest.record.head.order, bytes: bytes(scene) } : undefined
    return append({
      ...appended,
      bytes: bytes(scene),
      algorithm: undefined,
      hints: scene.hints(),
      moved,
      details: scene.details(),
      storageClass: "STANDARD",
      random: scene.random.bytes(8),
      md5: scene.random.bytes(16),
      multipartId: scene.newMultipartId(),
    })
  }),
  commandKind("ReplaceSegments", 6, scene => {
    const found = segments(scene)
    if (found === undefined) return undefined
    const first = scene.random.below(found.segments.length)
    const chosen = found.segments.slice(first, first + 1 + scene.random.below(3))
    const lengthBytes = chosen.flatMap(({ parts }) => parts).reduce((sum, { extent }) => sum + extent.lengthBytes, 0)
    const extent = { ...scene.extent(0xffff), lengthBytes }
    return replaceSegments({ ...found, segments: chosen, extent, isOpen: scene.oneIn(2), hints: scene.hints() })
  }),
]

export const APPEND_QUERIES: readonly PlayKind[] = [
  queryKind("Appendable", scene => appendable(target(scene), scene.nowMs)),
  queryKind("ReadOrders", scene =>
    readOrders([object(scene), object(scene)].map(({ bucketId, key }) => objectRowKey(bucketId, key))),
  ),
  queryKind("OpenEndFrom", scene => {
    const rows = scene.rows("openEnds").map(([row]) => row)
    return openEndFrom(scene.pick([ALL_OBJECT_ROWS.start, ...rows]))
  }),
  queryKind("OverAppends", scene => overAppends(ALL_OBJECT_ROWS.start, scene.nowMs + scene.pick([0, 2 * 86_400_000]))),
  queryKind("FirstOfFeatures", scene => {
    const { bucketId, key, multipartId } = segments(scene) ?? scene.uploadAddress()
    return firstOfFeatures(multipartRowKey(objectRowKey(bucketId, key), multipartId))
  }),
]
