/** Object service: runs the commands on objects. See `contract.ts` for the promises. */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { INLINE_BYTES_MAX, OBJECT_BYTES_MAX } from "@hayloft/base/limits.js"
import type { BucketId, ObjectKey, VersionId } from "@hayloft/base/ids.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { after, asPromise, recover, type Soon } from "@hayloft/base/soon.js"
import { textOfTimestamp } from "@hayloft/base/text/timestamp.js"
import { traced } from "@hayloft/base/trace.js"
import { RANDOM_BYTES } from "@hayloft/engine/format/objects/version-id.js"
import type { VersionDetails } from "@hayloft/engine/format/objects/version-record.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import { defaultChecksumOf } from "./bodies/body-check-core.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import { useClass } from "./class-policies.js"
import { evaluateCopySource } from "./commands/conditions-core.js"
import type {
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
  ObjectAttributes,
  ObjectBody,
  ObjectInfo,
  ObjectPart,
  Objects,
  ObjectTarget,
  PutRequest,
  PutResult,
  Retention,
  SetAttributesRequest,
  VersionLock,
  VersionsPage,
} from "./contract.js"
import type { Encryption } from "./bodies/encryption.js"
import { isProtectedBy, refuseEncryption } from "./bodies/encryption-core.js"
import type { Ingest, Ingested } from "./bodies/ingest.js"
import { LargeSource } from "./bodies/large-object.js"
import { extrasOfPage, listVersions, showsExtras } from "./queries/listing-core.js"
import { listObjects, pageOf } from "./queries/object-page-core.js"
import {
  bytesOfLine,
  partLinesOf,
  manifestOf,
  readSegment,
  segmentCount,
  type PartLine,
} from "./queries/manifest-core.js"
import {
  checksumOf,
  infoOf,
  copiedAttributes,
  packDetails,
  putResultOf,
  readVersion,
  segmentsMd5Of,
  type OpenVersion,
  type VersionRows,
} from "./queries/object-info-core.js"
import { bodyOfSource, type ObjectReader, type OpenObject } from "./bodies/object-reader.js"
import type { Referring } from "./referring.js"
import { findLatest } from "./commands/found-versions-core.js"
import { NO_CHECKSUM, type NewVersion } from "./commands/row-editor-core.js"
import {
  putVersion,
  removeLatest,
  removeVersion,
  setAcl,
  setAttributes,
  setLegalHold,
  setRetention,
  setTags,
} from "./commands/version-commands-core.js"
import { requireUnexpired } from "./commands/expiry-core.js"
import type { StoreClock } from "./store-clock.js"
import { namingSource } from "./missing-source.js"
import type { Tags } from "@hayloft/base/tags.js"

export const versionRows = query("VersionRows", readVersion)
export const latestOrder = query(
  "LatestOrder",
  (view, bucketId: BucketId, key: ObjectKey) => findLatest(view, objectRowKey(bucketId, key))?.head.order,
)
export const pageOfVersions = query("PageOfVersions", (view, request: ListVersionsRequest): VersionsPage => {
  return listVersions(view, request)
})

export const pageOfObjects = query("PageOfObjects", (view, request: ListRequest) => {
  const page = listObjects(view, request)
  return { page, extras: showsExtras(request) ? extrasOfPage(view, request.bucket, pageOf(page), request) : undefined }
})

export const partsOfVersion = query(
  "PartsOfVersion",
  (
    view,
    bucketId: BucketId,
    key: ObjectKey,
    versionId: VersionId | undefined,
    { afterPart, max }: { readonly afterPart: number; readonly max: number },
  ) => {
    const rows = readVersion(view, bucketId, key, versionId)
    const manifest = manifestOf(bucketId, key, rows.record)
    const parts: PartLine[] = []
    for (let number = 0; manifest && number < segmentCount(manifest); number += 1) {
      for (const part of partLinesOf(readSegment(view, manifest, number))) {
        if (part.partNumber <= afterPart) continue
        if (parts.length === max) return { rows, parts, next: parts.at(-1)?.partNumber }
        parts.push(part)
      }
    }
    return { rows, parts, next: undefined }
  },
)

