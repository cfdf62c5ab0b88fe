/**
 * Version records: one version of an object, or a delete marker. Families `current`, `versions`.
 *
 * A fixed binary head (size, times, ETag, flags) comes first, so that a listing never decodes
 * MessagePack; a positional MessagePack array follows. Content that would make the record large (user
 * metadata, tags, rare headers over the limit) is stored in a `details` row under the same order.
 *
 * Head, big-endian: format (1), flags (1), checksum algorithm and the flag of large objects (1), storage class (1), size of
 * the plaintext (8), modified in ms (8), order (8), random half of the version id (8), MD5 of the ETag (16), parts (2).
 */
import { assert } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { parseMultipartId, type MultipartId, type VersionId } from "@hayloft/base/ids.js"
import { Remembered, RememberedByObject } from "@hayloft/base/remembered.js"
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import { numberOfClass, STORAGE_CLASSES, type StorageClass } from "@hayloft/base/storage-class.js"
import { OBJECT_ACL, type ObjectAcl } from "./acl.js"
import { bufferOf } from "../encoding/buffer-of.js"
import { EXTENT, type Extent } from "../needles/extent.js"
import { VERSION_LOCK, type VersionLock } from "./object-lock.js"
import { memberOf } from "../encoding/fields.js"
import { packRecord, RecordReader } from "../encoding/pack.js"
import { VERSION_RESTORE, type VersionRestore } from "./restore.js"
import { BOUND_SEALING, type BoundSealing } from "../needles/sealing.js"
import { exactBytes } from "./segment-list.js"
import { NULL_VERSION, versionIdOf } from "./version-id.js"

export type ChecksumType = "COMPOSITE" | "FULL_OBJECT"

/** The fields that a listing shows, and those that order versions. */
export interface VersionHead {
  readonly isMarker: boolean
  readonly isNull: boolean
  readonly hasDetails: boolean
  /** Other versions of the row may reference the same bytes; family `shares` counts them. */
  readonly isShared: boolean
  /** The record has a lock; whether it protects the version is a matter of time. */
  readonly isLocked: boolean
  readonly storageClass: StorageClass
  readonly checksumAlgorithm: ChecksumAlgorithm | undefined
  readonly checksumType: ChecksumType | undefined
  readonly sizeBytes: number
  readonly modifiedMs: number
  /** Microseconds, strictly growing per row. */
  readonly order: number
  /** 8 bytes. */
  readonly random: Uint8Array
  /** 16 bytes. */
  readonly md5: Uint8Array
  /** 0 for a single upload. */
  readonly parts: number
}

/** The details that a client stores in addition to the bytes. */
export interface VersionDetails {
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly userMetadata: readonly (readonly [name: string, value: string])[]
  readonly tags: readonly (readonly [key: string, value: string])[]
  /** If absent, only the bucket's owner has access: full control. */
  readonly acl?: ObjectAcl
}

/**
 * The place where the bytes are: with the row, in blocks, or in segments. Those of a multipart upload are found by their numbers; those of
 * an object that grows, or has the bytes of others, by their offset (`offsetRowKey`), behind those of the upload that it was,
 * if it was one.
 */
export type Content =
  | { readonly kind: "none" }
  | { readonly kind: "inline" }
  | { readonly kind: "extent"; readonly extent: Extent }
  | {
      readonly kind: "segments"
      readonly multipartId: MultipartId
      readonly completion: Uint8Array
      readonly byOffset?: ByOffset
    }

/** The segments of an object that are found by their offset. */
export interface ByOffset {
  /** The offset of the last one. */
  readonly lastOffset: number
  /** The number of parts of the upload that the object was before; 0 if it was none. */
  readonly uploadedParts: number
  /** Some segments reference those of other objects. */
  readonly hasSources?: true
}

/** A large object as its readers see it; what is stored is a manifest, which names its segments. */
export interface LargeObject {
  readonly sizeBytes: number
  /** 16 bytes: of the ETags of its segments. */
  readonly md5: Uint8Array
  /** Number of segments, at least 1. */
  readonly parts: number
  /** Large objects within one another, this one included. Absent: 1, or not recorded by a release before it was. */
  readonly levels?: number
}

