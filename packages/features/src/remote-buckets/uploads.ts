/**
 * Uploads to other stores: objects of this store as they are sent there, in the parts that their clients chose where S3 allows these.
 *
 * Promises  Bytes of another object than the one that is described are never sent: a version that was replaced or removed meanwhile fails
 *           with `conflict` (`overtaken`).
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { ObjectKey, VersionId } from "@hayloft/base/ids.js"
import { MIB, PART_BYTES_MAX, PART_BYTES_MIN } from "@hayloft/base/limits.js"
import { asPromise } from "@hayloft/base/soon.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import type { Bucket, ObjectInfo, Objects } from "@hayloft/objects/index.js"
import type { OriginPart, OriginUpload } from "./contract.js"

const PART_BYTES = 64 * MIB
const PARTS_PAGE = 1_000

export interface UploadSource {
  readonly objects: Pick<Objects, "get" | "parts">
  /** Ends what is being read. */
  readonly signal: AbortSignal
}

interface Place {
  readonly bucket: Bucket
  readonly key: ObjectKey
}

interface Span {
  readonly first: number
  readonly lengthBytes: number
}

/** An object as it is sent to another store, without conditions. */
export async function uploadOf(
  source: UploadSource,
  place: Place,
  info: ObjectInfo,
): Promise<Omit<OriginUpload, "conditions">> {
  const { sizeBytes, userMetadata, headers } = info
  const sizes = await partSizesOf(source, place, info)
  const parts: OriginPart[] = []
  let first = 0
  for (const size of sizes) {
    const span = { first, lengthBytes: size }
    const md5 = sizes.length === 1 && hasMd5(info) ? info.etag : undefined
    parts.push({ sizeBytes: size, md5, open: () => bytesOfUpload(source, place, info.versionId, span, info.etag) })
    first += size
  }
  return { sizeBytes, headers, userMetadata, parts, isMultipart: info.partsCount !== undefined }
}

/** ETags of objects with such keys are random (`object/encryption-core.ts`): nothing can be compared with them. */
const hasRandomEtag = ({ encryption }: Pick<ObjectInfo, "encryption">): boolean =>
  encryption?.mode === "kms" || encryption?.mode === "client"

const hasMd5 = (info: Pick<ObjectInfo, "etag" | "encryption">): boolean =>
  !hasRandomEtag(info) && /^[0-9a-f]{32}$/.test(info.etag)

/** Lengths of the parts: those that the client chose, if S3 allows them. */
async function partSizesOf({ objects }: UploadSource, place: Place, info: ObjectInfo): Promise<readonly number[]> {
  const { sizeBytes, versionId, partsCount } = info
  if (partsCount === undefined && sizeBytes <= PART_BYTES_MAX) return [sizeBytes]
  const sizes: number[] = []
  const pages = walkPages(0, afterPart => {
    const page = { afterPart, max: PARTS_PAGE }
    const { bucket, key } = place
    return objects.parts({ bucket, key, versionId }, page)
  })
  for await (const found of pages) {
    sizes.push(...found.parts.map(part => part.sizeBytes))
  }
  const isWhole = sizes.reduce((sum, size) => sum + size, 0) === sizeBytes && sizes.length > 0
  const areAllowed = sizes.every((size, i) => i === sizes.length - 1 || size >= PART_BYTES_MIN)
  return isWhole && areAllowed ? sizes : evenSizes(sizeBytes)
}

/** With `etag`: of an object that has it, as another one may be the null version by now. */
export async function* bytesOfUpload(
  { objects, signal }: UploadSource,
  { bucket, key }: Place,
  versionId: VersionId,
  { first, lengthBytes }: Span,
  etag?: string,
): AsyncGenerator<Uint8Array> {
  if (lengthBytes === 0) return
  const range = { kind: "fromTo", first, last: first + lengthBytes - 1 } as const
  const conditions = etag === undefined ? {} : { ifMatch: [etag] }
  const body = await asPromise(() => objects.get({ bucket, key, versionId, range, conditions })).catch(orOvertaken)
  try {
    yield* body.read(signal)
  } finally {
    body.close()
  }
}

/** The version was replaced or removed since. */
export function orOvertaken(error: unknown): never {
  if (!isFailure(error, "noSuchVersion", "noSuchKey", "preconditionFailed")) throw error
  throw fail("conflict", { overtaken: true, reason: "a later write of the object has reached the remote first" }, error)
}

/**
 * Returns true if a remote whose ETags are of the bytes has the same ETag: the parts are those that the client chose.
 */
export const keepsEtag = (
  { parts, isMultipart }: Pick<OriginUpload, "parts" | "isMultipart">,
  info: Pick<ObjectInfo, "etag" | "encryption" | "partsCount">,
): boolean => {
  if (!isMultipart) return hasMd5(info)
  return !hasRandomEtag(info) && parts.length === info.partsCount && info.etag.endsWith(`-${parts.length}`)
}

/** Throws `remoteRefused`: what is here is kept, as the remote may have other bytes. */
export function checkEtag(theirs: string, own: string): void {
  if (theirs === own) return
  const message =
    "The remote's ETag of the written object is not that of its bytes. If its ETags are something else, as with its own KMS keys, set OpaqueETags in the bucket's setting."
  throw fail("remoteRefused", { message, etag: theirs, own })
}

function evenSizes(sizeBytes: number): readonly number[] {
  if (sizeBytes <= PART_BYTES_MAX) return [sizeBytes]
  const count = Math.ceil(sizeBytes / PART_BYTES)
  return Array.from({ length: count }, (_, i) => Math.min(PART_BYTES, sizeBytes - i * PART_BYTES))
}