export class ObjectService implements Objects {
  readonly referring: Referring
  private readonly ingest: Ingest
  private readonly random: Random
  private readonly plainDetails = new WeakMap<ObjectAttributes, VersionDetails>()

  constructor(
    random: Random,
    private readonly metadata: Metadata,
    private readonly reader: ObjectReader,
    { ingest, referring }: { readonly ingest: Ingest; readonly referring: Referring },
    private readonly storeClock: StoreClock,
    readonly encryption: Encryption,
  ) {
    this.random = random.fork("versions")
    this.ingest = ingest
    this.referring = referring
  }

  put(request: PutRequest): Promise<PutResult> {
    refuseEncryption(request.bucket, request.encryption)
    const { attributes, tags, acl, body, timestamp } = request
    const isPlain = tags.length === 0 && acl === undefined && timestamp === undefined
    const headers = timestamp && { ...attributes.headers, timestamp: textOfTimestamp(timestamp) }
    const details = isPlain
      ? this.detailsOf(attributes)
      : packDetails({ ...attributes, ...(headers && { headers }), tags, acl })
    const algorithm = body.checksumAlgorithm ?? defaultChecksumOf(request)
    const store = () => this.store(request, details, algorithm)
    const waits = this.prepare(request)
    return waits === undefined ? store() : waits.then(store)
  }

  /** Before something is stored that earlier releases do not know; undefined: nothing has to be waited for. */
  private prepare({
    bucket,
    storageClass = "STANDARD",
    expiresAtSeconds,
    largeObject,
  }: Pick<PutRequest, "bucket" | "storageClass" | "expiresAtSeconds" | "largeObject">): Promise<void> | undefined {
    const expiry = this.ingest.expiring.prepare(bucket.id, expiresAtSeconds)
    const ofClass = useClass(this.ingest.classes, storageClass)
    const ofSegments = largeObject && this.ingest.expiring.refuseEarlier()
    if (expiry === undefined && ofSegments === undefined) return ofClass
    return Promise.all([expiry, ofClass, ofSegments]).then(() => undefined)
  }

  /** Details of an object without tags and own list: cached with the attributes, which are often the same. */
  private detailsOf(attributes: ObjectAttributes): VersionDetails {
    const known = this.plainDetails.get(attributes)
    if (known !== undefined) return known
    const details = packDetails({ ...attributes, tags: [] })
    this.plainDetails.set(attributes, details)
    return details
  }

  /** Ingests a body and makes it the key's latest version. */
  private store(
    request: Omit<PutRequest, "tags" | "acl">,
    details: NewVersion["details"],
    algorithm: ChecksumAlgorithm | undefined,
    keptMd5?: Uint8Array,
  ): Promise<PutResult> {
    const { bucket, key, conditions, attributes, body, lock, storageClass = "STANDARD" } = request
    const { headers, userMetadata } = attributes
    const ingest = {
      bucket,
      key,
      conditions,
      body,
      userMetadata,
      client: request,
      inlineBytesMax: INLINE_BYTES_MAX,
      part: 0,
      multipartId: undefined,
      checksumAlgorithm: algorithm,
      contentType: headers.contentType ?? "",
      lock,
      storageClass,
      createKey: this.encryption.creating(bucket.id, request.encryption),
      ends: { tags: details.tags, expiresAtSeconds: request.expiresAtSeconds },
      ...(request.largeObject === undefined && { shares: "version" as const }),
    }
    return this.ingest.run(ingest, ingested => {
      const version = this.newVersion(ingested, details, algorithm, request)
      const { sealing } = ingested
      if (sealing === undefined) return this.commit(request, ingested, version)
      const named = keptMd5 === undefined ? version : { ...version, md5: keptMd5 }
      const binding = () => this.encryption.bound(bucket.id, key, sealing, named)
      return asPromise(() => after(binding(), bound => this.commit(request, ingested, bound)))
    })
  }