export interface VersionRecord {
  /** The head of the stored bytes: `shownOfRecord` returns what readers are told. */
  readonly head: VersionHead
  readonly content: Content
  /** Base64, with "-N" for a composite one. */
  readonly checksumValue: string | undefined
  /** The details are undefined if they are in the `details` row. */
  readonly details: VersionDetails | undefined
  /** Present exactly if the head says so. */
  readonly lock?: VersionLock
  /** Its bytes are sealed. */
  readonly sealing?: BoundSealing
  /** The restore of an archived version, which may have expired. */
  readonly restore?: VersionRestore
  /** The second since 1970 from which on the object no longer exists, if the version is current then. */
  readonly expiresAtSeconds?: number
  /** The stored bytes are the manifest of a large object. */
  readonly largeObject?: LargeObject
}

const FORMAT = 1
/**
 * The format of the head of a record with a sealing, an expiry, segments or another class than STANDARD: earlier
 * releases refuse it.
 */
const LATER_FORMAT = 2
const [ALGORITHM_AT, CLASS_AT] = [2, 3]
const ORDER_AT = 20
const [MD5_AT, MD5_BYTES, PARTS_AT] = [36, 16, 52]
const VERSION_HEAD_BYTES = 54
/** Details that encode larger than this go to a row of their own. */
export const DETAILS_IN_RECORD_BYTES_MAX = 512
const MARKER = 1
const NULL = 2
const DETAILS = 4
const COMPOSITE = 8
const SHARED = 16
const LOCKED = 32
const SEALED = 64
const EXPIRES = 128
/** Beside the checksum algorithm. */
const LARGE = 128
const ALGORITHMS: readonly (ChecksumAlgorithm | undefined)[] = [undefined, ...CHECKSUM_ALGORITHMS]
export const NO_DETAILS: VersionDetails = { headers: [], userMetadata: [], tags: [] }

export const versionIdOfHead = (head: VersionHead): VersionId =>
  head.isNull ? NULL_VERSION : versionIdOf(head.order, head.random)

/** When the version became the latest one. It counts as modified later if its attributes are replaced. */
export const writtenMsOf = (head: Pick<VersionHead, "order">): number => Math.floor(head.order / 1000)

export const etagOfHead = (head: Pick<VersionHead, "md5" | "parts">): string =>
  bufferOf(head.md5).toString("hex") + (head.parts > 0 ? `-${head.parts}` : "")

function packContent(content: Content): readonly unknown[] {
  switch (content.kind) {
    case "none":
      return [0]
    case "inline":
      return [1]
    case "extent":
      return [2, memberOf(EXTENT, content.extent)]
    case "segments":
      return content.byOffset === undefined
        ? [3, content.multipartId, content.completion]
        : packByOffset(content.multipartId, content.completion, content.byOffset)
  }
}

const packByOffset = (
  multipartId: MultipartId,
  completion: Uint8Array,
  { lastOffset, uploadedParts, hasSources }: ByOffset,
): readonly unknown[] => [4, multipartId, completion, lastOffset, uploadedParts, ...(hasSources ? [1] : [])]

function readContent(row: RecordReader): Content {
  const kind = row.number()
  if (kind === 0) return { kind: "none" }
  if (kind === 1) return { kind: "inline" }
  if (kind === 2) return { kind: "extent", extent: EXTENT.read(row) }
  if (kind === 3) return { kind: "segments", multipartId: parseMultipartId(row.text()), completion: row.bytes() }
  if (kind === 4) {
    const segments = { kind: "segments", multipartId: parseMultipartId(row.text()), completion: row.bytes() } as const
    const byOffset = { lastOffset: row.number(), uploadedParts: row.number() }
    const hasSources = row.optional(() => row.number()) === 1
    return { ...segments, byOffset: hasSources ? { ...byOffset, hasSources } : byOffset }
  }
  throw fail("corruptRecord", { what: "content", kind })
}

const packDetails = ({ headers, userMetadata, tags, acl }: VersionDetails): readonly unknown[] =>
  acl === undefined ? [headers, userMetadata, tags] : [headers, userMetadata, tags, memberOf(OBJECT_ACL, acl)]

