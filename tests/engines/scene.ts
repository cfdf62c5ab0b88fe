/**
 * The source of a random history's arguments: a few buckets, keys, uploads and names, so that commands meet, and the
 * rows that exist at this moment. The same seed and the same rows lead to the same arguments.
 */
import { assert } from "@hayloft/base/assert.js"
import type { Fence } from "@hayloft/base/fence.js"
import type { Family } from "@hayloft/base/rows/families.js"
import {
  objectKeyOfText,
  parseAccountId,
  parseBucketId,
  parseBucketName,
  parseCoordPath,
  parseDeviceId,
  parseIncarnation,
  parsePartitionId,
  parseUploadId,
  rowKeyOf,
  type BucketId,
  type Incarnation,
  type ObjectKey,
  type RowKey,
  type UploadId,
} from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { decodeLock } from "@hayloft/engine/format/coord-rows.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import type { PartRecord } from "@hayloft/engine/format/records.js"
import { decodePart, decodeSegment, decodeUpload } from "@hayloft/engine/format/records.js"
import {
  bucketRowKey,
  objectRowKey,
  parseAccountRowKey,
  parseObjectRowKey,
  segmentRowKey,
  suffixRange,
} from "@hayloft/engine/format/row-key.js"
import {
  multipartIdOf,
  multipartIdOfSuffix,
  NULL_VERSION,
  versionIdOf,
} from "@hayloft/engine/format/objects/version-id.js"
import {
  decodeVersion,
  etagOfHead,
  NO_DETAILS,
  versionIdOfHead,
  type VersionDetails,
  type VersionRecord,
} from "@hayloft/engine/format/objects/version-record.js"
import type { Command, Incarnations, MetadataRow, Query } from "@hayloft/engine/metadata/index.js"
import type { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SYSTEM_BUCKET_ID } from "@hayloft/objects/buckets/system-bucket.js"
import { bucketOf } from "@hayloft/objects/queries/object-info-core.js"
import type { UploadAddress } from "@hayloft/objects/commands/multipart-commands-core.js"
import { bucketOfRow, readCounters } from "@hayloft/objects/commands/bucket-rows-core.js"
import type { Bucket, Conditions, ObjectAt } from "@hayloft/objects/contract.js"
import type { UploadName } from "@hayloft/objects/queries/named-extents-core.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import "@hayloft/features/index.js"

/** One thing that a history does. */
export type Play =
  | { readonly kind: "command"; readonly command: Command<unknown> }
  | { readonly kind: "query"; readonly query: Query<unknown> }
  /** The payload of a row as it was read. */
  | { readonly kind: "payload"; readonly family: "current" | "versions"; readonly key: RowKey }

export interface PlayKind {
  /** The name of the command or query. */
  readonly name: string
  /** How often it is chosen, compared with others. */
  readonly weight: number
  make(scene: Scene): Play | undefined
}

export const commandKind = (
  name: string,
  weight: number,
  make: (scene: Scene) => Command<unknown> | undefined,
): PlayKind => ({
  name,
  weight,
  make(scene) {
    const command = make(scene)
    return command && { kind: "command", command }
  },
})

export const queryKind = (name: string, make: (scene: Scene) => Query<unknown> | undefined, weight = 1): PlayKind => ({
  name,
  weight,
  make(scene) {
    const query = make(scene)
    return query && { kind: "query", query }
  },
})

export const ALL_ROWS: KeyRange = { start: rowKeyOf(""), end: rowKeyOf("\xff".repeat(40)) }
export const ACCOUNTS = ["root", "ann"].map(parseAccountId)
const SPARE = parseBucketName("spare")
const NAMES = [...["alpha", "beta", "gamma"].map(parseBucketName), SPARE]
const KEYS = ["a", "a/b", "a/c", "é!"].map(objectKeyOfText)
const RARE_KEYS = ["a/b/c", "a!", "b", "b/", "c/d/e", "zz"].map(objectKeyOfText)
export const BLOCK_BYTES = 4096
export const POLICIES = ["replica:2", "ec:2+1", "replica:1"].map(text => parsePolicy(text))
const LARGE_DETAILS: VersionDetails = {
  headers: [["contentType", "text/plain"]],
  userMetadata: [["note", "x".repeat(700)]],
  tags: [["a", "b"]],
}
const SMALL_DETAILS: VersionDetails = { headers: [], userMetadata: [["note", "small"]], tags: [] }

