/**
 * Row editor: the versions of one object key, read and changed within one decision. Pure.
 *
 * `current` holds the latest version if it is an object; delete markers and all older versions are in `versions`. The
 * editor keeps these, the row's head, the bucket's exact counters, shared bytes and the pending deletions consistent,
 * so that no command can forget one of them.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { BucketId, ObjectKey, RowKey } from "@hayloft/base/ids.js"
import { firstOf } from "@hayloft/base/first-of.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { msOfTimestamp, timestampOfMs, type Timestamp } from "@hayloft/base/text/timestamp.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { changedVersion, type DeletedReason } from "@hayloft/engine/format/objects/deleted-version.js"
import type { VersionLock } from "@hayloft/engine/format/objects/object-lock.js"
import type { VersionRestore } from "@hayloft/engine/format/objects/restore.js"
import type { BoundSealing } from "@hayloft/engine/format/needles/sealing.js"
import {
  bucketRowKey,
  objectRowKey,
  pendingDeletionRowKey,
  suffixRange,
  versionRowKey,
} from "@hayloft/engine/format/row-key.js"
import {
  decodeRowHead,
  decodeShares,
  encodePendingDeletion,
  encodeRowHead,
  encodeShares,
} from "@hayloft/engine/format/records.js"
import { NO_COUNTS } from "@hayloft/engine/format/records.js"
import type {
  BucketRecord,
  Counters,
  PendingDeletionRecord,
  RowHead,
  Versioning,
} from "@hayloft/engine/format/records.js"
import {
  decodeVersion,
  decodeVersionHead,
  DETAILS_IN_RECORD_BYTES_MAX,
  encodeDetails,
  encodeVersion,
  type Content,
  type LargeObject,
  type VersionDetails,
  type VersionHead,
  type VersionRecord,
} from "@hayloft/engine/format/objects/version-record.js"
import { bucketOfRow } from "./bucket-rows-core.js"
import { decideEach } from "./decide-each-core.js"
import { changeWrite, nextChangeMs, notesChanges, requireNewer, type Repeated } from "./changes-core.js"
import {
  findLatest,
  findVersion,
  headOfSingle,
  pendingDeletionOf,
  shareRowKey,
  type FoundVersion,
  type VersionMatch,
} from "./found-versions-core.js"
import { hintWrite } from "./hint-write-core.js"
import { requireRemovable } from "./lock-core.js"
import { NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"
import type { CommandView, DecisionTime, MetadataRow } from "@hayloft/engine/metadata/index.js"
import type { ChangedObject, Growth, ObjectChangePart, PartsGrowth, TakenVersion } from "../door/decision-part.js"
import { objectParts } from "../door/parts.js"
import { finishedAlone, finishedTogether, type Finished, type FinishedEditor } from "./finished-edits-core.js"
import { isCounted } from "./usage-core.js"

/** A version to add; the editor assigns its order and times. */
export interface NewVersion {
  readonly isMarker: boolean
  readonly content: Content
  readonly payload: Uint8Array | undefined
  readonly sizeBytes: number
  readonly md5: Uint8Array
  readonly parts: number
  readonly random: Uint8Array
  readonly checksum: Pick<VersionHead, "checksumAlgorithm" | "checksumType"> & { readonly value: string | undefined }
  readonly details: VersionDetails
  readonly storageClass: StorageClass
  readonly isShared: boolean
  readonly lock?: VersionLock | undefined
  /** The sealing of its bytes; it is bound to this version. */
  readonly sealing?: BoundSealing | undefined
  /** The restore of a version that was moved here. */
  readonly restore?: VersionRestore | undefined
  /** When its object expires; undefined: never. */
  readonly expiresAtSeconds?: number | undefined
  /** Its bytes are the segment list of a large object. */
  readonly largeObject?: LargeObject | undefined
}

/** A version that has grown; its bytes are in segments from then on. */
type GrownVersion = Pick<NewVersion, "sizeBytes" | "content" | "md5" | "parts" | "checksum">

