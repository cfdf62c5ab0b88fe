/** Multipart uploads: the service that runs their commands. See `contract.ts` for the promises. */
import { must } from "../base/assert.js"
import { equalBytes } from "../base/bytes.js"
import { fail } from "../base/failures.js"
import type { Incarnation, MultipartId } from "../base/ids.js"
import { withRows } from "../base/rows-needed.js"
import { MANIFEST_SEGMENT_PARTS, PART_BYTES_MIN, PARTS_MAX } from "../base/limits.js"
import { isMultipartId, multipartIdOf, RANDOM_BYTES } from "../format/version-id.js"
import { etagOfHead } from "../format/version-record.js"
import type { PartRecord, SegmentRecord, UploadRecord } from "../format/records.js"
import { objectRowKey } from "../format/row-key.js"
import { laterTurn, mapBounded } from "../life/index.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Compute } from "../seams/compute/contract.js"
import type { Random } from "../seams/random/contract.js"
import type { Tablet } from "../tablet/index.js"
import { completionToken, etagOfParts, wholeChecksum } from "./completion-core.js"
import type {
  Bucket,
  CompletedPart,
  CompleteRequest,
  CopySource,
  CreateMultipartRequest,
  Multipart,
  MultipartInfo,
  MultipartTarget,
  PartInfo,
  PartResult,
  PutRequest,
  PutResult,
  StoredChecksum,
} from "./contract.js"
import type { Ingest } from "./ingest.js"
import { listUploads, type ListUploadsRequest, type UploadsPage } from "./listing-core.js"
import {
  abortUpload,
  completeUpload,
  createUpload,
  findUpload,
  partKey,
  partsAfter,
  putPart,
  putSegment,
  requireUpload,
  sealUpload,
  unsealUpload,
  type Completion,
  type UploadAddress,
} from "./multipart-commands-core.js"
import { decodePart } from "../format/records.js"
import { headersOf, multipartInfoOf, packDetails, putResultOf } from "./object-info-core.js"
import { bodyOf, type ObjectService } from "./object-service.js"
import { findLatest } from "./row-editor-core.js"
import { checkWrite } from "./version-commands-core.js"
import { decodeVersion } from "../format/version-record.js"

/** Looked up between two turns of the event loop: 3 to 6 ms. */
interface PartsPage {
  readonly info: MultipartInfo
  readonly parts: readonly PartInfo[]
  readonly next: number | undefined
}

const PARTS_A_TURN = 4 * MANIFEST_SEGMENT_PARTS
/** Segments of a part list that share a commit. */
const SEGMENTS_AT_ONCE = 8

export class MultipartService implements Multipart {
  private readonly random: Random
  /** Completions under way: a second one of the same upload waits for the first. */
  private readonly completing = new Map<MultipartId, Promise<unknown>>()

  constructor(
    private readonly clock: Clock,
    random: Random,
    private readonly tablet: Tablet,
    private readonly compute: Compute,
    private readonly ingest: Ingest,
    private readonly objects: ObjectService,
    private readonly incarnation: Incarnation,
  ) {
    this.random = random.fork("multipart")
  }

  async create(request: CreateMultipartRequest): Promise<MultipartInfo> {
    const { bucket, key, checksum, initiator } = request
    const multipartId = multipartIdOf(this.clock.wallMs() * 1000, this.random.bytes(RANDOM_BYTES))
    const { headers, userMetadata } = request.attributes
    const details = packDetails({ headers, userMetadata, tags: request.tags, acl: request.acl })
    const upload = { checksum, details, completion: undefined, ...(initiator !== undefined && { initiator }) }
    const record = await this.tablet.run(createUpload({ bucketId: bucket.id, key, multipartId }, upload))
    return multipartInfoOf(key, multipartId, record)
  }

  private open(target: MultipartTarget): { readonly address: UploadAddress; readonly upload: UploadRecord } {
    if (!isMultipartId(target.multipartId)) throw fail("noSuchUpload")
    const address = { bucketId: target.bucket.id, key: target.key, multipartId: target.multipartId }
    return { address, upload: requireUpload(this.tablet.committed, address) }
  }

