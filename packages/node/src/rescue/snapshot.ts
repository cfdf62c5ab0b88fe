/**
 * The metadata snapshot of a rescue: the newest complete one, with every chunk verified; if there is none, the readable
 * parts of the one with most chunks left.
 */
import { concatBytes } from "@hayloft/base/bytes.js"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseBucketId, rowKeyOf } from "@hayloft/base/ids.js"
import type {
  AccessKeyId,
  AccountId,
  BucketId,
  BucketName,
  KmsKeyId,
  ObjectKey,
  RowKey,
  StoreId,
} from "@hayloft/base/ids.js"
import {
  decodeMetadataChunk,
  type MetadataChunk,
  type MetadataChunkHeader,
  type MetadataRecord,
} from "@hayloft/engine/format/metadata-backup.js"
import { beginsWhenSet, installedFeatures, type BackedUpRows } from "@hayloft/features/index.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { bucketKeyRowKey, decodeBucketKey, type BucketKey } from "@hayloft/engine/format/objects/bucket-key.js"
import { decodeKmsKey, type KmsKeyRecord } from "@hayloft/engine/format/accounts/kms-records.js"
import { decodeAccessKey, type AccessKeyRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import {
  decodeAccount,
  decodeBucket,
  decodePendingDeletion,
  decodeSegment,
  decodeSetting,
  type AccountRecord,
  type BucketRecord,
  type BucketSettingName,
  type PartRecord,
  type SegmentRecord,
} from "@hayloft/engine/format/records.js"
import { decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import {
  bucketRowKey,
  objectRowKeyOf,
  parseObjectRowKey,
  settingRowKey,
  uploadOfPartRowKey,
} from "@hayloft/engine/format/row-key.js"
import { referencesRowKey, sourcesOf, SYSTEM_BUCKET_ID, type SettingDocuments } from "@hayloft/objects/index.js"
import { chunkOfKey } from "@hayloft/upkeep/index.js"
import { bodyOf } from "@hayloft/engine/block/index.js"
import type { CatalogedUpload, NeedleCatalog, UnreferencedBytes } from "./needle-catalog.js"
import type { SourceShards } from "./source-shards.js"

interface KnownSettings {
  readonly documents: SettingDocuments
  /** The bucket has these, and no readable chunk contains them. */
  readonly lost: readonly BucketSettingName[]
}

/** The contents of a snapshot apart from objects. */
export interface SnapshotFacts {
  readonly accounts: ReadonlyMap<AccountId, AccountRecord>
  readonly accessKeys: ReadonlyMap<AccessKeyId, AccessKeyRecord>
  readonly buckets: ReadonlyMap<BucketId, BucketRecord>
  readonly namedKeys: ReadonlyMap<KmsKeyId, KmsKeyRecord>
  readonly settingsOf: (bucket: BucketRecord) => KnownSettings
  /** The secret of a bucket, or a bucket key. */
  readonly bucketKeyOf: (bucketId: BucketId, number: number) => BucketKey | undefined
}

/** All rows of one object key. */
interface SnapshotKey {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly row: RowKey
  readonly records: readonly MetadataRecord[]
}

export interface Snapshot {
  readonly isComplete: boolean
  /** The header of its first chunk. */
  readonly header: MetadataChunkHeader
  readonly chunks: number
  readonly records: number
  readonly facts: SnapshotFacts
  /** Segments that other objects reference, by the key of their references. */
  readonly referenced: ReadonlyMap<RowKey, readonly SegmentRecord[]>
  /** Objects in the order of their keys. */
  keys(signal: AbortSignal): AsyncGenerator<SnapshotKey, void>
  /** The rows of a feature, in the order in which a backup has them. */
  rowsOf(feature: BackedUpRows, signal: AbortSignal): AsyncGenerator<MetadataRecord, void>
  /** Bytes that were kept for a while after their last version was deleted or overwritten. */
  unreferenced(signal: AbortSignal): AsyncGenerator<UnreferencedBytes, void>
}

/** The candidate uploads of each chunk of a snapshot; normally one. */
type Chunks = ReadonlyMap<number, { readonly uploads: readonly CatalogedUpload[]; readonly isLast: boolean }>

/** The row of bucket 0 holds the last assigned id; it is not a bucket. */
const LAST_BUCKET_ID = bucketRowKey(parseBucketId(0))
/** Families with rows by object key, which begin with a bucket's id. */
const OF_OBJECTS = new Set([
  "current",
  "versions",
  "heads",
  "details",
  "uploads",
  "parts",
  "segments",
  "abortedUploads",
  "deleted",
])

const partOfExtent = (extent: Extent): PartRecord => ({
  partNumber: 1,
  md5: new Uint8Array(16),
  modifiedMs: 0,
  checksumValue: undefined,
  extent,
})

/** In memory, each of up to 256 parts. What references further ones is reported as incomplete. */
const REFERENCED_SEGMENTS_MAX = 50_000

export class SnapshotFinder {
  constructor(
    private readonly catalog: NeedleCatalog,
    private readonly shards: SourceShards,
    private readonly blockBytes: number | undefined,
    private readonly storeId: StoreId | undefined,
    private readonly cipher: DeviceCipher | undefined,
  ) {}

  async find(signal: AbortSignal): Promise<Snapshot | undefined> {
    let best: Snapshot | undefined
    for (const chunks of this.snapshots()) {
      const snapshot = await this.read(chunks, signal)
      if (snapshot?.isComplete) return snapshot
      if (snapshot && snapshot.records > (best?.records ?? 0)) best = snapshot
    }
    return best
  }

  /** Newest first. */
  private snapshots(): readonly Chunks[] {
    const byName = new Map<string, Map<number, { uploads: CatalogedUpload[]; isLast: boolean }>>()
    for (const { bucketId, key, uploads } of this.catalog.keys()) {
      const place = bucketId === SYSTEM_BUCKET_ID ? chunkOfKey(key) : undefined
      if (!place) continue
      const chunks = byName.get(place.snapshot) ?? new Map<number, { uploads: CatalogedUpload[]; isLast: boolean }>()
      const before = chunks.get(place.number)
      const isLast = place.isLast || (before?.isLast ?? false)
      chunks.set(place.number, { uploads: [...(before?.uploads ?? []), ...uploads], isLast })
      byName.set(place.snapshot, chunks)
    }
    const names = [...byName.keys()].sort().reverse()
    return names.flatMap(name => byName.get(name) ?? [])
  }

  /** Reads a snapshot; undefined if none of its chunks can be read. */
  private async read(chunks: Chunks, signal: AbortSignal): Promise<Snapshot | undefined> {
    const facts = new Facts()
    let first: MetadataChunkHeader | undefined
    let last: MetadataChunk | undefined
    let [found, records, isWhole] = [0, 0, true]
    const numbers = [...chunks.keys()].sort((a, b) => a - b)
    const withPendingDeletions: number[] = []
    const referenced = new Map<RowKey, SegmentRecord[]>()
    const features = installedFeatures().flatMap(({ backedUp }) => (backedUp ? [backedUp] : []))
    const withRows = new Map<BackedUpRows, readonly number[]>(features.map(feature => [feature, []]))
    for (const number of numbers) {
      const chunk = await this.chunk(chunks, number, signal)
      isWhole &&= chunk !== undefined && number === found && chunk.header.recordsBefore === records
      if (!chunk) continue
      first ??= chunk.header
      last = chunk
      found += 1
      records += chunk.records.length
      for (const record of chunk.records) facts.take(record)
      // The backup walks while objects change: what is referenced may have been read before it was.
      for (const { family, key, value } of chunk.records) {
        if (family !== "segments") continue
        const { bucketId } = parseObjectRowKey(key)
        for (const source of sourcesOf(decodeSegment(value)))
          referenced.set(referencesRowKey(parseBucketId(bucketId), source), [])
      }
      if (chunk.records.some(({ family }) => family === "pendingDeletions")) withPendingDeletions.push(number)
      for (const [feature, of] of withRows)
        if (chunk.records.some(record => feature.has(record))) withRows.set(feature, [...of, number])
    }
    if (!first) return undefined
    const isComplete = isWhole && last?.header.isLast === true
    const keys = (of: AbortSignal) => this.keysOf(chunks, numbers, of)
    const unreferenced = (of: AbortSignal) => this.unreferencedIn(chunks, withPendingDeletions, of)
    const rowsOf = (feature: BackedUpRows, of: AbortSignal) =>
      this.rowsIn(chunks, withRows.get(feature) ?? [], feature, of)
    if (referenced.size > 0) await this.addReferenced(referenced, chunks, signal)
    return {
      isComplete,
      header: first,
      chunks: found,
      records,
      facts,
      referenced,
      keys,
      rowsOf,
      unreferenced,
    }
  }

  /** Their rows are among others: all are read once more. */
  private async addReferenced(
    referenced: ReadonlyMap<RowKey, SegmentRecord[]>,
    chunks: Chunks,
    signal: AbortSignal,
  ): Promise<void> {
    let count = 0
    const objects = new Set([...referenced.keys()].map(objectRowKeyOf))
    const extents = new Map<RowKey, Extent>()
    for (const number of [...chunks.keys()].sort((a, b) => a - b)) {
      for (const { family, key, value } of (await this.chunk(chunks, number, signal))?.records ?? []) {
        if (family === "current" && objects.has(key)) {
          const { content } = decodeVersion(value)
          if (content.kind === "extent") extents.set(key, content.extent)
        }
        const of = family === "segments" ? referenced.get(uploadOfPartRowKey(key)) : undefined
        if (of === undefined || count === REFERENCED_SEGMENTS_MAX) continue
        of.push(decodeSegment(value))
        count += 1
      }
    }
    for (const [key, of] of referenced) {
      of.sort((a, b) => a.offsetBytes - b.offsetBytes)
      // It got segments after its row was read, and begins with the extent that it was.
      const extent = of.length === 0 ? extents.get(objectRowKeyOf(key)) : undefined
      if (extent !== undefined) of.push({ offsetBytes: 0, parts: [partOfExtent(extent)] })
    }
  }

  /** Returns undefined if the chunk cannot be read. */
  private async chunk(chunks: Chunks, number: number, signal: AbortSignal): Promise<MetadataChunk | undefined> {
    for (const upload of chunks.get(number)?.uploads ?? []) {
      const known = { lengthBytes: upload.born?.plannedLengthBytes, blockBytes: this.blockBytes }
      const shards = this.catalog.shardsOf(upload)
      const body = bodyOf(upload, shards, known)
      if (body.kind !== "whole") continue
      try {
        const pieces: Uint8Array[] = []
        for await (const piece of this.shards.read(body, signal)) pieces.push(piece)
        const chunk = decodeMetadataChunk(concatBytes(pieces), this.cipher)
        const isOurs = this.storeId === undefined || chunk.header.storeId === this.storeId
        if (isOurs && chunk.header.number === number) return chunk
      } catch (error) {
        if (!isFailure(error)) throw error
      }
    }
    return undefined
  }

  private async *unreferencedIn(
    chunks: Chunks,
    numbers: readonly number[],
    signal: AbortSignal,
  ): AsyncGenerator<UnreferencedBytes, void> {
    for (const number of numbers) {
      for (const { family, value } of (await this.chunk(chunks, number, signal))?.records ?? []) {
        const record = family === "pendingDeletions" ? decodePendingDeletion(value) : undefined
        // Rows still reference the parts of the other kinds, until the collector removes them with their bytes.
        if (record?.kind !== "extent") continue
        const { uploadId, generation, exceptions } = record.extent
        yield { uploadId, generation: Math.max(generation, ...exceptions.map(run => run.generation)) }
      }
    }
  }

  private async *rowsIn(
    chunks: Chunks,
    numbers: readonly number[],
    feature: BackedUpRows,
    signal: AbortSignal,
  ): AsyncGenerator<MetadataRecord, void> {
    for (const number of numbers) {
      const records = (await this.chunk(chunks, number, signal))?.records ?? []
      yield* records.filter(record => feature.has(record))
    }
  }

  private async *keysOf(
    chunks: Chunks,
    numbers: readonly number[],
    signal: AbortSignal,
  ): AsyncGenerator<SnapshotKey, void> {
    let row: RowKey | undefined
    let records = new Map<string, MetadataRecord>()
    const finish = function* (): Generator<SnapshotKey> {
      if (row === undefined || records.size === 0) return
      const { bucketId, key } = parseObjectRowKey(row)
      yield { bucketId: parseBucketId(bucketId), key, row, records: [...records.values()] }
    }
    for (const number of numbers) {
      for (const record of (await this.chunk(chunks, number, signal))?.records ?? []) {
        if (!OF_OBJECTS.has(record.family)) continue
        const end = record.key.indexOf("\x00", 8) + 1
        const of = record.key.slice(0, end)
        if (of !== row) {
          yield* finish()
          row = rowKeyOf(of)
          records = new Map()
        }
        records.set(`${record.family} ${record.key}`, record)
      }
    }
    yield* finish()
  }
}

/** If a row occurs twice, the later one counts. */
class Facts implements SnapshotFacts {
  readonly accounts = new Map<AccountId, AccountRecord>()
  readonly accessKeys = new Map<AccessKeyId, AccessKeyRecord>()
  readonly buckets = new Map<BucketId, BucketRecord>()
  readonly namedKeys = new Map<KmsKeyId, KmsKeyRecord>()
  private readonly idsByName = new Map<BucketName, BucketId>()
  private readonly settings = new Map<RowKey, string>()
  private readonly bucketKeys = new Map<RowKey, BucketKey>()

  readonly bucketKeyOf = (bucketId: BucketId, number: number): BucketKey | undefined =>
    this.bucketKeys.get(bucketKeyRowKey(bucketId, number))

  readonly settingsOf = ({ id, settings }: BucketRecord): KnownSettings => {
    const documents = new Map<BucketSettingName, string>()
    const lost: BucketSettingName[] = []
    for (const name of settings) {
      if (beginsWhenSet(name)) continue
      const document = this.settings.get(settingRowKey(id, name))
      if (document === undefined) lost.push(name)
      else documents.set(name, document)
    }
    return { documents, lost }
  }

  take({ family, key, value }: MetadataRecord): void {
    if (family === "accounts") {
      const account = decodeAccount(value)
      this.accounts.set(account.id, account)
    } else if (family === "settings") this.settings.set(key, decodeSetting(value).document)
    else if (family === "kmsKeys") {
      const named = decodeKmsKey(value)
      this.namedKeys.set(named.id, named)
    } else if (family === "bucketKeys") this.bucketKeys.set(key, decodeBucketKey(value))
    else if (family === "accessKeys") this.accessKeys.set(parseAccessKeyId(key), decodeAccessKey(value))
    else if (family === "buckets" && key !== LAST_BUCKET_ID) {
      const bucket = decodeBucket(value)
      if (bucket.id !== SYSTEM_BUCKET_ID) this.takeBucket(bucket)
    }
  }

  /** If a bucket was removed and made again during the backup, the later one has the name: ids ascend. */
  private takeBucket(bucket: BucketRecord): void {
    const { id, name } = bucket
    const other = this.idsByName.get(name) ?? id
    if (other > id) return
    if (other < id) this.buckets.delete(other)
    this.idsByName.set(name, id)
    this.buckets.set(id, bucket)
  }
}
