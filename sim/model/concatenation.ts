/** The model's objects that consist of the bytes of others: it copies them. */
import { concatBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { requireAppends } from "@hayloft/features/appends/append-commands-core.js"
import { CONCATENATION_LIMITS } from "@hayloft/features/appends/concatenation-commands-core.js"
import type { CopyRequest, NamedSource, StoredChecksum } from "@hayloft/objects/contract.js"
import { resolveRange } from "@hayloft/objects/queries/range-core.js"
import { checkCopySource } from "./conditions.js"
import { fullChecksum, hex } from "./digests.js"
import { find, type ModelBucket, type ModelObject, type ModelState } from "./state.js"

interface Joined {
  readonly body: Uint8Array
  readonly etag: string
  readonly checksum: StoredChecksum | undefined
}

/** The ETag of bytes that have no parts any more. */
const unparted = (etag: string): string => etag.replace(/-\d+$/, "-1")

/** Returns true if a copy has the bytes of its source, and so keeps its ETag. */
export function isReferring(
  { source, bucket, key, range, checksumAlgorithm, storageClass = "STANDARD", encryption }: CopyRequest,
  { info, body }: ModelObject,
): boolean {
  const mayAppend = bucket.settings.includes("append") && bucket.versioning === "never"
  const isOther = source.bucket.id === bucket.id && source.key !== key
  const { checksum, segmentListBytes } = info
  const keepsChecksum = checksumAlgorithm === undefined || checksumAlgorithm === checksum?.algorithm
  return (
    mayAppend &&
    isOther &&
    range === undefined &&
    body.length >= CONCATENATION_LIMITS.copyBytesMin &&
    keepsChecksum &&
    checksum?.type !== "COMPOSITE" &&
    segmentListBytes === undefined &&
    info.storageClass === storageClass &&
    info.encryption === undefined &&
    encryption === undefined
  )
}

/** It has no parts that could be read by their numbers. */
export const keptDigests = ({ info: { etag, checksum, partsCount } }: ModelObject) => ({
  etag: unparted(etag),
  checksum,
  partsCount: partsCount === undefined ? undefined : 1,
})

/** Throws `noSuchKey`, `preconditionFailed`, `invalidRange`, `notImplemented`, `invalidRequest`. */
export function joinedSources(
  state: ModelState,
  bucket: ModelBucket,
  sources: readonly NamedSource[],
  storageClass: string,
): Joined {
  requireAppends(bucket.bucket)
  const found = sources.map(({ key, conditions, range }) => {
    const version = find(bucket, key, undefined)
    checkCopySource(conditions, version)
    if (version.info.encryption !== undefined || version.info.segmentListBytes !== undefined)
      throw fail("notImplemented")
    if (version.info.storageClass !== storageClass) throw fail("invalidRequest")
    const { body } = version
    const { first, lengthBytes } =
      range === undefined ? { first: 0, lengthBytes: body.length } : resolveRange(range, body.length)
    const isWhole = lengthBytes === body.length
    return { version, isWhole, bytes: body.subarray(first, first + lengthBytes) }
  })
  const body = concatBytes(found.map(({ bytes }) => bytes))
  if (body.length === 0) throw fail("invalidRequest")
  const [first] = found
  const isCopy = found.length === 1 && first?.isWhole === true
  const etag = isCopy ? unparted(first.version.info.etag) : `${hex(state.random.bytes(16))}-1`
  const checksums = found.map(({ version, isWhole }) => (isWhole ? version.info.checksum : undefined))
  const [kind] = checksums
  const isFull = kind?.type === "FULL_OBJECT" && checksums.every(each => each?.algorithm === kind.algorithm)
  if (!isFull || !checksums.every(each => each?.type === "FULL_OBJECT")) return { body, etag, checksum: undefined }
  const isCombined = isCopy || kind.algorithm.startsWith("CRC")
  return { body, etag, checksum: isCombined ? fullChecksum(kind.algorithm, body) : undefined }
}