  async putPart(
    request: MultipartTarget & Pick<PutRequest, "body" | "signal"> & { readonly partNumber: number },
  ): Promise<PartResult> {
    const { bucket, key, partNumber, body, multipartId } = request
    const { address, upload } = this.open(request)
    const declared = upload.checksum?.algorithm
    if (declared && body.checksumAlgorithm && declared !== body.checksumAlgorithm) {
      throw fail("invalidRequest", {
        message: `the upload was created with ${declared}, the part has ${body.checksumAlgorithm}`,
      })
    }
    const checksumAlgorithm = declared ?? body.checksumAlgorithm
    const { contentType = "" } = headersOf(upload.details)
    const { userMetadata } = upload.details
    const what = { part: partNumber, multipartId, contentType, userMetadata, inlineBytesMax: 0 }
    return this.ingest.run({ bucket, key, body, client: request, checksumAlgorithm, ...what }, async ingested => {
      const { content, debts } = ingested
      if (content.kind !== "extent") throw fail("internal", { reason: "parts are never inline" })
      const checksumValue = declared ? ingested.checksumValue : undefined
      const part = { partNumber, md5: ingested.md5, checksumValue, extent: content.extent }
      const stored = await this.tablet.run(putPart({ ...address, part, debts, incarnation: this.incarnation }))
      const result = partResult(stored, upload)
      if (result.checksum || !checksumAlgorithm || ingested.checksumValue === undefined) return result
      return {
        ...result,
        checksum: { algorithm: checksumAlgorithm, type: "FULL_OBJECT", value: ingested.checksumValue },
      }
    })
  }

  async copyPart(
    request: MultipartTarget & {
      readonly partNumber: number
      readonly source: CopySource
      readonly range: { readonly first: number; readonly last: number } | undefined
      readonly signal: AbortSignal
    },
  ): Promise<PartResult & { readonly sourceVersionId: PutResult["versionId"] }> {
    const { range, signal, source: copySource } = request
    this.open(request)
    const source = await this.objects.openSource(copySource)
    try {
      if (range && range.last >= source.info.sizeBytes) throw fail("invalidRange", { sizeBytes: source.info.sizeBytes })
      const chosen = range && { first: range.first, lengthBytes: range.last - range.first + 1 }
      const body = bodyOf(chosen ? source.withRange(chosen) : source, signal)
      const result = await this.putPart({ ...request, body })
      const { versioning } = copySource.bucket
      return { ...result, sourceVersionId: versioning === "never" ? undefined : source.info.versionId }
    } finally {
      source.close()
    }
  }

  async listParts(request: MultipartTarget & { readonly afterPart: number; readonly max: number }): Promise<PartsPage> {
    return withRows(() => this.partsOf(request))
  }

  private partsOf(request: MultipartTarget & { readonly afterPart: number; readonly max: number }): PartsPage {
    const { address, upload } = this.open(request)
    const { key, multipartId, afterPart, max } = request
    const info = multipartInfoOf(key, multipartId, upload)
    const parts: PartInfo[] = []
    for (const part of partsAfter(this.tablet.committed, address, afterPart)) {
      if (parts.length === max) return { info, parts, next: parts.at(-1)?.partNumber ?? afterPart }
      const { partNumber, extent } = part
      parts.push({ ...partResult(part, upload), partNumber, sizeBytes: extent.lengthBytes })
    }
    return { info, parts, next: undefined }
  }

  async listUploads(request: ListUploadsRequest & { readonly bucket: Bucket }): Promise<UploadsPage> {
    return withRows(() => listUploads(this.tablet.committed, request))
  }

  async abort(target: MultipartTarget): Promise<void> {
    await this.tablet.run(abortUpload(this.open(target).address))
  }

  async complete(request: CompleteRequest): Promise<PutResult> {
    const { multipartId } = request
    while (this.completing.has(multipartId)) await this.completing.get(multipartId)?.catch(() => undefined)
    const completing = this.completeOnce(request)
    this.completing.set(multipartId, completing)
    try {
      return await completing
    } finally {
      this.completing.delete(multipartId)
    }
  }

  private async completeOnce(request: CompleteRequest): Promise<PutResult> {
    const { bucket, key, multipartId, conditions } = request
    if (!isMultipartId(multipartId)) throw fail("noSuchUpload")
    const address: UploadAddress = { bucketId: bucket.id, key, multipartId }
    const token = this.hash(completionToken(request.parts))
    const upload = findUpload(this.tablet.committed, address)
    if (!upload) return this.completedBefore(request, token)
    checkWrite(this.tablet.committed, bucket.id, key, conditions)
    if (request.parts.length === 0 || request.parts.length > PARTS_MAX) throw fail("malformedXml")
    const completion: Completion = { incarnation: this.incarnation, token }
    await this.tablet.run(sealUpload(address, completion))
    try {
      return await this.completeSealed(request, address, upload, completion)
    } catch (error) {
      await this.tablet.run(unsealUpload(address, completion)).catch(() => undefined)
      throw error
    }
  }

