/** The model's objects and versions. Everything after the last `await` of a method is atomic. */
import { isDeepStrictEqual } from "node:util"
import { assert } from "@hayloft/base/assert.js"
import { concatBytes } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import type { ObjectKey, VersionId } from "@hayloft/base/ids.js"
import { OBJECT_BYTES_MAX } from "@hayloft/base/limits.js"
import type {
  ContentHeaders,
  Bucket,
  CopyRequest,
  CopyResult,
  CopySource,
  DeleteRequest,
  DeleteResult,
  GetRequest,
  ListPage,
  ListRequest,
  ListVersionsRequest,
  ObjectAcl,
  ObjectBody,
  ObjectInfo,
  ObjectPart,
  Objects,
  ObjectTarget,
  Protection,
  PutRequest,
  PutResult,
  RangeRequest,
  Retention,
  SetAttributesRequest,
  VersionLock,
  VersionsPage,
} from "@hayloft/objects/contract.js"
import { packDetails } from "@hayloft/objects/queries/object-info-core.js"
import { decodeSegmentList, lengthOfSegment } from "@hayloft/engine/format/objects/segment-list.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import { isReferring, keptDigests } from "./concatenation.js"
import { readBody } from "./bodies.js"
import { checkCopySource, checkRead, checkWrite } from "./conditions.js"
import { DEFAULT_CHECKSUM, fullChecksum, hex, md5 } from "./digests.js"
import { clientKeyOf, etagOf, requireKey, shownOf } from "./encryption.js"
import { list, listVersions } from "./listings.js"
import { hold, newLock, requireFree, retain } from "./locks.js"
import type { ModelBucket, ModelObject, ModelPart, ModelState } from "./state.js"
import { addVersion, dropVersion, find, infoOf, currentOf, versionsOf } from "./state.js"
import type { Tags } from "@hayloft/base/tags.js"

const READ_PIECE_BYTES = 64 * 1024

type NewObject = Omit<ModelObject["info"], "versionId" | "lastModifiedMs" | "sizeBytes" | "lock" | "encryption"> & {
  /** The lock that the request states, before the default of the bucket applies. */
  readonly lock: VersionLock | undefined
  readonly protection: Protection | undefined
  readonly body: Uint8Array
  readonly parts?: readonly ModelPart[]
  readonly largeObject?: PutRequest["largeObject"]
  readonly tags: Tags
  readonly acl: ObjectAcl | undefined
}

/** Adds a version to its key, according to the bucket's versioning. */
export function commit(state: ModelState, bucket: ModelBucket, key: ObjectKey, object: NewObject): PutResult {
  const { body, parts, tags, acl, lock: stated, protection, largeObject, ...described } = object
  const { versioning } = bucket.bucket
  const lock = newLock(bucket.bucket, stated, state.clock.wallMs())
  const { rank, versionId } = state.nextVersion(versioning)
  const lastModifiedMs = state.nextModifiedMs(bucket, key)
  const encryption = shownOf(protection)
  const ofBody = { ...described, versionId, lastModifiedMs, sizeBytes: body.length, lock, encryption }
  const info = { ...ofBody, ...(largeObject === undefined ? {} : shownOfLarge(largeObject, body)) }
  const clientKey = clientKeyOf(protection)
  addVersion(bucket, key, { kind: "object", rank, writtenMs: lastModifiedMs, info, body, parts, clientKey, tags, acl })
  return {
    versionId: versioning === "never" ? undefined : versionId,
    etag: info.etag,
    checksum: info.checksum,
    sizeBytes: info.sizeBytes,
    lastModifiedMs,
    encryption,
  }
}

const shownOfLarge = (
  { sizeBytes, md5: digest, parts, levels = 1 }: NonNullable<PutRequest["largeObject"]>,
  list: Uint8Array,
) => ({
  sizeBytes,
  etag: `${hex(digest)}-${parts}`,
  checksum: undefined,
  partsCount: parts,
  segmentListBytes: list.length,
  segmentLevels: levels,
})

