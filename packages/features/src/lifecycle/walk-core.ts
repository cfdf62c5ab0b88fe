/**
 * Walks over the versions of buckets and over uploads, slice by slice, with what is due. Pure.
 *
 * A slice is a bounded number of rows. It may end within the versions of a key; then the next one reads what came before
 * it again.
 */
import { failingLast } from "@hayloft/base/failing-last.js"
import {
  parseBucketId,
  parseIncarnation,
  type BucketId,
  type ObjectKey,
  type RowKey,
  type VersionId,
} from "@hayloft/base/ids.js"
import { RememberedByObject } from "@hayloft/base/remembered.js"
import type { Tags } from "@hayloft/base/tags.js"
import { decodeLifecyclePass, lifecycleRowKey } from "@hayloft/engine/format/objects/lifecycle-pass.js"
import { decodeLifecycleRules } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { decodeSetting, decodeUpload, type UploadRecord, type Versioning } from "@hayloft/engine/format/records.js"
import { bucketRowKey, objectRowKeyOf, parseObjectRowKey, settingRowKey } from "@hayloft/engine/format/row-key.js"
import {
  decodeVersion,
  decodeVersionHead,
  expiryOfRecord,
  shownBytesOf,
  versionIdOfHead,
  type VersionHead,
} from "@hayloft/engine/format/objects/version-record.js"
import { query, type Incarnations, type MetadataRow, type RowView } from "@hayloft/engine/metadata/index.js"
import type { MultipartId } from "@hayloft/base/ids.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import { unlessRefused } from "@hayloft/base/failures.js"
import type { StoreDays } from "@hayloft/objects/door/index.js"
import {
  ALL_OBJECT_ROWS,
  bucketOfRow,
  leavesNothing,
  mergedVersions,
  readDetails,
  requireRemovable,
} from "@hayloft/objects/door/rows.js"
import {
  compileRules,
  dueOf,
  movesOf,
  NO_RULES,
  uploadDueOf,
  type CompiledRules,
  type DueRule,
  type TransitionDays,
  type VersionFacts,
} from "./due-core.js"
import type { Move } from "./transitions-core.js"

/** A moment by which rules are judged: never ahead of the store's clock. */
export interface LifecycleTime extends TransitionDays {
  readonly nowMs: number
}

/** Rows from `start` to before `end`; at most `rowsMax` of them, and `dueMax` keys or uploads that are due. */
export interface SliceBounds {
  readonly start: RowKey
  readonly end: RowKey
  readonly rowsMax: number
  readonly dueMax: number
}

const compiled = new RememberedByObject<Uint8Array, CompiledRules>(value =>
  compileRules(decodeLifecycleRules(decodeSetting(value).document)),
)

/** The rules of an open bucket; undefined if it has none. Throws `corruptRecord`. */
export function rulesOf(view: RowView, bucketId: BucketId): CompiledRules | undefined {
  const bucket = view.get("buckets", bucketRowKey(bucketId))
  if (bucket === undefined) return undefined
  const { state, settings } = bucketOfRow(bucket)
  if (state !== "open" || !settings.includes("lifecycle")) return undefined
  const row = view.get("settings", settingRowKey(bucketId, "lifecycle"))
  return row && compiled.of(row.value)
}

/** The rules by which versions of an open bucket go, or may expire by themselves; undefined if none do either. */
function removalRulesOf(view: RowView, bucketId: BucketId): CompiledRules | undefined {
  const rules = rulesOf(view, bucketId)
  if (rules?.concernsVersions === true) return rules
  const bucket = view.get("buckets", bucketRowKey(bucketId))
  const row = view.get("lifecycle", lifecycleRowKey(bucketId))
  const isExpiring = row !== undefined && decodeLifecyclePass(row.value).expires !== undefined
  return bucket !== undefined && bucketOfRow(bucket).state === "open" && isExpiring ? NO_RULES : undefined
}

/** All rows of a bucket's objects. */

/** A version where it is stored. */
interface StoredVersion {
  /** The row of the object. */
  readonly objectRow: RowKey
  readonly rowKey: RowKey
  readonly row: MetadataRow
  readonly head: VersionHead
}

