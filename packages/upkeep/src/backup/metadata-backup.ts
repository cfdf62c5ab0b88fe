/**
 * Metadata backup: periodically writes all rows of the tablet as chunks into the system bucket, coded, scrubbed and
 * repaired like any object, so that the metadata survives the loss of every metadata store and log.
 *
 * Promises  A snapshot starts at most once per `everyMs`, and only if something may have changed since the
 *           previous one started. A store without any gets its first within minutes; the next ones follow in intervals that
 *           double up to `everyMs`, so that a new store never lacks more than half of its age. The last two complete ones are kept until a third is complete; those left unfinished by a crash
 *           or a full disk are removed. A step reads or writes a few MiB at most.
 * Refuses   To fail a full store: the backup then waits for the next time, an ordered one for `retryMs`.
 * Limits    METADATA_BACKUP_LIMITS. Chunks are written like uploaded bodies, so they wait like bodies while memory is
 *           short.
 */
import { must } from "@hayloft/base/assert.js"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import { parsePosition, type Incarnation, type ObjectKey, type Position, type RowKey } from "@hayloft/base/ids.js"
import type { StoreId, TabletId } from "@hayloft/base/ids.js"
import { owned } from "@hayloft/base/memory/lent.js"
import { MIB } from "@hayloft/base/limits.js"
import {
  MetadataChunkWriter,
  type MetadataChunkHeader,
  type MetadataRecord,
  type UploadMark,
} from "@hayloft/engine/format/metadata-backup.js"
import type { ReportedBackup } from "@hayloft/engine/format/nodes/node-operation.js"
import { RANDOM_BYTES } from "@hayloft/engine/format/objects/version-id.js"
import { mapBounded, type Job, type StepOutcome } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import type { Ingest } from "@hayloft/objects/door/index.js"
import {
  chunkKey,
  nextOrder,
  outdatedSnapshots,
  snapshotName,
  storedSnapshots,
  type StoredSnapshot,
} from "./metadata-backup-bucket.js"
import {
  type WatchedMetadata,
  type ObjectBackend,
  type Uploads,
  bodyOfBytes,
  ensureSystemBucket,
  putVersion,
  removeLatest,
} from "@hayloft/objects/door/bytes.js"
import { placeOfStem, stemOf, walkSlice, WALK_START, type WalkedRow, type WalkPlace } from "./metadata-backup-core.js"
import { SYSTEM_BUCKET } from "@hayloft/objects/index.js"
import { NO_CHECKSUM } from "@hayloft/objects/door/rows.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"

export const METADATA_BACKUP_LIMITS = {
  everyMs: 60 * 60_000,
  /** For a process that finds no snapshot at all. */
  firstAfterMs: 2 * 60_000,
  /** How long an ordered snapshot that has come to nothing waits: the disk may still be full. */
  retryMs: 60_000,
  kept: 2,
  chunkBytes: 4 * MIB,
  rowsPerStep: 512,
  bytesPerStep: 1 * MIB,
  rowsPerSliceMax: 16_384,
  maxConcurrentPayloads: 8,
  /** A row whose payload is overwritten during this many attempts to read it is written without: a rescue then names it. */
  attemptsMax: 16,
  removalsPerStep: 64,
} as const

export interface MetadataBackupFacts {
  readonly storeId: StoreId
  readonly tabletId: TabletId
  /** Default: METADATA_BACKUP_LIMITS.everyMs. */
  readonly everyMs?: number | undefined
  /** Encrypts the snapshots. */
  readonly cipher?: DeviceCipher | undefined
}

type BackupReport = Pick<ReportedBackup, "process" | "isOrdered" | "waits" | "completedMs" | "sizeBytes">

/** A snapshot in progress. */
interface Writing {
  readonly incarnation: Incarnation
  readonly name: string
  readonly fromPosition: Position
  readonly startedMs: number
  readonly decidedBelow: UploadMark
  /** The place to continue reading at; undefined after the last row. */
  place: WalkPlace | undefined
  chunk: MetadataChunkWriter
  number: number
  recordsBefore: number
  /** Rows that were read and are not yet in a chunk. */
  pending: readonly MetadataRecord[]
  attempts: { readonly stem: RowKey; count: number } | undefined
}