/** The facts that a removal goes by if the version has a lock. */
export interface Removing {
  /** The store's clock. */
  readonly clockMs: number
  readonly bypassGovernance: boolean
}

/** No lock yields. */
const NEVER_OVER: Removing = { clockMs: 0, bypassGovernance: false }

export const NO_CHECKSUM = { checksumAlgorithm: undefined, checksumType: undefined, value: undefined } as const

/** Versions of a row that share bytes: what changes the bytes writes all of them in one command. */
const SHARERS_MAX = 128
const OF_VERSIONS: ReadonlySet<Family> = new Set<Family>(["current", "versions", "details", "shares"])

const NO_FEATURES: readonly ObjectChangePart[] = []

const NO_PARTS: PartsGrowth = { bytes: 0, countedBy: undefined }

/** The object's versions as a decision has found and changed them. */
interface Versions {
  readonly had: RowHead | undefined
  readonly hadObject: boolean
  head: RowHead
  hasObject: boolean
}

/** How a version is taken. Features keep nothing of one that gets another key. */
type Taking = DeletedReason | "renamed"

/** The head of an object without versions. */
const ABSENT: RowHead = headOfSingle(undefined)

export class RowEditor implements ChangedObject {
  readonly row: RowKey
  /** Read when the decision concerns versions: parts of uploads do not. */
  private found: Versions | undefined
  private foundBucket: BucketRecord | undefined
  /** A short list, searched linearly. */
  private readonly writes: EntryWrite[] = []
  private bytesDelta = 0
  private uploadsDelta = 0
  private addsObject = false
  private parts: PartsGrowth = NO_PARTS
  private isRestoring = false
  private pendingDeletions = 0
  /** When another store has made the change that is repeated here. */
  private timestamp: Timestamp | undefined
  /** The change arrives as a copy of another store: see `Conditions.isCopy`. */
  isCopy = false
  private ofFeatures: readonly ObjectChangePart[] | undefined

  constructor(
    readonly view: CommandView,
    readonly time: DecisionTime,
    readonly bucketId: BucketId,
    readonly key: ObjectKey,
    /** The store's clock. */
    readonly clockMs = 0,
    /** The complete editor of another key: finishing this editor also finishes that one and those before it. */
    private readonly before?: RowEditor,
  ) {
    this.row = objectRowKey(bucketId, key)
    this.pendingDeletions = before?.pendingDeletions ?? 0
  }

  /** The parts of features in this change, from the first moment on at which one may have a part in it. */
  private get features(): readonly ObjectChangePart[] {
    this.ofFeatures ??= objectParts(this)
    return this.ofFeatures
  }

  /** The part of one feature. */
  partOf<Part extends ObjectChangePart>(kind: abstract new (...of: never[]) => Part): Part {
    for (const part of this.features) if (part instanceof kind) return part
    return must<Part>(undefined, `${kind.name} is installed`)
  }

  private get versions(): Versions {
    if (this.found !== undefined) return this.found
    const stored = this.view.get("heads", this.row)
    const current = this.view.get("current", this.row)
    const had = stored && decodeRowHead(stored.value)
    const hadObject = current !== undefined
    const head = had ?? headOfSingle(current && decodeVersionHead(current.value))
    this.found = { had, hadObject, head, hasObject: hadObject }
    return this.found
  }

  /** Latest version, unless it is a delete marker. */
  latestObject(): VersionMatch | undefined {
    const latest = findLatest(this.view, this.row)
    return latest?.head.isMarker ? undefined : latest
  }

  put(family: Family, key: RowKey, value: Uint8Array | undefined, payload?: Uint8Array): void {
    // All other rows are new, or are read before they are changed.
    if (family === "details" && value === undefined) this.view.get(family, key)
    const write = payload ? { family, key, value, payload } : { family, key, value }
    const at = this.writes.findIndex(earlier => earlier.key === key && earlier.family === family)
    if (at < 0) this.writes.push(write)
    else this.writes[at] = write
  }

