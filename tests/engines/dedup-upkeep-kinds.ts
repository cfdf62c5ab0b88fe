/** Commands and queries of the upkeep of deduplication, which compare and repair its rows. */
import type { Family } from "@hayloft/base/rows/families.js"
import { MIB } from "@hayloft/base/limits.js"
import { decodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import { bucketRowKey, parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import type { Query } from "@hayloft/engine/metadata/index.js"
import {
  checkDigests,
  checkIndexed,
  checkSegment,
  uncountedOf,
  wrongEntry,
} from "@hayloft/features/dedup/checks-core.js"
import { referencesFrom } from "@hayloft/features/dedup/counted-rows.js"
import { giveDigests, versionWithoutDigests } from "@hayloft/features/dedup/digests-core.js"
import { digestsToRead } from "@hayloft/features/dedup/digests-of-objects.js"
import { referencesRows, sourcesFrom } from "@hayloft/objects/queries/recount.js"
import { bytesOfReleased } from "@hayloft/features/dedup/released.js"
import { setReferences } from "@hayloft/features/dedup/repair-commands-core.js"
import { dedupRows, PHASES } from "@hayloft/features/dedup/rows-core.js"
import { statFrom } from "@hayloft/features/dedup/stat-core.js"
import { BLOCK_BYTES, commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

/** A row with its bucket. */
function rowOf(scene: Scene, family: Family) {
  const rows = scene.rows(family).flatMap(([rowKey, row]) => {
    const bucket = scene.buckets().find(({ id }) => rowKey.startsWith(bucketRowKey(id)))
    return bucket === undefined ? [] : [{ rowKey, row, bucketId: bucket.id }]
  })
  return rows.length === 0 ? undefined : scene.pick(rows)
}

/** A query of a random row of the family, if there is one. */
const ofRow = (name: string, family: Family, make: (row: NonNullable<ReturnType<typeof rowOf>>) => Query<unknown>) =>
  queryKind(name, scene => {
    const row = rowOf(scene, family)
    return row && make(row)
  })

/** Makes a `giveDigests` command, as if the store had read the bytes of a version. */
function given(scene: Scene) {
  const found = rowOf(scene, scene.oneIn(3) ? "versions" : "current")
  if (found === undefined) return undefined
  const { rowKey, row, bucketId } = found
  const family = parseObjectRowKey(rowKey).suffix === "" ? "current" : "versions"
  const record = decodeVersion(row.value)
  const { content, head } = record
  if (content.kind !== "extent" && content.kind !== "segments") return undefined
  const multipartId = content.kind === "segments" ? content.multipartId : scene.newMultipartId()
  const digests = [new Uint8Array(32).fill(1 + scene.random.below(4))]
  const of = { storageClass: head.storageClass, uploadedParts: 0, blockBytes: BLOCK_BYTES, lengthBytes: BLOCK_BYTES }
  // A bucket is deduplicated only if it has the setting; otherwise the command does nothing.
  return giveDigests({
    bucketId,
    family,
    rowKey,
    record,
    multipartId,
    digests: [{ offsetBytes: 0, record: { ...of, digests } }],
  })
}

export const DEDUP_UPKEEP_COMMANDS: readonly PlayKind[] = [
  commandKind("SetReferences", 3, scene => {
    const found = rowOf(scene, "references")
    if (found === undefined) return undefined
    const { rowKey, row, bucketId } = found
    const { count } = decodeReferences(row.value)
    // A right count: a wrong one would make the commands that follow fail.
    return setReferences(bucketId, { rowKey, value: row.value, count, storageClass: "STANDARD" })
  }),
  commandKind("GiveDigests", 4, given),
]

const place = (scene: Scene) => ({ family: scene.random.below(7), from: bucketRowKey(scene.bucketId()) })

export const DEDUP_UPKEEP_QUERIES: readonly PlayKind[] = [
  queryKind("SourcesFrom", scene => {
    const bucketId = scene.bucketId()
    return sourcesFrom(bucketId, bucketRowKey(bucketId), scene.pick([1, 3, 100]))
  }),
  ofRow("ReferencesRows", "references", ({ rowKey }) => referencesRows([rowKey])),
  queryKind("ReferencesFrom", scene => {
    const bucketId = scene.bucketId()
    return referencesFrom(bucketId, bucketRowKey(bucketId), scene.pick([1, 100]), scene.oneIn(2))
  }),
  queryKind("DedupStatFrom", scene => statFrom(scene.bucketId(), place(scene), scene.pick([1, 100]))),
  queryKind("DedupRows", scene => {
    const bucketId = scene.bucketId()
    const phase = scene.pick([...PHASES.verify, ...PHASES.rebuild, ...PHASES.compact])
    const limits = { max: scene.pick([1, 100]), rowsMax: 100, before: undefined, blockBytes: BLOCK_BYTES }
    return dedupRows(bucketId, phase, bucketRowKey(bucketId), limits)
  }),
  ofRow("CheckSegment", "segments", ({ bucketId, rowKey }) => checkSegment(bucketId, rowKey)),
  ofRow("UncountedOf", "segments", ({ bucketId, rowKey }) => uncountedOf(bucketId, rowKey)),
  ofRow("BytesOfReleased", "references", ({ rowKey }) => bytesOfReleased(rowKey)),
  ofRow("CheckIndexed", "blockIndex", ({ bucketId, rowKey }) => checkIndexed(bucketId, rowKey)),
  ofRow("WrongEntry", "blockIndex", ({ bucketId, rowKey }) => wrongEntry(bucketId, rowKey)),
  ofRow("CheckDigests", "blockDigests", ({ bucketId, rowKey }) => checkDigests(bucketId, rowKey, true)),
  ofRow("DigestsToRead", "blockDigests", ({ bucketId, rowKey }) => digestsToRead(bucketId, rowKey)),
  ofRow("VersionWithoutDigests", "current", ({ rowKey }) => versionWithoutDigests("current", rowKey, BLOCK_BYTES, MIB)),
]