export const snapshots = query("Snapshots", storedSnapshots)
export const slice = query("Slice", (view, place: WalkPlace) => walkSlice(view, place, METADATA_BACKUP_LIMITS))

export class MetadataBackup implements Job {
  readonly name = "metadata-backup"
  private readonly random: Random
  private readonly everyMs: number
  /** Between the latest snapshot of this process and the next: shorter in a new store. */
  private intervalMs: number
  /** This process has found no snapshot. */
  private isOfNewStore = false
  private readonly createdMs: number
  private writing: Writing | undefined
  private isPruning = false
  /** The latest complete snapshot, as of the last step that checked. */
  private newest: StoredSnapshot | undefined
  /** This process has looked for snapshots. */
  private hasLooked = false
  /** The reason why the latest snapshot of this process was ended; undefined if it was not. */
  private postponed: Failure | undefined
  /** The change count when the latest snapshot of this process started; undefined: unknown. */
  private changesBefore: number | undefined
  private beganMs: number | undefined
  /** How many snapshots were ordered, when the latest one began, and when the latest complete one did. */
  private ordered = 0
  private orderedAtBegin = 0
  private orderedAtComplete = 0
  private readonly never = new AbortController().signal

  private readonly clock: Clock
  private readonly metadata: Metadata
  private readonly uploads: Uploads
  private readonly log: Log

  constructor(
    { clock, metadata, uploads, log }: ObjectBackend,
    random: Random,
    private readonly ingest: Ingest,
    /** It is undefined if other processes change the metadata too. */
    private readonly changes: Pick<WatchedMetadata, "changes"> | undefined,
    private readonly facts: MetadataBackupFacts,
  ) {
    this.clock = clock
    this.metadata = metadata
    this.uploads = uploads
    this.log = log
    this.random = random.fork("metadata-backup")
    this.everyMs = facts.everyMs ?? METADATA_BACKUP_LIMITS.everyMs
    this.intervalMs = this.everyMs
    this.createdMs = clock.monotonicMs()
  }

  progress(): string {
    if (this.writing) return `writing: ${this.writing.number} chunks so far`
    if (this.isPruning && this.postponed === undefined) return "removing outdated snapshots"
    if (!this.hasLooked) return "looking for the last snapshot"
    if (this.ordered <= this.orderedAtComplete) return this.lastText()
    const why =
      this.postponed === undefined ? "a snapshot is ordered" : `an ordered snapshot waits: ${this.postponed.message}`
    return `${why}; ${this.lastText()}`
  }

  private lastText(): string {
    const { newest } = this
    if (newest === undefined) return "there is no snapshot of the metadata yet"
    const minutes = Math.max(0, Math.floor((this.clock.wallMs() - newest.modifiedMs) / 60_000))
    return `the last snapshot is from ${new Date(newest.modifiedMs).toISOString()}, ${newest.sizeBytes} bytes, ${minutes} min old`
  }

  async step(): Promise<StepOutcome> {
    if (this.writing) return this.goOn(this.writing)
    if (this.isPruning) return this.prune()
    const stored = await this.metadata.ask(snapshots())
    this.look(stored)
    if (!this.isDue(this.newest)) return "idle"
    await this.begin(this.newest)
    return "busy"
  }

  private look(stored: readonly StoredSnapshot[]): void {
    this.newest = stored.findLast(({ isComplete }) => isComplete)
    this.hasLooked = true
  }

  /** Makes a snapshot begin soon, even if nothing has changed. Returns its order. */
  order(): number {
    this.ordered += 1
    // It is tried at once, whatever an earlier order met.
    this.postponed = undefined
    return this.ordered
  }

  /** The latest order, and the newest complete snapshot as far as this process has looked. */
  report(): BackupReport {
    const { newest, postponed, metadata } = this
    // The newest one is known once the older ones are removed.
    const isOrdered = this.ordered > this.orderedAtComplete || this.isPruning
    return {
      process: metadata.incarnations.own,
      isOrdered,
      ...(isOrdered && postponed !== undefined && { waits: postponed.message }),
      ...(newest !== undefined && { completedMs: newest.modifiedMs, sizeBytes: newest.sizeBytes }),
    }
  }

