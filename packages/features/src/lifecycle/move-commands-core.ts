/**
 * Moves of versions to other storage classes by lifecycle rules. The command decides again, by the bucket's rules and the
 * rows as they are. The version keeps its bytes, times, tags and lock; its blocks are re-encoded afterwards, under the
 * policy of its class: each move leaves a note of its process for re-encoding.
 * Pure.
 */
import type { BucketId, ObjectKey, RowKey, VersionId } from "@hayloft/base/ids.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { NOTHING_REMOVED, type LifecycleCounts } from "@hayloft/engine/format/objects/lifecycle-pass.js"
import { command, type RowView } from "@hayloft/engine/metadata/index.js"
import { decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import { closedReferences, findVersion, noteOf, RowEditor, type VersionMatch } from "@hayloft/objects/door/rows.js"
import type { CompiledRules, VersionFacts } from "./due-core.js"
import { versionFactsOf, moveDue, newerThan, rulesOf, versioningOf, type LifecycleTime } from "./walk-core.js"

interface MovedVersion {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly versionId: VersionId
}

/** Gives a version the storage class that its bucket's rules want by now, if that is another one than it has. */
export const setStorageClass = command<[target: MovedVersion, time: LifecycleTime], LifecycleCounts>({
  name: "SetStorageClass",
  grows: false,
  touches: ({ bucketId, key }) => [["current", objectRowKey(bucketId, key)]],
  decide(view, time, { bucketId, key, versionId }, at) {
    const rules = rulesOf(view, bucketId)
    const objectRow = objectRowKey(bucketId, key)
    // The object's row guards what is read of its other versions.
    view.get("heads", objectRow)
    const found = rules && findVersion(view, objectRow, versionId)
    const place = found && placeOf(view, objectRow, rules, found)
    if (rules === undefined || place === undefined || found === undefined) return NOTHING
    const facts = versionFactsOf(view, key, { objectRow, ...found }, place)
    const move = moveDue(rules, facts, found, versioningOf(view, bucketId), at)
    if (move === undefined) return NOTHING
    const { storageClass } = move
    const editor = new RowEditor(view, time, bucketId, key)
    editor.rewrite(found, record => ({ ...record, head: { ...record.head, storageClass } }))
    const { writes, ...rest } = editor.finish()
    const { content } = decodeVersion(found.row.value)
    // References do not cross classes.
    const closed =
      content.kind === "segments" ? closedReferences(view, bucketId, { key, ...content }, found.head.storageClass) : []
    const result = { ...NOTHING_REMOVED, moved: 1, movedBytes: found.head.sizeBytes }
    return { ...rest, writes: [...writes, ...closed, noteOf(view, time, "moved")], result }
  },
})

/**
 * Returns undefined if the version is the latest one, a delete marker. It does not matter whether an object is its
 * key's only version.
 */
function placeOf(
  view: RowView,
  objectRow: RowKey,
  { newerKeptMax }: CompiledRules,
  { family, rowKey }: VersionMatch,
): VersionFacts["place"] | undefined {
  if (family === "current") return { kind: "current", isOnly: false }
  const { sinceMs, newer } = newerThan(view, objectRow, rowKey, newerKeptMax)
  return sinceMs === undefined ? undefined : { kind: "noncurrent", sinceMs, newer }
}

const NOTHING = { writes: [], result: NOTHING_REMOVED } as const
