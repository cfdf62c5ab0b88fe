/**
 * Rename service: copies what has to be copied under the new key, then runs the command that renames.
 *
 * Needles belong to a key, so bytes in blocks are copied; sealed ones as they are, so that no key of a client is needed and
 * nothing is opened, unless they go to another bucket, whose keys are others. An object in parts is copied into an upload of the new key that no client sees, part by part, so that
 * its ETag and its parts stay. A payload that is stored with the row is not copied.
 *
 * Promises  No client sees a part of a rename before its command. If it fails, what was copied is removed; after a crash the
 *           upload is found to be left by a process that has ended, and other bytes to be referenced by no row.
 * Limits    RENAME_LIMITS, and those of a reader for its pin: the copying of an object may take a day.
 */
import { must } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { INLINE_BYTES_MAX, MANIFEST_SEGMENT_PARTS, MIB, PARTS_MAX } from "@hayloft/base/limits.js"
import { Lent } from "@hayloft/base/memory/lent.js"
import { streamOf, type PieceOwner } from "@hayloft/base/memory/pieces.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Blocks } from "@hayloft/engine/block/index.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import type { PartRecord, SegmentRecord } from "@hayloft/engine/format/records.js"
import type { Sealing } from "@hayloft/engine/format/needles/sealing.js"
import { multipartIdOf, RANDOM_BYTES } from "@hayloft/engine/format/objects/version-id.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import type { CreatedKey, ObjectKeys, SealingRows } from "@hayloft/access/keys/contract.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { checkReadOfFeatures } from "./door/parts.js"
import {
  createUpload,
  putPart,
  putSegment,
  sealUpload,
  type Completion,
  type UploadAddress,
} from "./commands/multipart-commands-core.js"
import {
  renamable,
  renameObject,
  sourceBucketOf,
  type Rename,
  type Renamed,
  type RenamedBytes,
  type RenameObject,
  type RenameSource,
} from "./commands/rename-core.js"
import { useClass } from "./class-policies.js"
import type { MissingShardHint } from "./commands/version-commands-core.js"
import type { BodySource, ByteRange, PutResult, RenameRequest, Renames } from "./contract.js"
import type { Encryption } from "./bodies/encryption.js"
import { factsOf, shownEncryptionOf } from "./bodies/encryption-core.js"
import { abort } from "./ended-upload.js"
import { namingSource } from "./missing-source.js"
import type { Ingest, Ingested } from "./bodies/ingest.js"
import { partsOfUpload } from "./multipart-service.js"
import { segmentOfManifest, type ObjectReader, type OpenObject } from "./bodies/object-reader.js"
import {
  bytesOfLine,
  bytesOfParts,
  endOfSegment,
  partLinesOf,
  manifestOf,
  segmentCount,
  type ManifestAddress,
  type PartLine,
} from "./queries/manifest-core.js"
import { headersOf, putResultOf } from "./queries/object-info-core.js"
import type { ReadPin, ReadPins } from "./bodies/read-pins.js"
import type { StoreClock } from "./store-clock.js"

const RENAME_LIMITS = {
  /** Times that the source may have changed while it was copied. */
  attemptsMax: 3,
  /** Parts that are copied at the same time. */
  partsAtOnce: 4,
  /** The size of the parts that an object gets whose segments are found by their offset, unless there were too many. */
  equalPartBytes: 64 * MIB,
} as const

interface Seams {
  readonly clock: Pick<Clock, "wallMs">
  readonly storeClock: Pick<StoreClock, "nowMs">
  readonly metadata: Metadata
  readonly blocks: Pick<Blocks, "read">
  readonly pins: ReadPins
  readonly ingest: Ingest
  readonly keys: ObjectKeys
  readonly encryption: Encryption
  readonly reader: Pick<ObjectReader, "clockMs" | "open">
}

/** How the bytes of the new version are sealed. */
interface Kept {
  readonly sealing: Sealing
  readonly rows: SealingRows
  /** For bytes that are not sealed yet. */
  readonly createKey: () => Soon<CreatedKey>
}

