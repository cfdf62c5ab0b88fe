/**
 * Sealed import: takes over encrypted objects of another store as they are, for a rescue. Nobody has all their keys: a
 * client keeps that of SSE-C.
 *
 * Promises  The bytes stay those of the other store; only the record is bound again, and the secret of the bucket is sealed
 *           under a key of this store. Bytes that need neither a client nor a key service are read back and opened before
 *           an object is made of them; of others, the stored bytes are verified.
 * Failures  `keysUnavailable`, `corruptSeal`, `badDigest`: of the object. Others are those of the services.
 */
import { must } from "@hayloft/base/assert.js"
import { equalBytes, hexOf } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { MultipartId, ObjectKey, UploadId } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import type { SealedUpload } from "@hayloft/engine/format/needles/recovery-header.js"
import type { UploadRecord } from "@hayloft/engine/format/records.js"
import { plainBytesOf, type Sealing } from "@hayloft/engine/format/needles/sealing.js"
import type { LargeObject, VersionDetails } from "@hayloft/engine/format/objects/version-record.js"
import { multipartIdOf, RANDOM_BYTES } from "@hayloft/engine/format/objects/version-id.js"
import type { LostKeys, ObjectKeys } from "@hayloft/access/keys/contract.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { Hashes } from "@hayloft/base/seams/compute/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { useClass } from "../class-policies.js"
import { createUpload, putPart } from "../commands/multipart-commands-core.js"
import type { NewVersion } from "../commands/row-editor-core.js"
import { putVersion } from "../commands/version-commands-core.js"
import type { Bucket, MultipartTarget, VersionLock } from "../contract.js"
import { factsOf, hasRandomEtag } from "./encryption-core.js"
import type { Carried, Ingest } from "./ingest.js"
import { headersOf } from "../queries/object-info-core.js"
import type { SealedBodies } from "./sealed-body.js"
import type { StoreClock } from "../store-clock.js"

const MD5_BYTES = 16

/** How the other store has sealed an object, and the keys of its bucket there. */
export interface SealedSource extends LostKeys {
  readonly sealing: Sealing
}

type SealedBody = Carried["body"]
type Hints = Parameters<Parameters<Ingest["carry"]>[1]>[0]["hints"]

interface Described {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly details: VersionDetails
  readonly lock: VersionLock | undefined
  readonly storageClass: StorageClass
  readonly sealed: SealedSource
}

interface ImportedObject extends Described {
  /** A payload, or a body. */
  readonly content: Uint8Array | SealedBody
  /** The size of the plaintext. */
  readonly sizeBytes: number
  /** The MD5 of the ETag; it is undefined if it is lost. */
  readonly md5: Uint8Array | undefined
  readonly checksum: NewVersion["checksum"]
  readonly largeObject?: LargeObject | undefined
  /** It is the same as in `PutRequest`. */
  readonly expiresAtSeconds?: number | undefined
  readonly signal: AbortSignal
}

interface ImportedPart extends Omit<ImportedObject, "content" | "checksum" | "sizeBytes"> {
  readonly multipartId: MultipartId
  readonly partNumber: number
  readonly body: SealedBody
  readonly checksumValue: string | undefined
}

interface Parts {
  readonly clock: Clock
  readonly metadata: Metadata
  readonly ingest: Ingest
  readonly keys: ObjectKeys
  readonly sealedBodies: SealedBodies
  readonly storeClock: StoreClock
}

export class SealedImport {
  private readonly random: Random

  constructor(
    private readonly parts: Parts,
    random: Random,
  ) {
    this.random = random.fork("sealed import")
  }

  /** Gives a bucket the secret that it had. Throws `keysUnavailable` if it has another one already. */
  async restoreSecret({ id }: Bucket, secret: Uint8Array): Promise<undefined> {
    await this.parts.keys.restoreSecret(id, secret)
    return undefined
  }

  /** Makes it the key's latest version. */
  async put(request: ImportedObject): Promise<undefined> {
    const { bucket, content, sealed, storageClass } = request
    await useClass(this.parts.ingest.classes, storageClass)
    await this.parts.ingest.expiring.prepare(bucket.id, request.expiresAtSeconds)
    if (request.largeObject) await this.parts.ingest.expiring.refuseEarlier()
    await this.parts.keys.restore(bucket.id, sealed.sealing, sealed)
    if (!(content instanceof Uint8Array)) {
      const what = { ...request, body: content, part: 0, multipartId: undefined }
      await this.carry(what, async (extent, hints) => {
        const md5 = await this.md5Of(request, extent)
        const version = { content: { kind: "extent", extent }, payload: undefined, md5 } as const
        await this.commit(
          request,
          { ...version, sizeBytes: plainBytesOf(extent) },
          { uploadId: extent.uploadId, hints },
        )
      })
      return
    }
    const md5 = await this.md5OfPayload(request, content)
    const { sizeBytes } = request
    const version = { content: { kind: "inline" }, payload: content, md5, sizeBytes } as const
    await this.commit(request, version, { uploadId: undefined, hints: [] })
    return undefined
  }

