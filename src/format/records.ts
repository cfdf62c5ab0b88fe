/**
 * The smaller records of the metadata, one codec each; all are packed arrays with a format number.
 */
import { assert, must } from "../base/assert.js"
import { bytesOfHex, hexOf } from "../base/bytes.js"
import { fail } from "../base/failures.js"
import { parseAccountId, parseAccountNumber, parseBucketId, parseBucketName, parseMultipartId } from "../base/ids.js"
import type { AccountId, AccountNumber, BucketId, BucketName, MultipartId, ObjectKey } from "../base/ids.js"
import { parsePolicy, textOfPolicy, type Policy } from "../base/policy.js"
import { numberOfClass, STORAGE_CLASSES, type StorageClass } from "../base/storage-class.js"
import { accountNumberOf } from "./account-number.js"
import { packRateLimits, readRateLimits, type RateLimits } from "./rate-limits.js"
import { checkDigests } from "./dedup-rows.js"
import { packExtent, readExtent, type Extent } from "./extent.js"
import { packBucketLock, packVersionLock, readBucketLock, readVersionLock } from "./object-lock.js"
import type { BucketLock, VersionLock } from "./object-lock.js"
import { packRecord, pick, RecordReader } from "./pack.js"
import { packSealing, readSealing, type Sealing } from "./sealing.js"
import { packQuota, readQuota, type Quota } from "./usage.js"
import type { ChecksumName, ChecksumType, VersionDetails } from "./version-record.js"
import { decodeDetails, encodeDetails } from "./version-record.js"

/**
 * Head of a row (family `heads`): it exists while a row has anything other than its `current` record, so that
 * an overwrite is newer than its predecessor even if the clock is slow.
 */
export interface RowHead {
  readonly lastOrder: number
  readonly lastModifiedMs: number
  /** 0 if there is no null version. */
  readonly nullOrder: number
  /** Versions and delete markers of the row. */
  readonly versions: number
  readonly latestOrder: number
}

export const encodeRowHead = (head: RowHead): Uint8Array =>
  packRecord(1, [head.lastOrder, head.lastModifiedMs, head.nullOrder, head.versions, head.latestOrder])

export function decodeRowHead(bytes: Uint8Array): RowHead {
  const row = RecordReader.open("row head", bytes, 1)
  return {
    lastOrder: row.number(),
    lastModifiedMs: row.number(),
    nullOrder: row.number(),
    versions: row.number(),
    latestOrder: row.number(),
  }
}

export type Versioning = "never" | "enabled" | "suspended"
/** `erasing`: its name is free, its secret destroyed; its rows and bytes follow. */
export type BucketState = "open" | "closing" | "erasing"

/** The settings of a bucket, each a separate document. Numbers are on disk: append only. */
export const SETTING_NAMES = [
  "policy",
  "acl",
  "cors",
  "tagging",
  "ownershipControls",
  "publicAccessBlock",
  "requestPayment",
  "lifecycle",
  "encryption",
  "website",
  "swift",
  "sync",
  "append",
  "transforms",
  "remote",
  "dedup",
  "history",
  "packing",
  "copies",
] as const
export type SettingName = (typeof SETTING_NAMES)[number]

/** Bucket head (family `buckets`). */
export interface BucketRecord {
  readonly id: BucketId
  readonly name: BucketName
  readonly owner: AccountId
  readonly createdMs: number
  readonly location: string
  readonly versioning: Versioning
  readonly state: BucketState
  /** Grows with each change of settings. */
  readonly settingsVersion: number
  /** Which settings have a document, in the order of their numbers. */
  readonly settings: readonly SettingName[]
  /** The store's policy if absent. */
  readonly policy?: Policy
  /** Object lock is on; never removed. */
  readonly lock?: BucketLock
  readonly usage?: BucketUsage
  /** How long what is deleted or overwritten is kept from now on. Absent: it is not. */
  readonly undeleteDays?: number
  /** There is a count of what is kept: undelete was on at some time. */
  readonly countsDeleted?: true
}

