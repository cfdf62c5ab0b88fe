/** The result of a completed multipart upload: its token, ETag and checksum. Pure. */
import { concatBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { PartRecord, UploadRecord } from "@hayloft/engine/format/records.js"
import { plainBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import { base64Of, DEFAULT_CHECKSUM, otherAlgorithm, wrongChecksum } from "../bodies/body-check-core.js"
import type { CompletedPart, CompleteRequest } from "../contract.js"
import { combineCrcs, isCrc } from "./crc-combine-core.js"
import { NO_CHECKSUM, type NewVersion } from "./row-editor-core.js"

/** Identifies a completion by the parts that it lists; the caller hashes it. */
export const completionToken = (parts: readonly CompletedPart[]): Uint8Array =>
  Buffer.from(parts.map(part => `${part.partNumber} ${part.etag}`).join("\n"))

/** The bytes whose MD5 is the ETag: the MD5s of the parts, concatenated. */
export const etagOfParts = (parts: readonly PartRecord[]): Uint8Array => concatBytes(parts.map(part => part.md5))

const bytesOfBase64 = (text: string): Uint8Array => Buffer.from(text, "base64")

/**
 * Returns the checksum of an upload without an algorithm; undefined if a part has none, like those from before there
 * was a default.
 */
const defaultOf = (parts: readonly PartRecord[]): UploadRecord["checksum"] =>
  parts.every(part => part.checksumValue !== undefined)
    ? { algorithm: DEFAULT_CHECKSUM, type: "FULL_OBJECT" }
    : undefined

/**
 * The checksum of the whole object from those of its parts: a digest of digests with "-N" (COMPOSITE), or the CRC of
 * all bytes (FULL_OBJECT). Throws `badDigest` if it differs from the declared one, and `invalidRequest` if the request
 * declares another algorithm or type.
 */
export function wholeChecksum(
  request: Pick<CompleteRequest, "checksum" | "checksumType">,
  upload: Pick<UploadRecord, "checksum">,
  parts: readonly PartRecord[],
  digest: (bytes: Uint8Array) => Uint8Array,
): NewVersion["checksum"] {
  const declared = upload.checksum ?? defaultOf(parts)
  if (!declared) {
    if (request.checksum)
      throw fail("invalidRequest", { message: "the upload was created without a checksum algorithm" })
    return NO_CHECKSUM
  }
  const { algorithm, type } = declared
  if (request.checksumType && request.checksumType !== type) {
    throw fail("invalidRequest", {
      message: `The upload was created using the ${type} checksum mode. The complete request must use the same checksum mode.`,
    })
  }
  if (request.checksum && request.checksum.algorithm !== algorithm) {
    throw fail("invalidRequest", { message: otherAlgorithm(algorithm, request.checksum.algorithm) })
  }
  const values = parts.map(part => {
    if (part.checksumValue === undefined) throw fail("invalidPart", { partNumber: part.partNumber })
    return { value: bytesOfBase64(part.checksumValue), lengthBytes: plainBytesOf(part.extent) }
  })
  const value =
    type === "FULL_OBJECT" && isCrc(algorithm)
      ? base64Of(combineCrcs(algorithm, values))
      : `${base64Of(digest(concatBytes(values.map(part => part.value))))}-${parts.length}`
  if (request.checksum && request.checksum.value !== value && `${request.checksum.value}-${parts.length}` !== value) {
    throw wrongChecksum(algorithm)
  }
  return { checksumAlgorithm: algorithm, checksumType: type, value }
}