  private commit(
    {
      bucket,
      key,
      conditions,
      body,
      timestamp,
      makesSpace,
    }: Pick<PutRequest, "bucket" | "key" | "conditions" | "body" | "timestamp" | "makesSpace">,
    { uploadId, content, hints, checksumValue, sealing }: Ingested,
    version: Omit<NewVersion, "isMarker">,
  ): Promise<PutResult> {
    const clockMs = this.storeClock.nowMs()
    const put = { bucketId: bucket.id, key, conditions, version, clockMs, hints, timestamp, makesSpace }
    const trace = body.payer?.trace
    const run = () =>
      content.kind === "shared" ? content.put(put) : this.metadata.run(putVersion({ ...put, uploadId }))
    const committing = trace === undefined ? run() : asPromise(() => traced(trace, "metadata commit", {}, run))
    return committing.then(stored => putResultOf(stored, checksumValue, sealing))
  }

  private newVersion(
    { content, lengthBytes, md5, checksumValue, sealing }: Ingested,
    details: NewVersion["details"],
    algorithm: ChecksumAlgorithm | undefined,
    {
      lock,
      storageClass = "STANDARD",
      expiresAtSeconds,
      largeObject,
    }: Pick<PutRequest, "lock" | "storageClass" | "expiresAtSeconds" | "largeObject">,
  ): Omit<NewVersion, "isMarker" | "sealing"> {
    const isInline = content.kind === "inline"
    return {
      // An object that shares blocks gets its segments with them.
      content: content.kind === "extent" ? content : { kind: "inline" },
      payload: isInline ? content.bytes : undefined,
      sizeBytes: lengthBytes,
      md5: this.encryption.etagOf(md5, sealing),
      parts: 0,
      random: this.random.bytes(RANDOM_BYTES),
      checksum:
        algorithm && checksumValue !== undefined
          ? { checksumAlgorithm: algorithm, checksumType: "FULL_OBJECT", value: checksumValue }
          : NO_CHECKSUM,
      details,
      storageClass,
      isShared: false,
      lock,
      expiresAtSeconds,
      largeObject,
    }
  }

  get(request: GetRequest): Soon<ObjectBody> {
    return this.reader.open(request)
  }

  remove(request: DeleteRequest): Promise<DeleteResult> {
    const { bucket, key, versionId, conditions, bypassGovernance = false, timestamp } = request
    const bucketId = bucket.id
    const removing = { clockMs: this.storeClock.nowMs(), bypassGovernance }
    const command =
      versionId === undefined
        ? removeLatest({ bucketId, key, conditions, removing, random: this.random.bytes(RANDOM_BYTES), timestamp })
        : removeVersion({ bucketId, key, conditions, removing, versionId })
    return this.metadata.run(command).then(({ versioning, versionId: removedId, deleteMarker }) => ({
      versionId: versioning === "never" ? undefined : removedId,
      deleteMarker,
    }))
  }

  /** Opens a copy's source; its bytes are pinned until it is closed. */
  async openSource({
    bucket,
    key,
    versionId,
    clientKey,
    conditions,
    checkEncryption,
    checkOpened,
    openSegment,
  }: CopySource): Promise<OpenObject> {
    const target = { bucket, key, clientKey, checkEncryption, ...(versionId === undefined ? {} : { versionId }) }
    const open = () => this.reader.open({ ...target, conditions: {} })
    const source = await recover<OpenObject>(open, error => {
      if (isFailure(error, "invalidObjectState")) {
        const message = "Operation is not valid for the source object's storage class"
        throw fail("invalidObjectState", { ...error.details, message })
      }
      if (!isFailure(error, "isDeleteMarker")) throw namingSource(error, key)
      throw fail("invalidRequest", {
        message: "The source of a copy request may not specifically refer to a delete marker by version id.",
      })
    })
    const { etag, lastModifiedMs: modifiedMs } = source.info
    try {
      await checkOpened?.()
      const segmentsMd5 = segmentsMd5Of(source.info)
      const failure = evaluateCopySource(conditions, { etag, modifiedMs, segmentsMd5 })
      if (failure) throw failure
      if (openSegment === undefined || source.info.segmentListBytes === undefined) return source
      return await LargeSource.open(source, openSegment)
    } catch (error) {
      source.close()
      throw error
    }
  }