export interface ObjectName {
  readonly bucketId: BucketId
  readonly key: ObjectKey
}

/** A version as it is stored. */
export interface StoredVersion extends ObjectName {
  readonly family: "current" | "versions"
  readonly rowKey: RowKey
  readonly row: MetadataRow
  readonly record: VersionRecord
}

/** A process of the store that is being played with. */
interface Actor {
  readonly own: Incarnation
  /** Another one that has not ended; undefined: there is none. */
  readonly other: Incarnation | undefined
  readonly incarnations: Incarnations
}

export class Scene {
  private uploads = 0
  /** The object that most plays of a round are about, so that they meet. */
  focus: ObjectName | undefined
  /** Writes of objects have fences, too. */
  isFenced = false

  constructor(
    readonly model: MemoryMetadata,
    public random: Random,
    /** The process that the next play is for. */
    public actor: Actor,
    public nowMs: number,
  ) {}

  oneIn(count: number): boolean {
    return this.random.below(count) === 0
  }

  pick<T>(items: readonly T[]): T {
    assert(items.length > 0, "there is something to choose from")
    const [item] = items.slice(this.random.below(items.length))
    // An item may be undefined itself.
    return item as T
  }

  pickOr<T>(items: readonly T[], other: () => T): T {
    return items.length === 0 || this.oneIn(12) ? other() : this.pick(items)
  }

  /** Different ones of the items. */
  some<T>(items: readonly T[], oneIn = 2): readonly T[] {
    return items.filter(() => this.oneIn(oneIn))
  }

  rows(family: Family, range: KeyRange = ALL_ROWS): (readonly [RowKey, MetadataRow])[] {
    return [...this.model.committed.range(family, range)]
  }

  bucketName() {
    return this.pick(NAMES)
  }

  buckets(): readonly Bucket[] {
    const records = this.rows("buckets").filter(([key]) => key !== bucketRowKey(parseBucketId(0)))
    return records.map(([, row]) => bucketOf(bucketOfRow(row)))
  }

  bucket(): Bucket | undefined {
    const buckets = this.buckets()
    return buckets.length === 0 ? undefined : this.pick(buckets)
  }

  bucketId(): BucketId {
    if (this.focus !== undefined && !this.oneIn(3)) return this.focus.bucketId
    const ids = this.buckets().map(({ id }) => id)
    return this.pickOr(ids, () => this.pick([parseBucketId(1), parseBucketId(999), SYSTEM_BUCKET_ID]))
  }

  /** More often one that is empty. */
  emptyBucketId(): BucketId {
    const { committed } = this.model
    const isEmpty = (id: BucketId): boolean => {
      const { versions, uploads } = readCounters(committed, id)
      return versions === 0 && uploads === 0
    }
    const empty = this.buckets().filter(({ id }) => isEmpty(id))
    return empty.length > 0 && this.oneIn(2) ? this.pick(empty).id : this.bucketId()
  }

  key(): ObjectKey {
    return this.pick(this.oneIn(5) ? RARE_KEYS : KEYS)
  }

  /** More often one that exists. */
  object(): ObjectName {
    if (this.focus !== undefined && !this.oneIn(4)) return this.focus
    const versions = this.versions()
    if (versions.length > 0 && !this.oneIn(3)) return this.pick(versions)
    return { bucketId: this.filledBucketId(), key: this.key() }
  }

  /** An object, or a key of a bucket that may be empty. */
  newFocus(): ObjectName {
    this.focus = undefined
    return this.oneIn(3) ? { bucketId: this.emptyBucketId(), key: this.key() } : this.object()
  }