/** Which counts the bucket's rows belong to. */
interface BucketUsage {
  /** The quota of the bucket. */
  readonly own?: Quota
  /** The run of its account's quota that counts the bucket; of another run than the account's: none does. */
  readonly accountRun?: string
}

const VERSIONINGS: readonly Versioning[] = ["never", "enabled", "suspended"]
const STATES: readonly BucketState[] = ["open", "closing", "erasing"]

/** Null stands for an absent member before one that is present. */
export function withoutTail(members: readonly unknown[]): readonly unknown[] {
  const last = members.findLastIndex(member => member !== undefined)
  return members.slice(0, last + 1).map(member => member ?? null)
}

export function encodeBucket(bucket: BucketRecord): Uint8Array {
  const policy = bucket.policy && textOfPolicy(bucket.policy)
  const settings = bucket.settings.reduce((bits, name) => bits | (1 << SETTING_NAMES.indexOf(name)), 0)
  const { lock, usage, countsDeleted } = bucket
  assert(countsDeleted === true || bucket.undeleteDays === undefined, "what is kept is counted")
  const hasMore = settings !== 0 || lock !== undefined || usage !== undefined || countsDeleted === true
  const appended = [
    ...[policy, hasMore ? settings : undefined, lock && packBucketLock(lock), usage && packUsage(usage)],
    countsDeleted && [bucket.undeleteDays ?? null],
  ]
  return packRecord(formatOfBucket(bucket), [
    bucket.id,
    bucket.name,
    bucket.owner,
    bucket.createdMs,
    bucket.location,
    VERSIONINGS.indexOf(bucket.versioning),
    STATES.indexOf(bucket.state),
    bucket.settingsVersion,
    ...withoutTail(appended),
  ])
}

/**
 * Earlier releases refuse members that they do not know, and buckets with a history, or whose changes are copied elsewhere: they
 * would not note what they change.
 */
function formatOfBucket({
  settings,
  lock,
  usage,
  countsDeleted,
}: Pick<BucketRecord, "settings" | "lock" | "usage" | "countsDeleted">): number {
  if (settings.includes("copies")) return 6
  if (settings.includes("history")) return 5
  if (countsDeleted === true) return 4
  if (usage !== undefined) return 3
  return lock === undefined ? 1 : 2
}

const packUsage = ({ own, accountRun }: BucketUsage): readonly unknown[] => [
  own === undefined ? null : packQuota(own),
  accountRun === undefined ? null : runBytes(accountRun),
]

function readUsage(row: RecordReader): BucketUsage {
  const own = row.optional(() => readQuota(row.row()))
  const accountRun = row.optional(() => hexOf(row.bytes()))
  return { ...(own && { own }), ...(accountRun !== undefined && { accountRun }) }
}

const runBytes = (run: string): Uint8Array => must(bytesOfHex(run), "runs are hex")

export function decodeBucket(bytes: Uint8Array): BucketRecord {
  const row = RecordReader.open("bucket", bytes, 6)
  const id = parseBucketId(row.number())
  const name = parseBucketName(row.text())
  const owner = parseAccountId(row.text())
  const createdMs = row.number()
  const location = row.text()
  const versioning = pick(VERSIONINGS, row.number(), "versioning")
  const state = pick(STATES, row.number(), "bucket state")
  const settingsVersion = row.number()
  const policy = row.optional(() => parsePolicy(row.text()))
  const bits = row.optional(() => row.number()) ?? 0
  const settings = SETTING_NAMES.filter((_, number) => (bits & (1 << number)) !== 0)
  // No spread: it would create an object of another shape, and V8 would discard the code compiled for the first.
  const bucket = { id, name, owner, createdMs, location, versioning, state, settingsVersion, settings }
  const lock = row.optional(() => readBucketLock(row.row()))
  const usage = row.optional(() => readUsage(row.row()))
  const undelete = row.optional(() => readUndelete(row.row()))
  const members = { ...(policy && { policy }), ...(lock && { lock }), ...(usage && { usage }), ...undelete }
  if (row.format !== formatOfBucket({ settings, ...members }))
    throw fail("corruptRecord", { what: "bucket", field: "format" })
  if (policy === undefined && lock === undefined && usage === undefined && undelete === undefined) return bucket
  return { ...bucket, ...members }
}