  /** A row, including the changes of this decision. */
  private read(family: Family, key: RowKey): MetadataRow | undefined {
    const write = this.writes.find(earlier => earlier.key === key && earlier.family === family)
    if (!write) return this.view.get(family, key)
    if (!write.value) return undefined
    return { value: write.value, payload: write.payload && { in: "memory", bytes: write.payload } }
  }

  private rowOf(version: FoundVersion): MetadataRow {
    return must(this.read(version.family, version.rowKey), "a found version has a row")
  }

  /** Records that these bytes are deleted once the decision is certain. */
  deleteLater(deletion: PendingDeletionRecord): void {
    this.put(
      "pendingDeletions",
      pendingDeletionRowKey(this.time.id, this.pendingDeletions),
      encodePendingDeletion(deletion),
    )
    this.pendingDeletions += 1
  }

  /** Records hints, given by their row keys. */
  record(hints: readonly RowKey[]): void {
    for (const key of hints) this.writes.push(hintWrite(this.view, this.time, key))
  }

  /**
   * Makes a decision safe that relies on the object's absence without writing the object: the row of an object without
   * versions competes with whatever would make one. Readers ignore it, and `dropGuards` removes it. Returns whether it is needed.
   */
  guardAbsence(): boolean {
    const { had, hadObject } = this.versions
    if (had !== undefined || hadObject) return false
    this.put("heads", this.row, encodeRowHead(ABSENT))
    return true
  }

  countUpload(delta: 1 | -1): void {
    this.uploadsDelta += delta
  }

  /** Counts the parts of one upload, once. */
  countParts(bytes: number, countedBy: readonly string[] | undefined): void {
    this.parts = { bytes, countedBy }
  }

  /** Features refuse no growth: what is put back was accepted before. */
  restore(): void {
    this.isRestoring = true
  }

  /** This repeats a change of another store. Throws `preconditionFailed` if what is here is newer. */
  repeat(repeated: Repeated): void {
    requireNewer(this.view, this.row, repeated)
    this.timestamp = repeated.timestamp
  }

  /** It is undefined if there is no such bucket any more. */
  get bucket(): BucketRecord | undefined {
    if (this.foundBucket !== undefined) return this.foundBucket
    const row = this.view.get("buckets", bucketRowKey(this.bucketId))
    return (this.foundBucket = row && bucketOfRow(row))
  }

  private get notesChanges(): boolean {
    return this.bucket !== undefined && notesChanges(this.bucket)
  }

  /** When the object changes, unless another store says. */
  private get changedMs(): number {
    const { nowMs } = this.time
    const { lastModifiedMs: lastMs } = this.versions.head
    return this.notesChanges ? nextChangeMs(this.view, this.row, { nowMs, lastMs }) : Math.max(nowMs, lastMs)
  }

  /** Notes that the object has changed, if its bucket wants that. */
  private noteChange(): void {
    const latest = this.writes.find(({ family, key }) => family === "current" && key === this.row)
    if (latest === undefined || !this.notesChanges) return
    const removedAt = () => this.timestamp ?? timestampOfMs(this.changedMs)
    const write = changeWrite(this.view, { time: this.time, row: this.row, after: latest.value, removedAt })
    if (write !== undefined) this.writes.push(write)
  }

  /** Adds the newest version. Unless versioning is enabled it is the null version, and replaces the previous one. */
  insert(version: NewVersion, versioning: Versioning): VersionHead {
    const isNull = versioning !== "enabled"
    const replaces = isNull ? findVersion(this.view, this.row, NULL_VERSION) : undefined
    if (replaces) this.take(replaces, NEVER_OVER, "overwritten")
    const { versions } = this
    if (versions.hasObject && replaces?.family !== "current") this.demoteCurrent()
    const head = this.headOf(version, isNull)
    const record: VersionRecord = {
      head,
      content: version.content,
      checksumValue: version.checksum.value,
      details: head.hasDetails ? undefined : version.details,
      ...(version.lock && { lock: version.lock }),
      ...(version.sealing && { sealing: version.sealing }),
      ...(version.restore && { restore: version.restore }),
      ...(version.expiresAtSeconds !== undefined && { expiresAtSeconds: version.expiresAtSeconds }),
      ...(version.largeObject && { largeObject: version.largeObject }),
    }
    const rowKey = head.isMarker ? versionRowKey(this.row, head.order) : this.row
    this.put(head.isMarker ? "versions" : "current", rowKey, encodeVersion(record), version.payload)
    if (head.hasDetails) this.put("details", versionRowKey(this.row, head.order), encodeDetails(version.details))
    if (head.isMarker && versions.hasObject) this.put("current", this.row, undefined)
    versions.hasObject = !head.isMarker
    this.bytesDelta += head.sizeBytes
    this.addsObject ||= !head.isMarker
    versions.head = {
      lastOrder: head.order,
      lastModifiedMs: head.modifiedMs,
      nullOrder: head.isNull ? head.order : versions.head.nullOrder,
      versions: versions.head.versions + 1,
      latestOrder: head.order,
    }
    return head
  }