/** The key of a missing source is named: the request names another one, too. */
export function findNamed(bucket: ModelBucket, { key, versionId }: Pick<CopySource, "key" | "versionId">): ModelObject {
  try {
    return find(bucket, key, versionId)
  } catch (error) {
    throw isFailure(error, "noSuchKey", "noSuchVersion")
      ? fail(error.kind, { ...error.details, sourceKey: textOfObjectKey(key) })
      : error
  }
}

/** The source of a copy. A delete marker is a bad request if named by version id, and a missing key otherwise. */
export async function findSource(
  state: ModelState,
  source: CopySource,
): Promise<{ bucket: ModelBucket; version: ModelObject }> {
  const bucket = state.open(source.bucket)
  const named = versionsOf(bucket, source.key).find(version => version.info.versionId === source.versionId)
  if (named?.kind === "marker")
    throw fail("invalidRequest", {
      message: "the source of a copy request may not specifically refer to a delete marker",
    })
  const version = findNamed(bucket, source)
  requireKey(version.clientKey, source.clientKey)
  await source.checkEncryption?.(version.info.encryption)
  await source.checkOpened?.()
  checkCopySource(source.conditions, version)
  return { bucket, version }
}

/** The source of a copy: a large object as one that was put whole, if its segments can be opened. */
export async function wholeSource(version: ModelObject, { openSegment }: CopySource): Promise<ModelObject> {
  const { info, body } = version
  if (openSegment === undefined || info.segmentListBytes === undefined) return version
  const pieces: Uint8Array[] = []
  for (const segment of decodeSegmentList(body, info.sizeBytes)) {
    if (segment.kind === "data") {
      pieces.push(segment.bytes)
      continue
    }
    const lengthBytes = lengthOfSegment(segment)
    const opened = await openSegment(segment, { first: segment.span?.first ?? 0, lengthBytes })
    for await (const piece of opened.read(new AbortController().signal)) pieces.push(Uint8Array.from(piece))
    opened.close()
  }
  const { segmentListBytes: _, ...described } = info
  return { ...version, info: { ...described, partsCount: undefined }, body: concatBytes(pieces) }
}

function largeObjectOf({ info, body }: ModelObject): PutRequest["largeObject"] {
  if (info.segmentListBytes !== body.length) return undefined
  const [digest = "", parts] = info.etag.split("-")
  const { sizeBytes, segmentLevels: levels = 1 } = info
  return { sizeBytes, md5: Buffer.from(digest, "hex"), parts: Number(parts), ...(levels > 1 && { levels }) }
}

interface Resolved {
  readonly range: ObjectBody["range"]
  readonly partChecksum: ObjectBody["partChecksum"]
}

const WHOLE: Resolved = { range: undefined, partChecksum: undefined }

/** The n-th part of the object; part numbers that its completion left out do not count. */
function resolvePart({ parts, info }: ModelObject, partNumber: number): Resolved {
  if (parts === undefined && partNumber === 1) {
    const range = info.sizeBytes > 0 ? { first: 0, lengthBytes: info.sizeBytes } : undefined
    return { range, partChecksum: info.checksum }
  }
  const part = parts?.[partNumber - 1]
  if (parts === undefined || part === undefined) {
    throw fail("invalidPartNumber", { partNumber, parts: parts?.length ?? 1 })
  }
  const first = parts.slice(0, partNumber - 1).reduce((sum, { body }) => sum + body.length, 0)
  return { range: { first, lengthBytes: part.body.length }, partChecksum: part.checksum }
}

function resolveRange(version: ModelObject, range: RangeRequest | undefined): Resolved {
  if (range === undefined || version.info.segmentListBytes !== undefined) return WHOLE
  if (range.kind === "part") return resolvePart(version, range.partNumber)
  const { sizeBytes } = version.info
  const first = range.kind === "suffix" ? Math.max(0, sizeBytes - range.lengthBytes) : range.first
  const last = range.kind === "suffix" ? sizeBytes - 1 : Math.min(range.last ?? sizeBytes - 1, sizeBytes - 1)
  if (first >= sizeBytes || last < first) throw fail("invalidRange", { sizeBytes })
  return { range: { first, lengthBytes: last - first + 1 }, partChecksum: undefined }
}

