/**
 * The smaller records of the metadata, one codec each; all are packed arrays with a format number.
 */
import { assert } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { parseAccountId, parseAccountNumber, parseBucketId, parseBucketName } from "@hayloft/base/ids.js"
import type { AccountId, BucketId, BucketName } from "@hayloft/base/ids.js"
import { parsePolicy, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import { accountNumberOf } from "./accounts/account-number.js"
import { checkDigests } from "./objects/dedup-rows.js"
import { EXTENT } from "./needles/extent.js"
import {
  absent,
  appended,
  byFormat,
  BYTES,
  flat,
  group,
  listOf,
  mapped,
  memberOf,
  NUMBER,
  oneOf,
} from "./encoding/fields.js"
import {
  optional,
  parsed,
  record,
  recordOf,
  row,
  rowsOf,
  since,
  TEXT,
  TRUE,
  union,
  type RowOf,
} from "./encoding/fields.js"
import type { ValueOf } from "./encoding/fields.js"
import { ACCOUNT_ID, BUCKET_ID, HEX, MULTIPART_ID, OBJECT_KEY, STORAGE_CLASS } from "./encoding/id-fields.js"
import { BUCKET_LOCK, VERSION_LOCK, type BucketLock } from "./objects/object-lock.js"
import { packRecord, pick, RecordReader } from "./encoding/pack.js"
import { RATE_LIMITS } from "./accounts/rate-limits.js"
import { SEALING } from "./needles/sealing.js"
import { QUOTA } from "./objects/usage.js"
import { CHECKSUM_ALGORITHMS } from "@hayloft/base/http/checksum-algorithms.js"
import { decodeDetails, encodeDetails, type ChecksumType } from "./objects/version-record.js"

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

// By hand, as counters are: most writes of objects have one.
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

/** Numbers are on disk: append only. */
const VERSIONINGS = ["never", "enabled", "suspended"] as const
export type Versioning = (typeof VERSIONINGS)[number]
/** `erasing`: its name is free, its secret destroyed; its rows and bytes follow. */
const STATES = ["open", "closing", "erasing"] as const
export type BucketState = (typeof STATES)[number]

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
export type BucketSettingName = (typeof SETTING_NAMES)[number]

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
  readonly settings: readonly BucketSettingName[]
  /** The store's policy if absent. */
  readonly policy?: Policy
  /** Object lock is on; never removed. */
  readonly lock?: BucketLock
  readonly usage?: ValueOf<typeof BUCKET_USAGE>
  /** How long what is deleted or overwritten is kept from now on. Absent: it is not. */
  readonly undeleteDays?: number
  /** There is a count of what is kept: undelete was on at some time. */
  readonly countsDeleted?: true
}

/** Which counts the bucket's rows belong to. */
const BUCKET_USAGE = row({
  /** The quota of the bucket. */
  own: absent(QUOTA),
  /** The run of its account's quota that counts the bucket; of another run than the account's: none does. */
  accountRun: absent(HEX),
})

