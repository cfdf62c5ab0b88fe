/** Commands and queries of packing: versions as they are, or as they were, become references to a pack. */
import type { RowKey } from "@hayloft/base/ids.js"
import { PACKED_PART } from "@hayloft/base/limits.js"
import { encodePackingSetting } from "@hayloft/engine/format/objects/packing-rows.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { setSetting } from "@hayloft/objects/commands/bucket-commands-core.js"
import { rowsOfBucket } from "@hayloft/objects/queries/extent-rows.js"
import { candidatesFrom, packsFrom } from "@hayloft/features/packing/candidates-core.js"
import {
  beginAgain,
  notePacked,
  packingBuckets,
  packingOf,
  packVersions,
  takePackingSlice,
  type BytesBefore,
} from "@hayloft/features/packing/pack-commands-core.js"
import { areUnchanged } from "@hayloft/features/packing/packer.js"
import { bucketRow } from "@hayloft/features/packing/packing-job.js"
import { commandKind, queryKind, type PlayKind, type Scene, type StoredVersion } from "./scene.js"

const SETTING = encodePackingSetting({ afterSeconds: 0, maxBytes: 65_536 })
const NOW_MS = 2_000_000_000_000

/** A bucket with the setting: mostly one that has it. */
function packingBucket(scene: Scene) {
  const on = scene.buckets().filter(({ settings }) => settings.includes("packing"))
  return on.length > 0 && !scene.oneIn(8) ? scene.pick(on) : scene.bucket()
}

function bytesBefore({ record: { content } }: StoredVersion): BytesBefore {
  if (content.kind === "extent") return { kind: "extent", uploadId: content.extent.uploadId }
  return content.kind === "segments" ? { kind: "segments", multipartId: content.multipartId } : { kind: "inline" }
}

function packed(scene: Scene) {
  const bucket = packingBucket(scene)
  if (bucket === undefined) return undefined
  const versions = scene.allVersions().filter(each => each.bucketId === bucket.id && !each.record.head.isMarker)
  const chosen = scene
    .some(versions)
    .filter(({ record: { content } }) => content.kind !== "segments" || content.byOffset)
  const [first] = chosen
  if (first === undefined) return undefined
  let offsetBytes = 0
  const objects = chosen.slice(0, 6).map(version => {
    const { key, record } = version
    const { order, random, sizeBytes } = record.head
    const lengthBytes = Math.max(1, sizeBytes)
    const before = bytesBefore(version)
    const object = { key, order: scene.oneIn(10) ? order + 1 : order, random, before, offsetBytes, lengthBytes }
    offsetBytes += lengthBytes
    return { ...object, multipartId: scene.newMultipartId() }
  })
  const { storageClass } = first.record.head
  const extent = { ...scene.extent(PACKED_PART), lengthBytes: offsetBytes + 100 }
  const pack = { bucketId: bucket.id, key: first.key, multipartId: scene.newMultipartId(), storageClass, extent }
  return packVersions({ ...pack, objects, hints: [] })
}

const slice = (scene: Scene) => {
  const bucket = packingBucket(scene)
  if (bucket === undefined) return undefined
  const { start: first, end } = rowsOfBucket(bucket.id)
  const rows: readonly RowKey[] = scene.versions().map(({ rowKey }) => rowKey)
  const start = scene.oneIn(3) ? scene.pickOr(rows, () => first) : first
  const next = scene.oneIn(2) ? undefined : scene.pickOr(rows, () => end)
  const packedSince = { packs: scene.random.below(3), objects: 5, bytes: 500 }
  return takePackingSlice({ bucketId: bucket.id, nowMs: NOW_MS, start, end: next, first, packed: packedSince })
}

export const PACKING_COMMANDS: readonly PlayKind[] = [
  commandKind("SetSetting", 2, scene => {
    const bucket = scene.bucket()
    return bucket && setSetting(bucket.id, "packing", scene.oneIn(6) ? undefined : SETTING)
  }),
  commandKind("PackVersions", 8, packed),
  commandKind("TakePackingSlice", 2, slice),
  commandKind("NotePacked", 1, scene => {
    const bucket = packingBucket(scene)
    return bucket && notePacked(bucket.id, NOW_MS, { packs: 1, objects: 20, bytes: 2_000 })
  }),
  commandKind("BeginPackingAgain", 1, scene => {
    const bucket = packingBucket(scene)
    return bucket && beginAgain(bucket.id)
  }),
]

const cold = (scene: Scene) => ({ beforeMs: scene.oneIn(2) ? NOW_MS : 0, maxBytes: 65_536 })

export const PACKING_QUERIES: readonly PlayKind[] = [
  queryKind("PackingOf", scene => packingOf(scene.bucketId())),
  queryKind("PackingBuckets", () => packingBuckets()),
  queryKind("PackingBucket", scene => bucketRow(scene.bucketId())),
  queryKind("PackingCandidates", scene => {
    const bucketId = scene.bucketId()
    return candidatesFrom(bucketId, bucketRowKey(bucketId), cold(scene), 1 + scene.random.below(20))
  }),
  queryKind("PackingUnchanged", scene => areUnchanged(scene.some(scene.allVersions()))),
  queryKind("PacksFrom", scene => {
    const bucketId = scene.bucketId()
    return packsFrom(bucketId, bucketRowKey(bucketId), 1 + scene.random.below(10))
  }),
]