function ifRangeHolds({ info }: ModelObject, ifRange: GetRequest["ifRange"]): boolean {
  if (ifRange === undefined) return true
  if ("etag" in ifRange) return ifRange.etag === info.etag
  return Math.floor(info.lastModifiedMs / 1000) <= Math.floor(ifRange.unmodifiedSinceMs / 1000)
}

async function* pieces(bytes: Uint8Array, signal: AbortSignal): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += READ_PIECE_BYTES) {
    signal.throwIfAborted()
    yield bytes.subarray(at, at + READ_PIECE_BYTES)
  }
}

/** The bytes as one body, whatever parts they were uploaded in. */
const single = (bytes: Uint8Array, algorithm: ChecksumAlgorithm | undefined) => ({
  etag: hex(md5(bytes)),
  checksum: algorithm === undefined ? undefined : fullChecksum(algorithm, bytes),
  partsCount: undefined,
})

/** Returns true if the bytes of a version are encrypted just as a copy of it is to be. */
const keepsEncryption = ({ info, clientKey }: ModelObject, protection: Protection | undefined): boolean =>
  isDeepStrictEqual([info.encryption, clientKey], [shownOf(protection), clientKeyOf(protection)])

export class ModelObjects implements Objects {
  constructor(private readonly state: ModelState) {}

  async put(request: PutRequest): Promise<PutResult> {
    const { key, attributes, tags, conditions } = request
    packDetails({ ...attributes, tags })
    checkWrite(conditions, currentOf(this.state.open(request.bucket), key))
    const { bytes, etag, checksum } = await readBody(request.body, request.largeObject ? undefined : DEFAULT_CHECKSUM)
    const bucket = this.state.open(request.bucket)
    checkWrite(conditions, currentOf(bucket, key))
    return commit(this.state, bucket, key, {
      ...attributes,
      tags,
      acl: request.acl,
      lock: request.lock,
      storageClass: request.storageClass ?? "STANDARD",
      protection: request.encryption,
      etag: etagOf(request.encryption, etag, this.state.random),
      checksum,
      body: bytes,
      partsCount: undefined,
      expiresAtSeconds: request.expiresAtSeconds,
      largeObject: request.largeObject,
    })
  }

  async get(request: GetRequest): Promise<ObjectBody> {
    const version = find(this.state.open(request.bucket), request.key, request.versionId)
    if (request.isForServer !== true) requireKey(version.clientKey, request.clientKey)
    checkRead(request.conditions, version)
    const requested = ifRangeHolds(version, request.ifRange) ? request.range : undefined
    const { range, partChecksum } = resolveRange(version, requested)
    await request.checkEncryption?.(version.info.encryption)
    const bytes =
      range === undefined ? version.body : version.body.subarray(range.first, range.first + range.lengthBytes)
    let closed = false
    return {
      info: infoOf(version),
      range,
      partChecksum,
      lend: () => undefined,
      read: signal => {
        assert(!closed, "read after close")
        return pieces(bytes, signal)
      },
      close: () => void (closed = true),
    }
  }

