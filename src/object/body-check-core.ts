/** Checks of a body against what its client promised. Pure. */
import { equalBytes } from "../base/bytes.js"
import { fail } from "../base/failures.js"
import type { Digests } from "../seams/compute/contract.js"
import type { BodyPromises } from "./contract.js"

export const base64Of = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64")

/**
 * Throws `incompleteBody`, `contentSha256Mismatch` or `badDigest` where the bytes are not the promised
 * ones. Returns the checksum in base64.
 */
export function checkBody(
  promises: BodyPromises,
  declaredChecksum: string | undefined,
  lengthBytes: number,
  digests: Digests,
): string | undefined {
  if (promises.lengthBytes !== undefined && promises.lengthBytes !== lengthBytes) {
    throw fail("incompleteBody", { declaredBytes: promises.lengthBytes, receivedBytes: lengthBytes })
  }
  const differs = (promised: Uint8Array | undefined, found: Uint8Array | undefined) =>
    promised !== undefined && (found === undefined || !equalBytes(promised, found))
  if (differs(promises.sha256, digests.sha256)) throw fail("contentSha256Mismatch")
  if (differs(promises.md5, digests.md5))
    throw fail("badDigest", { message: "the Content-MD5 does not match the body" })
  const checksum = digests.checksum && base64Of(digests.checksum)
  if (declaredChecksum !== undefined && declaredChecksum !== checksum) {
    throw fail("badDigest", { algorithm: promises.checksumAlgorithm })
  }
  return checksum
}
