/**
 * Removals by lifecycle rules. Each command decides again, by the bucket's rules and the rows as they are: what a pass has
 * read before is only a hint. Locks prevail: `RowEditor` removes nothing that is locked. Pure.
 */
import type { BucketId, ObjectKey, RowKey } from "@hayloft/base/ids.js"
import { NOTHING_REMOVED, type LifecycleCounts } from "@hayloft/engine/format/objects/lifecycle-pass.js"
import { decodeRowHead } from "@hayloft/engine/format/records.js"
import { bucketRowKey, objectRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { decodeVersionHead } from "@hayloft/engine/format/objects/version-record.js"
import { command, type DecisionTime, type RowView } from "@hayloft/engine/metadata/index.js"
import type { StoreDays } from "@hayloft/objects/door/index.js"
import {
  addressKeyOf,
  bucketOfRow,
  checkFrozen,
  endUpload,
  findLatest,
  findUpload,
  type FrozenParts,
  isBeingCompleted,
  MARKER,
  needsFreeze,
  RowEditor,
  type UploadAddress,
  type VersionMatch,
} from "@hayloft/objects/door/rows.js"
import { dueOf, NO_RULES, uploadDueOf, type CompiledRules } from "./due-core.js"
import {
  versionFactsOf,
  isDue,
  isLeftByRename,
  isUnlocked,
  newerThan,
  rulesOf,
  type LifecycleTime,
} from "./walk-core.js"

interface Target {
  readonly bucketId: BucketId
  readonly key: ObjectKey
}

interface ExpireLatest extends Target {
  /** Random bytes for the id of a marker. */
  readonly random: Uint8Array
}

const NOTHING = { writes: [], result: NOTHING_REMOVED } as const
const removingAt = ({ nowMs }: LifecycleTime) => ({ clockMs: nowMs, bypassGovernance: false })

/**
 * The latest version of a key, if it is due by the rules or by an expiry of its own: an object is removed, or hidden by a delete marker in a bucket with versions; a
 * delete marker that is the only version is removed.
 */
export const expireLatest = command<[target: ExpireLatest, time: LifecycleTime], LifecycleCounts>({
  name: "ExpireLatest",
  grows: false,
  touches: ({ bucketId, key }) => [["current", objectRowKey(bucketId, key)]],
  decide(view, time, { bucketId, key, random }, at) {
    const bucket = view.get("buckets", bucketRowKey(bucketId))
    const objectRow = objectRowKey(bucketId, key)
    const latest = findLatest(view, objectRow)
    if (bucket === undefined || bucketOfRow(bucket).state !== "open" || latest === undefined) return NOTHING
    const rules = rulesOf(view, bucketId) ?? NO_RULES
    const rowHead = view.get("heads", objectRow)
    const isOnly = rowHead === undefined || decodeRowHead(rowHead.value).versions === 1
    const facts = versionFactsOf(view, key, { objectRow, ...latest }, { kind: "current", isOnly })
    if (!isDue(dueOf(rules, facts, at), at)) return NOTHING
    const editor = new RowEditor(view, time, bucketId, key, at.nowMs)
    const { versioning } = bucketOfRow(bucket)
    const { isMarker, isNull, sizeBytes: bytes } = latest.head
    if (isMarker) {
      editor.remove(latest, removingAt(at))
      return { ...editor.finish(), result: { ...NOTHING_REMOVED, markers: 1 } }
    }
    if (versioning === "never") {
      editor.remove(latest, removingAt(at), "expired")
      return { ...editor.finish(), result: { ...NOTHING_REMOVED, versions: 1, bytes } }
    }
    editor.insert({ ...MARKER, random }, versioning)
    const replaced = versioning === "suspended" && isNull ? { versions: 1, bytes } : {}
    return { ...editor.finish(), result: { ...NOTHING_REMOVED, hidden: 1, ...replaced } }
  },
})

/**
 * Versions that one command looks at: each that it removes changes up to four rows, and a decision needs all in memory. Over
 * SQL a removal costs up to two fetches, and a decision may make 40 (`fetchesMax` in `packages/engine/src/sql/limits.ts`).
 */
const VERSIONS_MAX = 16

interface ExpireNoncurrent extends Target {
  /** The version, or where it would be, from which on versions are looked at: newest first. */
  readonly from: RowKey
}

interface Expired {
  readonly removed: LifecycleCounts
  /** The place to go on at; undefined: there are no older versions. */
  readonly next: RowKey | undefined
}

const NO_VERSIONS: Expired = { removed: NOTHING_REMOVED, next: undefined }

/** Noncurrent versions of a key that are due. */
export const expireNoncurrent = command<[target: ExpireNoncurrent, time: LifecycleTime], Expired>({
  name: "ExpireNoncurrent",
  grows: false,
  touches: ({ bucketId, key }) => [["heads", objectRowKey(bucketId, key)]],
  decide(view, time, target, at) {
    const { bucketId, key } = target
    const rules = rulesOf(view, bucketId)
    // The object's row guards what is read of its versions.
    const hasVersions = view.get("heads", objectRowKey(bucketId, key)) !== undefined
    if (rules === undefined || !hasVersions) return { writes: [], result: NO_VERSIONS }
    const { due, next } = dueNoncurrent(view, target, rules, at)
    if (due.length === 0) return { writes: [], result: { ...NO_VERSIONS, next } }
    const editor = new RowEditor(view, time, bucketId, key)
    for (const version of due) editor.remove(version, removingAt(at))
    const markers = due.filter(({ head }) => head.isMarker).length
    const bytes = due.reduce((sum, { head }) => sum + head.sizeBytes, 0)
    const removed = { ...NOTHING_REMOVED, versions: due.length - markers, bytes, markers }
    return { ...editor.finish(), result: { removed, next } }
  },
})

function dueNoncurrent(
  view: RowView,
  { bucketId, key, from }: ExpireNoncurrent,
  rules: CompiledRules,
  at: LifecycleTime,
): { readonly due: readonly VersionMatch[]; readonly next: RowKey | undefined } {
  const objectRow = objectRowKey(bucketId, key)
  let { sinceMs, newer } = newerThan(view, objectRow, from, rules.newerKeptMax)
  const due: VersionMatch[] = []
  let rows = 0
  let nextOrder: number | undefined
  const range = { start: from, end: suffixRange(objectRow).end, expectedRows: VERSIONS_MAX + 1 }
  for (const [rowKey, row] of view.range("versions", range)) {
    if (rows === VERSIONS_MAX) return { due, next: rowKey }
    rows += 1
    const head = decodeVersionHead(row.value)
    const version: VersionMatch = { family: "versions", rowKey, row, head, nextOrder }
    const place = sinceMs === undefined ? undefined : ({ kind: "noncurrent", sinceMs, newer } as const)
    const facts = place && versionFactsOf(view, key, { objectRow, row, head }, place)
    if (facts && isDue(dueOf(rules, facts, at), at) && isUnlocked(version, at)) due.push(version)
    if (place && !head.isMarker) newer += 1
    sinceMs = head.modifiedMs
    nextOrder = head.order
  }
  return { due, next: undefined }
}

/** `"frozen first"`: it is due, and its part list must be frozen before it is removed. */
type ExpiredUpload = boolean | "frozen first"

type ExpireUploadArguments = [address: UploadAddress, time: LifecycleTime & StoreDays, frozen?: FrozenParts]

/** An upload that is due, unless it is being completed. Returns whether it was removed. */
export const expireUpload = command<ExpireUploadArguments, ExpiredUpload>({
  name: "ExpireUpload",
  grows: false,
  touches: address => [["uploads", addressKeyOf(address)]],
  decide(view, time: DecisionTime, address, at, frozen) {
    const upload = findUpload(view, address)
    if (upload === undefined) return { writes: [], result: false }
    if (frozen !== undefined) checkFrozen(upload, frozen)
    else if (isBeingCompleted(upload, time)) return { writes: [], result: false }
    const { bucketId, key } = address
    const due = uploadDueOf(rulesOf(view, bucketId), { key, initiatedMs: upload.initiatedMs }, at)
    const isOver = isLeftByRename(upload, time.incarnations)
    if (!isOver && (due === undefined || due.dueMs > at.nowMs)) return { writes: [], result: false }
    if (frozen === undefined && needsFreeze(upload)) return { writes: [], result: "frozen first" }
    const editor = new RowEditor(view, time, bucketId, key)
    endUpload(editor, address, "aborted", { upload, partsBytes: frozen?.partsBytes })
    return { ...editor.finish(), result: true }
  },
})
