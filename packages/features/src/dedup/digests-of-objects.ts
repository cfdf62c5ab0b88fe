/**
 * Digests of the bytes of objects: compared with those that are stored, and given to objects that have none, by reading.
 *
 * Promises  Digests are stored only of bytes that were read in full. Nothing is stored of an object that has changed
 *           meanwhile. Clients see no change of an object.
 * Limits    Memory is a slab of the pool at a time; `GIVE_LIMITS`.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import { GIB } from "@hayloft/base/limits.js"
import { NEVER } from "@hayloft/base/never.js"
import { streamOf } from "@hayloft/base/memory/pieces.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { Blocks, ExtentRange } from "@hayloft/engine/block/index.js"
import { versionOfRow } from "@hayloft/engine/format/objects/deleted-version.js"
import { blockDigestsRowKey, decodeBlockDigests } from "@hayloft/engine/format/objects/dedup-rows.js"
import { decodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import { objectRowKeyOf, parseObjectRowKey, uploadOfPartRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOf, multipartIdOfSuffix, RANDOM_BYTES } from "@hayloft/engine/format/objects/version-id.js"
import type { ObjectKeys } from "@hayloft/access/keys/contract.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { ByteRange, ReadPin, ReadPins } from "@hayloft/objects/door/index.js"
import {
  closeReferences,
  extentsOfSegment,
  type ManifestAddress,
  manifestOf,
  manifestOfSource,
  offsetOfRow,
  segmentsOfRange,
  type VersionMatch,
  versionOfSegments,
} from "@hayloft/objects/door/rows.js"
import { indexBlocks } from "./dedup-commands-core.js"
import { digestRows } from "./body-blocks.js"
import { giveDigests, versionWithoutDigests, type BytesWithoutDigests, type WithoutDigests } from "./digests-core.js"

const GIVE_LIMITS = {
  /** Bytes of one version that are read for one command. */
  bytesPerCommand: GIB,
  /** Times that a version which changes is read again. */
  attemptsMax: 4,
} as const

export interface DigestSeams {
  readonly clock: Clock
  readonly random: Random
  readonly metadata: Metadata
  readonly blocks: Pick<Blocks, "read">
  readonly pins: ReadPins
  readonly compute: Pick<Compute, "slabs" | "openHashPipeline">
  readonly keys: Pick<ObjectKeys, "digestKey">
  /** The block size of new digests, as of new writes. */
  readonly blockBytes: number
}

const NO_DIGESTS = { md5: false, sha256: false, checksum: undefined } as const

/**
 * A row of digests with where its bytes are, also if deduplication adds no references to them. Undefined: they are encrypted,
 * or nothing has them.
 */
export const digestsToRead = query("DigestsToRead", (view, bucketId: BucketId, rowKey: RowKey) => {
  const row = view.get("blockDigests", rowKey)
  if (row === undefined) return undefined
  const record = decodeBlockDigests(row.value)
  const { key, suffix } = parseObjectRowKey(rowKey)
  const multipartId = multipartIdOfSuffix(suffix)
  const references = view.get("references", uploadOfPartRowKey(rowKey))
  const counted = references && decodeReferences(references.value)
  const version = versionOfSegments(view, objectRowKeyOf(rowKey), multipartId)
  const isSealed = version !== undefined && versionOfRow(version.family, version.row.value).sealing !== undefined
  const isThere = version !== undefined || (counted !== undefined && counted.count > 0)
  if (!isThere || isSealed) return undefined
  const source = { key, multipartId, uploadedParts: record.uploadedParts, offsetBytes: offsetOfRow(rowKey) }
  return {
    value: row.value,
    record,
    manifest: manifestOfSource(bucketId, { ...source, lengthBytes: record.lengthBytes }),
  }
})

interface WrongDigests {
  readonly reason: string
  /** The row; undefined if its bytes cannot be read. */
  readonly value: Uint8Array | undefined
}

export class DigestsOfObjects {
  private readonly random: Random

  constructor(private readonly seams: DigestSeams) {
    this.random = seams.random.fork("dedup-upkeep")
  }

  /**
   * Compares a row of digests with its bytes. Returns undefined if they match. If the bytes cannot be read, later
   * writes store them again instead of referencing them.
   */
  wrong(bucketId: BucketId, rowKey: RowKey): Promise<WrongDigests | undefined> {
    return this.pinned(async pin => {
      const found = await this.seams.metadata.ask(digestsToRead(bucketId, rowKey))
      if (found === undefined) return undefined
      const { record, manifest, value } = found
      const { blockBytes, lengthBytes, storageClass } = record
      const range = { first: offsetOfRow(rowKey), lengthBytes }
      if (blockBytes > this.seams.compute.slabs.slabBytes) return undefined
      try {
        const pieces = this.piecesOf(manifest, range, pin)
        const digests = await this.digestsOf(pieces, { bucketId, storageClass, blockBytes })
        const wrong = record.digests.filter((digest, i) => !equalBytes(digest, digests[i] ?? digest.subarray(0, 0)))
        if (wrong.length === 0) return undefined
        return { reason: `${wrong.length} of ${record.digests.length} blocks differ from their digests`, value }
      } catch (error) {
        if (!isFailure(error, "notEnoughShards", "corruptRecord")) throw error
        await this.seams.metadata.run(closeReferences(bucketId, uploadOfPartRowKey(rowKey)))
        return { reason: `its bytes cannot be read: ${String(error)}`, value: undefined }
      }
    })
  }