  /** Returns true if a snapshot that began after this order is complete. */
  isComplete(order: number): boolean {
    return this.orderedAtComplete >= order
  }

  /** No snapshot waits for its removal. */
  get isPruned(): boolean {
    return this.writing === undefined && !this.isPruning
  }

  private isDue(newest: StoredSnapshot | undefined): boolean {
    if (this.ordered > this.orderedAtBegin) return true
    const nowMs = this.clock.monotonicMs()
    if (this.ordered > this.orderedAtComplete && nowMs - (this.beganMs ?? 0) >= METADATA_BACKUP_LIMITS.retryMs)
      return true
    if (this.changes && this.changesBefore === this.changes.changes) return false
    if (this.beganMs !== undefined) return nowMs - this.beganMs >= this.intervalMs
    const ageMs = nowMs - this.createdMs
    if (ageMs >= this.everyMs) return true
    if (newest === undefined) return ageMs >= this.firstAfterMs
    return this.clock.wallMs() - newest.modifiedMs >= this.everyMs
  }

  private get firstAfterMs(): number {
    return Math.min(METADATA_BACKUP_LIMITS.firstAfterMs, this.everyMs)
  }

  private async begin(newest: StoredSnapshot | undefined): Promise<void> {
    await this.metadata.run(ensureSystemBucket())
    this.isOfNewStore ||= newest === undefined
    const ageMs = this.clock.monotonicMs() - this.createdMs
    this.intervalMs = this.isOfNewStore ? Math.min(this.everyMs, Math.max(this.firstAfterMs, ageMs)) : this.everyMs
    this.beganMs = this.clock.monotonicMs()
    this.changesBefore = this.changes?.changes
    this.orderedAtBegin = this.ordered
    this.postponed = undefined
    const fromPosition = this.metadata.position
    const incarnation = this.metadata.incarnations.own
    this.writing = {
      name: snapshotName(nextOrder(newest, fromPosition), incarnation),
      incarnation,
      fromPosition,
      startedMs: this.clock.wallMs(),
      decidedBelow: this.uploads.decidedBelow,
      place: WALK_START,
      chunk: new MetadataChunkWriter(this.facts.cipher),
      number: 0,
      recordsBefore: 0,
      pending: [],
      attempts: undefined,
    }
  }

  /** Another process continues: its snapshots are newer than the one begun here. */
  release(): Promise<void> {
    if (this.writing) this.end()
    return Promise.resolve()
  }

  private async goOn(writing: Writing): Promise<StepOutcome> {
    const isFull = gather(writing)
    const isDue = isFull || (writing.place === undefined && writing.pending.length === 0)
    await unlessFull(
      () => (isDue ? this.putChunk(writing) : this.read(writing)),
      failure => {
        this.log.warn("metadata_backup_postponed", { error: String(failure) })
        this.postponed = failure
        this.end()
      },
    )
    return "busy"
  }

  private end(): void {
    this.writing = undefined
    this.isPruning = true
  }

  /** Reads a slice of rows with their payloads; rows that changed meanwhile are read again. */
  private async read(writing: Writing): Promise<void> {
    const place = must(writing.place, "rows remain")
    const { rows, next } = await this.metadata.ask(slice(place))
    const isLeftOut = (stem: RowKey | undefined): boolean =>
      writing.attempts?.stem === stem && writing.attempts?.count === METADATA_BACKUP_LIMITS.attemptsMax
    const records = await mapBounded(rows, METADATA_BACKUP_LIMITS.maxConcurrentPayloads, walked =>
      this.recordOf(walked),
    )
    const changed = rows.findIndex((walked, i) => records[i] === undefined && !isLeftOut(stemOf(walked)))
    const stem = rows[changed] && stemOf(rows[changed])
    if (stem === undefined) {
      writing.pending = rows.map((walked, i) => records[i] ?? withoutPayload(walked))
      writing.place = next
      return
    }
    const first = rows.findIndex(walked => stemOf(walked) === stem)
    writing.pending = rows.slice(0, first).map((walked, i) => records[i] ?? withoutPayload(walked))
    writing.place = placeOfStem(stem)
    writing.attempts = { stem, count: writing.attempts?.stem === stem ? writing.attempts.count + 1 : 1 }
  }

