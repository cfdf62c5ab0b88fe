/**
 * K2V items of metadata backups that a rolled-back database does not know: their bytes are on the devices, though no row
 * says so any more. Items are merged with those of the database, so that it does not matter which of both knows more.
 *
 * Promises  Nothing is kept of a backup but where its chunks are: they are read again when the items are put back. A chunk
 *           that cannot be read is listed.
 */
import { concatBytes } from "../../base/bytes.js"
import type { DeviceCipher } from "../../base/device-cipher.js"
import { asFailure, isFailure } from "../../base/failures.js"
import {
  textOfObjectKey,
  type BucketId,
  type ItemKey,
  type ObjectKey,
  type StoreId,
  type UploadId,
} from "../../base/ids.js"
import { streamOf } from "../../base/pieces.js"
import type { Blocks } from "../../block/index.js"
import type { Extent } from "../../format/extent.js"
import { decodeMetadataChunk, type MetadataRecord } from "../../format/metadata-backup.js"
import type { Metadata } from "../../metadata/index.js"
import { FoundItems, type FoundItem } from "../items/found-items-core.js"
import { batchesOf } from "../items/item-batches.js"
import { itemsBehind } from "../items/item-commands-core.js"
import { bringBack } from "../items/item-restoring.js"
import { FileRestoring, isRestorableFile } from "../../features/locks/index.js"
import { isOfQueues, QueueRestoring } from "../../features/queues/index.js"
import { chunkOfKey, SYSTEM_BUCKET_ID } from "../jobs/metadata-backup-bucket.js"
import type { NewerUpload } from "./newer-core.js"

/** Items of one partition. */
export interface ItemsEntry {
  readonly outcome: "putBack" | "listed"
  readonly bucketId: number
  /** Their partition. */
  readonly key: string
  /** How many differ from those of the database. */
  readonly items: number
  readonly reason?: string
}

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

interface PartitionToRestore {
  readonly bucketId: BucketId
  readonly partition: ItemKey
  readonly entry: ItemsEntry
}

export interface ItemsPlan {
  readonly entries: readonly (ItemsEntry | ChunkEntry)[]
  readonly chunks: readonly Chunk[]
  readonly partitions: readonly PartitionToRestore[]
}

interface BackupFacts {
  readonly storeId: StoreId
  readonly cipher?: DeviceCipher | undefined
}

/** Failures of one chunk: the others are read. */
const UNREADABLE = ["notEnoughShards", "corruptRecord", "wrongMasterKey"] as const
const nameOf = (bucketId: BucketId, partition: ItemKey): string => `${bucketId}/${partition}`

export class BackedUpItems {
  constructor(
    private readonly metadata: Pick<Metadata, "run" | "ask">,
    private readonly blocks: Pick<Blocks, "read">,
    /** The facts are undefined if the metadata is not backed up. */
    private readonly facts: BackupFacts | undefined,
  ) {}

  /** `uploads`: of the system bucket, which no row references. Changes nothing. */
  async plan(uploads: readonly (NewerUpload & { readonly key: ObjectKey })[], signal: AbortSignal): Promise<ItemsPlan> {
    const chunks = chunksOf(uploads)
    const unreadable: ChunkEntry[] = []
    const partitions = new Map<string, PartitionToRestore>()
    const found = this.items(chunks, signal, entry => unreadable.push(entry))
    for await (const { bucketId, partition, portions } of batchesOf(found)) {
      signal.throwIfAborted()
      // Their bytes are not compared: the same time in a vector is the same value.
      const known = portions.map(portion => ({ ...portion, value: undefined }))
      const behind = await this.metadata.ask(itemsBehind({ bucketId, partition, portions: known }))
      if (behind === 0) continue
      const name = nameOf(bucketId, partition)
      // Two backups may have the same items.
      const before = partitions.get(name)?.entry.items ?? 0
      const of = { bucketId, key: textOfObjectKey(partition) }
      const entry: ItemsEntry =
        behind === undefined
          ? { outcome: "listed", ...of, items: portions.length, reason: "its bucket does not exist any more" }
          : { outcome: "putBack", ...of, items: Math.max(before, behind) }
      partitions.set(name, { bucketId, partition, entry })
    }
    const entries = [...partitions.values()].map(({ entry }) => entry)
    return {
      entries: [...entries, ...unreadable],
      chunks,
      partitions: [...partitions.values()].filter(({ entry }) => entry.outcome === "putBack"),
    }
  }

