/**
 * The model's whole state: plain maps in memory, sorted only when read.
 *
 * Versions of a key are sorted newest first. Each newer version has a lower rank, and its id begins with the rank,
 * so that "older than this id" can be decided even after that id was deleted.
 */
import { fail } from "@hayloft/base/failures.js"
import type { BucketName, MultipartId, ObjectKey, VersionId } from "@hayloft/base/ids.js"
import { parseBucketId, parseMultipartId, parseVersionId } from "@hayloft/base/ids.js"
import type { BucketSettingName, SettingRecord } from "@hayloft/engine/format/records.js"
import type { CreateMultipartRequest, PutResult } from "@hayloft/objects/contract.js"
import type { Bucket, ObjectAcl, ObjectInfo, StoredChecksum, VersioningState } from "@hayloft/objects/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Tags } from "@hayloft/base/tags.js"

export interface ModelPart {
  readonly partNumber: number
  readonly body: Uint8Array
  readonly etag: string
  readonly checksum: StoredChecksum | undefined
  readonly lastModifiedMs: number
}

export interface ModelObject {
  readonly kind: "object"
  readonly rank: string
  readonly writtenMs: number
  info: Omit<ObjectInfo, "tags" | "acl">
  readonly body: Uint8Array
  readonly parts: readonly ModelPart[] | undefined
  /** The key of SSE-C. */
  readonly clientKey: Uint8Array | undefined
  tags: Tags
  acl: ObjectAcl | undefined
}

export interface ModelMarker {
  readonly kind: "marker"
  readonly rank: string
  readonly info: { readonly versionId: VersionId; readonly lastModifiedMs: number }
}

export type ModelVersion = ModelObject | ModelMarker

export interface ModelUpload {
  readonly multipartId: MultipartId
  readonly initiatedMs: number
  readonly request: CreateMultipartRequest
  readonly parts: Map<number, ModelPart>
}

/** A completed upload: repeating the completion returns its result while its version is the latest. */
export interface ModelCompletion {
  readonly version: ModelVersion | undefined
  readonly partList: string
  readonly result: PutResult
}

export interface ModelBucket {
  bucket: Bucket
  readonly nowMs: () => number
  readonly settings: Map<BucketSettingName, SettingRecord>
  readonly keys: Map<ObjectKey, ModelVersion[]>
  readonly uploads: Map<MultipartId, ModelUpload>
  readonly completions: Map<MultipartId, ModelCompletion>
  readonly lastModifiedMs: Map<ObjectKey, number>
}

const RANK_START = 2n ** 64n - 1n
const base32 = (value: bigint): string => value.toString(32).toUpperCase().padStart(13, "0")

export class ModelState {
  readonly buckets = new Map<BucketName, ModelBucket>()
  #drawn = 0n

  constructor(
    readonly clock: Clock,
    readonly random: Random,
  ) {}

  /** The current state of the bucket. Throws `noSuchBucket`, also if a later bucket has the name. */
  open(bucket: Bucket): ModelBucket {
    const found = this.buckets.get(bucket.name)
    if (found?.bucket.id !== bucket.id) throw fail("noSuchBucket")
    return found
  }

  nextBucketId(): Bucket["id"] {
    return parseBucketId(Number((this.#drawn += 1n)))
  }

  nextMultipartId(): MultipartId {
    return parseMultipartId(`${base32(BigInt((this.#drawn += 1n)))}${this.#salt()}`)
  }

  nextVersion(versioning: VersioningState): { rank: string; versionId: VersionId } {
    const rank = base32(RANK_START - (this.#drawn += 1n))
    return { rank, versionId: parseVersionId(versioning === "enabled" ? `${rank}${this.#salt()}` : "null") }
  }

  /** The current time, but never before an earlier version of the key. */
  nextModifiedMs(bucket: ModelBucket, key: ObjectKey): number {
    const lastModifiedMs = Math.max(this.clock.wallMs(), bucket.lastModifiedMs.get(key) ?? 0)
    bucket.lastModifiedMs.set(key, lastModifiedMs)
    return lastModifiedMs
  }

  #salt(): string {
    return base32(BigInt(`0x${Buffer.from(this.random.bytes(8)).toString("hex")}`))
  }
}

export const versionsOf = (bucket: ModelBucket, key: ObjectKey): readonly ModelVersion[] => bucket.keys.get(key) ?? []

const isExpired = ({ info }: ModelObject, nowMs: number): boolean =>
  info.expiresAtSeconds !== undefined && info.expiresAtSeconds * 1000 <= nowMs

/** The latest version; undefined once its object has expired, whether or not anything has removed it. */
export function currentOf(bucket: ModelBucket, key: ObjectKey): ModelVersion | undefined {
  const [latest] = versionsOf(bucket, key)
  return latest?.kind === "object" && isExpired(latest, bucket.nowMs()) ? undefined : latest
}

/** Removes a version; the key is removed with its last version. */
export function dropVersion(bucket: ModelBucket, key: ObjectKey, versionId: VersionId): ModelVersion | undefined {
  const versions = versionsOf(bucket, key)
  const dropped = versions.find(version => version.info.versionId === versionId)
  const left = versions.filter(version => version !== dropped)
  if (left.length > 0) bucket.keys.set(key, left)
  else bucket.keys.delete(key)
  return dropped
}

/** Puts a version in front; a null version replaces the null version before it. */
export function addVersion(bucket: ModelBucket, key: ObjectKey, version: ModelVersion): void {
  if (version.info.versionId === "null") dropVersion(bucket, key, version.info.versionId)
  bucket.keys.set(key, [version, ...versionsOf(bucket, key)])
}

/** Returns the stored bytes: for a large object, the length of its segment list. */
export const storedBytesOf = ({ info }: ModelObject): number => info.segmentListBytes ?? info.sizeBytes

export const infoOf = (version: ModelObject): ObjectInfo => ({
  ...version.info,
  tags: version.tags,
  acl: version.acl,
})

/** Throws `noSuchKey`, `noSuchVersion`, `isDeleteMarker`. */
export function find(bucket: ModelBucket, key: ObjectKey, versionId: VersionId | undefined): ModelObject {
  const versions = versionsOf(bucket, key)
  const found =
    versionId === undefined ? currentOf(bucket, key) : versions.find(version => version.info.versionId === versionId)
  if (found === undefined) throw fail(versionId === undefined ? "noSuchKey" : "noSuchVersion")
  if (found.kind === "object") return found
  const { versionId: markerId, lastModifiedMs } = found.info
  if (versionId === undefined) throw fail("noSuchKey", { versionId: markerId, deleteMarker: true })
  throw fail("isDeleteMarker", { versionId: markerId, lastModifiedMs })
}
