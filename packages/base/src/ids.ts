/**
 * Ids: each kind of id has its own type, so that swapping two does not compile.
 *
 * Only the `parse…` and `…Of` functions of this file create ids, and they check their input. Every id has a line in
 * GLOSSARY.md.
 */
import { fail } from "./failures.js"

declare const brand: unique symbol
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }

/** A store: 32 hex digits, generated at its first start. */
export type StoreId = Brand<string, "StoreId">
/** A device: 16 hex digits, generated when its folder is first used. */
export type DeviceId = Brand<string, "DeviceId">
/** A process incarnation on a device; grows by one with each start. */
export type Incarnation = Brand<number, "Incarnation">
/** A range of metadata rows. */
export type TabletId = Brand<number, "TabletId">
/** A tablet configuration's number; a lower one is refused everywhere. */
export type Epoch = Brand<number, "Epoch">
/** The place of an entry in its tablet's history: 1, 2, 3 … without gaps. */
export type Position = Brand<number, "Position">
/** The number of a batch in one device's commit log: 1, 2, 3 … without gaps. */
export type LogSequence = Brand<number, "LogSequence">
/** A volume file of one device. */
export type VolumeId = Brand<number, "VolumeId">
/** A slice of the block-id hash space: 0 … 65,535. */
export type PartitionId = Brand<number, "PartitionId">
/** A bucket, never reused: 1, 2, 3 … (0 is the system's own rows). */
export type BucketId = Brand<number, "BucketId">
/** The bytes of one PUT or of one attempt at a part: 32 hex digits. */
export type UploadId = Brand<string, "UploadId">
/** S3's multipart upload, a row: 52 base32 characters or fewer, see `format/version-id`. */
export type MultipartId = Brand<string, "MultipartId">
/** An object's version as S3 shows it; the null version is "null". */
export type VersionId = Brand<string, "VersionId">
/** The owner of buckets and keys: 64 hex digits, or chosen by the operator. */
export type AccountId = Brand<string, "AccountId">
/** An account as ARNs name it: 12 digits. */
export type AccountNumber = Brand<string, "AccountNumber">
/** The public half of a key pair that signs requests. */
export type AccessKeyId = Brand<string, "AccessKeyId">
/** A named key of the store or of an external key service: a UUID. */
export type KmsKeyId = Brand<string, "KmsKeyId">
/** A token of the admin API: it names the token, and is no secret. */
export type AdminTokenId = Brand<string, "AdminTokenId">
/** A change by the admin API: its time, and a random part. */
export type AuditId = Brand<string, "AuditId">
/** A notable event of a node: its time, and a random part. */
export type EventId = Brand<string, "EventId">
/** The id of a job that a caller has started. */
export type JobId = Brand<string, "JobId">
/** The id of a message in a queue: 40 characters, as Disque's. */
export type MessageId = Brand<string, "MessageId">
/** A session of a client that coordinates with others: 32 hex digits. */
export type SessionId = Brand<string, "SessionId">
/** The path of a lock or a small file: a namespace, and one or more names below it. */
export type CoordPath = Brand<string, "CoordPath">
/** The place where the cache has the objects of one remote, for one bucket. */
export type CacheSpace = Brand<string, "CacheSpace">
/** A WebAssembly module that administrators have uploaded as a step of transforms. */
export type ModuleName = Brand<string, "ModuleName">
/** A node's certificate, by the SHA-256 of its DER: 64 hex digits. */
export type NodeFingerprint = Brand<string, "NodeFingerprint">
/** A node, as its operator named it (`--node`, default: the host name): 1 to 63 printable characters without "/". */
export type NodeName = Brand<string, "NodeName">
/** An object key as the bytes of its UTF-8, one character (0–255) a byte: string order is byte order. */
export type ObjectKey = Brand<string, "ObjectKey">
/** A bucket's name as S3 spells it. */
export type BucketName = Brand<string, "BucketName">
/** A partition key or a sort key of K2V, as a byte string. */
export type ItemKey = Brand<string, "ItemKey">
/** A metadata row key as bytes, one character (0–255) a byte: string order is byte order. */
export type RowKey = Brand<string, "RowKey">

function parser<Id extends string>(what: string, pattern: RegExp) {
  return (value: unknown): Id => {
    if (typeof value !== "string" || !pattern.test(value)) {
      throw fail("invalidArgument", { message: `not a valid ${what}`, value: String(value).slice(0, 80) })
    }
    return value as Id
  }
}

function numberParser<Id extends number>(what: string, min: number, max: number) {
  return (value: unknown): Id => {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) {
      throw fail("invalidArgument", { message: `not a valid ${what}`, value: String(value).slice(0, 80) })
    }
    return value as Id
  }
}

