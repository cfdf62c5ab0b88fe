/**
 * Copies an object within a store, so that its bytes do not pass through this machine.
 *
 * Promises  The copy has the bytes, attributes and tags of the object that the given head describes; if another one was
 *           written since, it fails with 412. It appears whole or not at all; a failed copy in parts is aborted.
 * Limits    `COPY_BYTES_MAX` in one request: a store may be silent while it copies. `PARTS_CONCURRENT` at a time.
 */
import { MIB, PARTS_MAX } from "@hayloft/base/limits.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { ObjectHead, ObjectName, S3Client } from "./s3-client.js"
import type { Uploaded } from "./upload.js"

const COPY_BYTES_MAX = 512 * MIB
const PARTS_CONCURRENT = 4

interface CopyRequest {
  readonly from: ObjectName
  /** The head of the source. */
  readonly head: ObjectHead
  readonly to: ObjectName
  /** Instead of the source's. */
  readonly contentType?: string | undefined
  /** Called when bytes were copied. */
  readonly onProgress: (bytes: number) => void
}

/** The ranges of a copy in parts; `last` is inclusive. */
export function copyRanges(sizeBytes: number, partBytes: number): readonly { first: number; last: number }[] {
  const stepBytes = Math.max(partBytes, Math.ceil(sizeBytes / PARTS_MAX / MIB) * MIB)
  return Array.from({ length: Math.ceil(sizeBytes / stepBytes) }, (_, i) => ({
    first: i * stepBytes,
    last: Math.min(sizeBytes, (i + 1) * stepBytes) - 1,
  }))
}

export async function serverCopy(
  client: S3Client,
  request: CopyRequest,
  partBytes = COPY_BYTES_MAX,
): Promise<Uploaded> {
  const { from, head, to, contentType, onProgress } = request
  const { sizeBytes } = head
  const attributes =
    contentType === undefined
      ? head.attributes
      : [...head.attributes.filter(([name]) => name !== "content-type"), ["content-type", contentType] as const]
  if (sizeBytes <= partBytes) {
    const { etag } = await client.copy(from, head.etag, to, contentType === undefined ? undefined : attributes)
    onProgress(sizeBytes)
    return { etag, sizeBytes }
  }
  const tags = new URLSearchParams(Object.fromEntries(await client.getTags(from.bucket, from.key))).toString()
  const headers = tags === "" ? attributes : [...attributes, ["x-amz-tagging", tags] as const]
  const target = { ...to, uploadId: await client.createMultipart(to, headers) }
  try {
    const etags = await mapBounded(copyRanges(sizeBytes, partBytes), PARTS_CONCURRENT, async (range, index) => {
      const etag = await client.putPartCopy({ ...target, partNumber: index + 1 }, from, head.etag, range)
      onProgress(range.last - range.first + 1)
      return etag
    })
    const { etag } = await client.complete({ ...target, etags })
    return { etag, sizeBytes }
  } catch (error) {
    await client.abort(target).catch(() => undefined)
    throw error
  }
}