function readUndelete(row: RecordReader): Pick<BucketRecord, "undeleteDays" | "countsDeleted"> {
  const days = row.optional(() => row.number())
  return days === undefined ? { countsDeleted: true } : { undeleteDays: days, countsDeleted: true }
}

/** The content of one setting of a bucket (family `settings`). */
export interface SettingRecord {
  readonly setMs: number
  /** The checked, normalised text; "" if the setting was removed, including the bucket's initial one. */
  readonly document: string
}

export const encodeSetting = (setting: SettingRecord): Uint8Array => packRecord(1, [setting.setMs, setting.document])

export function decodeSetting(bytes: Uint8Array): SettingRecord {
  const row = RecordReader.open("setting", bytes, 1)
  return { setMs: row.number(), document: row.text() }
}

/** The store's clock (family `clock`) in milliseconds; it never goes backwards. */
export const encodeStoreClock = (nowMs: number): Uint8Array => packRecord(1, [nowMs])

export const decodeStoreClock = (bytes: Uint8Array): number => RecordReader.open("clock", bytes, 1).number()

export const encodeBucketId = (id: BucketId): Uint8Array => packRecord(1, [id])
export const decodeBucketId = (bytes: Uint8Array): BucketId =>
  parseBucketId(RecordReader.open("bucket id", bytes, 1).number())

/** Exact counts of a bucket in one tablet (family `counters`). */
export interface Counters {
  readonly objects: number
  readonly versions: number
  readonly bytes: number
  readonly uploads: number
}

export const NO_COUNTS: Counters = { objects: 0, versions: 0, bytes: 0, uploads: 0 }

export const addCounters = (a: Counters, b: Counters): Counters => ({
  objects: a.objects + b.objects,
  versions: a.versions + b.versions,
  bytes: a.bytes + b.bytes,
  uploads: a.uploads + b.uploads,
})

export const encodeCounters = (counters: Counters): Uint8Array =>
  packRecord(1, [counters.objects, counters.versions, counters.bytes, counters.uploads])

export function decodeCounters(bytes: Uint8Array): Counters {
  const row = RecordReader.open("counters", bytes, 1)
  return { objects: row.number(), versions: row.number(), bytes: row.number(), uploads: row.number() }
}

/** A multipart upload in progress (family `uploads`). */
export interface UploadRecord {
  readonly initiatedMs: number
  readonly checksum: { readonly algorithm: ChecksumName; readonly type: ChecksumType } | undefined
  readonly details: VersionDetails
  /** The account that began it. Absent for the bucket's owner or an unknown account. */
  readonly initiator?: AccountId
  /** The lock of the future version, as the request that began the upload states it. */
  readonly lock?: VersionLock
  /** The sealing of the upload's parts and of the future version. */
  readonly sealing?: Sealing
  /** The storage class of the future version; absent for STANDARD. */
  readonly storageClass?: StorageClass
  /** The runs of the counts that its parts belong to: those that counted its bucket when it began. */
  readonly countedBy?: readonly string[]
  /** The incarnation of the process that moves an object here by a rename: no client sees the upload. */
  readonly renamedBy?: number
  /** A completion in progress, which froze the part list; one of an earlier incarnation has ended. */
  readonly completion: { readonly incarnation: number; readonly token: Uint8Array } | undefined
}

const CHECKSUMS: readonly ChecksumName[] = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
const TYPES: readonly ChecksumType[] = ["COMPOSITE", "FULL_OBJECT"]