const encodedDetails = new RememberedByObject((details: VersionDetails) => packRecord(1, packDetails(details)))

export const encodeDetails = (details: VersionDetails): Uint8Array => encodedDetails.of(details)

export const decodeDetails = (bytes: Uint8Array): VersionDetails => readDetails(RecordReader.open("details", bytes, 1))

const readPair = (row: RecordReader): readonly [string, string] => [row.text(), row.text()]

function readDetails(row: RecordReader): VersionDetails {
  const details = { headers: row.rows(readPair), userMetadata: row.rows(readPair), tags: row.rows(readPair) }
  const acl = row.optional(() => OBJECT_ACL.read(row))
  return acl === undefined ? details : { ...details, acl }
}

/** Encoded bodies of inline versions, without a checksum: many have the same details. */
const encodedInlineBodies = new RememberedByObject((details: VersionDetails) =>
  packBody({ content: { kind: "inline" }, checksumValue: undefined, details }),
)

function packBody(body: VersionBody): Uint8Array {
  const { content, checksumValue, details, lock, sealing, restore, expiresAtSeconds, largeObject } = body
  // Null stands for an absent member before one that is present.
  const appended = [
    memberOf(VERSION_LOCK, lock),
    memberOf(BOUND_SEALING, sealing),
    memberOf(VERSION_RESTORE, restore),
    expiresAtSeconds,
    largeObject && packLargeObject(largeObject),
  ]
  const last = appended.findLastIndex(member => member !== undefined)
  return packRecord(1, [
    packContent(content),
    checksumValue ?? null,
    details ? packDetails(details) : null,
    ...appended.slice(0, last + 1).map(member => member ?? null),
  ])
}

const packLargeObject = ({ sizeBytes, md5, parts, levels = 1 }: LargeObject): readonly unknown[] =>
  levels === 1 ? [sizeBytes, md5, parts] : [sizeBytes, md5, parts, levels]

function readLargeObject(row: RecordReader): LargeObject {
  const large = { sizeBytes: exactBytes(row.number()), md5: row.bytes(), parts: row.number() }
  const levels = row.optional(() => row.number())
  return levels === undefined ? large : { ...large, levels }
}

/**
 * A body that begins with these bytes is of an inline version: the format, and a list with the kind of the content. Its
 * checksum follows. MessagePack has null as one byte, and a short text behind one byte with its length.
 */
const INLINE_BEGINS = [FORMAT, 0x91, 1] as const
const [INLINE_AT, CHECKSUM_AT] = [1, 4]
const [NULL_MEMBER, SHORT_TEXT, SHORT_TEXT_BYTES_MAX] = [0xc0, 0xa0, 31]

/** The body of many other versions, too: nothing in it belongs to one version alone, except for a short checksum. */
const isCommon = (body: VersionBody): boolean =>
  body.content.kind === "inline" &&
  (body.checksumValue?.length ?? 0) <= SHORT_TEXT_BYTES_MAX &&
  !body.lock &&
  !body.sealing &&
  !body.restore &&
  body.expiresAtSeconds === undefined &&
  !body.largeObject

function encodeBody(body: VersionBody): Uint8Array {
  const { details, checksumValue } = body
  if (details === undefined || !isCommon(body)) return packBody(body)
  const common = encodedInlineBodies.of(details)
  if (checksumValue === undefined) return common
  const lengthBytes = checksumValue.length
  const bytes = Buffer.allocUnsafe(common.length + lengthBytes)
  bytes.set(common)
  bytes[CHECKSUM_AT] = SHORT_TEXT | lengthBytes
  bytes.write(checksumValue, CHECKSUM_AT + 1, "latin1")
  bytes.set(common.subarray(CHECKSUM_AT + 1), CHECKSUM_AT + 1 + lengthBytes)
  return bytes
}

function writeU64(bytes: Buffer, value: number, at: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, () => `not a whole number: ${value}`)
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at)
  bytes.writeUInt32BE(value % 0x1_0000_0000, at + 4)
}