  /** One bucket is mostly left empty. */
  private filledBucketId(): BucketId {
    const filled = this.buckets().filter(({ name }) => name !== SPARE)
    return filled.length > 0 && !this.oneIn(12) ? this.pick(filled).id : this.bucketId()
  }

  private rangeOf(of: ObjectName | undefined): KeyRange | undefined {
    return of && suffixRange(objectRowKey(of.bucketId, of.key))
  }

  /** Reads from the object that plays are about, if it has any; otherwise from all objects. */
  private nearest<T>(read: (of: ObjectName | undefined) => readonly T[]): readonly T[] {
    const near = this.focus === undefined || this.oneIn(4) ? [] : read(this.focus)
    return near.length > 0 ? near : read(undefined)
  }

  versions(of?: ObjectName): readonly StoredVersion[] {
    return of === undefined ? this.nearest(near => this.versionsOf(near)) : this.versionsOf(of)
  }

  allVersions(): readonly StoredVersion[] {
    return this.versionsOf(undefined)
  }

  private versionsOf(of: ObjectName | undefined): readonly StoredVersion[] {
    const range = this.rangeOf(of)
    return (["current", "versions"] as const).flatMap(family =>
      this.rows(family, range).map(([rowKey, row]) => {
        const { bucketId, key } = parseObjectRowKey(rowKey)
        return { family, rowKey, row, bucketId: parseBucketId(bucketId), key, record: decodeVersion(row.value) }
      }),
    )
  }

  versionId(of: ObjectName) {
    const ids = this.versions(of).map(({ record }) => versionIdOfHead(record.head))
    return this.pickOr(ids, () => this.pick([NULL_VERSION, versionIdOf(7, new Uint8Array(8))]))
  }

  private objectAt(of: ObjectName): ObjectAt {
    const heads = this.versions(of).map(({ record }) => record.head)
    if (heads.length === 0) return { atUs: 0, versionId: undefined }
    const head = this.pick(heads)
    return { atUs: head.order - this.pick([0, 1]), versionId: head.isMarker ? undefined : versionIdOfHead(head) }
  }

  conditions(of: ObjectName): Conditions {
    const etags = this.versions(of).map(({ record }) => etagOfHead(record.head))
    const etag = this.pickOr(etags, () => "none")
    const fence = this.isFenced && this.oneIn(2) ? this.fence() : undefined
    const conditions: readonly Conditions[] = [
      {},
      {},
      {},
      {},
      { ifMatch: [etag] },
      { ifNoneMatch: ["*"] },
      { ifNoneMatch: [etag] },
      { ifUnchanged: this.objectAt(of) },
    ]
    return { ...this.pick(conditions), ...(fence && { fence }) }
  }

  /** Locks that are held or waited for. */
  locks() {
    return this.rows("coordLocks").map(([key, row]) => {
      const { account, rest } = parseAccountRowKey(key)
      return { account, path: parseCoordPath(rest), lock: decodeLock(row.value) }
    })
  }

  /** Returns the fence of a lock that is held, mostly; undefined if none is. */
  fence(): Fence | undefined {
    const fences = this.locks().flatMap(({ account, path, lock: { mode, holders } }) =>
      holders.map(({ token }): Fence => ({ account, path, mode, token })),
    )
    if (fences.length === 0) return undefined
    const fence = this.pick(fences)
    return this.pick<Fence>([fence, fence, fence, { ...fence, token: fence.token - 1 }, { ...fence, mode: "shared" }])
  }

  details(): VersionDetails {
    return this.pick([NO_DETAILS, SMALL_DETAILS, LARGE_DETAILS])
  }

  /** Mostly of this process: others' uploads are refused. */
  newUploadId(): UploadId {
    const { own, other } = this.actor
    const incarnation = this.oneIn(12) ? (other ?? parseIncarnation(own + 7)) : own
    this.uploads += 1
    const number = `${this.random.below(1 << 30).toString(16)}${this.uploads.toString(16).padStart(6, "0")}`
    return parseUploadId(incarnation.toString(16).padStart(8, "0") + number.padStart(24, "0"))
  }