  /** Reads the bytes of a version, and stores digests of those that have none, so that later writes find them. */
  async add(
    bucketId: BucketId,
    family: VersionMatch["family"],
    rowKey: RowKey,
  ): Promise<undefined | string | { readonly changing: string } | { readonly isRepaired: true }> {
    const { metadata, blockBytes } = this.seams
    let isRepaired = false
    for (let attempts = 0; attempts < GIVE_LIMITS.attemptsMax;) {
      const outcome = await this.pinned(async pin => {
        const wanted = versionWithoutDigests(family, rowKey, blockBytes, GIVE_LIMITS.bytesPerCommand)
        const found = await metadata.ask(wanted)
        return found && this.give(bucketId, { family, rowKey, found, pin })
      })
      if (outcome === undefined) return isRepaired ? { isRepaired } : undefined
      if (typeof outcome === "string") return outcome
      isRepaired ||= outcome
      if (!outcome) attempts += 1
    }
    return { changing: "the object changed whenever it was read" }
  }

  /** Returns false if the version has changed, or a text that says why its bytes cannot be read. */
  private async give(bucketId: BucketId, version: ReadVersion): Promise<boolean | string> {
    const { family, rowKey, found } = version
    const { metadata } = this.seams
    const { record, key } = found
    const { content } = record
    const multipartId =
      content.kind === "segments"
        ? content.multipartId
        : multipartIdOf(record.head.order, this.random.bytes(RANDOM_BYTES))
    try {
      const digests = await this.digestsOfRuns(bucketId, version)
      if (!(await metadata.run(giveDigests({ bucketId, family, rowKey, record, multipartId, digests })))) return false
      const row = objectRowKeyOf(rowKey)
      for (const { offsetBytes } of digests)
        await metadata.run(indexBlocks(bucketId, [blockDigestsRowKey(row, multipartId, offsetBytes)]))
      return true
    } catch (error) {
      if (isFailure(error, "conflict")) return false
      if (isFailure(error, "notEnoughShards", "corruptRecord")) return `${key} cannot be read: ${String(error)}`
      throw error
    }
  }

  private async digestsOfRuns(bucketId: BucketId, { found, pin }: ReadVersion) {
    const { record, runs, storageClass, key } = found
    const { blockBytes } = this.seams
    const manifest = manifestOf(bucketId, key, record)
    const rows = []
    for (const run of runs) {
      const pieces =
        manifest === undefined ? this.piecesOfExtent(record, run, pin) : this.piecesOf(manifest, rangeOf(run), pin)
      const digests = await this.digestsOf(pieces, { bucketId, storageClass, blockBytes })
      const of = { storageClass, uploadedParts: manifest?.parts ?? 0, blockBytes }
      rows.push(...digestRows(of, run.offsetBytes, { digests, lengthBytes: run.lengthBytes }))
    }
    return rows
  }

  private async digestsOf(pieces: AsyncIterable<Uint8Array>, of: DigestsOf): Promise<readonly Uint8Array[]> {
    const { compute, keys } = this.seams
    const key = await keys.digestKey(of.bucketId, of.storageClass)
    const pipeline = compute.openHashPipeline(NO_DIGESTS)
    const slab = await compute.slabs.take(NEVER)
    const digests: Uint8Array[] = []
    let filled = 0
    try {
      for await (const piece of pieces) {
        for (let at = 0; at < piece.length;) {
          const length = Math.min(piece.length - at, of.blockBytes - filled)
          slab.bytes.set(piece.subarray(at, at + length), filled)
          filled += length
          at += length
          if (filled < of.blockBytes) continue
          digests.push(await pipeline.identify(slab, filled, key))
          filled = 0
        }
      }
      if (filled > 0) digests.push(await pipeline.identify(slab, filled, key))
      return digests
    } finally {
      slab.release()
      pipeline.close()
    }
  }

  private async *piecesOf(manifest: ManifestAddress, range: ByteRange, pin: ReadPin): AsyncGenerator<Uint8Array> {
    const { metadata } = this.seams
    for await (const { segment, ownOffsetBytes, lengthBytes } of segmentsOfRange(metadata, manifest, range))
      yield* this.bytesOf(extentsOfSegment(segment, ownOffsetBytes, lengthBytes), pin)
  }

  private piecesOfExtent(
    { content }: WithoutDigests["record"],
    run: BytesWithoutDigests,
    pin: ReadPin,
  ): AsyncGenerator<Uint8Array> {
    const ranges = content.kind === "extent" ? [{ extent: content.extent, ...run }] : []
    return this.bytesOf(ranges, pin)
  }

  private async *bytesOf(ranges: Iterable<ExtentRange>, pin: ReadPin): AsyncGenerator<Uint8Array> {
    for await (const bytes of streamOf(this.seams.blocks.read(ranges, NEVER, "reader"))) {
      pin.progress()
      yield bytes
    }
  }

  private async pinned<T>(use: (pin: ReadPin) => Promise<T>): Promise<T> {
    const pin = this.seams.pins.open(this.seams.metadata.position)
    try {
      return await use(pin)
    } finally {
      pin.close()
    }
  }
}

interface ReadVersion {
  readonly family: VersionMatch["family"]
  readonly rowKey: RowKey
  readonly found: WithoutDigests
  readonly pin: ReadPin
}

interface DigestsOf {
  readonly bucketId: BucketId
  readonly storageClass: StorageClass
  readonly blockBytes: number
}

const rangeOf = ({ offsetBytes, lengthBytes }: BytesWithoutDigests): ByteRange => ({ first: offsetBytes, lengthBytes })