export function encodeVersion(record: VersionRecord): Uint8Array {
  const { head } = record
  assert(head.isLocked === (record.lock !== undefined), "the head says whether there is a lock")
  const body = encodeBody(record)
  // From Node's pool: rows of a memtable are freed together.
  const bytes = Buffer.allocUnsafe(VERSION_HEAD_BYTES + body.length).fill(0, 0, VERSION_HEAD_BYTES)
  const storageClass = numberOfClass(head.storageClass)
  const expires = record.expiresAtSeconds !== undefined
  bytes[0] = record.sealing || expires || record.largeObject || storageClass > 0 ? LATER_FORMAT : FORMAT
  bytes[1] =
    (head.isMarker ? MARKER : 0) |
    (head.isNull ? NULL : 0) |
    (head.hasDetails ? DETAILS : 0) |
    (head.checksumType === "COMPOSITE" ? COMPOSITE : 0) |
    (head.isShared ? SHARED : 0) |
    (head.isLocked ? LOCKED : 0) |
    (record.sealing ? SEALED : 0) |
    (expires ? EXPIRES : 0)
  bytes[ALGORITHM_AT] = ALGORITHMS.indexOf(head.checksumAlgorithm) | (record.largeObject ? LARGE : 0)
  bytes[CLASS_AT] = storageClass
  writeU64(bytes, head.sizeBytes, 4)
  writeU64(bytes, head.modifiedMs, 12)
  writeU64(bytes, head.order, ORDER_AT)
  bytes.set(head.random.subarray(0, 8), 28)
  bytes.set(head.md5.subarray(0, MD5_BYTES), MD5_AT)
  bytes.writeUInt16BE(head.parts, PARTS_AT)
  bytes.set(body, VERSION_HEAD_BYTES)
  return bytes
}

/** The order of a version, from its record, which is not decoded. */
export const orderOfVersion = (record: Uint8Array): number => readU64(bufferOf(record), ORDER_AT)

/** Returns true if the bytes of a version are encrypted, from its record, which is not decoded. */
export const isSealedVersion = (record: Uint8Array): boolean => ((record[1] ?? 0) & SEALED) !== 0

/** The second at which an object expires, from its record, which is decoded only if there is one. */
export const expiryOfRecord = (record: Uint8Array): number | undefined =>
  ((record[1] ?? 0) & EXPIRES) === 0 ? undefined : decodeVersion(record).expiresAtSeconds

const readU64 = (bytes: Buffer, at: number): number =>
  bytes.readUInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4)

/** Throws `corruptRecord`. */
function checkHead(bytes: Buffer, at: number, end: number): void {
  const [flags, storageClass] = [bytes[at + 1] ?? 0, bytes[at + CLASS_AT] ?? 0]
  const algorithm = bytes[at + ALGORITHM_AT] ?? 0
  const isFormat = bytes[at] === (flags < SEALED && storageClass === 0 && algorithm < LARGE ? FORMAT : LATER_FORMAT)
  const isHead = isFormat && storageClass < STORAGE_CLASSES.length && algorithm % LARGE < ALGORITHMS.length
  if (end - at < VERSION_HEAD_BYTES || !isHead) throw fail("corruptRecord", { what: "version head" })
}

/** The fields of an object that a listing shows. */
interface ListedVersion extends Pick<
  VersionHead,
  "sizeBytes" | "modifiedMs" | "storageClass" | "checksumAlgorithm" | "checksumType"
> {
  readonly etag: string
}

/** The end of the part of a record in `bytes[at…end)` from which a listing shows it. Throws `corruptRecord`. */
export function listedEndAt(bytes: Buffer, at: number, end: number): number {
  checkHead(bytes, at, end)
  return isLargeAt(bytes, at) ? end : at + VERSION_HEAD_BYTES
}

/** The head as a listing shows it: like `decodeVersionHead` and `etagOfHead`, but cheaper. Throws `corruptRecord`. */
export const decodeListedVersion = (value: Uint8Array): ListedVersion =>
  listedVersionAt(bufferOf(value), 0, value.length)

