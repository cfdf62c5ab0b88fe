/**
 * Metadata backups that a rolled-back database does not know: their bytes are on the devices, though no row says so any
 * more. Features get their rows of them.
 *
 * Promises  Nothing is kept of a backup but where its chunks are, and which features have rows in each: they are read again
 *           for each feature. A chunk that cannot be read while a plan is made is listed.
 */
import { concatBytes } from "@hayloft/base/bytes.js"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { asFailure, isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey, type ObjectKey, type StoreId, type UploadId } from "@hayloft/base/ids.js"
import { streamOf } from "@hayloft/base/memory/pieces.js"
import type { Blocks } from "@hayloft/engine/block/index.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { decodeMetadataChunk, type MetadataRecord } from "@hayloft/engine/format/metadata-backup.js"
import type { BackedUpRows, Backup } from "@hayloft/objects/door/index.js"
import { SYSTEM_BUCKET_ID } from "@hayloft/objects/index.js"
import { chunkOfKey } from "../backup/metadata-backup-bucket.js"
import type { NewerUpload } from "./newer-core.js"

/** A chunk that cannot be read. */
export interface ChunkEntry {
  readonly outcome: "listed"
  readonly bucketId: number
  readonly key: string
  readonly uploadId: UploadId
  readonly reason: string
}

interface Chunk {
  readonly snapshot: string
  readonly number: number
  readonly isLast: boolean
  readonly key: ObjectKey
  readonly extent: Extent
}

interface BackupFacts {
  readonly storeId: StoreId
  readonly cipher?: DeviceCipher | undefined
}

type SystemUpload = NewerUpload & { readonly key: ObjectKey }

/** Failures of one chunk: the others are read. */
const UNREADABLE = ["notEnoughShards", "corruptRecord", "wrongMasterKey"] as const

export class FoundBackups {
  private readonly unreadable = new Map<Chunk, ChunkEntry>()
  /** The chunks in which a feature has rows. */
  private readonly chunksOf = new Map<BackedUpRows, Set<Chunk>>()

  private constructor(
    private readonly blocks: Pick<Blocks, "read">,
    /** The facts are undefined if the metadata is not backed up. */
    private readonly facts: BackupFacts | undefined,
    private readonly chunks: readonly Chunk[],
    private readonly features: readonly BackedUpRows[],
  ) {}

  /** `uploads`: of the system bucket, which no row references. */
  static async find(
    seams: { readonly blocks: Pick<Blocks, "read">; readonly facts: BackupFacts | undefined },
    uploads: readonly SystemUpload[],
    features: readonly BackedUpRows[],
    signal: AbortSignal,
  ): Promise<FoundBackups> {
    const found = new FoundBackups(seams.blocks, seams.facts, chunksOf(uploads), features)
    for (const chunk of found.chunks) {
      signal.throwIfAborted()
      const records = await found.recordsOf(chunk, signal)
      for (const feature of features) {
        if (!records.some(record => feature.has(record))) continue
        const chunks = found.chunksOf.get(feature) ?? new Set()
        found.chunksOf.set(feature, chunks.add(chunk))
      }
    }
    return found
  }

  /** The rows of a feature in each backup, the newest first. */
  of(feature: BackedUpRows): readonly Backup[] {
    const chunks = [...(this.chunksOf.get(feature) ?? [])]
    const snapshots = new Set(chunks.map(({ snapshot }) => snapshot))
    const rowsIn = (snapshot: string, signal: AbortSignal) =>
      this.rowsOf(
        feature,
        chunks.filter(chunk => chunk.snapshot === snapshot),
        signal,
      )
    return [...snapshots].map(snapshot => signal => rowsIn(snapshot, signal))
  }

  /** The chunks that could not be read so far. */
  get unread(): readonly ChunkEntry[] {
    return [...this.unreadable.values()]
  }

  private async *rowsOf(
    feature: BackedUpRows,
    chunks: readonly Chunk[],
    signal: AbortSignal,
  ): AsyncGenerator<MetadataRecord, void> {
    for (const chunk of chunks) yield* (await this.recordsOf(chunk, signal)).filter(record => feature.has(record))
  }

  private async recordsOf(chunk: Chunk, signal: AbortSignal): Promise<readonly MetadataRecord[]> {
    const { key, extent, number } = chunk
    try {
      const pieces: Uint8Array[] = []
      const range = { extent, offsetBytes: 0, lengthBytes: extent.lengthBytes }
      for await (const piece of streamOf(this.blocks.read(range, signal))) pieces.push(piece.slice())
      const { header, records } = decodeMetadataChunk(concatBytes(pieces), this.facts?.cipher)
      return header.storeId === this.facts?.storeId && header.number === number ? records : []
    } catch (error) {
      if (!isFailure(error, ...UNREADABLE)) throw error
      const what = this.features.flatMap(feature => (feature.isCompared ? [feature.what] : [])).join(", ")
      const reason = `${what} in this part of a metadata backup are not compared: ${asFailure(error).message}`
      const { uploadId } = extent
      const of = { bucketId: SYSTEM_BUCKET_ID, key: textOfObjectKey(key), uploadId }
      this.unreadable.set(chunk, { outcome: "listed", ...of, reason })
      return []
    }
  }
}

/**
 * The newest backup first, each in the order of its chunks, up to the newest one that is whole: older ones may have what was
 * deleted and collected before it. Chunks that are not whole were being written.
 */
function chunksOf(uploads: readonly SystemUpload[]): readonly Chunk[] {
  const chunks = uploads.flatMap(({ key, body }): readonly Chunk[] => {
    const place = chunkOfKey(key)
    return place === undefined || body.kind !== "whole" ? [] : [{ ...place, key, extent: body.extent }]
  })
  const isWhole = (of: string, lastNumber: number): boolean =>
    new Set(chunks.flatMap(({ snapshot, number }) => (snapshot === of ? [number] : []))).size === lastNumber + 1
  const whole = chunks.filter(({ isLast, snapshot, number }) => isLast && isWhole(snapshot, number))
  const newest = whole.reduce((latest, { snapshot }) => (snapshot > latest ? snapshot : latest), "")
  return chunks
    .filter(({ snapshot }) => snapshot >= newest)
    .sort((a, b) => (a.snapshot === b.snapshot ? a.number - b.number : a.snapshot < b.snapshot ? 1 : -1))
}
