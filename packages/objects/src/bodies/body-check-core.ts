/** Checks a body against the digests and length that its client declared. Pure. */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import type { BodyPromises, PutRequest } from "../contract.js"

/**
 * The checksum of bytes that come without one, as on S3; always FULL_OBJECT. The value that the row of a part has in an upload
 * without an algorithm is of this algorithm.
 */
export const DEFAULT_CHECKSUM = "CRC64NVME" satisfies ChecksumAlgorithm

/** A list of segments has none: it would be taken for that of the bytes that the list stands for. */
export const defaultChecksumOf = ({ largeObject }: Pick<PutRequest, "largeObject">): ChecksumAlgorithm | undefined =>
  largeObject === undefined ? DEFAULT_CHECKSUM : undefined

export const base64Of = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64")

/** Digests computed from the body: at least the declared ones. */
export interface BodyDigests {
  readonly md5: Uint8Array
  readonly sha256Hex: string | undefined
  readonly checksum: Uint8Array | undefined
}

/**
 * Throws `incompleteBody`, `contentSha256Mismatch` or `badDigest` if the bytes do not match the declared digests.
 * Returns the checksum in base64.
 */
export function checkBody(
  promises: BodyPromises,
  declaredChecksum: string | undefined,
  lengthBytes: number,
  digests: BodyDigests,
): string | undefined {
  if (promises.lengthBytes !== undefined && promises.lengthBytes !== lengthBytes) {
    throw fail("incompleteBody", { declaredBytes: promises.lengthBytes, receivedBytes: lengthBytes })
  }
  if (promises.sha256Hex !== undefined && promises.sha256Hex !== digests.sha256Hex) throw fail("contentSha256Mismatch")
  if (promises.md5 !== undefined && !equalBytes(promises.md5, digests.md5)) {
    throw fail("badDigest", { message: "the Content-MD5 does not match the body" })
  }
  const checksum = digests.checksum && base64Of(digests.checksum)
  if (declaredChecksum !== undefined && declaredChecksum !== checksum) {
    throw fail("badDigest", { algorithm: promises.checksumAlgorithm })
  }
  return checksum
}