/** Returns what rules see of a version in its place. Its tags are read once, however many rules ask for them. */
export function versionFactsOf(
  view: RowView,
  key: ObjectKey,
  { objectRow, row, head }: Omit<StoredVersion, "rowKey">,
  place: VersionFacts["place"],
): VersionFacts {
  let tags: Tags | undefined
  return {
    key,
    isMarker: head.isMarker,
    sizeBytes: shownBytesOf(row.value, head),
    modifiedMs: head.modifiedMs,
    place,
    storageClass: head.storageClass,
    expiresMs: expiresMsOf(row),
    tags: () => (tags ??= readDetails(view, objectRow, decodeVersion(row.value)).tags),
  }
}

function expiresMsOf({ value }: MetadataRow): number | undefined {
  const expiresAtSeconds = expiryOfRecord(value)
  return expiresAtSeconds === undefined ? undefined : expiresAtSeconds * 1000
}

/** The facts about the versions of a key that are newer than the next one. */
interface NewerVersions {
  /** When the successor of the next version was created; undefined: the next one is the latest. */
  readonly sinceMs: number | undefined
  /** Noncurrent versions that are not delete markers. */
  readonly newer: number
}

/** Delete markers may stand between versions; with more rows than this fewer versions are counted, and more stay. */
const ROWS_FOR_EACH_NEWER = 8

/** Describes the versions before `rowKey`, a row of family `versions`. */
export function newerThan(view: RowView, objectRow: RowKey, rowKey: RowKey, newerMax: number): NewerVersions {
  const range = { start: objectRow, end: rowKey, reverse: true, expectedRows: newerMax + 1 }
  let sinceMs: number | undefined
  let [newer, rows] = [0, 0]
  for (const [, { value }] of view.range("versions", range)) {
    const { modifiedMs, isMarker } = decodeVersionHead(value)
    sinceMs ??= modifiedMs
    if (!isMarker) newer += 1
    rows += 1
    if (newer >= newerMax || rows >= newerMax * ROWS_FOR_EACH_NEWER) break
  }
  if (sinceMs === undefined) {
    const current = view.get("current", objectRow)
    sinceMs = current && decodeVersionHead(current.value).modifiedMs
  }
  return { sinceMs, newer }
}

/** The versions of one key, as far as they were walked over. */
interface WalkedKey {
  readonly objectRow: RowKey
  readonly key: ObjectKey
  rows: number
  sinceMs: number | undefined
  newer: number
  /** The latest version, if it is a delete marker: whether it is the only one shows at the next row. */
  marker: StoredVersion | undefined
}

const keyAt = (objectRow: RowKey, before: NewerVersions): WalkedKey => ({
  objectRow,
  key: parseObjectRowKey(objectRow).key,
  rows: 0,
  marker: undefined,
  ...before,
})

const FIRST: NewerVersions = { sinceMs: undefined, newer: 0 }

/** Comparisons of a version or an upload with a rule that one query makes: requests of its process wait for it. */
const COMPARISONS_MAX = 100_000

/** The rows that one query compares with rules: at most `rowsMax`, and fewer if there are many rules. */
export const comparedRowsOf = (rowsMax: number, rules: CompiledRules | undefined): number =>
  Math.min(rowsMax, Math.ceil(COMPARISONS_MAX / Math.max(1, rules?.rules.length ?? 0)))

type VersionVisitor = (facts: VersionFacts, version: StoredVersion) => boolean

/**
 * Calls `visit` with each version and its facts, until it returns false; of fewer rows if there are many rules to compare
 * them with. Returns the row at which the next slice begins, or undefined at the end.
 */
export const walkVersions = (
  view: RowView,
  bounds: Omit<SliceBounds, "dueMax">,
  rules: CompiledRules,
  visit: VersionVisitor,
): RowKey | undefined =>
  failingLast(attempt => walkSlice(view, bounds, rules, (facts, version) => attempt(() => visit(facts, version), true)))