  /** Returns undefined if the row has changed since it was read. */
  private async recordOf({ family, key, row }: WalkedRow): Promise<MetadataRecord | undefined> {
    const { value } = row
    if (row.payload === undefined) return { family, key, value, payload: undefined }
    const payload = await owned(this.metadata.payload(family, key, row))
    return payload && { family, key, value, payload }
  }

  private async putChunk(writing: Writing): Promise<void> {
    const { name, number, chunk, incarnation, fromPosition, startedMs, decidedBelow, recordsBefore } = writing
    const { storeId, tabletId } = this.facts
    const isLast = writing.place === undefined && writing.pending.length === 0
    const atPosition = parsePosition(this.metadata.position)
    const snapshot = { storeId, tabletId, incarnation, fromPosition, startedMs, decidedBelow }
    const header: MetadataChunkHeader = { ...snapshot, atPosition, number, isLast, recordsBefore }
    await this.put(chunkKey(name, number, isLast), chunk.finish(header))
    writing.recordsBefore += chunk.records
    writing.number += 1
    writing.chunk = new MetadataChunkWriter(this.facts.cipher)
    if (!isLast) return
    this.orderedAtComplete = this.orderedAtBegin
    this.end()
  }

  /** Writes an object of coded blocks, however short: inline bytes would be only in the metadata store and logs. */
  private async put(key: ObjectKey, bytes: Uint8Array): Promise<void> {
    const request = {
      bucket: SYSTEM_BUCKET,
      key,
      part: 0,
      multipartId: undefined,
      inlineBytesMax: 0,
      checksumAlgorithm: undefined,
      contentType: "",
      userMetadata: [],
      client: { signal: this.never },
      storageClass: "STANDARD" as const,
      body: bodyOfBytes(bytes),
    }
    await this.ingest.run(request, async ({ uploadId, content, lengthBytes, hints, md5 }) => {
      if (content.kind !== "extent") throw fail("internal", { reason: "chunks are never inline" })
      const version = {
        content,
        payload: undefined,
        sizeBytes: lengthBytes,
        md5,
        parts: 0,
        random: this.random.bytes(RANDOM_BYTES),
        checksum: NO_CHECKSUM,
        details: NO_DETAILS,
        storageClass: "STANDARD" as const,
        isShared: false,
      }
      const bucketId = SYSTEM_BUCKET.id
      await this.metadata.run(putVersion({ bucketId, key, uploadId, conditions: {}, version, hints }))
    })
  }

  /** Removes a few chunks of outdated snapshots. */
  private async prune(): Promise<StepOutcome> {
    const { kept, removalsPerStep } = METADATA_BACKUP_LIMITS
    const stored = await this.metadata.ask(snapshots())
    const outdated = outdatedSnapshots(stored, kept, undefined)
    const keys = outdated.flatMap(snapshot => snapshot.keys).slice(0, removalsPerStep)
    for (const key of keys) {
      const random = this.random.bytes(RANDOM_BYTES)
      await this.metadata.run(removeLatest({ bucketId: SYSTEM_BUCKET.id, key, conditions: {}, random }))
    }
    if (keys.length === 0) {
      this.look(stored)
      this.isPruning = false
    }
    return "busy"
  }
}

const withoutPayload = ({ family, key, row: { value } }: WalkedRow): MetadataRecord => ({
  family,
  key,
  value,
  payload: undefined,
})

/** Moves rows that were read into the chunk; returns true if the chunk has no space for the next one. */
function gather(writing: Writing): boolean {
  const { chunk, pending } = writing
  let taken = 0
  for (const record of pending) {
    const lengthBytes = chunk.lengthBytes + MetadataChunkWriter.bytesOf(record)
    if (lengthBytes > METADATA_BACKUP_LIMITS.chunkBytes && chunk.records > 0) break
    chunk.add(record)
    taken += 1
  }
  writing.pending = pending.slice(taken)
  return taken < pending.length
}