  async remove(request: DeleteRequest): Promise<DeleteResult> {
    const { bucket: at, key, versionId, conditions, bypassGovernance = false } = request
    const bucket = this.state.open(at)
    const { versioning } = bucket.bucket
    const versions = versionsOf(bucket, key)
    const target =
      versionId === undefined ? currentOf(bucket, key) : versions.find(version => version.info.versionId === versionId)
    checkWrite(conditions, target)
    if (versionId !== undefined) {
      if (target?.kind === "object") requireFree(target, this.state.clock.wallMs(), bypassGovernance)
      const dropped = dropVersion(bucket, key, versionId)
      return { versionId: versioning === "never" ? undefined : versionId, deleteMarker: dropped?.kind === "marker" }
    }
    if (versioning === "never") {
      for (const { info } of versions) dropVersion(bucket, key, info.versionId)
      return { versionId: undefined, deleteMarker: false }
    }
    const marker = this.state.nextVersion(versioning)
    const lastModifiedMs = this.state.nextModifiedMs(bucket, key)
    addVersion(bucket, key, {
      kind: "marker",
      rank: marker.rank,
      info: { versionId: marker.versionId, lastModifiedMs },
    })
    return { versionId: marker.versionId, deleteMarker: true }
  }

  async copy(request: CopyRequest): Promise<CopyResult> {
    const { source, key, conditions, replaceAttributes, replaceTags, checksumAlgorithm, encryption } = request
    const { storageClass = "STANDARD" } = request
    const from = await findSource(this.state, source)
    const version = await wholeSource(from.version, source)
    const bucket = this.state.open(request.bucket)
    if (version.body.length > OBJECT_BYTES_MAX) {
      throw fail("invalidRequest", { message: "the source of a copy is larger than 5 GiB; copy it in parts" })
    }
    const latest = currentOf(bucket, key)
    const keepsSealing = request.statesEncryption !== true && keepsEncryption(version, encryption)
    const redirects = replaceAttributes !== undefined || request.websiteRedirect !== undefined
    const keepsClass = version.info.storageClass === storageClass
    const { range } = request
    const changesNothing = range === undefined && !redirects && !replaceTags && keepsSealing && keepsClass
    if (changesNothing && from.bucket === bucket && latest === from.version) {
      throw fail("invalidRequest", {
        message: "this copy request is illegal because it is trying to copy an object to itself without changing it",
      })
    }
    checkWrite(conditions, latest)
    const { headers, userMetadata, checksum } = version.info
    const sameKey = from.bucket === bucket && source.key === key
    const keepsChecksum = checksumAlgorithm === undefined || checksumAlgorithm === checksum?.algorithm
    const isWhole = range === undefined
    const keepsBytes = isWhole && sameKey && keepsChecksum && keepsClass && keepsEncryption(version, encryption)
    const [first, end] = isWhole ? [0, version.body.length] : [range.first, range.first + range.lengthBytes]
    // Data that was appended to a copy with an id is another append.
    const body = keepsBytes ? version.body : version.body.slice(first, end)
    const largeObject = isWhole ? largeObjectOf(version) : undefined
    const byDefault = largeObject === undefined ? DEFAULT_CHECKSUM : undefined
    const made = keepsBytes ? version.info : single(body, checksumAlgorithm ?? checksum?.algorithm ?? byDefault)
    const result = commit(this.state, bucket, key, {
      ...made,
      ...(keepsBytes ? {} : { etag: etagOf(encryption, made.etag, this.state.random) }),
      ...(isReferring(request, version) && keptDigests(version)),
      ...(keepsBytes && version.parts !== undefined && { parts: version.parts }),
      ...(replaceAttributes ?? { headers: withRedirect(headers, request.websiteRedirect), userMetadata }),
      tags: replaceTags ?? version.tags,
      acl: request.acl,
      lock: request.lock,
      storageClass,
      protection: encryption,
      expiresAtSeconds: request.expiresAtSeconds,
      body,
      largeObject,
    })
    return { ...result, sourceVersionId: this.#shown(from.bucket.bucket, version.info.versionId) }
  }

  async parts(
    { bucket, key, versionId, clientKey }: ObjectTarget,
    page: Parameters<Objects["parts"]>[1],
  ): Promise<{
    info: ObjectInfo
    parts: readonly ObjectPart[]
    next: number | undefined
  }> {
    const version = find(this.state.open(bucket), key, versionId)
    requireKey(version.clientKey, clientKey)
    const rest = (version.parts ?? []).filter(part => part.partNumber > page.afterPart)
    const parts = rest.slice(0, page.max)
    return {
      info: infoOf(version),
      parts: parts.map(({ partNumber, body, checksum: ofPart }) => {
        // An append may have ended the checksum of the object.
        const checksum = version.info.checksum && ofPart
        return { partNumber, sizeBytes: body.length, checksum }
      }),
      next: rest.length > page.max ? parts.at(-1)?.partNumber : undefined,
    }
  }

  async getTags({ bucket, key, versionId }: ObjectTarget): ReturnType<Objects["getTags"]> {
    const version = find(this.state.open(bucket), key, versionId)
    return { versionId: this.#shown(bucket, version.info.versionId), tags: version.tags }
  }

  async setTags({ bucket, key, versionId }: ObjectTarget, tags: Tags): ReturnType<Objects["setTags"]> {
    const version = find(this.state.open(bucket), key, versionId)
    version.tags = tags
    return { versionId: this.#shown(bucket, version.info.versionId) }
  }

  async setAttributes(request: SetAttributesRequest): ReturnType<Objects["setAttributes"]> {
    const bucket = this.state.open(request.bucket)
    const version = find(bucket, request.key, request.versionId)
    checkWrite(request.conditions, version)
    requireFree(version, this.state.clock.wallMs(), false)
    const { contentType, websiteRedirect, symlink } = version.info.headers
    const { headers, userMetadata } = request.attributes
    packDetails({ headers, userMetadata, tags: [] })
    const { expiresAtSeconds } = request
    const kept = {
      ...(contentType !== undefined && { contentType }),
      ...(websiteRedirect !== undefined && { websiteRedirect }),
      ...(symlink !== undefined && { symlink }),
    }
    const lastModifiedMs = this.state.nextModifiedMs(bucket, request.key)
    version.info = { ...version.info, lastModifiedMs, headers: { ...kept, ...headers }, userMetadata, expiresAtSeconds }
    return { versionId: this.#shown(request.bucket, version.info.versionId), etag: version.info.etag, lastModifiedMs }
  }

  async setAcl({ bucket, key, versionId }: ObjectTarget, acl: ObjectAcl | undefined): ReturnType<Objects["setAcl"]> {
    const version = find(this.state.open(bucket), key, versionId)
    if (version.acl?.owner !== acl?.owner) throw fail("conflict")
    version.acl = acl
    return { versionId: this.#shown(bucket, version.info.versionId) }
  }

  async getLock(target: ObjectTarget): ReturnType<Objects["getLock"]> {
    return this.#lockable(target).info.lock
  }

  async setRetention(target: ObjectTarget, to: Retention | undefined, bypass: boolean): Promise<void> {
    retain(this.#lockable(target), to, this.state.clock.wallMs(), bypass)
  }

  async setLegalHold(target: ObjectTarget, legalHold: boolean): Promise<void> {
    hold(this.#lockable(target), legalHold)
  }

  #lockable({ bucket, key, versionId }: ObjectTarget): ModelObject {
    const found = this.state.open(bucket)
    if (found.bucket.lock === undefined) throw fail("noObjectLock")
    return find(found, key, versionId)
  }

  async list(request: ListRequest): Promise<ListPage> {
    return list(this.state.open(request.bucket), request)
  }

  async listVersions(request: ListVersionsRequest): Promise<VersionsPage> {
    return listVersions(this.state.open(request.bucket), request)
  }

  /** A version id as a result: undefined in a bucket that was never versioned. */
  #shown(bucket: Bucket, versionId: VersionId): VersionId | undefined {
    return this.state.open(bucket).bucket.versioning === "never" ? undefined : versionId
  }
}

/** The redirect of a copy is never that of its source. */
function withRedirect({ websiteRedirect: _, ...headers }: ContentHeaders, to: string | undefined): ContentHeaders {
  return to === undefined ? headers : { ...headers, websiteRedirect: to }
}