function walkSlice(
  view: RowView,
  bounds: Omit<SliceBounds, "dueMax">,
  rules: CompiledRules,
  visit: VersionVisitor,
): RowKey | undefined {
  const { start, end } = bounds
  const { newerKeptMax: newerMax } = rules
  const rowsMax = comparedRowsOf(bounds.rowsMax, rules)
  let at: WalkedKey | undefined
  let rows = 0
  /** Returns where the slice ends if the marker was refused. */
  const visitMarker = (isOnly: boolean): RowKey | undefined => {
    if (at?.marker === undefined) return undefined
    const { key, marker } = at
    at.marker = undefined
    return visit(versionFactsOf(view, key, marker, { kind: "current", isOnly }), marker) ? undefined : marker.rowKey
  }
  for (const [rowKey, row] of mergedVersions(view, { start, end, expectedRows: rowsMax + 1 })) {
    const objectRow = objectRowKeyOf(rowKey)
    const isNext = at?.objectRow !== objectRow
    const refused = visitMarker(isNext)
    if (refused !== undefined) return refused
    if (rows === rowsMax) return rowKey
    rows += 1
    if (isNext || at === undefined) {
      const isWithin = rowKey !== objectRow && rows === 1 && start > objectRow
      at = keyAt(objectRow, isWithin ? newerThan(view, objectRow, rowKey, newerMax) : FIRST)
    }
    const version = { objectRow, rowKey, row, head: decodeVersionHead(row.value) }
    if (!visitVersion(view, at, version, visit)) return rowKey
  }
  return visitMarker(true)
}

function visitVersion(view: RowView, at: WalkedKey, version: StoredVersion, visit: VersionVisitor): boolean {
  const { sinceMs, newer, key } = at
  const { isMarker, modifiedMs } = version.head
  at.sinceMs = modifiedMs
  at.rows += 1
  if (sinceMs !== undefined) {
    if (!isMarker) at.newer += 1
    return visit(versionFactsOf(view, key, version, { kind: "noncurrent", sinceMs, newer }), version)
  }
  if (!isMarker) return visit(versionFactsOf(view, key, version, { kind: "current", isOnly: false }), version)
  at.marker = version
  return true
}

/** Returns true if the version has no lock, or its lock has ended. */
export const isUnlocked = ({ row, head }: Pick<StoredVersion, "row" | "head">, { nowMs }: LifecycleTime): boolean => {
  const lock = head.isLocked ? decodeVersion(row.value).lock : undefined
  if (lock === undefined) return true
  const removing = { clockMs: nowMs, bypassGovernance: false }
  return unlessRefused(() => (requireRemovable(lock, removing), true)) ?? false
}

/** Returns true if its time has come. */
export const isDue = (due: DueRule | undefined, { nowMs }: LifecycleTime): due is DueRule =>
  due !== undefined && due.dueMs <= nowMs

/** The effect on a version when it is removed. */
export type Removal = "hide" | "removeVersion" | "removeMarker"

/** With versioning suspended a delete marker takes the place of a current null version, whose bytes are gone. */
export function removalOf({ isMarker, place }: VersionFacts, { isNull }: VersionHead, versioning: Versioning): Removal {
  if (isMarker) return "removeMarker"
  return place.kind === "noncurrent" || leavesNothing({ isNull }, versioning) ? "removeVersion" : "hide"
}

/**
 * The move to another storage class that is due for a version. "Permanent deletion takes precedence over transition.
 * Transition takes precedence over creation of delete markers." A lock keeps a version from its removal, not from a move.
 */
export function moveDue(
  rules: CompiledRules,
  facts: VersionFacts,
  version: Pick<StoredVersion, "row" | "head">,
  versioning: Versioning,
  time: LifecycleTime,
): Move | undefined {
  if (!rules.movesVersions) return undefined
  const isRemoved =
    isDue(dueOf(rules, facts, time), time) &&
    removalOf(facts, version.head, versioning) !== "hide" &&
    isUnlocked(version, time)
  return isRemoved ? undefined : movesOf(rules, facts, time, time.nowMs).at(-1)
}

/** A key with versions that are due. */
export interface DueKey {
  readonly key: ObjectKey
  readonly isLatestDue: boolean
  /** The first noncurrent version that is due. */
  readonly from: RowKey | undefined
  /** Versions of the slice that move to another storage class. */
  readonly moves: readonly VersionId[]
}

export interface DueSlice<Item> {
  readonly due: readonly Item[]
  /** The place where the next slice begins; undefined: at the end. */
  readonly next: RowKey | undefined
}