/** A source on its way; the pin keeps its bytes. */
interface Moving<Result> {
  readonly request: RenameRequest
  readonly asked: Rename
  readonly source: RenameSource
  /** The bytes as read for another bucket; undefined if they stay in their bucket, and are copied as stored. */
  readonly plain: OpenObject | undefined
  /** Runs the command. */
  readonly commit: (rename: RenameObject) => Promise<Result>
  /** It is undefined if its bytes are not sealed, and stay so. */
  readonly kept: Kept | undefined
  readonly pin: ReadPin
}

type Hints = readonly MissingShardHint[]
type EqualParts = { readonly sizeBytes: number; readonly parts: number }
const MD5_BYTES = 16
type PartOf = Pick<UploadAddress, "multipartId"> & { readonly partNumber: number }

export class RenameService implements Renames {
  private readonly random: Random

  constructor(
    private readonly seams: Seams,
    random: Random,
  ) {
    this.random = random.fork("renames")
  }

  async rename(request: RenameRequest): Promise<PutResult> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.attempt(request)
      } catch (error) {
        if (!isFailure(error, "conflict") || attempt === RENAME_LIMITS.attemptsMax) throw error
      }
    }
  }

  private async attempt(request: RenameRequest): Promise<PutResult> {
    let earlier: Renamed | undefined
    const commit = async (rename: RenameObject) => {
      const done = await this.seams.metadata.run(renameObject(rename))
      if (equalBytes(done.head.random, rename.random)) return resultOf(done)
      // A failure removes the copies of this request.
      earlier = done
      throw fail("conflict", { reason: "the same rename was done while this one was prepared" })
    }
    try {
      return await this.prepare(request, commit, resultOf)
    } catch (error) {
      if (earlier === undefined) throw error
      return resultOf(earlier)
    }
  }

  /**
   * Copies what has to be copied; `commit` runs the command that renames, alone or with others. If that fails, what was copied
   * is removed. `onRepeat`: an earlier request with the token has done it. Throws as `rename`, `conflict` at once.
   */
  async prepare<Result>(
    request: RenameRequest,
    commit: (rename: RenameObject) => Promise<Result>,
    onRepeat: (renamed: Renamed) => Result = failToRepeat,
  ): Promise<Result> {
    const { metadata, pins, ingest, reader } = this.seams
    const asked = renameOf(request)
    const pin = pins.open(metadata.position)
    let plain: OpenObject | undefined
    try {
      const source = await metadata.ask(renamable(asked, reader.clockMs()))
      if ("head" in source) return onRepeat(source)
      if (request.isRepeated === true) throw namingSource(fail("noSuchKey"), request.from)
      const { record } = source
      // The command refuses any later version, so these decisions hold for this one.
      await request.checkSource?.()
      checkReadOfFeatures(record, () => reader.clockMs(), ingest.classes)
      await request.checkEncryption?.(shownEncryptionOf(record.sealing))
      await useClass(ingest.classes, record.head.storageClass)
      if (asked.fromBucketId !== undefined) plain = await this.openElsewhere(request, record)
      const kept = await (plain === undefined
        ? this.kept(request.bucket.id, source)
        : this.keptElsewhere(request, record))
      return await this.move({ request, asked, source, plain, commit, kept, pin })
    } finally {
      plain?.close()
      pin.close()
    }
  }

  /** The keys of sealed bytes belong to their bucket, so another one gets them sealed again. Throws `notImplemented`, `conflict`. */
  private openElsewhere(request: RenameRequest, record: RenameSource["record"]): Promise<OpenObject> {
    const mode = record.sealing?.key.mode
    if (mode === "kms" || mode === "client")
      throw fail("notImplemented", {
        message:
          "an object that is encrypted with a key of the KMS or of a client cannot be renamed to another bucket: copy it",
      })
    return this.openPlain(request, record)
  }

  /** Throws `conflict` if the object is another one by now. */
  private async openPlain(
    { bucket, fromBucket = bucket, from: key }: RenameRequest,
    { head }: RenameSource["record"],
  ): Promise<OpenObject> {
    const open = await this.seams.reader.open({ bucket: fromBucket, key, conditions: {} })
    const { order, random } = open.opened.record.head
    if (order === head.order && equalBytes(random, head.random)) return open
    open.close()
    throw fail("conflict")
  }

  private async keptElsewhere(
    { bucket, elsewhere }: RenameRequest,
    { sealing }: RenameSource["record"],
  ): Promise<Kept | undefined> {
    const before = sealing?.key.mode === "s3" ? ({ mode: "s3" } as const) : undefined
    const created = await this.seams.encryption.creating(bucket.id, elsewhere?.encryption ?? before)?.()
    return created && { sealing: created.sealing, rows: created.secret, createKey: () => created }
  }

  private async kept(
    bucketId: RenameRequest["bucket"]["id"],
    { record: { sealing: bound } }: RenameSource,
  ): Promise<Kept | undefined> {
    const { keys, encryption } = this.seams
    if (bound === undefined) {
      const created = await encryption.creating(bucketId, undefined)?.()
      return created && { sealing: created.sealing, rows: created.secret, createKey: () => created }
    }
    const { key, secret, salt } = bound
    const sealing: Sealing = { key, secret, salt }
    const rows = await keys.rowsOf(bucketId, sealing)
    // A named key that is about to be destroyed opens nothing: a walk that counts its uses must not miss this one.
    if (key.mode === "kms") await keys.open(bucketId, sealing, undefined)
    const createKey = async () => ({ sealing, key: await keys.open(bucketId, sealing, undefined), secret: rows })
    return { sealing, rows, createKey }
  }

  private async move<Result>(moving: Moving<Result>): Promise<Result> {
    const { content, sealing, head } = moving.source.record
    const { plain, kept } = moving
    switch (content.kind) {
      case "none":
        throw fail("internal", { reason: "a delete marker cannot be renamed" })
      case "inline":
        if (plain !== undefined && (sealing ?? kept) !== undefined)
          return this.storePayload(moving, must(plain.whole, "a payload is whole"))
        if (sealing !== undefined || kept === undefined) return this.commit(moving, { kind: "row" }, [])
        return this.storePayload(moving, await this.payloadOf(moving.source))
      case "extent": {
        const range = { first: 0, lengthBytes: head.sizeBytes }
        return this.copy(moving, { extent: content.extent, range }, undefined, (extent, hints) =>
          this.commit(moving, { kind: "extent", extent }, hints),
        )
      }
      case "segments":
        return this.moveParts(moving)
    }
  }

  /** A payload from before the store encrypted: no plain one may come under a key that was visited already. */
  private async payloadOf({ found: { family, rowKey, row } }: RenameSource): Promise<Uint8Array> {
    const lent = this.seams.metadata.payload(family, rowKey, row)
    const bytes = lent instanceof Lent ? Uint8Array.from(lent.borrow()) : await lent
    if (bytes === undefined) throw fail("conflict")
    return bytes
  }

  private async storePayload<Result>(moving: Moving<Result>, bytes: Uint8Array): Promise<Result> {
    const createKey = moving.kept?.createKey
    const body: BodySource = { ...this.bodyOf(bytes.length, () => piecesOf(bytes)), gather: () => bytes }
    const what = { ...this.described(moving, undefined), body, inlineBytesMax: INLINE_BYTES_MAX, createKey }
    return this.seams.ingest.run(what, ({ content }) => {
      if (content.kind !== "inline") throw fail("internal", { reason: "a payload stays one" })
      return this.commit(moving, { kind: "payload", payload: content.bytes }, [])
    })
  }

  private async commit<Result>(moving: Moving<Result>, bytes: RenamedBytes, hints: Hints): Promise<Result> {
    const { request, asked, source, kept, commit } = moving
    const { keys, storeClock } = this.seams
    const { head } = source.record
    const random = this.random.bytes(RANDOM_BYTES)
    const facts = factsOf(asked.bucketId, asked.to, { ...head, random })
    const sealing = kept && (await keys.bind(kept.sealing, facts))
    const markerRandom = this.random.bytes(RANDOM_BYTES)
    const { order } = head
    const version = { order, random: head.random }
    const clockMs = storeClock.nowMs()
    const replaceAcl = request.elsewhere && { acl: request.elsewhere.acl }
    const what = { ...asked, version, bytes, sealing, random, markerRandom, clockMs, hints }
    return commit(replaceAcl === undefined ? what : { ...what, replaceAcl })
  }

  /** Copies an extent under the new key, a sealed one as it is; `commit` makes it reachable. */
  private copy<Result>(
    moving: Moving<unknown>,
    { extent, range }: { readonly extent: Extent; readonly range: ByteRange },
    part: PartOf | undefined,
    commit: (extent: Extent, hints: Hints) => Promise<Result>,
  ): Promise<Result> {
    const { kept, request, pin, plain } = moving
    const { ingest } = this.seams
    const committing = ({ content, hints }: Ingested) =>
      commit(must(content.kind === "extent" ? content.extent : undefined, "blocks are never inline"), hints)
    const what = this.described(moving, part)
    if (plain !== undefined) {
      const body = this.bodyOf(range.lengthBytes, pieces => this.readPlain(moving, plain, range, pieces))
      return ingest.run({ ...what, body, inlineBytesMax: 0, createKey: kept?.createKey }, committing)
    }
    const open = (pieces: PieceOwner = "reader") => this.read(extent, pin, request.signal, pieces)
    if (extent.isSealed === true) {
      const { sealing, rows } = must(kept, "sealed bytes have a sealing")
      const { epoch, sealed: sealedSecret, bucketKey } = rows
      const sealedAs = extent.sealedAs ?? extent.uploadId
      const sealed = { sealing, epoch, sealedSecret, sealedAs, ...(bucketKey && { bucketKey }) }
      const body = { lengthBytes: extent.lengthBytes, blockBytes: extent.blockBytes, sealedAs, open }
      return ingest.carry({ ...what, sealed, body, signal: request.signal }, committing)
    }
    const body = this.bodyOf(extent.lengthBytes, open)
    return ingest.run({ ...what, body, inlineBytesMax: 0, createKey: kept?.createKey }, committing)
  }

  private bodyOf(lengthBytes: number, open: BodySource["open"]): BodySource {
    return { lengthBytes, open, gather: () => undefined, declaredChecksum: () => undefined }
  }

  private described({ request, source }: Moving<unknown>, part: PartOf | undefined) {
    const { record, details } = source
    return {
      bucket: request.bucket,
      key: request.to,
      client: request,
      part: part?.partNumber ?? 0,
      multipartId: part?.multipartId,
      contentType: headersOf(details).contentType ?? "",
      userMetadata: details.userMetadata,
      lock: record.lock,
      storageClass: record.head.storageClass,
      checksumAlgorithm: undefined,
      isMoved: true as const,
    }
  }

  /** The bytes as clients read them. */
  private async *readPlain(
    { request: { signal }, pin }: Moving<unknown>,
    plain: OpenObject,
    range: ByteRange,
    pieces: PieceOwner = "reader",
  ): AsyncGenerator<Uint8Array> {
    for await (const bytes of plain.withRange(range).read(signal, pieces)) {
      pin.progress()
      yield bytes
    }
  }

  /** The stored bytes. */
  private async *read(extent: Extent, pin: ReadPin, signal: AbortSignal, pieces: PieceOwner) {
    const { lengthBytes } = extent
    if (lengthBytes === 0) return
    for await (const bytes of streamOf(
      this.seams.blocks.read({ extent, offsetBytes: 0, lengthBytes }, signal, pieces),
    )) {
      pin.progress()
      yield bytes
    }
  }

  private async moveParts<Result>(moving: Moving<Result>): Promise<Result> {
    const { metadata, clock, storeClock } = this.seams
    const { asked, source, kept } = moving
    const { storageClass } = source.record.head
    const multipartId = multipartIdOf(clock.wallMs() * 1000, this.random.bytes(RANDOM_BYTES))
    const address: UploadAddress = { bucketId: asked.bucketId, key: asked.to, multipartId }
    const upload = {
      checksum: undefined,
      details: NO_DETAILS,
      completion: undefined,
      ...(kept && { sealing: kept.sealing }),
      ...(storageClass !== "STANDARD" && { storageClass }),
      renamedBy: metadata.incarnations.own,
    }
    await metadata.run(createUpload(address, upload, { clockMs: storeClock.nowMs() }))
    try {
      const equalParts = await this.copyParts(moving, address)
      const completion: Completion = { incarnation: upload.renamedBy, token: this.random.bytes(RANDOM_BYTES) }
      await metadata.run(sealUpload(address, completion))
      await this.putSegments(address, completion, equalParts?.parts ?? source.record.head.parts)
      const bytes = { kind: "segments", multipartId, completion, ...(equalParts && { equalParts }) } as const
      return await this.commit(moving, bytes, [])
    } catch (error) {
      // It is there no more if the command was done all the same.
      await abort(metadata, address).catch(() => undefined)
      throw error
    }
  }

  /** Returns what an object has become whose segments are found by their offset. */
  private async copyParts(moving: Moving<unknown>, address: UploadAddress): Promise<EqualParts | undefined> {
    const { asked, source } = moving
    const manifest = must(manifestOf(sourceBucketOf(asked), asked.from, source.record), "the object has parts")
    if (manifest.lastOffset === undefined) return this.copyLines(moving, moving.plain, address, manifest)
    // Segments of the source may be encrypted at any time, so that its bytes are sealed as new ones.
    const plain = moving.plain ?? (await this.openPlain(moving.request, source.record))
    try {
      if (await this.isOfParts(moving, manifest)) return await this.copyLines(moving, plain, address, manifest)
      return await this.copyInEqualParts(moving, plain, address)
    } finally {
      if (plain !== moving.plain) plain.close()
    }
  }

  private async copyLines(
    moving: Moving<unknown>,
    plain: OpenObject | undefined,
    address: UploadAddress,
    manifest: ManifestAddress,
  ): Promise<undefined> {
    for (let number = 0; number < segmentCount(manifest); number += 1) {
      const segment = await this.seams.metadata.ask(segmentOfManifest(manifest, number))
      await mapBounded(placedParts(segment), RENAME_LIMITS.partsAtOnce, async ({ part, range }) => {
        if ("extent" in part) await this.copyPart(moving, address, part, range)
        else await this.copyRange(moving, must(plain, "an object that refers to others is open"), address, range, part)
      })
    }
    return undefined
  }

  /** Returns true if the object is an upload that has not grown; sharing may have made parts refer to others. */
  private async isOfParts({ source: { record } }: Moving<unknown>, manifest: ManifestAddress): Promise<boolean> {
    const { content, head } = record
    if (content.kind !== "segments" || content.byOffset?.hasSources !== true || manifest.parts === 0) return false
    const last = await this.seams.metadata.ask(segmentOfManifest(manifest, segmentCount(manifest) - 1))
    return endOfSegment(last) === head.sizeBytes
  }

  /** An object that grew gets parts of equal length: it may have more segments than an upload has parts. */
  private async copyInEqualParts(
    moving: Moving<unknown>,
    plain: OpenObject,
    address: UploadAddress,
  ): Promise<EqualParts> {
    const { sizeBytes } = moving.source.record.head
    const partBytes = Math.max(RENAME_LIMITS.equalPartBytes, Math.ceil(sizeBytes / PARTS_MAX))
    const count = Math.ceil(sizeBytes / partBytes)
    for (let partNumber = 1; partNumber <= count; partNumber += 1) {
      const first = (partNumber - 1) * partBytes
      const range = { first, lengthBytes: Math.min(partBytes, sizeBytes - first) }
      const part = { partNumber, md5: new Uint8Array(MD5_BYTES), checksumValue: undefined }
      await this.copyRange(moving, plain, address, range, part)
    }
    return { sizeBytes, parts: count }
  }

  /** Copies a range of the object, of any kind, as a part. */
  private async copyRange(
    moving: Moving<unknown>,
    plain: OpenObject,
    address: UploadAddress,
    range: ByteRange,
    { partNumber, md5, checksumValue }: Pick<PartRecord, "partNumber" | "md5" | "checksumValue">,
  ): Promise<void> {
    const { ingest, metadata } = this.seams
    const open = (pieces: PieceOwner = "reader") => this.readPlain(moving, plain, range, pieces)
    const what = this.described(moving, { ...address, partNumber })
    const body = this.bodyOf(range.lengthBytes, open)
    const createKey = moving.kept?.createKey
    await ingest.run({ ...what, body, inlineBytesMax: 0, createKey }, async ({ content, hints }) => {
      const { extent } = must(content.kind === "extent" ? content : undefined, "parts are never inline")
      await metadata.run(putPart({ ...address, part: { partNumber, md5, checksumValue, extent }, hints }))
    })
  }

  private async copyPart(
    moving: Moving<unknown>,
    address: UploadAddress,
    { partNumber, md5, checksumValue, extent: from }: PartRecord,
    range: ByteRange,
  ): Promise<void> {
    await this.copy(moving, { extent: from, range }, { ...address, partNumber }, async (extent, hints) => {
      const part = { partNumber, md5, checksumValue, extent }
      await this.seams.metadata.run(putPart({ ...address, part, hints }))
    })
  }

  /** The parts as they are once their list is frozen: they may have been re-encoded since they were copied. */
  private async putSegments(address: UploadAddress, completion: Completion, count: number): Promise<void> {
    const { metadata } = this.seams
    let [offsetBytes, after, found] = [0, 0, 0]
    for (let number = 0; found < count; number += 1) {
      const { records: parts } = await metadata.ask(partsOfUpload(address, after, MANIFEST_SEGMENT_PARTS))
      // Somebody has removed some.
      if (parts.length === 0) throw fail("conflict")
      await metadata.run(putSegment(address, completion, number, { offsetBytes, parts }))
      offsetBytes += bytesOfParts(parts)
      found += parts.length
      after = parts.at(-1)?.partNumber ?? after
    }
  }
}