  private headOf(version: NewVersion, isNull: boolean): VersionHead {
    return {
      isMarker: version.isMarker,
      isNull,
      hasDetails: encodeDetails(version.details).length > DETAILS_IN_RECORD_BYTES_MAX,
      isShared: version.isShared,
      isLocked: version.lock !== undefined,
      storageClass: version.storageClass,
      checksumAlgorithm: version.checksum.checksumAlgorithm,
      checksumType: version.checksum.checksumType,
      sizeBytes: version.sizeBytes,
      modifiedMs: this.timestamp === undefined ? this.changedMs : msOfTimestamp(this.timestamp),
      order: this.nextOrder,
      random: version.random,
      md5: version.md5,
      parts: version.parts,
    }
  }

  /** Removes a version; if it was the latest, the next one becomes the latest. Throws `objectLocked`. */
  remove(version: VersionMatch, removing: Removing = NEVER_OVER, taking: Taking = "deleted"): void {
    this.take(version, removing, taking)
    const { versions } = this
    if (version.head.order !== versions.head.latestOrder) return
    versions.hasObject = false
    if (versions.head.versions === 0) return
    const next = this.versionBefore(version.head.order)
    if (!next) return
    versions.head = { ...versions.head, latestOrder: next.head.order }
    if (next.head.isMarker) return
    this.move(next, "current", this.row)
    versions.hasObject = true
  }

  private versionBefore(order: number): VersionMatch | undefined {
    const range = { ...suffixRange(this.row), start: versionRowKey(this.row, order - 1) }
    const first = firstOf(this.view.range("versions", range))
    if (!first) return undefined
    const [rowKey, row] = first
    return { head: decodeVersionHead(row.value), family: "versions", rowKey, row }
  }

  private demoteCurrent(): void {
    const current = must(this.read("current", this.row), "the row has an object")
    const head = decodeVersionHead(current.value)
    this.move(
      { head, family: "current", rowKey: this.row, row: current },
      "versions",
      versionRowKey(this.row, head.order),
    )
  }

  private move(version: VersionMatch, family: Family, rowKey: RowKey): void {
    const row = this.rowOf(version)
    this.put(version.family, version.rowKey, undefined)
    this.put(family, rowKey, row.value, this.view.payload(version.family, version.rowKey, row))
  }

  /** Replaces a version's record; its bytes stay, unless they are another payload. */
  rewrite(version: FoundVersion, change: (record: VersionRecord) => VersionRecord, newPayload?: Uint8Array): void {
    const row = this.rowOf(version)
    const payload = newPayload ?? this.view.payload(version.family, version.rowKey, row)
    this.put(version.family, version.rowKey, changedVersion(version.family, row.value, change), payload)
  }

  /** Replaces the details that a client stores with the bytes. */
  setDetails(version: VersionMatch, details: VersionDetails): void {
    const encoded = encodeDetails(details)
    const hasDetails = encoded.length > DETAILS_IN_RECORD_BYTES_MAX
    const detailsKey = versionRowKey(this.row, version.head.order)
    if (version.head.hasDetails) this.view.get("details", detailsKey)
    if (hasDetails || version.head.hasDetails) this.put("details", detailsKey, hasDetails ? encoded : undefined)
    this.rewrite(version, record => ({
      ...record,
      head: { ...record.head, hasDetails },
      details: hasDetails ? undefined : details,
    }))
  }