export function encodeUpload(upload: UploadRecord): Uint8Array {
  const { initiator, lock, sealing, storageClass, countedBy, renamedBy } = upload
  const members = [initiator, lock && packVersionLock(lock), sealing && packSealing(sealing)]
  const ofClass = storageClass && numberOfClass(storageClass)
  const appended = [...members, ofClass, countedBy?.map(runBytes), renamedBy]
  const isPlain = sealing === undefined && storageClass === undefined
  return packRecord(countedBy === undefined ? (isPlain ? 1 : 2) : 3, [
    upload.initiatedMs,
    upload.checksum ? [CHECKSUMS.indexOf(upload.checksum.algorithm), TYPES.indexOf(upload.checksum.type)] : null,
    encodeDetails(upload.details),
    upload.completion ? [upload.completion.incarnation, upload.completion.token] : null,
    ...withoutTail(appended),
  ])
}

export function decodeUpload(bytes: Uint8Array): UploadRecord {
  const row = RecordReader.open("upload", bytes, 3)
  const upload = {
    initiatedMs: row.number(),
    checksum: row.optional(() => {
      const pair = row.row()
      return {
        algorithm: pick(CHECKSUMS, pair.number(), "checksum"),
        type: pick(TYPES, pair.number(), "checksum type"),
      }
    }),
    details: decodeDetails(row.bytes()),
    completion: row.optional(() => {
      const pair = row.row()
      return { incarnation: pair.number(), token: pair.bytes() }
    }),
  }
  const initiator = row.optional(() => parseAccountId(row.text()))
  const lock = row.optional(() => readVersionLock(row.row()))
  const sealing = row.optional(() => readSealing(row.row()))
  const storageClass = row.optional(() => pick(STORAGE_CLASSES, row.number(), "storage class"))
  const readRuns = () => row.row().all(run => hexOf(run.bytes()))
  const countedBy = row.format === 3 ? readRuns() : row.optional(readRuns)
  // To an earlier release an upload of a rename is one like any other.
  const renamedBy = row.optional(() => row.number())
  return {
    ...upload,
    ...(initiator !== undefined && { initiator }),
    ...(lock && { lock }),
    ...(sealing && { sealing }),
    ...(storageClass && { storageClass }),
    ...(countedBy && { countedBy }),
    ...(renamedBy !== undefined && { renamedBy }),
  }
}

/** A line of a segment (family `segments`). */
export interface PartRecord {
  readonly partNumber: number
  readonly md5: Uint8Array
  readonly modifiedMs: number
  readonly checksumValue: string | undefined
  readonly extent: Extent
}

/** A part of an upload in progress (family `parts`). */
export interface UploadedPart extends PartRecord {
  /** The concatenated digests of its blocks, in a bucket with deduplication; `splitDigests` makes views of each. */
  readonly digests?: Uint8Array | undefined
}

const packPart = (part: PartRecord): readonly unknown[] => [
  part.partNumber,
  part.md5,
  part.modifiedMs,
  part.checksumValue ?? null,
  packExtent(part.extent),
]

const readPart = (row: RecordReader): PartRecord => ({
  partNumber: row.number(),
  md5: row.bytes(),
  modifiedMs: row.number(),
  checksumValue: row.optional(() => row.text()),
  extent: readExtent(row.row()),
})

export const encodePart = ({ digests, ...part }: UploadedPart): Uint8Array =>
  packRecord(1, digests === undefined ? packPart(part) : [...packPart(part), digests])

export function decodePart(bytes: Uint8Array): UploadedPart {
  const row = RecordReader.open("part", bytes, 1)
  const part = readPart(row)
  const digests = row.optional(() => checkDigests(row.bytes()))
  return digests === undefined ? part : { ...part, digests }
}

/**
 * A range of bytes in the segments of another object of the bucket, or of one that is gone: they stay as long as something
 * references them. What is referenced is in parts of its own.
 */