/** The parameters are those that a repeated request with the same token has to have. */
function renameOf(request: RenameRequest): Rename {
  const { bucket, fromBucket = bucket, from, to, conditions, sourceConditions, clientToken } = request
  const elsewhere = fromBucket.id === bucket.id ? undefined : fromBucket.id
  const asked = {
    bucketId: bucket.id,
    from,
    to,
    conditions,
    sourceConditions,
    ...(elsewhere !== undefined && { fromBucketId: elsewhere }),
  }
  if (clientToken === undefined) return asked
  const place = elsewhere === undefined ? [] : [elsewhere]
  const text = JSON.stringify([from, sourceConditions, conditions, ...place])
  const parameters = digestOnce("sha256", Buffer.from(text), "hex").slice(0, 32)
  return { ...asked, token: { token: clientToken, parameters } }
}

const resultOf = (done: Renamed): PutResult => putResultOf(done, done.checksumValue, done.sealing)

const failToRepeat = (): never => {
  throw fail("internal", { reason: "a rename without a token is not repeated" })
}

interface PlacedPart {
  readonly part: PartLine
  /** The offset in the object. */
  readonly range: ByteRange
}

function placedParts(segment: SegmentRecord): readonly PlacedPart[] {
  let first = segment.offsetBytes
  return partLinesOf(segment).map(part => {
    const range = { first, lengthBytes: bytesOfLine(part) }
    first += range.lengthBytes
    return { part, range }
  })
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
