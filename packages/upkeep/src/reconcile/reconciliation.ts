/**
 * Reconciliation: compares the bytes on all devices with the rows of a database that was rolled back, reports what is
 * missing and what is newer, and makes rows for what certainly belongs to its keys. Rows of features come from metadata
 * backups.
 *
 * A first pass reads the indexes of all devices, a second all rows; only for the uploads of processes that the database
 * may know too little of, and that no row references, a needle's header is read. Nothing of it is kept on disk: after an
 * interruption it begins again, and finds what was put back referenced.
 *
 * Limits    RECONCILE_LIMITS.
 */
import { must } from "@hayloft/base/assert.js"
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import { parseBucketId, parseMultipartId, rowKeyOf, textOfObjectKey, rowKeyAfter } from "@hayloft/base/ids.js"
import type { BucketId, Incarnation, ObjectKey, RowKey, UploadId } from "@hayloft/base/ids.js"
import { streamOf, type ReadBytes } from "@hayloft/base/memory/pieces.js"
import { shardsNeeded } from "@hayloft/base/policy.js"
import {
  ALL_NEEDLES,
  blockShape,
  bodyOf,
  type BlockGroup,
  type Blocks,
  type FoundShard,
} from "@hayloft/engine/block/index.js"
import { blockCount, type Extent } from "@hayloft/engine/format/needles/extent.js"
import { decodeRecoveryHeader, type RecoveryHeader } from "@hayloft/engine/format/needles/recovery-header.js"
import type { ShardHeader } from "@hayloft/engine/format/needles/needle.js"
import { parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { areSealedLengths, plainBytesOf, type Sealing } from "@hayloft/engine/format/needles/sealing.js"
import { incarnationOf } from "@hayloft/engine/format/needles/upload-id.js"
import { RANDOM_BYTES } from "@hayloft/engine/format/objects/version-id.js"
import type { ObjectKeys } from "@hayloft/access/keys/contract.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { Hashes } from "@hayloft/base/seams/compute/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { type RowsEntry, type RowsToPutBack, installedFeatures } from "@hayloft/objects/door/index.js"
import { strictestOf, packFoundDetails, SYSTEM_BUCKET_ID } from "@hayloft/objects/index.js"
import { NO_CHECKSUM, ALL_OBJECT_ROWS } from "@hayloft/objects/door/rows.js"
import {
  factsOf,
  hasRandomEtag,
  EXTENT_FAMILIES,
  extentRows,
  extentsOf,
  type SealedBodies,
  type StoreClock,
} from "@hayloft/objects/door/bytes.js"
import { oldestPendingDeletions } from "../garbage/collector.js"
import type { MetadataBackupFacts } from "../backup/metadata-backup.js"
import { FoundBackups, type ChunkEntry } from "./found-backups.js"
import { decideKey, type NewerUpload } from "./newer-core.js"
import { keyFacts, raiseBucketIds, restorePart, restoreVersion, type RestoreOutcome } from "./restore-commands-core.js"

const RECONCILE_LIMITS = {
  rowsPerQuery: 256,
  blocksConcurrent: 32,
  headersConcurrent: 16,
  /** Uploads of processes that the database may know too little of: about 1 KB of memory each. */
  uploadsMax: 2_000_000,
} as const

export type ReconcileEntry = UploadEntry | RowsEntry | ChunkEntry

interface UploadEntry {
  /** `missing`: a row references bytes that are gone. */
  readonly outcome: "putBack" | "listed" | "missing"
  /** 0 if its key is unknown. */
  readonly bucketId: number
  /** The name of the bucket in the recovery header. */
  readonly bucket?: string
  /** "" if it is unknown. */
  readonly key: string
  readonly uploadId: UploadId
  /** The part number of a multipart upload. */
  readonly part?: number
  readonly sizeBytes?: number
  readonly reason?: string
}

interface ReconcileScope {
  /** Returns true if the database may know too little of the uploads of a process. */
  readonly isSuspect: (incarnation: Incarnation) => boolean
  readonly isAllRead: boolean
  readonly blockBytes: number
}

export interface ReconcilePlan {
  readonly entries: readonly ReconcileEntry[]
  readonly putBacks: readonly PutBack[]
  /** The rows of features, each with the feature's name. */
  readonly rows: readonly FeatureRows[]
  readonly highestBucketId: number
  readonly highestGeneration: number
}

interface FeatureRows {
  readonly name: string
  readonly what: string
  readonly found: RowsToPutBack
}

interface PutBack {
  readonly entry: UploadEntry
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly extent: Extent
  readonly header: RecoveryHeader
}

/** An upload that no row is known to reference. */
interface Suspect {
  readonly uploadId: UploadId
  readonly part: number
  readonly shards: FoundShard[]
  /** The groups of its first block, one for each generation. */
  first: BlockGroup[]
}

/** An upload whose bytes were read. */
interface ReadUpload {
  /** The MD5 of the ETag: random where that is no digest. */
  readonly md5: Uint8Array
  readonly extent: Extent
  readonly sealing?: Sealing
}

/** Failures of one upload: the others are put back. */
const REASONS = [
  "notEnoughShards",
  "noSuchBucket",
  "bucketClosing",
  "objectLocked",
  "keysUnavailable",
  "corruptSeal",
] as const
const MD5_BYTES = 16

interface OwnedUpload extends NewerUpload {
  readonly bucketId: BucketId
  readonly key: ObjectKey
}

export class Reconciliation {
  /** Its current work, for status. */
  progress = ""
  /** By feature: how many rows were put back that were not compared before. */
  readonly counts = new Map<string, number>()

  private readonly metadata: Pick<Metadata, "run" | "ask">
  private readonly keys?: ObjectKeys | undefined
  private readonly blocks: Blocks
  private readonly sealedBodies: Pick<SealedBodies, "read">

  constructor(
    rows: { readonly metadata: Pick<Metadata, "run" | "ask">; readonly keys?: ObjectKeys | undefined },
    bytes: { readonly blocks: Blocks; readonly sealedBodies: Pick<SealedBodies, "read"> },
    private readonly random: Random,
    private readonly storeClock: Pick<StoreClock, "nowMs">,
    /** It is undefined if the metadata is not backed up. */
    private readonly backup: Pick<MetadataBackupFacts, "storeId" | "cipher"> | undefined,
  ) {
    this.metadata = rows.metadata
    this.keys = rows.keys
    this.blocks = bytes.blocks
    this.sealedBodies = bytes.sealedBodies
  }

  /** Changes nothing. Throws if a device cannot be read. */
  async plan(scope: ReconcileScope, signal: AbortSignal): Promise<ReconcilePlan> {
    const { suspects, highestGeneration } = await this.readIndexes(scope, signal)
    const entries: ReconcileEntry[] = await this.readRows(suspects, signal)
    await this.readPendingDeletions(suspects, signal)
    const keys = new Map<string, OwnedUpload[]>()
    const ofSystem: OwnedUpload[] = []
    let highestBucketId = 0
    this.progress = `${suspects.size} uploads that no row references`
    await mapBounded(suspects.values(), RECONCILE_LIMITS.headersConcurrent, async suspect => {
      signal.throwIfAborted()
      const owned = await this.ownerOf(suspect, scope)
      if (owned === undefined) return void entries.push(withoutKey(suspect))
      if (owned.bucketId === SYSTEM_BUCKET_ID) return void ofSystem.push(owned)
      highestBucketId = Math.max(highestBucketId, owned.bucketId)
      const name = `${owned.bucketId}/${owned.key}`
      keys.set(name, [...(keys.get(name) ?? []), owned])
    })
    const putBacks: PutBack[] = []
    for (const uploads of keys.values()) {
      signal.throwIfAborted()
      await this.decide(uploads, scope, entries, putBacks)
    }
    const rows = await this.planRows(ofSystem, entries, signal)
    return { entries, putBacks, rows, highestBucketId, highestGeneration }
  }

  /** Adds an entry for what features have in metadata backups that differs, and for each part that cannot be read. */
  private async planRows(
    ofSystem: readonly OwnedUpload[],
    entries: ReconcileEntry[],
    signal: AbortSignal,
  ): Promise<readonly FeatureRows[]> {
    const { metadata } = this
    this.progress = "metadata backups"
    const seams = { blocks: this.blocks, facts: this.backup }
    const features = installedFeatures().flatMap(({ name, backedUp }) => (backedUp ? [{ name, backedUp }] : []))
    const ofThese = features.map(({ backedUp }) => backedUp)
    const backups = await FoundBackups.find(seams, ofSystem, ofThese, signal)
    const rows: FeatureRows[] = []
    for (const { name, backedUp } of features) {
      const { what } = backedUp
      this.progress = `${what} of metadata backups`
      const found = await backedUp.reconcile({ metadata, backups: backups.of(backedUp) }, signal)
      entries.push(...found.entries)
      rows.push({ name, what, found })
    }
    entries.push(...backups.unread)
    return rows
  }

  /**
   * Puts back what is certain. Returns the entries with what became of each. `check` is called before each change, and
   * throws once the plan does not hold any more.
   */
  async apply(
    plan: ReconcilePlan,
    check: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<readonly ReconcileEntry[]> {
    const changed = new Map<ReconcileEntry, ReconcileEntry>()
    for (const [at, putBack] of plan.putBacks.entries()) {
      signal.throwIfAborted()
      this.progress = `${at} of ${plan.putBacks.length} put back`
      const reason = await this.putBack(putBack, check, signal)
      if (reason !== undefined) changed.set(putBack.entry, { ...putBack.entry, outcome: "listed", reason })
    }
    for (const { name, what, found } of plan.rows) {
      this.progress = what
      const { refused = new Map<RowsEntry, string>(), count = 0 } = await found.putBack(check, signal)
      for (const [entry, reason] of refused) changed.set(entry, { ...entry, outcome: "listed", reason })
      this.counts.set(name, count)
    }
    await check()
    await this.metadata.run(raiseBucketIds(plan.highestBucketId))
    for (const feature of installedFeatures()) await feature.afterLoss?.(this.metadata)
    return plan.entries.map(entry => changed.get(entry) ?? entry)
  }

  private async readIndexes({ isSuspect }: ReconcileScope, signal: AbortSignal) {
    const suspects = new Map<UploadId, Suspect>()
    let [highestGeneration, blocks] = [0, 0]
    const pages = walkPages(ALL_NEEDLES.start, from => {
      signal.throwIfAborted()
      return this.blocks.shardScan(from)
    })
    for await (const page of pages) {
      for (const group of page.groups) {
        highestGeneration = Math.max(highestGeneration, group.generation)
        blocks += 1
        if (isSuspect(incarnationOf(group.uploadId))) addGroup(suspects, group)
      }
      if (suspects.size > RECONCILE_LIMITS.uploadsMax)
        throw fail("limitExceeded", { message: `more than ${RECONCILE_LIMITS.uploadsMax} uploads are to be compared` })
      this.progress = `${blocks} blocks read from indexes`
    }
    return { suspects, highestGeneration }
  }

  /** Forgets the uploads that rows reference; returns those whose bytes are gone. */
  private async readRows(suspects: Map<UploadId, Suspect>, signal: AbortSignal): Promise<ReconcileEntry[]> {
    const missing: ReconcileEntry[] = []
    let count = 0
    for (const family of EXTENT_FAMILIES) {
      const pages = walkPages(ALL_OBJECT_ROWS.start, from => {
        signal.throwIfAborted()
        return this.rowsFrom(family, from)
      })
      for await (const page of pages) {
        for (const { rowKey, row } of page.rows) {
          const { bucketId, key } = parseObjectRowKey(rowKey)
          for (const extent of extentsOf(family, row)) {
            suspects.delete(extent.uploadId)
            const gone = await this.blocksGone(extent)
            if (gone === 0) continue
            const reason = `${gone} of ${blockCount(extent)} blocks have too few shards`
            missing.push({ outcome: "missing", ...namesOf(parseBucketId(bucketId), key, extent), reason })
          }
        }
        count += page.rows.length
        this.progress = `${count} rows compared`
      }
    }
    return missing
  }

  private async rowsFrom(family: (typeof EXTENT_FAMILIES)[number], from: RowKey) {
    return this.metadata.ask(extentRows(family, from, RECONCILE_LIMITS.rowsPerQuery))
  }

  private async blocksGone(extent: Extent): Promise<number> {
    const blocks = Array.from({ length: blockCount(extent) }, (_, block) => block)
    const found = await mapBounded(blocks, RECONCILE_LIMITS.blocksConcurrent, async block => {
      const { policy } = blockShape(extent, block)
      return (await this.blocks.shardsThere(extent, block)) >= shardsNeeded(policy)
    })
    return found.filter(isThere => !isThere).length
  }

  /** Drops suspects that were released before the moment of the rollback: they are not newer. */
  private async readPendingDeletions(suspects: Map<UploadId, Suspect>, signal: AbortSignal): Promise<void> {
    for (let from = rowKeyOf("\x00"); ;) {
      signal.throwIfAborted()
      const page = await this.metadata.ask(oldestPendingDeletions(from))
      for (const { record } of page) {
        if (record.kind === "extent" || record.kind === "blocks") suspects.delete(record.extent.uploadId)
      }
      const last = page.at(-1)
      if (last === undefined) return
      from = rowKeyAfter(last.rowKey)
    }
  }

  /** Returns undefined if none of its needles can be read, so that its key is unknown. */
  private async ownerOf({ uploadId, part, shards, first }: Suspect, scope: ReconcileScope) {
    const needles: ShardHeader[] = []
    for (const group of first) needles.push(...(await this.blocks.headersOf(group)))
    const [needle] = needles
    if (needle === undefined) return undefined
    const found = (from: number, to: number) => {
      const header = headerIn(needles.filter(({ id }) => id.generation >= from && id.generation <= to))
      const known = { lengthBytes: header?.plannedLengthBytes, blockBytes: scope.blockBytes }
      const ofThese = shards.filter(({ generation }) => generation >= from && generation <= to)
      return { header, body: bodyOf({ uploadId, part }, { shards: ofThese, removed: 0 }, known) }
    }
    // Blocks of plaintext, and those of the same bytes that were sealed later, are not taken for one body.
    const since = sealedSince(needles)
    const sealed = found(since, Infinity)
    const { header, body } = since === 0 || sealed.body.kind === "whole" ? sealed : found(0, since - 1)
    return { ...needle.owner, uploadId, part, header, body }
  }

  private async decide(
    uploads: readonly OwnedUpload[],
    { isAllRead }: ReconcileScope,
    entries: ReconcileEntry[],
    putBacks: PutBack[],
  ): Promise<void> {
    const [first] = uploads
    if (first === undefined) return
    const { bucketId, key } = first
    const multipartIds = new Set(uploads.flatMap(({ header }) => (header?.multipartId ? [header.multipartId] : [])))
    const facts = await this.metadata.ask(keyFacts(bucketId, key, [...multipartIds]))
    for (const { upload, reason } of decideKey(facts, uploads, isAllRead)) {
      const { header, body, uploadId, part } = upload
      const extent = body.kind === "whole" ? body.extent : { uploadId, part, lengthBytes: header?.plannedLengthBytes }
      const named = { ...namesOf(bucketId, key, extent), ...(header && { bucket: header.bucket }) }
      if (reason !== undefined || header === undefined || body.kind !== "whole") {
        entries.push({ outcome: "listed", ...named, ...(reason === undefined ? {} : { reason }) })
        continue
      }
      const entry: UploadEntry = { outcome: "putBack", ...named }
      entries.push(entry)
      putBacks.push({ entry, bucketId, key, extent: body.extent, header })
    }
  }

  /** Returns why it was not put back. */
  private async putBack(
    putBack: PutBack,
    check: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    try {
      const found = await this.read(putBack, check, signal)
      // After the bytes were read, which may take long.
      await check()
      const outcome = await this.restore(putBack, found)
      return outcome === "newer" ? "the present row is newer" : undefined
    } catch (error) {
      signal.throwIfAborted()
      if (!isFailure(error, ...REASONS)) throw error
      return asFailure(error).message
    }
  }

  /** Reads all bytes, which verifies them. */
  private async read(putBack: PutBack, check: () => Promise<void>, signal: AbortSignal): Promise<ReadUpload> {
    const { bucketId, extent: found, header } = putBack
    if (header.sealed === undefined) {
      const md5 = await md5Of(
        this.blocks.read({ extent: found, offsetBytes: 0, lengthBytes: found.lengthBytes }, signal),
      )
      return { md5, extent: found }
    }
    const { keys } = this
    if (keys === undefined) throw fail("keysUnavailable", { message: "this store has no keys for encryption" })
    const { sealing, epoch, sealedSecret, bucketKey, sealedAs } = header.sealed
    const extent: Extent = { ...found, isSealed: true, ...(sealedAs && { sealedAs }) }
    if (!areSealedLengths(extent))
      throw fail("corruptSeal", { message: "its blocks have other lengths than encrypted ones" })
    const secret = await keys.openSecret(bucketId, { epoch, sealed: sealedSecret })
    await check()
    await keys.restore(bucketId, sealing, { secret, bucketKey })
    const lengthBytes = plainBytesOf(extent)
    const range = { extent, offsetBytes: 0, lengthBytes }
    if (!hasRandomEtag(sealing)) {
      const key = await keys.open(bucketId, sealing, undefined)
      return { md5: await md5Of(this.sealedBodies.read([range], key, signal, "reader")), extent, sealing }
    }
    await md5Of(this.blocks.read({ ...range, lengthBytes: extent.lengthBytes }, signal))
    return { md5: this.random.bytes(MD5_BYTES), extent, sealing }
  }

  private async restore({ bucketId, key, header }: PutBack, found: ReadUpload): Promise<RestoreOutcome> {
    const { extent, md5, sealing } = found
    if (extent.part > 0) {
      const multipartId = parseMultipartId(header.multipartId)
      const part = { partNumber: extent.part, md5, checksumValue: undefined, extent }
      return this.metadata.run(restorePart({ bucketId, key, multipartId, part }))
    }
    const headers = header.contentType === "" ? {} : { contentType: header.contentType }
    const details = packFoundDetails({ headers, userMetadata: header.userMetadata, tags: [] })
    const random = this.random.bytes(RANDOM_BYTES)
    const facts = { sizeBytes: plainBytesOf(extent), md5, parts: 0, random }
    const bound = sealing && (await this.keys?.bind(sealing, factsOf(bucketId, key, facts)))
    const version = {
      payload: undefined,
      ...facts,
      checksum: NO_CHECKSUM,
      details,
      isShared: false,
      lock: header.lock,
      storageClass: header.storageClass ?? "STANDARD",
      ...(bound && { sealing: bound }),
    }
    const clockMs = this.storeClock.nowMs()
    return this.metadata.run(restoreVersion({ bucketId, key, extent, version, clockMs }))
  }
}

async function md5Of(read: ReadBytes): Promise<Uint8Array> {
  const hashes = new Hashes({ md5: true, sha256: false, checksum: undefined })
  for await (const piece of streamOf(read)) hashes.update(piece)
  return must(hashes.digests().md5, "an MD5 was requested")
}

function addGroup(suspects: Map<UploadId, Suspect>, group: BlockGroup): void {
  const { uploadId, part, block, generation, shape, shards } = group
  const known = suspects.get(uploadId)
  const suspect: Suspect = known ?? { uploadId, part, shards: [], first: [] }
  if (known === undefined) suspects.set(uploadId, suspect)
  const firstBlock = suspect.first[0]?.block ?? block
  if (block < firstBlock) suspect.first = [group]
  else if (block === firstBlock) suspect.first.push(group)
  if (shape === undefined) return
  const { policy, blockLengthBytes } = shape
  for (const { slot } of shards) suspect.shards.push({ block, generation, slot, policy, blockLengthBytes })
}

function namesOf(
  bucketId: BucketId,
  key: ObjectKey,
  { uploadId, part, lengthBytes }: { uploadId: UploadId; part: number; lengthBytes: number | undefined },
) {
  return {
    bucketId,
    key: textOfObjectKey(key),
    uploadId,
    ...(part > 0 ? { part } : {}),
    ...(lengthBytes === undefined ? {} : { sizeBytes: lengthBytes }),
  }
}

const withoutKey = ({ uploadId, part }: Suspect): UploadEntry => ({
  outcome: "listed",
  bucketId: 0,
  key: "",
  uploadId,
  ...(part > 0 ? { part } : {}),
  reason: "no needle of it that can be read says its key",
})

/** Their recovery headers are equal, except for locks that were changed before a shard was rebuilt. */
function headerIn(needles: readonly ShardHeader[]): RecoveryHeader | undefined {
  const headers = needles.flatMap(({ recoveryHeader }) => decoded(recoveryHeader) ?? [])
  const lock = strictestOf(headers.map(header => header.lock))
  return headers[0] && { ...headers[0], ...(lock && { lock }) }
}

/** The first generation with encrypted bytes, if earlier ones have plaintext; 0: all are alike. */
function sealedSince(needles: readonly ShardHeader[]): number {
  const found = needles.flatMap(({ id, recoveryHeader }) => {
    const header = decoded(recoveryHeader)
    return header ? [{ generation: id.generation, isSealed: header.sealed !== undefined }] : []
  })
  const sealed = found.filter(({ isSealed }) => isSealed).map(({ generation }) => generation)
  return sealed.length < found.length && sealed.length > 0 ? Math.min(...sealed) : 0
}

function decoded(recoveryHeader: Uint8Array | undefined): RecoveryHeader | undefined {
  try {
    return recoveryHeader && decodeRecoveryHeader(recoveryHeader)
  } catch (error) {
    if (isFailure(error)) return undefined
    throw error
  }
}