export interface SegmentSource {
  readonly key: ObjectKey
  readonly multipartId: MultipartId
  /** The number of parts of the upload that the segments belong to, if there was one. */
  readonly uploadedParts: number
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** A part of a completed upload whose bytes are those of another object. */
export interface ReferringPart extends Omit<PartRecord, "extent"> {
  readonly source: SegmentSource
}

/** Up to 256 parts of a completed upload, or of an object with appends, with the offset of the first in the object. */
export interface SegmentRecord {
  readonly offsetBytes: number
  /** Parts with bytes of their own. */
  readonly parts: readonly PartRecord[]
  /**
   * The segment is the open end of an object with appends: its blocks are copies, and are sealed into erasure-coded
   * ones later.
   */
  readonly isOpen?: true
  /** The bytes are those of another object: the segment has no parts. */
  readonly source?: SegmentSource
  /** The other parts of a completed upload, which are between those with bytes of their own by their numbers. */
  readonly referring?: readonly ReferringPart[]
}

const OPEN = 1

const packSource = ({
  key,
  multipartId,
  uploadedParts,
  offsetBytes,
  lengthBytes,
}: SegmentSource): readonly unknown[] => [
  ...[Buffer.from(key, "latin1"), multipartId, uploadedParts],
  ...[offsetBytes, lengthBytes],
]

const readSource = (row: RecordReader): SegmentSource => ({
  key: parseStoredKey(row.bytes()),
  multipartId: parseMultipartId(row.text()),
  uploadedParts: row.number(),
  offsetBytes: row.number(),
  lengthBytes: row.number(),
})

const packReferring = ({ partNumber, md5, modifiedMs, checksumValue, source }: ReferringPart): readonly unknown[] => [
  ...[partNumber, md5, modifiedMs, checksumValue ?? null],
  packSource(source),
]

const readReferring = (row: RecordReader): ReferringPart => ({
  partNumber: row.number(),
  md5: row.bytes(),
  modifiedMs: row.number(),
  checksumValue: row.optional(() => row.text()),
  source: readSource(row.row()),
})

/** Earlier releases refuse members that they do not know. */
export function encodeSegment({ offsetBytes, parts, isOpen, source, referring }: SegmentRecord): Uint8Array {
  const members: readonly unknown[] = [offsetBytes, parts.map(packPart)]
  if (referring !== undefined) return packRecord(2, [...members, referring.map(packReferring)])
  return packRecord(1, [...members, ...withoutTail([isOpen && OPEN, source && packSource(source)])])
}

export function decodeSegment(bytes: Uint8Array): SegmentRecord {
  const row = RecordReader.open("segment", bytes, 2)
  const segment = { offsetBytes: row.number(), parts: row.rows(readPart) }
  if (row.format === 2) return { ...segment, referring: row.rows(readReferring) }
  const state = row.optional(() => row.number())
  const source = row.optional(() => readSource(row.row()))
  if (state === undefined) return source === undefined ? segment : { ...segment, source }
  if (state !== OPEN || source !== undefined) throw fail("corruptRecord", { what: "segment", field: "state" })
  return { ...segment, isOpen: true }
}

/** An append that a client may repeat (family `appends`). */
interface AppendRecord {
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly appendedMs: number
}

export const encodeAppend = ({ offsetBytes, lengthBytes, appendedMs }: AppendRecord): Uint8Array =>
  packRecord(1, [offsetBytes, lengthBytes, appendedMs])

export function decodeAppend(bytes: Uint8Array): AppendRecord {
  const row = RecordReader.open("append", bytes, 1)
  return { offsetBytes: row.number(), lengthBytes: row.number(), appendedMs: row.number() }
}

/** Blocks from the first to the last. */
export type Runs = readonly { readonly firstBlock: number; readonly lastBlock: number }[]

/** Bytes that no version references any more (family `releases`); expanded by the collector in bounded steps. */
export type PendingDeletionRecord =
  | { readonly kind: "extent"; readonly bucketId: BucketId; readonly key: ObjectKey; readonly extent: Extent }
  /** Some blocks of an extent whose other blocks are still referenced. */
  | {
      readonly kind: "blocks"
      readonly bucketId: BucketId
      readonly key: ObjectKey
      readonly extent: Extent
      readonly runs: Runs
    }
  /**
   * `parts`: the part rows of a completed upload; parts that its segments reference keep their bytes.
   * `segments`: the segments of a multipart version that was deleted, and all their bytes.
   * `aborted`: parts, segments and bytes of an upload that was aborted.
   */
  | {
      readonly kind: "parts" | "segments" | "aborted"
      readonly bucketId: BucketId
      readonly key: ObjectKey
      readonly multipartId: MultipartId
    }

/** Numbers are on disk: append only. */
const RELEASES = ["extent", "parts", "segments", "aborted", "blocks"] as const

function packReleased(release: PendingDeletionRecord): unknown {
  if (release.kind === "extent") return packExtent(release.extent)
  if (release.kind !== "blocks") return release.multipartId
  return [packExtent(release.extent), packRuns(release.runs)]
}

export function encodePendingDeletion(release: PendingDeletionRecord): Uint8Array {
  const what = packReleased(release)
  return packRecord(1, [RELEASES.indexOf(release.kind), release.bucketId, Buffer.from(release.key, "latin1"), what])
}

export function decodePendingDeletion(bytes: Uint8Array): PendingDeletionRecord {
  const row = RecordReader.open("release", bytes, 1)
  const kind = pick(RELEASES, row.number(), "release")
  const owner = { bucketId: parseBucketId(row.number()), key: parseStoredKey(row.bytes()) }
  if (kind === "extent") return { kind, ...owner, extent: readExtent(row.row()) }
  if (kind === "blocks") {
    const what = row.row()
    const extent = readExtent(what.row())
    return { kind, ...owner, extent, runs: readRuns(what) }
  }
  return { kind, ...owner, multipartId: parseMultipartId(row.text()) }
}

export const packRuns = (runs: Runs): unknown => runs.map(({ firstBlock, lastBlock }) => [firstBlock, lastBlock])
export const readRuns = (row: RecordReader): Runs =>
  row.rows(run => ({ firstBlock: run.number(), lastBlock: run.number() }))

/** Keys were checked before they were stored. */
export const parseStoredKey = (bytes: Uint8Array): ObjectKey => Buffer.from(bytes).toString("latin1") as ObjectKey

export interface AccountRecord {
  readonly id: AccountId
  readonly displayName: string
  readonly email: string
  readonly createdMs: number
  readonly number: AccountNumber
  readonly limits?: RateLimits | undefined
  /** The quota of all its buckets together. */
  readonly quota?: Quota
}

export function encodeAccount({ id, displayName, email, createdMs, number, limits, quota }: AccountRecord): Uint8Array {
  const appended = [limits && packRateLimits(limits), quota && packQuota(quota)]
  return packRecord(quota === undefined ? 1 : 2, [id, displayName, email, createdMs, number, ...withoutTail(appended)])
}

/** An account created before numbers existed gets the number derived from its id. */
export function decodeAccount(bytes: Uint8Array): AccountRecord {
  const row = RecordReader.open("account", bytes, 2)
  const account = {
    id: parseAccountId(row.text()),
    displayName: row.text(),
    email: row.text(),
    createdMs: row.number(),
  }
  const number = row.optional(() => parseAccountNumber(row.text())) ?? accountNumberOf(account.id)
  const limits = readRateLimits(row)
  const quota = row.format === 2 ? readQuota(row.row()) : undefined
  if (limits === undefined && quota === undefined) return { ...account, number }
  return { ...account, number, ...(limits && { limits }), ...(quota && { quota }) }
}

/** The account of an account number (family `accountNumbers`). */
export const encodeAccountId = (id: AccountId): Uint8Array => packRecord(1, [id])
export const decodeAccountId = (bytes: Uint8Array): AccountId =>
  parseAccountId(RecordReader.open("account id", bytes, 1).text())

/** The value of a row without content: `accountBuckets`, `identityLinks`. */
export const PRESENT: Uint8Array = packRecord(1, [])

/** A missing-shard hint (family `debts`), by the decision that recorded it. Hints of version 1 are `PRESENT`. */
export const encodeHint = (decisionId: string): Uint8Array => packRecord(2, [decisionIdBytes(decisionId)])
const decisionIdBytes = (id: string): Uint8Array => Buffer.from(id, "latin1")
