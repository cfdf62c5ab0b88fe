/**
 * Converts version records to the types of the contract, and back. Pure.
 *
 * Promises  Headers and user metadata that are stored or shown are ones that HTTP can carry: new ones that are not are
 *           refused, and stored ones are left out, so that they fail no read.
 */
import { fail } from "@hayloft/base/failures.js"
import { isHeaderValue, isMetadataItem, shownMetadata } from "@hayloft/base/http/header-text.js"
import type { BucketId, MultipartId, ObjectKey, VersionId } from "@hayloft/base/ids.js"
import type { BucketRecord, UploadRecord } from "@hayloft/engine/format/records.js"
import {
  shownOfRecord,
  versionIdOfHead,
  type VersionDetails,
  type VersionHead,
  type VersionRecord,
} from "@hayloft/engine/format/objects/version-record.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import type { Sealing } from "@hayloft/engine/format/needles/sealing.js"
import type { RowView } from "@hayloft/engine/metadata/index.js"
import type {
  Bucket,
  ContentHeaders,
  CopyRequest,
  MultipartInfo,
  ObjectAcl,
  ObjectAttributes,
  ObjectInfo,
  PutResult,
  StoredChecksum,
  UserMetadata,
} from "../contract.js"
import type { Timestamp } from "@hayloft/base/text/timestamp.js"
import { shownEncryptionOf } from "../bodies/encryption-core.js"
import { readDetails, type VersionMatch } from "../commands/found-versions-core.js"
import { exactTimestamp } from "../commands/changes-core.js"
import { requireVersion, type Stored } from "../commands/version-commands-core.js"
import type { Tags } from "@hayloft/base/tags.js"

const HEADER_NAMES = [
  "contentType",
  "cacheControl",
  "contentDisposition",
  "contentEncoding",
  "contentLanguage",
  "expires",
  "websiteRedirect",
  "segmentPrefix",
  "symlink",
  "timestamp",
] as const satisfies readonly (keyof ContentHeaders)[]

/** Characters of a name that a message shows. */
const NAME_SHOWN_MAX = 80

/** Details that a client stores with an object's bytes. */
interface Described {
  readonly headers: ContentHeaders
  readonly userMetadata: UserMetadata
  readonly tags: Tags
  readonly acl?: ObjectAcl | undefined
}

/** Headers are stored by name, in a fixed order. Throws `invalidArgument` for what no header can carry. */
export function packDetails(described: Described): VersionDetails {
  const { headers, userMetadata } = described
  for (const name of HEADER_NAMES) {
    if (isHeaderValue(headers[name] ?? "")) continue
    throw fail("invalidArgument", { message: `The value of ${name} has characters that no header can carry.` })
  }
  for (const item of userMetadata) {
    if (isMetadataItem(item)) continue
    const name = JSON.stringify(item[0].slice(0, NAME_SHOWN_MAX))
    throw fail("invalidArgument", { message: `The metadata item ${name} has characters that no header can carry.` })
  }
  return packChecked(described)
}

/** The same for what is found, of an object that must be kept: what no header can carry is left out. */
export function packFoundDetails(found: Described): VersionDetails {
  const { headers, userMetadata } = found
  const names = HEADER_NAMES.filter(name => isHeaderValue(headers[name] ?? ""))
  const shown = Object.fromEntries(names.map(name => [name, headers[name]]))
  return packChecked({ ...found, headers: shown, userMetadata: shownMetadata(userMetadata) })
}

function packChecked({ headers, userMetadata, tags, acl }: Described): VersionDetails {
  const pairs = HEADER_NAMES.flatMap((name): [string, string][] => {
    const value = headers[name]
    return value === undefined ? [] : [[name, value]]
  })
  const details = { headers: pairs, userMetadata, tags }
  return acl === undefined ? details : { ...details, acl }
}

/** The stored headers, without those that no answer can carry. */
export function headersOf(details: Pick<VersionDetails, "headers">): ContentHeaders {
  const known = details.headers.filter(
    ([name, value]) => HEADER_NAMES.some(header => header === name) && isHeaderValue(value),
  )
  return Object.fromEntries(known)
}

/** When the object was written, to the digit that another store has stated. */
export const timestampOfInfo = ({
  lastModifiedMs,
  headers,
}: Pick<ObjectInfo, "lastModifiedMs" | "headers">): Timestamp =>
  exactTimestamp({ modifiedMs: lastModifiedMs }, headers.timestamp)

export function checksumOf({ head, checksumValue }: VersionRecord): StoredChecksum | undefined {
  const { checksumAlgorithm: algorithm, checksumType: type } = head
  return algorithm && type && checksumValue !== undefined ? { algorithm, type, value: checksumValue } : undefined
}

