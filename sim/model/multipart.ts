/** The model's multipart uploads. */
import { concatBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { MultipartId, ObjectKey } from "@hayloft/base/ids.js"
import { PART_BYTES_MAX, PART_BYTES_MIN, PARTS_MAX } from "@hayloft/base/limits.js"
import type {
  CompleteRequest,
  CreateMultipartRequest,
  Multipart,
  MultipartInfo,
  MultipartTarget,
  PartResult,
  PutResult,
  StoredChecksum,
} from "@hayloft/objects/contract.js"
import type { CheckedBody } from "./bodies.js"
import { readBody } from "./bodies.js"
import { joinedSources } from "./concatenation.js"
import { checkWrite } from "./conditions.js"
import { wrongChecksum } from "@hayloft/objects/index.js"
import { DEFAULT_CHECKSUM, compositeChecksum, fullChecksum, hex, md5 } from "./digests.js"
import { clientKeyOf, etagOf, requireKeyOfUpload, shownOf } from "./encryption.js"
import { listUploads, uploadInfo } from "./listings.js"
import { newLock } from "./locks.js"
import { commit, findSource, wholeSource } from "./objects.js"
import type { ModelBucket, ModelPart, ModelState, ModelUpload } from "./state.js"
import { currentOf, versionsOf } from "./state.js"

function findUpload(bucket: ModelBucket, key: ObjectKey, multipartId: MultipartId): ModelUpload {
  const upload = bucket.uploads.get(multipartId)
  if (upload?.request.key !== key) throw fail("noSuchUpload")
  return upload
}

/** The parts that a client lists, as they were uploaded. Throws `invalidPartOrder`, `invalidPart`, `entityTooSmall`. */
function chosenParts(upload: ModelUpload, request: CompleteRequest): readonly ModelPart[] {
  const parts = request.parts.map(({ partNumber, etag, checksum }, i) => {
    if (partNumber <= (request.parts[i - 1]?.partNumber ?? 0)) throw fail("invalidPartOrder")
    const part = upload.parts.get(partNumber)
    const isOther = checksum !== undefined && part?.checksum !== undefined && checksum !== part.checksum.value
    if (part?.etag !== etag || isOther) throw fail("invalidPart", { uploadId: upload.multipartId, partNumber, etag })
    return part
  })
  for (const { body, partNumber } of parts.slice(0, -1)) {
    if (body.length < PART_BYTES_MIN) throw fail("entityTooSmall", { partNumber, sizeBytes: body.length })
  }
  return parts
}

/** The checksum of the whole object, compared with the declared one. Throws `invalidRequest`, `badDigest`. */
function wholeChecksum(
  upload: ModelUpload,
  request: CompleteRequest,
  parts: readonly ModelPart[],
): StoredChecksum | undefined {
  const isDefault = parts.every(({ checksum }) => checksum?.algorithm === DEFAULT_CHECKSUM)
  const byDefault = isDefault ? ({ algorithm: DEFAULT_CHECKSUM, type: "FULL_OBJECT" } as const) : undefined
  const planned = upload.request.checksum ?? byDefault
  if (request.checksumType !== undefined && planned !== undefined && request.checksumType !== planned.type) {
    throw fail("invalidRequest", { message: "the checksum type differs from the one at the upload's creation" })
  }
  if (request.checksum !== undefined && request.checksum.algorithm !== planned?.algorithm) {
    throw fail("invalidRequest", { message: "the checksum algorithm differs from the one at the upload's creation" })
  }
  if (planned === undefined) return undefined
  const bodies = parts.map(({ body }) => body)
  const whole =
    planned.type === "COMPOSITE"
      ? compositeChecksum(planned.algorithm, bodies)
      : fullChecksum(planned.algorithm, concatBytes(bodies))
  const declared = request.checksum?.value
  if (declared !== undefined && declared !== whole.value && declared !== whole.value.replace(/-\d+$/, "")) {
    throw wrongChecksum(planned.algorithm)
  }
  return whole
}

export class ModelMultipart implements Multipart {
  constructor(private readonly state: ModelState) {}

  async create(request: CreateMultipartRequest): Promise<MultipartInfo> {
    const bucket = this.state.open(request.bucket)
    newLock(bucket.bucket, request.lock, this.state.clock.wallMs())
    const multipartId = this.state.nextMultipartId()
    const upload: ModelUpload = { multipartId, initiatedMs: this.state.clock.wallMs(), request, parts: new Map() }
    bucket.uploads.set(multipartId, upload)
    return uploadInfo(upload)
  }

  async putPart(request: Parameters<Multipart["putPart"]>[0]): Promise<PartResult> {
    const { checksum: plan, encryption } = this.#find(request).request
    await request.checkEncryption?.(shownOf(encryption))
    requireKeyOfUpload(clientKeyOf(encryption), request.clientKey)
    const planned = plan?.algorithm
    const named = request.body.checksumAlgorithm
    if (planned !== undefined && named !== undefined && named !== planned) {
      throw fail("invalidRequest", { message: `the upload was created with checksums of ${planned}, not ${named}` })
    }
    const isOfClient = request.body.payer !== undefined
    if (isOfClient && planned !== undefined && !planned.startsWith("CRC") && named === undefined)
      throw fail("invalidRequest", {
        message: `the upload was created with checksums of ${planned}: the part has none`,
      })
    const body = await readBody(request.body, planned ?? DEFAULT_CHECKSUM)
    return this.#keepPart(request, request.partNumber, body)
  }

  async copyPart(request: Parameters<Multipart["copyPart"]>[0]): ReturnType<Multipart["copyPart"]> {
    const { range } = request
    const upload = this.#find(request)
    await request.checkEncryption?.(shownOf(upload.request.encryption))
    requireKeyOfUpload(clientKeyOf(upload.request.encryption), request.clientKey)
    const { bucket, version: found } = await findSource(this.state, request.source)
    const version = await wholeSource(found, request.source)
    const { versionId } = version.info
    const sizeBytes = version.body.length
    if (range !== undefined && range.last >= sizeBytes) throw fail("invalidArgument")
    const bytes = range === undefined ? version.body : version.body.subarray(range.first, range.last + 1)
    if (bytes.length > PART_BYTES_MAX) throw fail("invalidRequest", { message: "a part is at most 5 GiB" })
    const checksum = fullChecksum(upload.request.checksum?.algorithm ?? DEFAULT_CHECKSUM, bytes)
    const part = this.#keepPart(request, request.partNumber, { bytes, etag: hex(md5(bytes)), checksum })
    return { ...part, sourceVersionId: bucket.bucket.versioning === "never" ? undefined : versionId }
  }

  async listParts(request: Parameters<Multipart["listParts"]>[0]): ReturnType<Multipart["listParts"]> {
    const upload = this.#find(request)
    const { encryption } = upload.request
    await request.checkEncryption?.(shownOf(encryption))
    if (request.clientKey !== undefined) requireKeyOfUpload(clientKeyOf(encryption), request.clientKey)
    const rest = [...upload.parts.values()]
      .filter(part => part.partNumber > request.afterPart)
      .sort((a, b) => a.partNumber - b.partNumber)
    const parts = rest.slice(0, request.max)
    return {
      info: uploadInfo(upload),
      parts: parts.map(({ body, ...part }) => ({ ...part, sizeBytes: body.length })),
      next: rest.length > request.max ? parts.at(-1)?.partNumber : undefined,
    }
  }

  async listUploads(request: Parameters<Multipart["listUploads"]>[0]): ReturnType<Multipart["listUploads"]> {
    return listUploads(this.state.open(request.bucket), request)
  }

  async complete(request: CompleteRequest): Promise<PutResult> {
    const { key, multipartId } = request
    const begun = this.state.open(request.bucket).uploads.get(multipartId)?.request
    if (begun?.key === key) await request.checkEncryption?.(shownOf(begun.encryption))
    // Nothing waits from here on: of racing completions, one makes the version.
    const bucket = this.state.open(request.bucket)
    const partList = JSON.stringify(request.sources ?? request.parts.map(({ partNumber, etag }) => [partNumber, etag]))
    const done = bucket.completions.get(multipartId)
    if (done?.partList === partList && done.version === versionsOf(bucket, key)[0]) return done.result
    const upload = findUpload(bucket, key, multipartId)
    checkWrite(request.conditions, currentOf(bucket, key))
    if ((request.sources ?? request.parts).length === 0 || request.parts.length > PARTS_MAX) throw fail("malformedXml")
    const parts = chosenParts(upload, request)
    const joined = this.#joined(bucket, upload, request)
    const body = joined?.body ?? concatBytes(parts.map(part => part.body))
    if (request.sizeBytes !== undefined && request.sizeBytes !== body.length) {
      throw fail("invalidRequest", { message: "x-amz-mp-object-size differs from the size of the parts" })
    }
    const checksum = joined === undefined ? wholeChecksum(upload, request, parts) : joined.checksum
    const { attributes, tags, acl, lock, storageClass = "STANDARD", encryption: protection } = upload.request
    if (request.clientKey !== undefined) requireKeyOfUpload(clientKeyOf(protection), request.clientKey)
    const digest = `${hex(md5(concatBytes(parts.map(part => Buffer.from(part.etag, "hex")))))}-${parts.length}`
    const etag = joined?.etag ?? digest
    const partsCount = joined === undefined ? parts.length : etag.endsWith("-1") ? 1 : undefined
    const result = commit(this.state, bucket, key, {
      ...attributes,
      tags,
      acl,
      lock,
      storageClass,
      protection,
      etag,
      checksum,
      partsCount,
      expiresAtSeconds: request.expiresAtSeconds,
      body,
      ...(joined === undefined && { parts }),
    })
    bucket.uploads.delete(multipartId)
    bucket.completions.set(multipartId, { version: versionsOf(bucket, key)[0], partList, result })
    return result
  }

  /** Throws `notImplemented` for an encrypted object, and with a declared checksum. */
  #joined(bucket: ModelBucket, { request: begun }: ModelUpload, { sources, checksum }: CompleteRequest) {
    if (sources === undefined) return undefined
    if (begun.encryption !== undefined || checksum !== undefined) throw fail("notImplemented")
    return joinedSources(this.state, bucket, sources, begun.storageClass ?? "STANDARD")
  }

  async abort(target: MultipartTarget): Promise<void> {
    const { multipartId } = this.#find(target)
    this.state.open(target.bucket).uploads.delete(multipartId)
  }

  #find({ bucket, key, multipartId }: MultipartTarget): ModelUpload {
    return findUpload(this.state.open(bucket), key, multipartId)
  }

  /**
   * The last part to finish wins; an upload that has ended meanwhile accepts no more parts. A checksum is stored
   * if the upload was created with one or if it is the default; others are only returned.
   */
  #keepPart(target: MultipartTarget, partNumber: number, { bytes, etag: digest, checksum }: CheckedBody): PartResult {
    const lastModifiedMs = this.state.clock.wallMs()
    const upload = this.#find(target)
    const { checksum: plan, encryption } = upload.request
    const kept = plan === undefined && checksum?.algorithm !== DEFAULT_CHECKSUM ? undefined : checksum
    const etag = etagOf(encryption, digest, this.state.random)
    upload.parts.set(partNumber, { partNumber, body: bytes, etag, checksum: kept, lastModifiedMs })
    return { etag, checksum, lastModifiedMs, encryption: shownOf(encryption) }
  }
}