/** Without "/", so that the names of nested domains can be joined by it. */
const DOMAIN_NAME = /^[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}/]{1,63}$/u

export const parseNodeName = parser<NodeName>("name of a node", DOMAIN_NAME)
/** The name of a failure domain: a zone, a machine or a disk. */
export const parseDomainName = parser<string>("name of a zone, machine or disk", DOMAIN_NAME)
export const parseStoreId = parser<StoreId>("store id", /^[0-9a-f]{32}$/)
export const parseDeviceId = parser<DeviceId>("device id", /^[0-9a-f]{16}$/)
export const parseUploadId = parser<UploadId>("upload id", /^[0-9a-f]{32}$/)
export const parseMultipartId = parser<MultipartId>("multipart upload id", /^[0-9A-Za-z._-]{1,128}$/)
export const parseVersionId = parser<VersionId>("version id", /^(null|[0-9A-V]{26})$/)
export const parseAccountId = parser<AccountId>("account id", /^[0-9A-Za-z._@-]{1,64}$/)
export const parseAccountNumber = parser<AccountNumber>("account number", /^[0-9]{12}$/)
export const parseAccessKeyId = parser<AccessKeyId>("access key id", /^[0-9A-Za-z._=+/@-]{3,128}$/)
export const parseKmsKeyId = parser<KmsKeyId>("key id", /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
export const parseAdminTokenId = parser<AdminTokenId>("token id", /^[A-Z2-7]{12}$/)
export const parseAuditId = parser<AuditId>("audit id", /^[0-9]{13}-[a-z2-7]{8}$/)
export const parseEventId = parser<EventId>("event id", /^[0-9]{13}-[a-z2-7]{8}$/)
export const parseJobId = parser<JobId>("job id", /^[a-z][a-z-]{1,30}-[a-z2-7]{8}$/)
export const parseSessionId = parser<SessionId>("session id", /^[0-9a-f]{32}$/)
export const parseCoordPath = parser<CoordPath>(
  "path",
  /^(?=.{3,512}$)[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}(?:\/[A-Za-z0-9_@+=-][A-Za-z0-9._@+=-]{0,99}){1,16}$/,
)
export const parseModuleName = parser<ModuleName>(
  "transform name",
  /^(?!(?:svgmin|image|tar|gzip|zstd|none)$)[a-z][a-z0-9-]{0,31}$/,
)
export const parseCacheSpace = parser<CacheSpace>("cache space", /^[0-9]{16}-[0-9a-f]{12}$/)
export const parseMessageId = parser<MessageId>("message id", /^D-[0-9a-f]{8}-[A-Za-z0-9+/]{24}-[0-9a-f]{4}$/)
export const parseNodeFingerprint = parser<NodeFingerprint>("fingerprint of a node", /^[0-9a-f]{64}$/)
export const parseIncarnation = numberParser<Incarnation>("incarnation", 0, 0xffff_ffff)
export const parseTabletId = numberParser<TabletId>("tablet id", 1, 0xffff_ffff)
export const parseEpoch = numberParser<Epoch>("epoch", 1, 0xffff_ffff)
export const parsePosition = numberParser<Position>("position", 0, Number.MAX_SAFE_INTEGER)
export const parseLogSequence = numberParser<LogSequence>("log sequence", 0, Number.MAX_SAFE_INTEGER)
export const parseVolumeId = numberParser<VolumeId>("volume id", 1, 0xffff_ffff)
export const parsePartitionId = numberParser<PartitionId>("partition id", 0, 0xffff)
export const parseBucketId = numberParser<BucketId>("bucket id", 0, Number.MAX_SAFE_INTEGER)

const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
const LIKE_AN_ADDRESS = /^\d{1,3}(\.\d{1,3}){3}$/

/** Prefixes and suffixes that Amazon reserves ("General purpose bucket naming rules"). */
const RESERVED_PREFIXES = ["xn--", "sthree-", "amzn-s3-demo-"]
const RESERVED_SUFFIXES = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]

/** The limit for a bucket by the older rules. */
export const CONTAINER_NAME_LENGTH_MAX = 255

const NAME_LENGTH = `a name has 3 to 63 characters (a container of Swift: 3 to ${CONTAINER_NAME_LENGTH_MAX} characters)`

/** The names that S3 accepted before today's rules. They are safe in URLs, ARNs, XML, labels and file names. */
const OLDER_BUCKET_NAME = /^[A-Za-z0-9._-]{3,255}$/

/** How a name violates the older rules; undefined if it is valid. */
function olderNameFault(name: string): string | undefined {
  if (name.length < 3 || name.length > CONTAINER_NAME_LENGTH_MAX) return NAME_LENGTH
  return OLDER_BUCKET_NAME.test(name) ? undefined : "a name has letters, digits, dots, hyphens and underscores only"
}