  async copy(request: CopyRequest): Promise<CopyResult> {
    refuseEncryption(request.bucket, request.encryption)
    await this.prepare(request)
    const source = await this.openSource(request.source)
    try {
      const storedBytes = source.info.segmentListBytes ?? source.info.sizeBytes
      const { range } = request
      if (range === undefined) await this.refuseNoChange(request, source.opened)
      else if (range.first + range.lengthBytes > storedBytes) throw fail("invalidRange", { sizeBytes: storedBytes })
      if ((range?.lengthBytes ?? storedBytes) > OBJECT_BYTES_MAX) {
        throw fail("invalidRequest", { message: "the copy source is larger than 5 GiB" })
      }
      const put = await this.copyInto(request, source)
      const { versioning } = request.source.bucket
      return { ...put, sourceVersionId: versioning === "never" ? undefined : source.info.versionId }
    } finally {
      source.close()
    }
  }

  private async refuseNoChange(request: CopyRequest, opened: OpenVersion): Promise<void> {
    const { source, bucket, key, replaceAttributes, replaceTags } = request
    if (request.statesEncryption === true || request.websiteRedirect !== undefined) return
    if (!this.keepsProtection(request, opened) || !keepsClass(request, opened)) return
    if (replaceAttributes || replaceTags || source.bucket.id !== bucket.id || source.key !== key) return
    if ((await this.metadata.ask(latestOrder(bucket.id, key))) === opened.record.head.order) {
      throw fail("invalidRequest", {
        message:
          "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
      })
    }
  }

  /** Returns true if the copy's bytes are sealed as the source's are, or both are not. */
  private keepsProtection({ source, encryption }: CopyRequest, { record }: OpenVersion): boolean {
    return isProtectedBy(record.sealing, source.clientKey, this.encryption.protectionOf(encryption))
  }

  private copiedDetails(request: CopyRequest, { details, info }: OpenVersion): NewVersion["details"] {
    const { headers, userMetadata } = copiedAttributes(request, info)
    return packDetails({ headers, userMetadata, tags: request.replaceTags ?? details.tags, acl: request.acl })
  }

  private async copyInto(request: CopyRequest, source: OpenObject): Promise<PutResult> {
    const { record } = source.opened
    const { opened } = source
    if (source instanceof LargeSource || request.range !== undefined) return this.copyBytes(request, source)
    if (this.mayReference(request, opened)) return this.copyReferring(request, source)
    if (!isOfSameBytes(request, opened) || !keepsClass(request, opened) || !this.keepsProtection(request, opened))
      return this.copyBytes(request, source)
    // A payload is sealed again, since it belongs to its row; the ETag stays, even one that is no digest.
    if (record.content.kind === "inline") return this.copyBytes(request, source, record.head.md5)
    try {
      return await this.copyByReference(request, source.opened)
    } catch (error) {
      // The source was overwritten meanwhile. Its bytes are pinned: copy them as from another key.
      if (!isFailure(error, "conflict")) throw error
      return this.copyBytes(request, source)
    }
  }

  /** Returns true if a copy to another key references the source's bytes. */
  private mayReference(request: CopyRequest, opened: OpenVersion): boolean {
    const { source, bucket, key, checksumAlgorithm } = request
    const { head, sealing, largeObject } = opened.record
    if (source.bucket.id !== bucket.id || source.key === key || !this.referring.copies(bucket, head.sizeBytes))
      return false
    if (checksumAlgorithm !== undefined && checksumAlgorithm !== head.checksumAlgorithm) return false
    if (sealing !== undefined || largeObject !== undefined || !keepsClass(request, opened)) return false
    // A checksum of all bytes is computed from them.
    if (head.checksumType === "COMPOSITE") return false
    return this.keepsProtection(request, opened)
  }