/** The same for a record in `bytes[at…end)`, of which the part up to `listedEndAt` is enough. */
export function listedVersionAt(bytes: Buffer, at: number, end: number): ListedVersion {
  checkHead(bytes, at, end)
  if (isLargeAt(bytes, at)) return listedLargeObject(bytes.subarray(at, end))
  const checksumAlgorithm = ALGORITHMS[bytes[at + ALGORITHM_AT] ?? 0]
  const parts = bytes.readUInt16BE(at + PARTS_AT)
  const md5 = bytes.toString("hex", at + MD5_AT, at + MD5_AT + MD5_BYTES)
  return {
    sizeBytes: readU64(bytes, at + 4),
    modifiedMs: readU64(bytes, at + 12),
    etag: parts > 0 ? `${md5}-${parts}` : md5,
    storageClass: classAt(bytes, at),
    checksumAlgorithm,
    checksumType: checksumTypeOf(checksumAlgorithm, bytes[at + 1] ?? 0),
  }
}

const isLargeAt = (bytes: Uint8Array, at: number): boolean => (bytes[at + ALGORITHM_AT] ?? 0) >= LARGE

function listedLargeObject(value: Uint8Array): ListedVersion {
  const record = decodeVersion(value)
  const { modifiedMs, storageClass } = record.head
  const { sizeBytes, etag } = shownOfRecord(record)
  return { sizeBytes, etag, modifiedMs, storageClass, checksumAlgorithm: undefined, checksumType: undefined }
}

/** Returns the storage class of a checked head. */
const classAt = (bytes: Buffer, at: number): StorageClass => STORAGE_CLASSES[bytes[at + CLASS_AT] ?? 0] ?? "STANDARD"

const checksumTypeOf = (algorithm: ChecksumAlgorithm | undefined, flags: number): ChecksumType | undefined =>
  algorithm && (flags & COMPOSITE ? "COMPOSITE" : "FULL_OBJECT")

let lastValue: Uint8Array | undefined
let lastHead: VersionHead | undefined

/** The head alone. Throws `corruptRecord`. */
export function decodeVersionHead(value: Uint8Array): VersionHead {
  // One decision reads the same row several times.
  if (value === lastValue && lastHead) return lastHead
  lastHead = readVersionHead(value)
  lastValue = value
  return lastHead
}

function readVersionHead(value: Uint8Array): VersionHead {
  const bytes = bufferOf(value)
  checkHead(bytes, 0, bytes.length)
  const flags = bytes[1] ?? 0
  const checksumAlgorithm = ALGORITHMS[(bytes[ALGORITHM_AT] ?? 0) % LARGE]
  return {
    isMarker: (flags & MARKER) !== 0,
    isNull: (flags & NULL) !== 0,
    hasDetails: (flags & DETAILS) !== 0,
    isShared: (flags & SHARED) !== 0,
    isLocked: (flags & LOCKED) !== 0,
    storageClass: classAt(bytes, 0),
    checksumAlgorithm,
    checksumType: checksumTypeOf(checksumAlgorithm, flags),
    sizeBytes: readU64(bytes, 4),
    modifiedMs: readU64(bytes, 12),
    order: readU64(bytes, ORDER_AT),
    random: bytes.subarray(28, 36),
    md5: bytes.subarray(MD5_AT, MD5_AT + MD5_BYTES),
    parts: bytes.readUInt16BE(PARTS_AT),
  }
}

type VersionBody = Omit<VersionRecord, "head">

/** Bodies without references to bytes, and without their checksums: most small objects of a client have the same one. */
const inlineBodies = new Remembered(text => readBody(Buffer.from(text, "latin1")), isCommon)
const REMEMBERED_BODY_BYTES_MAX = 128

function decodeBody(bytes: Buffer): VersionBody {
  if (bytes.length > REMEMBERED_BODY_BYTES_MAX) return readBody(bytes)
  const behindAt = endOfShortChecksum(bytes)
  if (behindAt === undefined) return inlineBodies.of(bytes.toString("latin1"))
  const text = bytes.toString("latin1", 0, CHECKSUM_AT) + NULL_TEXT + bytes.toString("latin1", behindAt)
  const common = inlineBodies.of(text)
  return { ...common, checksumValue: bytes.toString("latin1", CHECKSUM_AT + 1, behindAt) }
}

const NULL_TEXT = String.fromCharCode(NULL_MEMBER)

