/** Multipart service: runs the commands on multipart uploads. See `contract.ts` for the promises. */
import { must } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { MultipartId } from "@hayloft/base/ids.js"
import { MANIFEST_SEGMENT_PARTS, PART_BYTES_MIN, PARTS_MAX } from "@hayloft/base/limits.js"
import { isMultipartId, multipartIdOf, RANDOM_BYTES } from "@hayloft/engine/format/objects/version-id.js"
import { etagOfHead } from "@hayloft/engine/format/objects/version-record.js"
import type { PartRecord, SegmentSource, UploadedPart, UploadRecord } from "@hayloft/engine/format/records.js"
import { plainBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { laterTurn, mapBounded } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import { DEFAULT_CHECKSUM, otherAlgorithm } from "./bodies/body-check-core.js"
import { useClass } from "./class-policies.js"
import { isCrc } from "./commands/crc-combine-core.js"
import { completionToken, etagOfParts, wholeChecksum } from "./commands/completion-core.js"
import type {
  BodySource,
  Bucket,
  CompletedPart,
  CompleteRequest,
  Conditions,
  CreateMultipartRequest,
  ListPartsRequest,
  Multipart,
  MultipartInfo,
  MultipartTarget,
  NamedSource,
  PartInfo,
  PartResult,
  PutResult,
  StoredChecksum,
} from "./contract.js"
import { abort, bytesOfAllParts, dropSegments } from "./ended-upload.js"
import { LeftSeals } from "./left-seals.js"
import type { Encryption } from "./bodies/encryption.js"
import { refuseEncryption, shownEncryptionOf } from "./bodies/encryption-core.js"
import { dropStale } from "./commands/block-digests-core.js"
import type { FrozenUpload, SharedSegments } from "./bodies/shared-bodies.js"
import type { Ingest } from "./bodies/ingest.js"
import type { StoreClock } from "./store-clock.js"
import { listUploads, type ListUploadsRequest, type UploadsPage } from "./queries/listing-core.js"
import {
  completeUpload,
  createUpload,
  findUpload,
  needsFreeze,
  partKey,
  partsAfter,
  putPart,
  putSegment,
  requireUpload,
  sealUpload,
  type CompleteUpload,
  type Completion,
  type UploadAddress,
} from "./commands/multipart-commands-core.js"
import { decodePart } from "@hayloft/engine/format/records.js"
import { headersOf, multipartInfoOf, packDetails, putResultOf } from "./queries/object-info-core.js"
import { bodyOfSource } from "./bodies/object-reader.js"
import type { ObjectService } from "./object-service.js"
import { bytesOfParts, sourcesOf } from "./queries/manifest-core.js"
import { findLatest } from "./commands/found-versions-core.js"
import { checkWrite } from "./commands/version-commands-core.js"
import { decodeVersion, type VersionRecord } from "@hayloft/engine/format/objects/version-record.js"

/** Read within one turn of the event loop: 3 to 6 ms. */
interface PartsPage {
  readonly info: MultipartInfo
  readonly parts: readonly PartInfo[]
  readonly next: number | undefined
}

const PARTS_PER_TURN = 4 * MANIFEST_SEGMENT_PARTS
/** Segments of a part list that share a commit. */
const MAX_CONCURRENT_SEGMENTS = 8

/** Throws `noSuchUpload` for a malformed id. */
function addressOf({ bucket, key, multipartId }: MultipartTarget): UploadAddress {
  if (!isMultipartId(multipartId)) throw fail("noSuchUpload")
  return { bucketId: bucket.id, key, multipartId }
}

/** An upload whose part list is frozen. */
export const openUpload = query("OpenUpload", requireUpload)
export const pageOfUploads = query("PageOfUploads", listUploads)

export const partsOfUpload = query("PartsOfUpload", (view, address: UploadAddress, afterPart: number, max: number) => {
  const upload = requireUpload(view, address)
  const records: UploadedPart[] = []
  for (const part of partsAfter(view, address, afterPart)) {
    if (records.length === max) return { upload, records, isLast: false }
    records.push(part)
  }
  return { upload, records, isLast: true }
})

export const partsNumbered = query("PartsNumbered", (view, address: UploadAddress, numbers: readonly number[]) =>
  numbers.map(number => {
    const row = view.get("parts", partKey(address, number))
    return row && decodePart(row.value)
  }),
)

/** A completion whose parts are segments by now. */
interface PreparedCompletion {
  readonly complete: CompleteUpload
  readonly checksumValue: string | undefined
  /** Call this once the command was run. */
  readonly onCompleted: () => Promise<void>
}

type Completable =
  | { readonly kind: "open"; readonly upload: UploadRecord }
  /** The upload no longer exists; the key's latest version may be its result. */
  | { readonly kind: "ended"; readonly latest: VersionRecord | undefined }

/** Throws the failures of `checkWrite`. */
export const completable = query(
  "Completable",
  (view, address: UploadAddress, conditions: Conditions, nowMs: number): Completable => {
    const upload = findUpload(view, address)
    if (upload) {
      checkWrite(view, { ...address, conditions }, nowMs)
      return { kind: "open", upload }
    }
    const latest = findLatest(view, objectRowKey(address.bucketId, address.key))
    return { kind: "ended", latest: latest && !latest.head.isMarker ? decodeVersion(latest.row.value) : undefined }
  },
)

interface MultipartSeams {
  readonly clock: Clock
  readonly storeClock: StoreClock
  /** The least bytes of a part that is not the last one; default: those of S3. */
  readonly partBytesMin?: number | undefined
}

export class MultipartService implements Multipart {
  private readonly random: Random
  private readonly encryption: Encryption
  /** Completions in progress: a second one of the same upload waits for the first. */
  private readonly completing = new Map<MultipartId, Promise<unknown>>()
  private readonly leftSeals: LeftSeals

  constructor(
    private readonly seams: MultipartSeams,
    random: Random,
    private readonly metadata: Metadata,
    private readonly compute: Compute,
    private readonly ingest: Ingest,
    private readonly objects: ObjectService,
  ) {
    this.encryption = objects.encryption
    this.random = random.fork("multipart")
    this.leftSeals = new LeftSeals(metadata, (multipartId, run) => this.alone({ multipartId }, run))
  }

  async create(request: CreateMultipartRequest): Promise<MultipartInfo> {
    const { bucket, key, checksum, initiator, lock, storageClass = "STANDARD" } = request
    this.leftSeals.retry()
    refuseEncryption(bucket, request.encryption)
    await useClass(this.ingest.classes, storageClass)
    const multipartId = multipartIdOf(this.seams.clock.wallMs() * 1000, this.random.bytes(RANDOM_BYTES))
    const { headers, userMetadata } = request.attributes
    const details = packDetails({ headers, userMetadata, tags: request.tags, acl: request.acl })
    const created = await this.encryption.creating(bucket.id, request.encryption)?.()
    const sealing = created?.sealing
    const { contentType = "" } = headersOf(details)
    const what = { contentType, userMetadata, multipartId, lock, storageClass }
    this.ingest.checkUpload({ bucket, ...what, ...(created && { created }) })
    const by = { ...(initiator !== undefined && { initiator }), ...(lock && { lock }), ...(sealing && { sealing }) }
    const ofClass = storageClass === "STANDARD" ? {} : { storageClass }
    const upload = { checksum, details, completion: undefined, ...by, ...ofClass }
    const clock = { clockMs: this.seams.storeClock.nowMs() }
    const record = await this.metadata.run(createUpload({ bucketId: bucket.id, key, multipartId }, upload, clock))
    return multipartInfoOf(key, multipartId, record)
  }

  private async open(target: MultipartTarget): Promise<UploadRecord> {
    this.leftSeals.retry()
    return this.metadata.ask(openUpload(addressOf(target)))
  }

  async putPart(request: Parameters<Multipart["putPart"]>[0]): Promise<PartResult> {
    const { bucket, key, partNumber, body, multipartId } = request
    const upload = await this.open(request)
    await request.checkEncryption?.(shownEncryptionOf(upload.sealing))
    const declared = upload.checksum?.algorithm
    requireAlgorithm(declared, body)
    const checksumAlgorithm = declared ?? body.checksumAlgorithm ?? DEFAULT_CHECKSUM
    const { contentType = "" } = headersOf(upload.details)
    const { userMetadata } = upload.details
    const { lock, storageClass = "STANDARD" } = upload
    const what = { part: partNumber, multipartId, contentType, userMetadata, lock, storageClass, inlineBytesMax: 0 }
    const sealing = await this.encryption.sealingOfPart(bucket.id, key, { multipartId, sealing: upload.sealing })
    const created = await this.encryption.ofUpload(bucket.id, sealing, request.clientKey)
    const createKey = created && (() => created)
    const shares = "part" as const
    const ends = { tags: upload.details.tags }
    const ingest = { bucket, key, body, client: request, checksumAlgorithm, createKey, shares, ends, ...what }
    return this.ingest.run(ingest, async ingested => {
      const { content, digests, hints } = ingested
      if (content.kind !== "extent") throw fail("internal", { reason: "parts are never inline" })
      const checksumValue = declared || checksumAlgorithm === DEFAULT_CHECKSUM ? ingested.checksumValue : undefined
      const md5 = this.encryption.etagOf(ingested.md5, ingested.sealing)
      const part = { partNumber, md5, checksumValue, extent: content.extent, ...(digests && { digests }) }
      const stored = await this.metadata.run(putPart({ ...addressOf(request), part, hints }))
      const result = { ...partResult(stored, upload), encryption: shownEncryptionOf(upload.sealing) }
      if (result.checksum || ingested.checksumValue === undefined) return result
      return {
        ...result,
        checksum: { algorithm: checksumAlgorithm, type: "FULL_OBJECT", value: ingested.checksumValue },
      }
    })
  }

  async copyPart(
    request: Parameters<Multipart["copyPart"]>[0],
  ): Promise<PartResult & { readonly sourceVersionId: PutResult["versionId"] }> {
    const { range, signal, source: copySource, checkEncryption } = request
    const { sealing } = await this.open(request)
    await checkEncryption?.(shownEncryptionOf(sealing))
    await this.encryption.ofUpload(request.bucket.id, sealing, request.clientKey)
    const source = await this.objects.openSource(copySource)
    try {
      const sizeBytes = source.info.segmentListBytes ?? source.info.sizeBytes
      if (range && range.last >= sizeBytes) {
        throw fail("invalidArgument", {
          message: `Range specified is not valid for source object of size: ${sizeBytes}`,
          argumentName: "x-amz-copy-source-range",
          argumentValue: `bytes=${range.first}-${range.last}`,
        })
      }
      const chosen = range && { first: range.first, lengthBytes: range.last - range.first + 1 }
      const body = bodyOfSource(chosen ? source.withRange(chosen) : source, signal)
      const result = await this.putPart({ ...request, checkEncryption: undefined, body })
      const { versioning } = copySource.bucket
      return { ...result, sourceVersionId: versioning === "never" ? undefined : source.info.versionId }
    } finally {
      source.close()
    }
  }

  async listParts(request: ListPartsRequest): Promise<PartsPage> {
    const { bucket, key, multipartId, afterPart, max, clientKey } = request
    const { upload, records, isLast } = await this.metadata.ask(partsOfUpload(addressOf(request), afterPart, max))
    await request.checkEncryption?.(shownEncryptionOf(upload.sealing))
    if (clientKey !== undefined) await this.encryption.ofUpload(bucket.id, upload.sealing, clientKey)
    const parts = records.map((part): PartInfo => {
      const { partNumber, extent } = part
      return { ...partResult(part, upload), partNumber, sizeBytes: plainBytesOf(extent) }
    })
    const info = multipartInfoOf(key, multipartId, upload)
    return { info, parts, next: isLast ? undefined : (parts.at(-1)?.partNumber ?? afterPart) }
  }

  async listUploads(request: ListUploadsRequest & { readonly bucket: Bucket }): Promise<UploadsPage> {
    const { uploadIdMarker: argumentValue } = request
    if (argumentValue !== undefined && !isMultipartId(argumentValue))
      throw fail("invalidArgument", {
        message: "Invalid uploadId marker",
        argumentName: "upload-id-marker",
        argumentValue,
      })
    return this.metadata.ask(pageOfUploads(request))
  }

  async abort(target: MultipartTarget): Promise<void> {
    await abort(this.metadata, addressOf(target))
  }

  async complete(request: CompleteRequest): Promise<PutResult> {
    this.leftSeals.retry()
    await this.ingest.expiring.prepare(request.bucket.id, request.expiresAtSeconds)
    return this.alone(request, () => this.completeOnce(request))
  }

  /**
   * Prepares a completion; `commit` runs the command that makes it, alone or with others. If that fails, the upload goes on. A
   * caller prepares several completions in the order of the uploads' ids. Throws as `complete`.
   */
  prepare<Result>(request: CompleteRequest, commit: (complete: CompleteUpload) => Promise<Result>): Promise<Result> {
    return this.alone(request, async () => {
      const address = addressOf(request)
      const found = await this.metadata.ask(completable(address, request.conditions, this.ingest.expiring.nowMs()))
      if (found.kind === "ended") throw fail("noSuchUpload")
      const token = this.hash(completionToken(request.parts))
      return this.whileSealed(request, found.upload, token, async (upload, completion) => {
        const { complete, onCompleted } = await this.completionOf(request, address, upload, completion)
        const result = await commit(complete)
        await onCompleted()
        return result
      })
    })
  }

  /** Runs while no other completion of the upload does. */
  private async alone<Result>(
    { multipartId }: Pick<CompleteRequest, "multipartId">,
    run: () => Promise<Result>,
  ): Promise<Result> {
    while (this.completing.has(multipartId)) await this.completing.get(multipartId)?.catch(() => undefined)
    const completing = run()
    this.completing.set(multipartId, completing)
    try {
      return await completing
    } finally {
      this.completing.delete(multipartId)
    }
  }

  private async completeOnce(request: CompleteRequest): Promise<PutResult> {
    const address = addressOf(request)
    const { sources } = request
    const token = this.hash(sources === undefined ? completionToken(request.parts) : tokenOf(sources))
    const found = await this.metadata.ask(completable(address, request.conditions, this.ingest.expiring.nowMs()))
    if (found.kind === "ended") return completedBefore(request, found.latest, token)
    requireClientKey(request, found.upload)
    return this.whileSealed(request, found.upload, token, (upload, completion) =>
      sources === undefined
        ? this.completeSealed(request, address, upload, completion)
        : this.completeReferring({ ...request, sources }, address, upload, completion),
    )
  }

  /** Freezes the list of parts; if the work then fails, the upload goes on. */
  private async whileSealed<Result>(
    request: CompleteRequest,
    upload: UploadRecord,
    token: Uint8Array,
    complete: (upload: UploadRecord, completion: Completion) => Promise<Result>,
  ): Promise<Result> {
    const address = addressOf(request)
    await request.checkEncryption?.(shownEncryptionOf(upload.sealing))
    if (request.clientKey !== undefined)
      await this.encryption.ofUpload(request.bucket.id, upload.sealing, request.clientKey)
    const count = (request.sources ?? request.parts).length
    if (count === 0 || count > PARTS_MAX) throw fail("malformedXml")
    const completion: Completion = { incarnation: this.metadata.incarnations.own, token }
    try {
      // Its parts may have been encrypted since it was read. If this is not acknowledged, it may be sealed all the same.
      const { upload: sealed, isStale } = await this.metadata.run(sealUpload(address, completion))
      for (let isMore = isStale; isMore;) isMore = await this.metadata.run(dropStale(address, completion))
      return await complete(sealed, completion)
    } catch (error) {
      await this.leftSeals.unseal(address, completion)
      const unseal = (own: Completion) => this.leftSeals.unseal(address, own)
      await dropSegments(this.metadata, address, unseal).catch(() => undefined)
      throw error
    }
  }

  private hash(bytes: Uint8Array): Uint8Array {
    const { md5 } = this.compute.hash({ md5: true, sha256: false, checksum: undefined }, bytes)
    return must(md5, "MD5 was requested")
  }

  private async completeSealed(
    request: CompleteRequest,
    address: UploadAddress,
    upload: UploadRecord,
    completion: Completion,
  ): Promise<PutResult> {
    const { complete, checksumValue, onCompleted } = await this.completionOf(request, address, upload, completion)
    const stored = await this.metadata.run(completeUpload(complete))
    await onCompleted()
    return putResultOf(stored, checksumValue, upload.sealing)
  }

  /** Checks the parts and writes them as segments. */
  private async completionOf(
    request: CompleteRequest,
    address: UploadAddress,
    upload: UploadRecord,
    completion: Completion,
  ): Promise<PreparedCompletion> {
    const chosen = await this.choose(request, address, upload)
    const sizeBytes = bytesOfParts(chosen)
    if (request.sizeBytes !== undefined && request.sizeBytes !== sizeBytes) {
      throw fail("invalidRequest", { message: "x-amz-mp-object-size differs from the size of the parts", sizeBytes })
    }
    const checksum = wholeChecksum(request, upload, chosen, bytes => this.digest(upload, bytes))
    const { bucket, key, multipartId, conditions } = request
    const shared = await this.putSegments(bucket, { address, upload, completion }, chosen)
    // All segments have numbers: the offset is not used.
    const byOffset = { lastOffset: 0, uploadedParts: chosen.length, hasSources: true } as const
    const segments = { kind: "segments", multipartId, completion: completion.token } as const
    const version = {
      content: shared.sources.length > 0 ? { ...segments, byOffset } : segments,
      payload: undefined,
      sizeBytes,
      md5: this.hash(etagOfParts(chosen)),
      parts: chosen.length,
      random: this.random.bytes(RANDOM_BYTES),
      checksum,
      details: upload.details,
      expiresAtSeconds: request.expiresAtSeconds,
      storageClass: upload.storageClass ?? "STANDARD",
      isShared: false,
    } as const
    const { sealing } = upload
    const bound = sealing ? await this.encryption.bound(bucket.id, key, sealing, version) : version
    const clockMs = this.seams.storeClock.nowMs()
    const partsBytes = needsFreeze(upload) ? await bytesOfAllParts(this.metadata, address) : undefined
    const counted = partsBytes === undefined ? {} : { partsBytes }
    const complete = { ...address, completion, conditions, clockMs, version: bound, ...counted }
    const onCompleted = async (): Promise<void> => {
      await shared.segments?.completed(sizeBytes, shared.sources)
    }
    return { complete, checksumValue: checksum.value, onCompleted }
  }

  /** The object consists of the bytes of others; parts that were uploaded are removed. */
  private async completeReferring(
    request: CompleteRequest & Required<Pick<CompleteRequest, "sources">>,
    address: UploadAddress,
    upload: UploadRecord,
    completion: Completion,
  ): Promise<PutResult> {
    if (upload.sealing !== undefined || this.encryption.protectionOf(undefined) !== undefined)
      throw fail("notImplemented", { message: "an encrypted object cannot consist of the bytes of others" })
    if (request.checksum !== undefined)
      throw fail("notImplemented", { message: "a checksum of an object that consists of the bytes of others" })
    const { bucket, key, conditions, sources, expiresAtSeconds, sizeBytes, signal } = request
    const partsBytes = needsFreeze(upload) ? await bytesOfAllParts(this.metadata, address) : undefined
    const { details, storageClass = "STANDARD" } = upload
    return this.objects.referring.make({
      bucket,
      key,
      conditions,
      sources,
      expiresAtSeconds,
      sizeBytes,
      signal,
      details,
      storageClass,
      upload: { ...address, completion, partsBytes },
    })
  }

  private digest({ checksum }: UploadRecord, bytes: Uint8Array): Uint8Array {
    const { checksum: digest } = this.compute.hash({ md5: false, sha256: false, checksum: checksum?.algorithm }, bytes)
    return must(digest, "a checksum was requested")
  }

  /** Checks the parts that the client lists against the stored parts, a few per turn of the event loop. */
  private async choose(
    request: CompleteRequest,
    address: UploadAddress,
    upload: UploadRecord,
  ): Promise<UploadedPart[]> {
    requireOrder(request.parts)
    const chosen: UploadedPart[] = []
    let records: readonly (UploadedPart | undefined)[] = []
    for (const [i, named] of request.parts.entries()) {
      if (i % PARTS_PER_TURN === 0) {
        if (i > 0) await laterTurn(this.seams.clock)
        const numbers = request.parts.slice(i, i + PARTS_PER_TURN).map(({ partNumber }) => partNumber)
        records = await this.metadata.ask(partsNumbered(address, numbers))
      }
      const part = records[i % PARTS_PER_TURN]
      if (!part || !isPart(named, part, upload))
        throw fail("invalidPart", { uploadId: address.multipartId, partNumber: named.partNumber, etag: named.etag })
      chosen.push(part)
    }
    const { partBytesMin: smallest = PART_BYTES_MIN } = this.seams
    const small = chosen.slice(0, -1).find(part => plainBytesOf(part.extent) < smallest)
    if (!small) return chosen
    throw fail("entityTooSmall", { partNumber: small.partNumber, sizeBytes: plainBytesOf(small.extent) })
  }

  private async putSegments(
    bucket: Bucket,
    frozen: FrozenUpload,
    parts: readonly UploadedPart[],
  ): Promise<{ readonly sources: readonly SegmentSource[]; readonly segments: SharedSegments | undefined }> {
    const { address, completion } = frozen
    const segments: { offsetBytes: number; parts: readonly UploadedPart[] }[] = []
    let offsetBytes = 0
    for (let at = 0; at < parts.length; at += MANIFEST_SEGMENT_PARTS) {
      const segment = { offsetBytes, parts: parts.slice(at, at + MANIFEST_SEGMENT_PARTS) }
      segments.push(segment)
      offsetBytes += bytesOfParts(segment.parts)
    }
    // If the store encrypts by now, the bytes that the parts would reference are about to be encrypted.
    const isPlain = frozen.upload.sealing === undefined && this.encryption.protectionOf(undefined) === undefined
    const upload = { ...frozen, shortBytes: this.ingest.wholeBytesMax }
    const shared = isPlain ? this.ingest.sharing?.ofUpload(bucket, upload, parts) : undefined
    const sources: SegmentSource[] = []
    await mapBounded([...segments.entries()], MAX_CONCURRENT_SEGMENTS, async ([number, segment]) => {
      if (shared === undefined) return this.metadata.run(putSegment(address, completion, number, segment))
      sources.push(...sourcesOf(await shared.put(number, segment)))
    })
    return { sources, segments: shared }
  }
}

/** Recognises a completion whose response was lost, while the version that it created is the latest. */
function completedBefore(
  { bucket, multipartId }: CompleteRequest,
  record: VersionRecord | undefined,
  token: Uint8Array,
): PutResult {
  const { content } = record ?? {}
  if (!record || content?.kind !== "segments" || content.multipartId !== multipartId) throw fail("noSuchUpload")
  if (!equalBytes(content.completion, token)) throw fail("noSuchUpload")
  return putResultOf({ versioning: bucket.versioning, head: record.head }, record.checksumValue, record.sealing)
}

/** Bytes that the server itself reads (of a copy, a rescue) get the algorithm of the upload. */
function requireAlgorithm(declared: ChecksumAlgorithm | undefined, { checksumAlgorithm, payer }: BodySource): void {
  if (declared === undefined || checksumAlgorithm === declared) return
  if (checksumAlgorithm !== undefined) {
    throw fail("invalidRequest", {
      message: otherAlgorithm(declared, checksumAlgorithm),
    })
  }
  if (payer === undefined || isCrc(declared)) return
  const mode = declared.toLowerCase()
  throw fail("invalidRequest", {
    message: `The upload was created using the ${mode} checksum mode. The part must contain the ${mode} checksum.`,
  })
}

/**
 * A caller must have the key. A rescue has no caller to check, and does not know the key.
 * Source  "CompleteMultipartUpload", Amazon S3 API Reference: the algorithm of SSE-C "is required only when the object was
 *         created using a checksum algorithm".
 */
function requireClientKey(request: CompleteRequest, { checksum, sealing }: UploadRecord): void {
  if (request.checkEncryption === undefined || request.clientKey !== undefined || checksum === undefined) return
  if (shownEncryptionOf(sealing)?.mode !== "client") return
  throw fail("invalidRequest", {
    message:
      "The upload has a checksum algorithm and is encrypted with a key of the client: completing it needs that key.",
  })
}

/** Differs for other sources. */
const tokenOf = (sources: readonly NamedSource[]): Uint8Array =>
  Buffer.from(JSON.stringify(sources.map(({ key, conditions, range }) => [key, conditions, range ?? null])))

function requireOrder(parts: readonly CompletedPart[]): void {
  let before = 0
  for (const { partNumber } of parts) {
    if (partNumber <= before) throw fail("invalidPartOrder", { partNumber })
    before = partNumber
  }
}

function isPart(named: CompletedPart, part: PartRecord, upload: UploadRecord): boolean {
  if (named.etag !== etagOfPart(part)) return false
  return named.checksum === undefined || !upload.checksum || named.checksum === part.checksumValue
}

const etagOfPart = ({ md5 }: PartRecord): string => etagOfHead({ md5, parts: 0 })

function partResult(part: PartRecord, upload: UploadRecord): PartResult {
  const checksum = upload.checksum ?? ({ algorithm: DEFAULT_CHECKSUM, type: "FULL_OBJECT" } as const)
  const stored: StoredChecksum | undefined =
    part.checksumValue !== undefined
      ? { algorithm: checksum.algorithm, type: checksum.type, value: part.checksumValue }
      : undefined
  return { etag: etagOfPart(part), checksum: stored, lastModifiedMs: part.modifiedMs }
}