  private async copyReferring(request: CopyRequest, source: OpenObject): Promise<PutResult> {
    const { bucket, key, conditions, expiresAtSeconds, signal } = request
    const { opened } = source
    try {
      return await this.referring.make({
        bucket,
        key,
        conditions,
        expiresAtSeconds,
        signal,
        read: opened.record,
        sources: [{ key: request.source.key, conditions: {} }],
        details: this.copiedDetails(request, opened),
        storageClass: opened.record.head.storageClass,
      })
    } catch (error) {
      // The source was overwritten meanwhile, or consists of too many pieces. Its bytes are pinned.
      if (!isFailure(error, "conflict", "noSuchKey", "invalidRequest")) throw error
      return this.copyBytes(request, source)
    }
  }

  private async copyByReference(request: CopyRequest, source: OpenVersion): Promise<PutResult> {
    const { bucket, key, conditions } = request
    const { head, content, checksumValue, sealing } = source.record
    const version: Omit<NewVersion, "isMarker" | "sealing"> = {
      // A copy is a later write: a repeated completion must not find it.
      content: content.kind === "segments" ? { ...content, completion: new Uint8Array(0) } : content,
      payload: undefined,
      sizeBytes: head.sizeBytes,
      md5: head.md5,
      parts: head.parts,
      random: this.random.bytes(RANDOM_BYTES),
      checksum: { checksumAlgorithm: head.checksumAlgorithm, checksumType: head.checksumType, value: checksumValue },
      details: this.copiedDetails(request, source),
      storageClass: head.storageClass,
      isShared: true,
      lock: request.lock,
      expiresAtSeconds: request.expiresAtSeconds,
      largeObject: source.record.largeObject,
    }
    const bound = sealing ? await this.encryption.bound(bucket.id, key, sealing, version) : version
    const clockMs = this.storeClock.nowMs()
    const put = { bucketId: bucket.id, key, uploadId: undefined, conditions, version: bound, clockMs, hints: [] }
    const stored = await this.metadata.run(putVersion({ ...put, sharesWith: source.info.versionId }))
    return putResultOf(stored, checksumValue, sealing)
  }

  /** `md5`: the ETag that the copy keeps. */
  private async copyBytes(request: CopyRequest, source: OpenObject, md5?: Uint8Array): Promise<PutResult> {
    const { headers, userMetadata } = copiedAttributes(request, source.info)
    const { range } = request
    const body = bodyOfSource(range === undefined ? source : source.withRange(range), request.signal)
    const attributes = { headers, userMetadata }
    const isList = !(source instanceof LargeSource) && range === undefined
    const largeObject = isList ? source.opened.record.largeObject : undefined
    const put = { ...request, attributes, body, largeObject }
    const algorithm = request.checksumAlgorithm ?? source.info.checksum?.algorithm ?? defaultChecksumOf(put)
    return this.store(put, this.copiedDetails(request, source.opened), algorithm, md5)
  }

  async parts(
    target: ObjectTarget,
    page: { readonly afterPart: number; readonly max: number },
  ): Promise<{ info: ObjectInfo; parts: readonly ObjectPart[]; next: number | undefined }> {
    const { bucket, key, versionId, clientKey } = target
    const { rows, parts, next } = await this.metadata.ask(partsOfVersion(bucket.id, key, versionId, page))
    this.requireUnexpired({ bucket, versionId }, rows)
    const { record } = rows
    await this.encryption.checkClientKey(bucket.id, record.sealing, clientKey)
    const algorithm = record.head.checksumAlgorithm
    const type = checksumOf(record)?.type ?? "FULL_OBJECT"
    return {
      info: infoOf(rows),
      parts: parts.map(part => ({
        partNumber: part.partNumber,
        sizeBytes: bytesOfLine(part),
        checksum:
          algorithm && part.checksumValue !== undefined ? { algorithm, type, value: part.checksumValue } : undefined,
      })),
      next,
    }
  }