/** How a name violates S3's rules for general purpose buckets; undefined if it is valid. */
function bucketNameFault(name: string): string | undefined {
  if (name.length < 3 || name.length > 63) return NAME_LENGTH
  if (!/^[a-z0-9.-]*$/.test(name)) return "a name has lower-case letters, digits, dots and hyphens only"
  if (!BUCKET_NAME.test(name)) return "a name begins and ends with a letter or digit"
  if (LIKE_AN_ADDRESS.test(name)) return "a name must not look like an IP address"
  if (/\.\.|\.-|-\./.test(name)) return "a dot must not stand beside another dot or a hyphen"
  return undefined
}

function reservedFault(name: string): string | undefined {
  const prefix = RESERVED_PREFIXES.find(one => name.startsWith(one))
  if (prefix !== undefined) return `names that begin with ${prefix} are reserved`
  const suffix = RESERVED_SUFFIXES.find(one => name.endsWith(one))
  return suffix === undefined ? undefined : `names that end with ${suffix} are reserved`
}

const invalidName = (name: string, fault: string) =>
  fail("invalidBucketName", { value: name.slice(0, 80), message: `The specified bucket is not valid: ${fault}.` })

function parseName(value: unknown, faultOf: (name: string) => string | undefined): BucketName {
  const name = String(value)
  const fault = typeof value === "string" ? faultOf(value) : "a name is a text"
  if (fault !== undefined) throw invalidName(name, fault)
  return name as BucketName
}

/** The name of a bucket that may exist: by today's rules, or by the older ones. Throws `invalidBucketName`. */
export const parseBucketName = (value: unknown): BucketName => parseName(value, olderNameFault)

/**
 * The name of a bucket that S3 is to create: by its rules for general purpose buckets, and not reserved. Throws
 * `invalidBucketName`.
 */
export const parseNewBucketName = (value: unknown): BucketName =>
  parseName(value, name => bucketNameFault(name) ?? reservedFault(name))

/**
 * The name of a container that Swift is to create: a bucket by the older rules. A name by the older rules alone cannot be
 * in a host name, so such a bucket has no virtual-host address. Reserved names are refused: clients of S3 take them for
 * something else. Throws `invalidBucketName`.
 */
export const parseNewContainerName = (value: unknown): BucketName =>
  parseName(value, name => olderNameFault(name) ?? reservedFault(name))

const OBJECT_KEY_BYTES_MAX = 1024

/** An object key from its UTF-8 bytes. Throws `invalidKey` (not UTF-8, or empty) or `keyTooLong`. */
export function objectKeyOfBytes(bytes: Uint8Array): ObjectKey {
  if (bytes.length > OBJECT_KEY_BYTES_MAX) throw fail("keyTooLong", { lengthBytes: bytes.length })
  if (bytes.length === 0) throw fail("invalidKey", { message: "the key is empty" })
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    throw fail("invalidKey")
  }
  let text = ""
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text as ObjectKey
}

const PLAIN_KEY = /^[\x20-\x7e]{1,1024}$/

/** An object key of printable ASCII, which equals its UTF-8; undefined for any other text. */
export const parsePlainKey = (text: string): ObjectKey | undefined =>
  PLAIN_KEY.test(text) ? (text as ObjectKey) : undefined

/** An object key from text; a lone surrogate, which UTF-8 cannot encode, throws `invalidKey`. */
export function objectKeyOfText(text: string): ObjectKey {
  if (/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/.test(text)) throw fail("invalidKey")
  return objectKeyOfBytes(new TextEncoder().encode(text))
}

/** A partition key or sort key from text; it may be empty. Throws `invalidKey`, `keyTooLong`. */
export function parseItemKey(text: string): ItemKey {
  const key: string = text === "" ? "" : objectKeyOfText(text)
  return key as ItemKey
}

/** The byte string of text: a prefix of keys. */
export const byteStringOfText = (text: string): string => Buffer.from(text, "utf8").toString("latin1")

/** Bytes of a byte string (an object key, a prefix, a row key). */
export const bytesOfByteString = (key: string): Uint8Array => Buffer.from(key, "latin1")

const BEYOND_ASCII = /[\x80-\xff]/

/** The text of an object key or a prefix of one; an incomplete character becomes U+FFFD. */
export const textOfObjectKey = (key: string): string =>
  BEYOND_ASCII.test(key) ? Buffer.from(key, "latin1").toString("utf8") : key

export const rowKeyOf = (byteString: string): RowKey => byteString as RowKey

/** The first key that is above this one. */
export const rowKeyAfter = (key: string): RowKey => rowKeyOf(`${key}\x00`)