  /** Returns the partitions that cannot be put back any more, and why. */
  async apply(
    { chunks, partitions }: ItemsPlan,
    check: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<ItemsEntry, string>> {
    const refused = new Map<ItemsEntry, string>()
    const planned = new Map(partitions.map(of => [nameOf(of.bucketId, of.partition), of.entry]))
    if (planned.size === 0) return refused
    for await (const { bucketId, partition, portions } of batchesOf(this.items(chunks, signal))) {
      signal.throwIfAborted()
      const entry = planned.get(nameOf(bucketId, partition))
      if (entry === undefined) continue
      try {
        await bringBack(this.metadata, bucketId, partition, portions, check)
      } catch (error) {
        if (!isFailure(error, "noSuchBucket", "bucketClosing")) throw error
        refused.set(entry, asFailure(error).message)
      }
    }
    return refused
  }

  /**
   * Puts messages of queues and small files back; returns how many messages. Messages that are delivered at most once are
   * removed, and all sessions end.
   */
  async applyQueuesAndFiles(
    { chunks }: Pick<ItemsPlan, "chunks">,
    check: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<number> {
    await check()
    await QueueRestoring.dropOnce(this.metadata)
    const restoring = new QueueRestoring(this.metadata, check)
    const files = new FileRestoring(this.metadata, check)
    await files.endSessions()
    for (const chunk of chunks)
      for (const row of await this.recordsOf(chunk, signal)) {
        if (isOfQueues(row)) await restoring.take(row)
        if (isRestorableFile(row)) await files.take(row)
      }
    return (await restoring.finish()).messages
  }

  private async *items(
    chunks: readonly Chunk[],
    signal: AbortSignal,
    onUnreadable?: (entry: ChunkEntry) => void,
  ): AsyncGenerator<FoundItem, void> {
    let items = new FoundItems()
    let snapshot: string | undefined
    for (const chunk of chunks) {
      if (chunk.snapshot !== snapshot) {
        const last = items.finish()
        if (last !== undefined) yield last
        items = new FoundItems()
      }
      snapshot = chunk.snapshot
      for (const record of await this.recordsOf(chunk, signal, onUnreadable)) {
        const item = items.take(record)
        if (item !== undefined) yield item
      }
    }
    const last = items.finish()
    if (last !== undefined) yield last
  }

  private async recordsOf(
    { key, extent, number }: Chunk,
    signal: AbortSignal,
    onUnreadable?: (entry: ChunkEntry) => void,
  ): Promise<readonly MetadataRecord[]> {
    try {
      const pieces: Uint8Array[] = []
      const range = { extent, offsetBytes: 0, lengthBytes: extent.lengthBytes }
      for await (const piece of streamOf(this.blocks.read(range, signal))) pieces.push(piece.slice())
      const { header, records } = decodeMetadataChunk(concatBytes(pieces), this.facts?.cipher)
      return header.storeId === this.facts?.storeId && header.number === number ? records : []
    } catch (error) {
      if (!isFailure(error, ...UNREADABLE)) throw error
      const reason = `K2V items in this part of a metadata backup are not compared: ${asFailure(error).message}`
      const { uploadId } = extent
      onUnreadable?.({ outcome: "listed", bucketId: SYSTEM_BUCKET_ID, key: textOfObjectKey(key), uploadId, reason })
      return []
    }
  }
}

/**
 * The newest backup first, each in the order of its chunks, up to the newest one that is whole: older ones may have what was
 * deleted and collected before it. Chunks that are not whole were being written.
 */
function chunksOf(uploads: readonly (NewerUpload & { readonly key: ObjectKey })[]): readonly Chunk[] {
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