  /**
   * Changes an object that grows: it has another order from now on, as if it had been written again. Its
   * bytes are shared with nothing. Returns its new head. Throws `conflict` if they are.
   */
  grow(version: VersionMatch, grown: GrownVersion): VersionHead {
    const { sizeBytes, content, md5, parts, checksum } = grown
    const { checksumAlgorithm, checksumType, value: checksumValue } = checksum
    if (!this.isLastOfBytes(decodeVersion(version.row.value))) throw fail("conflict")
    const modifiedMs = this.changedMs
    const order = this.nextOrder
    this.reordered(order)
    this.moveDetails(version.head, order)
    this.bytesDelta += sizeBytes - version.head.sizeBytes
    const changed = { sizeBytes, modifiedMs, order, md5, parts, checksumAlgorithm, checksumType, isShared: false }
    const head = { ...version.head, ...changed }
    const change = (record: VersionRecord): VersionRecord => ({ ...record, head, content, checksumValue })
    this.put(version.family, version.rowKey, changedVersion(version.family, this.rowOf(version).value, change))
    const { versions } = this
    const nullOrder = head.isNull ? order : versions.head.nullOrder
    const lasts = { lastOrder: order, lastModifiedMs: modifiedMs, latestOrder: order }
    versions.head = { ...versions.head, ...lasts, nullOrder }
    return head
  }

  /** The same bytes are elsewhere from now on. Throws `conflict` if other versions of the key share them. */
  setContent(version: VersionMatch, content: Content): void {
    if (!this.isLastOfBytes(decodeVersion(version.row.value))) throw fail("conflict")
    const change = (record: VersionRecord): VersionRecord => ({
      ...record,
      content,
      head: { ...record.head, isShared: false },
    })
    this.put(version.family, version.rowKey, changedVersion(version.family, this.rowOf(version).value, change))
  }

  private moveDetails({ hasDetails, order: before }: VersionHead, order: number): void {
    if (!hasDetails) return
    const details = must(this.read("details", versionRowKey(this.row, before)), "the head says so")
    this.put("details", versionRowKey(this.row, before), undefined)
    this.put("details", versionRowKey(this.row, order), details.value)
  }

  /**
   * The commit timestamp, but later than those of all versions that the row has had: earlier releases took them from the
   * clocks of nodes. Until such an order has passed, nothing shows the state of now.
   */
  private get nextOrder(): number {
    const { commitUs } = this.time
    const order = Math.max(commitUs, this.versions.head.lastOrder + 1)
    assert(Number.isSafeInteger(order), "orders are whole microseconds")
    if (order > commitUs) this.reordered(order)
    return order
  }

  private reordered(order: number): void {
    for (const part of this.features) part.reordered?.(order)
  }

  /** A version counts as modified now, and no later change of the row as modified before. Returns the time. */
  markModified(version: VersionMatch): number {
    const modifiedMs = this.changedMs
    this.versions.head = { ...this.versions.head, lastModifiedMs: modifiedMs }
    this.rewrite(version, record => ({ ...record, head: { ...record.head, modifiedMs } }))
    return modifiedMs
  }

  /** Counts one more version of this row that references a version's bytes. Throws `conflict` if there are many. */
  share(version: VersionMatch): void {
    const { content } = decodeVersion(version.row.value)
    const shareKey = shareRowKey(this.row, content)
    if (!shareKey) return
    const row = this.read("shares", shareKey)
    const names = row ? decodeShares(row.value) : 1
    if (names >= SHARERS_MAX) throw fail("conflict")
    this.put("shares", shareKey, encodeShares(names + 1))
    this.rewrite(version, record => ({ ...record, head: { ...record.head, isShared: true } }))
  }