  async getTags({ bucket, key, versionId }: ObjectTarget): Promise<{ versionId: PutResult["versionId"]; tags: Tags }> {
    const rows = await this.metadata.ask(versionRows(bucket.id, key, versionId))
    this.requireUnexpired({ bucket, versionId }, rows)
    const isVersioned = bucket.versioning !== "never"
    return { versionId: isVersioned ? infoOf(rows).versionId : undefined, tags: rows.details.tags }
  }

  async setTags({ bucket, key, versionId }: ObjectTarget, tags: Tags): Promise<{ versionId: PutResult["versionId"] }> {
    return { versionId: await this.metadata.run(setTags({ bucketId: bucket.id, key, versionId }, tags)) }
  }

  async setAttributes({
    bucket,
    key,
    versionId,
    attributes,
    expiresAtSeconds,
    conditions,
  }: SetAttributesRequest): ReturnType<Objects["setAttributes"]> {
    await this.ingest.expiring.prepare(bucket.id, expiresAtSeconds)
    const { headers, userMetadata } = packDetails({ ...attributes, tags: [] })
    const to = { headers, userMetadata, expiresAtSeconds, conditions, clockMs: this.storeClock.nowMs() }
    const changed = await this.metadata.run(setAttributes({ bucketId: bucket.id, key, versionId }, to))
    const { versionId: shown, etag, lastModifiedMs } = putResultOf(changed, undefined)
    return { versionId: shown, etag, lastModifiedMs }
  }

  async setAcl(
    { bucket, key, versionId }: ObjectTarget,
    acl: ObjectAcl | undefined,
  ): Promise<{ versionId: PutResult["versionId"] }> {
    return { versionId: await this.metadata.run(setAcl({ bucketId: bucket.id, key, versionId }, acl)) }
  }

  async getLock({ bucket, key, versionId }: ObjectTarget): Promise<VersionLock | undefined> {
    if (bucket.lock === undefined) throw fail("noObjectLock")
    const rows = await this.metadata.ask(versionRows(bucket.id, key, versionId))
    this.requireUnexpired({ bucket, versionId }, rows)
    return rows.record.lock
  }

  /** The time by which objects expire. */
  clockMs(): number {
    return this.reader.clockMs()
  }

  private requireUnexpired(
    { bucket, versionId }: Pick<GetRequest, "bucket" | "versionId">,
    { found }: VersionRows,
  ): void {
    requireUnexpired(found, { versionId, versioning: bucket.versioning, nowMs: this.clockMs() })
  }

  async setRetention(
    { bucket, key, versionId }: ObjectTarget,
    retention: Retention | undefined,
    bypassGovernance: boolean,
  ): Promise<void> {
    const to = { retention, bypassGovernance, clockMs: this.storeClock.nowMs() }
    await this.metadata.run(setRetention({ bucketId: bucket.id, key, versionId }, to))
  }

  async setLegalHold({ bucket, key, versionId }: ObjectTarget, legalHold: boolean): Promise<void> {
    await this.metadata.run(setLegalHold({ bucketId: bucket.id, key, versionId }, legalHold))
  }

  async list(request: ListRequest): Promise<ListPage> {
    const { page, extras } = await this.metadata.ask(pageOfObjects(request))
    return pageOf(page, extras)
  }

  async listVersions(request: ListVersionsRequest): Promise<VersionsPage> {
    return this.metadata.ask(pageOfVersions(request))
  }
}

/** Returns true if the copy has the source's key and keeps its checksum: it may then share its bytes by reference. */
function isOfSameBytes({ source, bucket, key, checksumAlgorithm }: CopyRequest, { record }: OpenVersion): boolean {
  if (source.bucket.id !== bucket.id || source.key !== key) return false
  return checksumAlgorithm === undefined || checksumAlgorithm === record.head.checksumAlgorithm
}

const keepsClass = ({ storageClass = "STANDARD" }: CopyRequest, { record }: OpenVersion): boolean =>
  storageClass === record.head.storageClass