/** Returns where the checksum of an inline version ends; undefined for other bodies, and for one that has none or a long one. */
function endOfShortChecksum(bytes: Buffer): number | undefined {
  if (!INLINE_BEGINS.every((byte, i) => bytes[INLINE_AT + i] === byte)) return undefined
  const lengthBytes = (bytes[CHECKSUM_AT] ?? 0) - SHORT_TEXT
  const end = CHECKSUM_AT + 1 + lengthBytes
  return lengthBytes >= 0 && lengthBytes <= SHORT_TEXT_BYTES_MAX && end <= bytes.length ? end : undefined
}

function readBody(bytes: Uint8Array): VersionBody {
  const row = RecordReader.open("version", bytes, 1)
  const content = readContent(row.row())
  const checksumValue = row.optional(() => row.text())
  const details = row.optional(() => readDetails(row.row()))
  const lock = row.optional(() => VERSION_LOCK.read(row))
  const sealing = row.optional(() => BOUND_SEALING.read(row))
  const restore = row.optional(() => VERSION_RESTORE.read(row))
  const expiresAtSeconds = row.optional(() => row.number())
  const largeObject = row.optional(() => readLargeObject(row.row()))
  const body = lock === undefined ? { content, checksumValue, details } : { content, checksumValue, details, lock }
  const sealed = sealing === undefined ? body : { ...body, sealing }
  const restored = restore === undefined ? sealed : { ...sealed, restore }
  const expiring = expiresAtSeconds === undefined ? restored : { ...restored, expiresAtSeconds }
  return largeObject === undefined ? expiring : { ...expiring, largeObject }
}

export function decodeVersion(value: Uint8Array): VersionRecord {
  const head = decodeVersionHead(value)
  const body = decodeBody(bufferOf(value).subarray(VERSION_HEAD_BYTES))
  const { content, checksumValue, details, lock, sealing, restore, expiresAtSeconds, largeObject } = body
  if (head.isLocked !== (lock !== undefined)) throw fail("corruptRecord", { what: "version", field: "lock" })
  const isSealed = ((value[1] ?? 0) & SEALED) !== 0
  if (isSealed !== (sealing !== undefined)) throw fail("corruptRecord", { what: "version", field: "sealing" })
  const isExpiring = ((value[1] ?? 0) & EXPIRES) !== 0
  if (isExpiring !== (expiresAtSeconds !== undefined))
    throw fail("corruptRecord", { what: "version", field: "expiresAtSeconds" })
  if (isLargeAt(value, 0) !== (largeObject !== undefined))
    throw fail("corruptRecord", { what: "version", field: "largeObject" })
  const record =
    lock === undefined ? { head, content, checksumValue, details } : { head, content, checksumValue, details, lock }
  const sealed = sealing === undefined ? record : { ...record, sealing }
  const restored = restore === undefined ? sealed : { ...sealed, restore }
  const expiring = expiresAtSeconds === undefined ? restored : { ...restored, expiresAtSeconds }
  return largeObject === undefined ? expiring : { ...expiring, largeObject }
}

/** Size and ETag as clients are told. */
interface ShownVersion {
  readonly sizeBytes: number
  readonly etag: string
  /** 0 for a single upload. */
  readonly parts: number
  /** The ETag of a large object without the number of segments. */
  readonly segmentsMd5: string | undefined
}

export function shownOfRecord({ head, largeObject }: Pick<VersionRecord, "head" | "largeObject">): ShownVersion {
  const { sizeBytes, md5, parts } = largeObject ?? head
  const segmentsMd5 = largeObject && bufferOf(largeObject.md5).toString("hex")
  return { sizeBytes, etag: etagOfHead({ md5, parts }), parts, segmentsMd5 }
}

/** The same of a record that is decoded only if it is one of a large object. */
export const shownOfValue = (value: Uint8Array): ShownVersion =>
  shownOfRecord(isLargeAt(value, 0) ? decodeVersion(value) : { head: decodeVersionHead(value) })

/** The size of `shownOfRecord`, from a record that is decoded only if it is one of a large object. */
export const shownBytesOf = (value: Uint8Array, { sizeBytes }: Pick<VersionHead, "sizeBytes">): number =>
  isLargeAt(value, 0) ? shownOfRecord(decodeVersion(value)).sizeBytes : sizeBytes