  /**
   * Removes a version from its row: record, details, counts, and its bytes if no other version references them, unless
   * a feature keeps it. Nothing else removes versions, so this is where locks are enforced. Throws `objectLocked`.
   */
  private take(version: VersionMatch, removing: Removing, taking: Taking): void {
    const row = this.rowOf(version)
    const record = decodeVersion(row.value)
    if (record.lock !== undefined) requireRemovable(record.lock, removing)
    if (!version.head.isMarker && this.isLastOfBytes(record)) {
      const isKept = taking !== "renamed" && this.isKept({ version, row, record, reason: taking })
      if (!isKept) this.deleteContentLater(record)
    }
    this.put(version.family, version.rowKey, undefined)
    if (version.head.hasDetails) this.put("details", versionRowKey(this.row, version.head.order), undefined)
    for (const part of this.features) part.removed?.(version, this.versions.head.latestOrder)
    this.bytesDelta -= version.head.sizeBytes
    const { nullOrder, versions } = this.versions.head
    const head = { ...this.versions.head, versions: versions - 1, nullOrder: version.head.isNull ? 0 : nullOrder }
    this.versions.head = head
  }

  /** Returns true if no other version references the bytes. Otherwise there is one reference less. */
  private isLastOfBytes({ head, content }: VersionRecord): boolean {
    const shareKey = head.isShared ? shareRowKey(this.row, content) : undefined
    if (shareKey === undefined) return true
    const row = must(this.read("shares", shareKey), "shared bytes are counted")
    const names = decodeShares(row.value) - 1
    this.put("shares", shareKey, names > 0 ? encodeShares(names) : undefined)
    return names === 0
  }

  private deleteContentLater({ content }: VersionRecord): void {
    const deletion = pendingDeletionOf(this.bucketId, this.key, content)
    if (deletion) this.deleteLater(deletion)
  }

  private isKept(taken: TakenVersion): boolean {
    for (const part of this.features) if (part.keeps?.(taken) === true) return true
    return false
  }

  /** All writes, including the head, and the changes of counters and usage. Throws what features refuse. */
  finish(): Finished {
    if (this.before === undefined) return finishedAlone(this.view, this.finishOne())
    return finishedTogether(this.view, this.finishAll())
  }

  private finishAll(): readonly FinishedEditor[] {
    const editors: RowEditor[] = [this]
    for (let each = this.before; each !== undefined; each = each.before) editors.unshift(each)
    return decideEach(editors, editor => editor.finishOne())
  }

  private finishOne(): FinishedEditor {
    const { bucketId, writes } = this
    const change = this.change()
    return { bucketId, writes, change, growth: this.growthOf(change), features: this.ofFeatures ?? NO_FEATURES }
  }

  private change(): Counters {
    const [bytes, uploads] = [this.bytesDelta, this.uploadsDelta]
    if (!this.writes.some(({ family }) => OF_VERSIONS.has(family))) return { ...NO_COUNTS, bytes, uploads }
    const { had, hadObject, head, hasObject } = this.versions
    this.noteChange()
    for (const part of this.features) if (part.changed !== undefined) this.writes.push(...part.changed(this.writes))
    this.putHead(this.versions)
    const objects = (hasObject ? 1 : 0) - (hadObject ? 1 : 0)
    const versions = head.versions - (had?.versions ?? (hadObject ? 1 : 0))
    return { objects, versions, bytes, uploads }
  }

  /** @returns undefined if no feature counts the change. */
  private growthOf({ bytes, versions }: Counters): Growth | undefined {
    const { parts, isRestoring, addsObject } = this
    if (bytes === 0 && versions === 0 && parts.bytes === 0) return undefined
    const { bucket } = this
    if (bucket === undefined || !isCounted(bucket)) return undefined
    return { bucket, bytes, versions, addsObject, parts, isRestoring }
  }

  /** A head is written with every change of versions, even if it stays the same: it guards them. */
  private putHead({ had, head, hasObject }: Versions): void {
    const { versions } = head
    if (versions === 0) {
      if (had) this.put("heads", this.row, undefined)
    } else if (had || versions > 1 || !hasObject) this.put("heads", this.row, encodeRowHead(head))
  }
}