export function versioningOf(view: RowView, bucketId: BucketId): Versioning {
  const bucket = view.get("buckets", bucketRowKey(bucketId))
  return bucket === undefined ? "never" : bucketOfRow(bucket).versioning
}

/** The keys of a slice of a bucket with versions that its rules remove, or move, by now. */
export const dueVersions = query(
  "DueVersions",
  (view, bucketId: BucketId, bounds: SliceBounds, time: LifecycleTime): DueSlice<DueKey> => {
    const rules = removalRulesOf(view, bucketId)
    if (rules === undefined) return { due: [], next: undefined }
    const due: DueKey[] = []
    const versioning = versioningOf(view, bucketId)
    const next = walkVersions(view, bounds, rules, (facts, version) => {
      const isCurrent = facts.place.kind === "current"
      const isRemoved = isDue(dueOf(rules, facts, time), time) && (isCurrent || isUnlocked(version, time))
      const isMoved = moveDue(rules, facts, version, versioning, time) !== undefined
      if (!isRemoved && !isMoved) return true
      const last = due.at(-1)
      const known = last?.key === facts.key ? last : undefined
      if (known === undefined && due.length === bounds.dueMax) return false
      if (known !== undefined) due.pop()
      const { isLatestDue, from, moves } = known ?? { isLatestDue: false, from: undefined, moves: [] }
      due.push({
        key: facts.key,
        isLatestDue: isLatestDue || (isRemoved && isCurrent),
        from: from ?? (isRemoved && !isCurrent ? version.rowKey : undefined),
        moves: isMoved ? [...moves, versionIdOfHead(version.head)] : moves,
      })
      return true
    })
    return { due, next }
  },
)

export interface DueUpload {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly multipartId: MultipartId
}

/** Buckets whose uploads one slice reads: an engine over SQL fetches the rules of each on their own. */
const BUCKETS_PER_SLICE_MAX = 64

/** The uploads of a slice of all buckets that are to be removed by now. */
export const dueUploads = query(
  "DueUploads",
  (view, { start, end, rowsMax, dueMax }: SliceBounds, time: LifecycleTime & StoreDays): DueSlice<DueUpload> => {
    const due: DueUpload[] = []
    const buckets = new Set<number>()
    let [rows, comparisons] = [0, 0]
    for (const [rowKey, row] of view.range("uploads", { start, end, expectedRows: rowsMax + 1 })) {
      const { bucketId } = parseObjectRowKey(rowKey)
      const isFull =
        (buckets.size === BUCKETS_PER_SLICE_MAX && !buckets.has(bucketId)) || comparisons >= COMPARISONS_MAX
      if (rows === rowsMax || due.length === dueMax || isFull) return { due, next: rowKey }
      buckets.add(bucketId)
      rows += 1
      // An upload that cannot be read holds up no others. Rules that cannot be read may keep one for longer than others do.
      const upload = unlessRefused(() => {
        const rules = rulesOf(view, parseBucketId(bucketId))
        comparisons += rules?.rules.length ?? 0
        return dueUpload(view, rowKey, row, { rules, time })
      })
      if (upload !== undefined) due.push(upload)
    }
    return { due, next: undefined }
  },
)

/** Returns true if the upload has copied parts of a rename whose process has ended: nobody completes it. */
export const isLeftByRename = ({ renamedBy }: UploadRecord, incarnations: Incarnations): boolean =>
  renamedBy !== undefined && incarnations.isOver(parseIncarnation(renamedBy))

function dueUpload(
  view: RowView & { readonly incarnations: Incarnations },
  rowKey: RowKey,
  row: MetadataRow,
  { rules, time }: { readonly rules: CompiledRules | undefined; readonly time: LifecycleTime & StoreDays },
): DueUpload | undefined {
  const { bucketId: id, key, suffix } = parseObjectRowKey(rowKey)
  const bucketId = parseBucketId(id)
  const upload = decodeUpload(row.value)
  const due = uploadDueOf(rules, { key, initiatedMs: upload.initiatedMs }, time)
  const isOver = isLeftByRename(upload, view.incarnations)
  if (!isOver && (due === undefined || due.dueMs > time.nowMs)) return undefined
  return { bucketId, key, multipartId: multipartIdOfSuffix(suffix) }
}

export const ROWS_OF_UPLOADS = ALL_OBJECT_ROWS
