/** Checks a body against the digests and length that its client declared. Pure. */
import { equalBytes, hexOf } from "@hayloft/base/bytes.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
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

/** The failure for a body with another MD5 than `Content-MD5` says. The expected one is in hex, as Amazon reports it. */
export const wrongMd5 = (expected: Uint8Array, found: Uint8Array): Failure =>
  fail("badDigest", {
    message: "The Content-MD5 you specified did not match what we received.",
    expectedDigest: hexOf(expected),
    calculatedDigest: base64Of(found),
  })

/** The failure for bytes with another checksum than the declared one. */
export const wrongChecksum = (algorithm: ChecksumAlgorithm = DEFAULT_CHECKSUM): Failure =>
  fail("badDigest", { message: `The ${algorithm} you specified did not match the calculated checksum.`, algorithm })

/** Amazon's message for a checksum of another algorithm than that of the upload. */
export const otherAlgorithm = (expected: ChecksumAlgorithm, found: ChecksumAlgorithm): string =>
  `Checksum Type mismatch occurred, expected checksum Type: ${expected}, actual checksum Type: ${found}`

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
    throw wrongMd5(promises.md5, digests.md5)
  }
  const checksum = digests.checksum && base64Of(digests.checksum)
  if (declaredChecksum !== undefined && declaredChecksum !== checksum) {
    throw wrongChecksum(promises.checksumAlgorithm)
  }
  return checksum
}