  async createUpload(
    request: Described & { readonly checksum: UploadRecord["checksum"] },
  ): Promise<Pick<MultipartTarget, "multipartId">> {
    const { bucket, key, details, lock, storageClass, sealed, checksum } = request
    const { clock, ingest, keys, metadata, storeClock } = this.parts
    await useClass(ingest.classes, storageClass)
    await keys.restore(bucket.id, sealed.sealing, sealed)
    const multipartId = multipartIdOf(clock.wallMs() * 1000, this.random.bytes(RANDOM_BYTES))
    const upload = { checksum, details, completion: undefined, ...(lock && { lock }), sealing: sealed.sealing }
    const ofClass = storageClass === "STANDARD" ? {} : { storageClass }
    const address = { bucketId: bucket.id, key, multipartId }
    await metadata.run(createUpload(address, { ...upload, ...ofClass }, { clockMs: storeClock.nowMs() }))
    return { multipartId }
  }

  async putPart(request: ImportedPart): Promise<{ readonly etag: string }> {
    const { bucket, key, multipartId, partNumber, checksumValue } = request
    return this.carry({ ...request, part: partNumber }, async (extent, hints) => {
      const md5 = await this.md5Of(request, extent)
      const part = { partNumber, md5, checksumValue, extent }
      await this.parts.metadata.run(putPart({ bucketId: bucket.id, key, multipartId, part, hints }))
      return { etag: hexOf(md5) }
    })
  }

  private async carry<Result>(
    request: Omit<ImportedPart, "partNumber" | "checksumValue" | "multipartId"> & Pick<Carried, "part" | "multipartId">,
    commit: (extent: Extent, hints: Hints) => Promise<Result>,
  ): Promise<Result> {
    const { bucket, key, details, lock, storageClass, sealed, body, part, multipartId, signal } = request
    const { contentType = "" } = headersOf(details)
    const rows = await this.parts.keys.rowsOf(bucket.id, sealed.sealing)
    const { epoch, sealed: sealedSecret, bucketKey } = rows
    const header: SealedUpload = {
      sealing: sealed.sealing,
      epoch,
      sealedSecret,
      sealedAs: body.sealedAs,
      ...(bucketKey && { bucketKey }),
    }
    const described = {
      bucket,
      key,
      part,
      multipartId,
      contentType,
      userMetadata: details.userMetadata,
      lock,
      storageClass,
    }
    return this.parts.ingest.carry({ ...described, sealed: header, body, signal }, ({ content, hints }) => {
      const extent = content.kind === "extent" ? content.extent : undefined
      return commit(must(extent, "sealed bodies are never inline"), hints)
    })
  }

  private async commit(
    request: ImportedObject,
    version: Pick<NewVersion, "content" | "payload" | "sizeBytes" | "md5">,
    { uploadId, hints }: { readonly uploadId: UploadId | undefined; readonly hints: Hints },
  ): Promise<void> {
    const { bucket, key, details, lock, storageClass, sealed, checksum, largeObject, expiresAtSeconds } = request
    const { keys, metadata, storeClock } = this.parts
    const facts = { ...version, parts: 0, random: this.random.bytes(RANDOM_BYTES) }
    const sealing = await keys.bind(sealed.sealing, factsOf(bucket.id, key, facts))
    const described = { checksum, details, storageClass, lock, sealing, largeObject, expiresAtSeconds }
    const whole = { ...facts, ...described, isShared: false }
    const clockMs = storeClock.nowMs()
    await metadata.run(
      putVersion({ bucketId: bucket.id, key, uploadId, conditions: {}, version: whole, clockMs, hints }),
    )
  }

  /** The MD5 of the ETag. Throws `badDigest`. */
  private async md5Of({ bucket, sealed, md5, signal }: WithMd5, extent: Extent): Promise<Uint8Array> {
    const { sealing } = sealed
    if (hasRandomEtag(sealing)) return md5 ?? this.random.bytes(MD5_BYTES)
    const key = await this.parts.keys.open(bucket.id, sealing, undefined)
    const range = { extent, offsetBytes: 0, lengthBytes: plainBytesOf(extent) }
    return checked(await hashOf(this.parts.sealedBodies.read([range], key, signal, "reader")), md5)
  }

  private async md5OfPayload({ bucket, sealed, md5 }: WithMd5, payload: Uint8Array): Promise<Uint8Array> {
    const { sealing } = sealed
    if (hasRandomEtag(sealing)) return md5 ?? this.random.bytes(MD5_BYTES)
    const key = await this.parts.keys.open(bucket.id, sealing, undefined)
    return checked(await hashOf([this.parts.sealedBodies.openPayload(payload, key)]), md5)
  }
}

async function hashOf(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uint8Array> {
  const hashes = new Hashes({ md5: true, sha256: false, checksum: undefined })
  for await (const piece of pieces) hashes.update(piece)
  return must(hashes.digests().md5, "an MD5 was requested")
}

type WithMd5 = Pick<ImportedObject, "bucket" | "sealed" | "md5" | "signal">

function checked(md5: Uint8Array, expected: Uint8Array | undefined): Uint8Array {
  if (expected !== undefined && !equalBytes(md5, expected)) throw fail("badDigest", { algorithm: "md5" })
  return md5
}