  extent(part: number): Extent {
    const lengthBytes = 100 + this.random.below(3 * BLOCK_BYTES)
    const policy = this.pick(POLICIES)
    const blocks = { blockBytes: BLOCK_BYTES, policy, generation: 0, exceptions: [] }
    return { uploadId: this.newUploadId(), part, lengthBytes, ...blocks }
  }

  newMultipartId() {
    return multipartIdOf(this.nowMs * 1000, this.random.bytes(8))
  }

  private addressOf(rowKey: RowKey): UploadAddress {
    const { bucketId, key, suffix } = parseObjectRowKey(rowKey)
    return { bucketId: parseBucketId(bucketId), key, multipartId: multipartIdOfSuffix(suffix) }
  }

  /** Uploads that have rows: in progress, completed or aborted. */
  addresses(family: "uploads" | "parts" | "segments"): readonly UploadAddress[] {
    return this.nearest(of => this.rows(family, this.rangeOf(of)).map(([rowKey]) => this.addressOf(rowKey)))
  }

  uploadAddress(): UploadAddress {
    const unknown = () => ({ bucketId: this.bucketId(), key: this.key(), multipartId: this.newMultipartId() })
    const known = this.oneIn(6) ? this.addresses(this.pick(["parts", "segments"])) : this.addresses("uploads")
    return this.pickOr(known, unknown)
  }

  upload(address: Pick<UploadAddress, "multipartId">) {
    const found = this.rows("uploads").find(([rowKey]) => this.addressOf(rowKey).multipartId === address.multipartId)
    return found && decodeUpload(found[1].value)
  }

  /** The first segment of the upload. */
  segment({ bucketId, key, multipartId }: UploadAddress) {
    const row = this.model.committed.get("segments", segmentRowKey(objectRowKey(bucketId, key), multipartId, 0))
    return row && decodeSegment(row.value)
  }

  parts(address: UploadAddress): readonly PartRecord[] {
    return this.rows("parts")
      .filter(([rowKey]) => this.addressOf(rowKey).multipartId === address.multipartId)
      .map(([, row]) => decodePart(row.value))
  }

  /** Extents that rows reference, with their upload, and sometimes with the row. */
  extents(): readonly (UploadName & { readonly extent: Extent })[] {
    const foundIn = (family: Family, rowKey: RowKey) => (this.oneIn(2) ? { foundIn: { family, rowKey } } : {})
    const ofVersions = this.versions().flatMap(({ bucketId, key, family, rowKey, record: { content } }) => {
      if (content.kind !== "extent") return []
      const { extent } = content
      return [{ bucketId, key, uploadId: extent.uploadId, extent, ...foundIn(family, rowKey) }]
    })
    const parts = this.nearest(of => this.rows("parts", this.rangeOf(of)))
    const ofParts = parts.map(([rowKey, row]) => {
      const { bucketId, key } = this.addressOf(rowKey)
      const { extent } = decodePart(row.value)
      return { bucketId, key, uploadId: extent.uploadId, extent, ...foundIn("parts", rowKey) }
    })
    return [...ofVersions, ...ofParts]
  }

  uploadName(): UploadName {
    const unknown = () => ({ bucketId: this.bucketId(), key: this.key(), uploadId: this.newUploadId() })
    const { bucketId, key, uploadId, foundIn } = this.pickOr<UploadName>(this.extents(), unknown)
    return { bucketId, key, uploadId, foundIn }
  }

  hints() {
    const all = [1, 7, 0xffff].flatMap(partition =>
      ["00000000000000d1", "00000000000000d2"].map(id => ({
        partition: parsePartitionId(partition),
        deviceId: parseDeviceId(id),
      })),
    )
    return all.filter(() => this.oneIn(8))
  }
}