export const bucketOf = (record: BucketRecord): Bucket => ({
  id: record.id,
  name: record.name,
  owner: record.owner,
  createdMs: record.createdMs,
  location: record.location,
  versioning: record.versioning,
  settings: record.settings,
  settingsVersion: record.settingsVersion,
  lock: record.lock,
  undeleteDays: record.undeleteDays,
})

/** A version with everything stored beside its bytes. */
export interface VersionRows {
  readonly found: VersionMatch
  readonly record: VersionRecord
  readonly details: VersionDetails
}

/** The same, in the types of the contract. */
export interface OpenVersion extends VersionRows {
  readonly info: ObjectInfo
}

/** The attributes of a copy. A redirect belongs to the object for which it was given. */
export function copiedAttributes(
  { replaceAttributes, websiteRedirect }: Pick<CopyRequest, "replaceAttributes" | "websiteRedirect">,
  source: ObjectAttributes,
): ObjectAttributes {
  if (replaceAttributes !== undefined) return replaceAttributes
  if (source.headers.websiteRedirect === websiteRedirect) return source
  const { websiteRedirect: _ofSource, ...headers } = source.headers
  const { userMetadata } = source
  return { headers: websiteRedirect === undefined ? headers : { ...headers, websiteRedirect }, userMetadata }
}

const HEADERS_KNOWN_MAX = 1_000

/** Stored headers as the contract names them: objects with the same headers share one object, and cached results. */
export class StoredHeaders {
  private readonly byDetails = new WeakMap<VersionDetails, ContentHeaders>()
  private readonly byText = new Map<string, ContentHeaders>()

  of(details: VersionDetails): ContentHeaders {
    const known = this.byDetails.get(details)
    if (known !== undefined) return known
    const text = JSON.stringify(details.headers)
    const headers = this.byText.get(text) ?? headersOf(details)
    if (this.byText.size >= HEADERS_KNOWN_MAX) this.byText.clear()
    this.byText.set(text, headers)
    this.byDetails.set(details, headers)
    return headers
  }
}

/** The rows of the version that a request names. Throws the failures of `requireVersion`. */
export function readVersion(
  view: RowView,
  bucketId: BucketId,
  key: ObjectKey,
  versionId: VersionId | undefined,
): VersionRows {
  const found = requireVersion(view, bucketId, key, versionId)
  const record = decodeVersion(found.row.value)
  return { found, record, details: readDetails(view, objectRowKey(bucketId, key), record) }
}

/** The ETag of a large object without the number of its segments, as Swift shows it; undefined for other objects. */
export const segmentsMd5Of = ({ etag, segmentListBytes }: Pick<ObjectInfo, "etag" | "segmentListBytes">) =>
  segmentListBytes === undefined ? undefined : etag.split("-")[0]

export function infoOf({ record, details }: VersionRows, headers = headersOf(details)): ObjectInfo {
  const { head, sealing, content } = record
  const { sizeBytes, etag, parts } = shownOfRecord(record)
  return {
    versionId: versionIdOfHead(head),
    sizeBytes,
    etag,
    lastModifiedMs: head.modifiedMs,
    headers,
    userMetadata: shownMetadata(details.userMetadata),
    tags: details.tags,
    acl: details.acl,
    lock: record.lock,
    storageClass: head.storageClass,
    checksum: record.largeObject ? undefined : checksumOf(record),
    partsCount: parts > 0 ? parts : undefined,
    encryption: sealing && shownEncryptionOf(sealing),
    expiresAtSeconds: record.expiresAtSeconds,
    segmentListBytes: record.largeObject && head.sizeBytes,
    segmentLevels: record.largeObject && (record.largeObject.levels ?? 1),
    stream: content.kind === "segments" && content.byOffset ? content.multipartId : undefined,
  }
}

export function putResultOf(
  { versioning, head, largeObject }: Stored,
  checksumValue: string | undefined,
  sealing?: Sealing,
): PutResult {
  const { sizeBytes, etag } = shownOfRecord({ head, ...(largeObject && { largeObject }) })
  return {
    versionId: versioning === "never" ? undefined : versionIdOfHead(head),
    etag,
    checksum: largeObject ? undefined : storedChecksum(head, checksumValue),
    sizeBytes,
    lastModifiedMs: head.modifiedMs,
    encryption: sealing && shownEncryptionOf(sealing),
  }
}

export const multipartInfoOf = (
  key: ObjectKey,
  multipartId: MultipartId,
  { initiatedMs, checksum, details, initiator, lock, sealing, storageClass = "STANDARD" }: UploadRecord,
): MultipartInfo => ({
  key,
  multipartId,
  initiatedMs,
  checksum,
  owner: details.acl?.owner,
  initiator,
  lock,
  storageClass,
  encryption: sealing && shownEncryptionOf(sealing),
})

function storedChecksum(head: VersionHead, value: string | undefined): StoredChecksum | undefined {
  const { checksumAlgorithm: algorithm, checksumType: type } = head
  return algorithm && type && value !== undefined ? { algorithm, type, value } : undefined
}