  private hash(bytes: Uint8Array): Uint8Array {
    const { md5 } = this.compute.hash({ md5: true, sha256: false, checksum: undefined }, bytes)
    return must(md5, "MD5 was asked for")
  }

  /** A completion whose answer was lost: recognised while the version that it made is the latest. */
  private completedBefore({ bucket, key, multipartId }: CompleteRequest, token: Uint8Array): PutResult {
    const latest = findLatest(this.tablet.committed, objectRowKey(bucket.id, key))
    const record = latest && !latest.head.isMarker ? decodeVersion(latest.row.value) : undefined
    const { content } = record ?? {}
    if (!record || content?.kind !== "segments" || content.multipartId !== multipartId) throw fail("noSuchUpload")
    if (!equalBytes(content.completion, token)) throw fail("noSuchUpload")
    return putResultOf({ versioning: bucket.versioning, head: record.head }, record.checksumValue)
  }

  private async completeSealed(
    request: CompleteRequest,
    address: UploadAddress,
    upload: UploadRecord,
    completion: Completion,
  ): Promise<PutResult> {
    const chosen = await this.choose(request, address, upload)
    const sizeBytes = chosen.reduce((sum, part) => sum + part.extent.lengthBytes, 0)
    if (request.sizeBytes !== undefined && request.sizeBytes !== sizeBytes) {
      throw fail("invalidRequest", { message: "x-amz-mp-object-size differs from the size of the parts", sizeBytes })
    }
    const checksum = wholeChecksum(request, upload, chosen, bytes => this.digest(upload, bytes))
    await this.putSegments(address, completion, chosen)
    const { multipartId, conditions } = request
    const stored = await this.tablet.run(
      completeUpload({
        ...address,
        completion,
        conditions,
        version: {
          content: { kind: "segments", multipartId, completion: completion.token },
          payload: undefined,
          sizeBytes,
          md5: this.hash(etagOfParts(chosen)),
          parts: chosen.length,
          random: this.random.bytes(RANDOM_BYTES),
          checksum,
          details: upload.details,
          isShared: false,
        },
      }),
    )
    return putResultOf(stored, checksum.value)
  }

  private digest({ checksum }: UploadRecord, bytes: Uint8Array): Uint8Array {
    const { checksum: digest } = this.compute.hash({ md5: false, sha256: false, checksum: checksum?.algorithm }, bytes)
    return must(digest, "a checksum was asked for")
  }

  /** The parts that the client names, checked against those that are there; a few at a time, each in its turn. */
  private async choose(request: CompleteRequest, address: UploadAddress, upload: UploadRecord): Promise<PartRecord[]> {
    requireOrder(request.parts)
    const chosen: PartRecord[] = []
    for (const [i, named] of request.parts.entries()) {
      if (i % MANIFEST_SEGMENT_PARTS === 0) {
        if (i > 0 && i % PARTS_A_TURN === 0) await laterTurn(this.clock)
        await this.tablet.warm("parts", [partKey(address, named.partNumber)])
      }
      const row = this.tablet.committed.get("parts", partKey(address, named.partNumber))
      const part = row && decodePart(row.value)
      if (!part || !isPart(named, part, upload)) throw fail("invalidPart", { partNumber: named.partNumber })
      chosen.push(part)
    }
    const small = chosen.slice(0, -1).find(part => part.extent.lengthBytes < PART_BYTES_MIN)
    if (!small) return chosen
    throw fail("entityTooSmall", { partNumber: small.partNumber, sizeBytes: small.extent.lengthBytes })
  }

  private async putSegments(
    address: UploadAddress,
    completion: Completion,
    parts: readonly PartRecord[],
  ): Promise<void> {
    const segments: SegmentRecord[] = []
    let offsetBytes = 0
    for (let at = 0; at < parts.length; at += MANIFEST_SEGMENT_PARTS) {
      const segment = { offsetBytes, parts: parts.slice(at, at + MANIFEST_SEGMENT_PARTS) }
      segments.push(segment)
      offsetBytes = segment.parts.reduce((sum, part) => sum + part.extent.lengthBytes, offsetBytes)
    }
    await mapBounded([...segments.entries()], SEGMENTS_AT_ONCE, ([number, segment]) =>
      this.tablet.run(putSegment(address, completion, number, segment)),
    )
  }
}

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

function partResult(part: PartRecord, { checksum }: UploadRecord): PartResult {
  const stored: StoredChecksum | undefined =
    checksum && part.checksumValue !== undefined
      ? { algorithm: checksum.algorithm, type: checksum.type, value: part.checksumValue }
      : undefined
  return { etag: etagOfPart(part), checksum: stored, lastModifiedMs: part.modifiedMs }
}