/** Null stands for an absent member before one that is present. */
function withoutTail(members: readonly unknown[]): readonly unknown[] {
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
    policy,
    hasMore ? settings : undefined,
    memberOf(BUCKET_LOCK, lock),
    memberOf(BUCKET_USAGE, usage),
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
  const lock = row.optional(() => BUCKET_LOCK.read(row))
  const usage = row.optional(() => BUCKET_USAGE.read(row))
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
const SETTING = record("setting", {
  setMs: NUMBER,
  /** The checked, normalised text; "" if the setting was removed, including the bucket's initial one. */
  document: TEXT,
})
export type SettingRecord = ValueOf<typeof SETTING>
export const { encode: encodeSetting, decode: decodeSetting } = SETTING

/** The store's clock, which never goes backwards, and the confirmed time (family `clock`) in milliseconds. */
export const { encode: encodeStoreClock, decode: decodeStoreClock } = recordOf("clock", NUMBER)

export const { encode: encodeBucketId, decode: decodeBucketId } = recordOf("bucket id", BUCKET_ID)

/** Exact counts of a bucket in one tablet (family `counters`). */
export interface Counters {
  readonly objects: number
  readonly versions: number
  readonly bytes: number
  readonly uploads: number
}

export const encodeCounters = (counters: Counters): Uint8Array =>
  packRecord(1, [counters.objects, counters.versions, counters.bytes, counters.uploads])

export function decodeCounters(bytes: Uint8Array): Counters {
  const row = RecordReader.open("counters", bytes, 1)
  return { objects: row.number(), versions: row.number(), bytes: row.number(), uploads: row.number() }
}

export const NO_COUNTS: Counters = { objects: 0, versions: 0, bytes: 0, uploads: 0 }

export const addCounters = (a: Counters, b: Counters): Counters => ({
  objects: a.objects + b.objects,
  versions: a.versions + b.versions,
  bytes: a.bytes + b.bytes,
  uploads: a.uploads + b.uploads,
})

/** Numbers are on disk: append only. */
const TYPES = ["COMPOSITE", "FULL_OBJECT"] as const satisfies readonly ChecksumType[]

/** A multipart upload in progress (family `uploads`). */
const UPLOAD = record("upload", {
  initiatedMs: NUMBER,
  checksum: optional(row({ algorithm: oneOf(CHECKSUM_ALGORITHMS), type: oneOf(TYPES) })),
  details: mapped(BYTES, decodeDetails, encodeDetails),
  /** A completion in progress, which froze the part list; one of an earlier incarnation has ended. */
  completion: optional(row({ incarnation: NUMBER, token: BYTES })),
  /** The account that began it. Absent for the bucket's owner or an unknown account. */
  initiator: appended(ACCOUNT_ID),
  /** The lock of the future version, as the request that began the upload states it. */
  lock: appended(VERSION_LOCK),
  /** The sealing of the upload's parts and of the future version. */
  sealing: since(2, SEALING),
  /** The storage class of the future version; absent for STANDARD. */
  storageClass: since(2, STORAGE_CLASS),
  /** The runs of the counts that its parts belong to: those that counted its bucket when it began. */
  countedBy: since(3, listOf(HEX)),
  /**
   * The incarnation of the process that moves an object here by a rename: no client sees the upload. To an earlier release it
   * is one like any other.
   */
  renamedBy: appended(NUMBER),
})
export type UploadRecord = ValueOf<typeof UPLOAD>
export const { encode: encodeUpload, decode: decodeUpload } = UPLOAD

const PART_HEAD = { partNumber: NUMBER, md5: BYTES, modifiedMs: NUMBER, checksumValue: optional(TEXT) }

/** A line of a segment (family `segments`). */
const PART = { ...PART_HEAD, extent: EXTENT }
export type PartRecord = RowOf<typeof PART>

/** A part of an upload in progress (family `parts`). */
const UPLOADED_PART = record("part", {
  ...PART,
  /** The concatenated digests of its blocks, in a bucket with deduplication; `splitDigests` makes views of each. */
  digests: appended(optional(mapped(BYTES, checkDigests, digests => digests))),
})
export type UploadedPart = ValueOf<typeof UPLOADED_PART>
export const { encode: encodePart, decode: decodePart } = UPLOADED_PART

/**
 * A range of bytes in the segments of another object of the bucket, or of one that is gone: they stay as long as something
 * references them. What is referenced is in parts of its own.
 */
const SOURCE = row({
  key: OBJECT_KEY,
  multipartId: MULTIPART_ID,
  /** The number of parts of the upload that the segments belong to, if there was one. */
  uploadedParts: NUMBER,
  offsetBytes: NUMBER,
  lengthBytes: NUMBER,
})
export type SegmentSource = ValueOf<typeof SOURCE>

/** Parts of a completed upload whose bytes are those of another object. */
const REFERRING = rowsOf({ ...PART_HEAD, source: SOURCE })
export type ReferringPart = ValueOf<typeof REFERRING>[number]

/** Up to 256 parts of a completed upload, or of an object with appends, with the offset of the first in the object. */
const SEGMENT = {
  offsetBytes: NUMBER,
  /** Parts with bytes of their own. */
  parts: rowsOf(PART),
}
const APPENDED_SEGMENT = group({
  ...SEGMENT,
  /**
   * The segment is the open end of an object with appends: its blocks are copies, and are sealed into erasure-coded
   * ones later.
   */
  isOpen: appended(TRUE),
  /** The bytes are those of another object: the segment has no parts. */
  source: appended(SOURCE),
})
const REFERRING_SEGMENT = group({ ...SEGMENT, referring: REFERRING })

export type SegmentRecord = ValueOf<typeof APPENDED_SEGMENT> & {
  /** The other parts of a completed upload, which are between those with bytes of their own by their numbers. */
  readonly referring?: readonly ReferringPart[]
}

/** Earlier releases refuse members that they do not know. */
const SEGMENTS = byFormat<SegmentRecord>(
  [
    APPENDED_SEGMENT,
    mapped(
      REFERRING_SEGMENT,
      segment => segment,
      segment => ({ ...segment, referring: segment.referring ?? [] }),
    ),
  ],
  ({ referring }) => (referring === undefined ? 1 : 2),
)
export const { encode: encodeSegment, decode: decodeSegment } = recordOf("segment", SEGMENTS, {
  check: ({ isOpen, source }) => {
    if (isOpen && source !== undefined) throw fail("corruptRecord", { what: "segment", field: "state" })
  },
})

/** How many versions of a row reference the same bytes, from two on (family `shares`). */
export const { encode: encodeShares, decode: decodeShares } = recordOf("share", NUMBER)

/** An append that a client may repeat (family `appends`). */
const APPEND = record("append", { offsetBytes: NUMBER, lengthBytes: NUMBER, appendedMs: NUMBER })
export const { encode: encodeAppend, decode: decodeAppend } = APPEND

/** Blocks from the first to the last. */
export const RUNS = rowsOf({ firstBlock: NUMBER, lastBlock: NUMBER })
export type Runs = ValueOf<typeof RUNS>

const OWNER = { bucketId: BUCKET_ID, key: OBJECT_KEY }
const OF_UPLOAD = { ...OWNER, multipartId: MULTIPART_ID }

/** Bytes that no version references any more (family `pendingDeletions`); expanded by the collector in bounded steps. */
const PENDING_DELETION = union({
  extent: { ...OWNER, extent: EXTENT },
  /** The part rows of a completed upload; parts that its segments reference keep their bytes. */
  parts: OF_UPLOAD,
  /** The segments of a multipart version that was deleted, and all their bytes. */
  segments: OF_UPLOAD,
  /** Parts, segments and bytes of an upload that was aborted. */
  aborted: OF_UPLOAD,
  /** Some blocks of an extent whose other blocks are still referenced. */
  blocks: { ...OWNER, which: flat(row({ extent: EXTENT, runs: RUNS })) },
})
export type PendingDeletionRecord = ValueOf<typeof PENDING_DELETION>
export const { encode: encodePendingDeletion, decode: decodePendingDeletion } = recordOf(
  "pending deletion",
  PENDING_DELETION,
)

/** An account created before numbers existed gets the number derived from its id. */
const ACCOUNT = mapped(
  group({
    id: ACCOUNT_ID,
    displayName: TEXT,
    email: TEXT,
    createdMs: NUMBER,
    number: optional(parsed(TEXT, parseAccountNumber)),
    limits: appended(optional(RATE_LIMITS)),
    /** The quota of all its buckets together. */
    quota: since(2, QUOTA),
  }),
  account => ({ ...account, number: account.number ?? accountNumberOf(account.id) }),
  account => account,
)
export type AccountRecord = ValueOf<typeof ACCOUNT>
export const { encode: encodeAccount, decode: decodeAccount } = recordOf("account", ACCOUNT)

/** The account of an account number (family `accountNumbers`). */
export const { encode: encodeAccountId, decode: decodeAccountId } = recordOf("account id", ACCOUNT_ID)

/** The value of a row without content: `accountBuckets`, `identityLinks`. */
export const PRESENT: Uint8Array = packRecord(1, [])

/** A missing-shard hint (family `missingShardHints`), by the decision that recorded it. Hints of version 1 are `PRESENT`. */
export const encodeHint = (decisionId: string): Uint8Array => packRecord(2, [decisionIdBytes(decisionId)])
const decisionIdBytes = (id: string): Uint8Array => Buffer.from(id, "latin1")
