/** Reads whole bodies and compares them with every length and digest that the client declared. */
import { concatBytes, equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { BodySource, StoredChecksum } from "@hayloft/objects/contract.js"
import { wrongChecksum, wrongMd5 } from "@hayloft/objects/index.js"
import { OBJECT_BYTES_MAX } from "@hayloft/base/limits.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import { fullChecksum, hex, md5, sha256 } from "./digests.js"

export interface CheckedBody {
  readonly bytes: Uint8Array
  readonly etag: string
  readonly checksum: StoredChecksum | undefined
}

async function collect(body: BodySource): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let lengthBytes = 0
  for await (const piece of body.open()) {
    pieces.push(piece.slice())
    lengthBytes += piece.length
    if (lengthBytes > OBJECT_BYTES_MAX) throw fail("entityTooLarge")
  }
  return concatBytes(pieces)
}

/**
 * Reads a body. `algorithm` is the checksum to store if the body does not name one.
 * Throws `incompleteBody`, `badDigest`, `contentSha256Mismatch`, `entityTooLarge`.
 */
export async function readBody(body: BodySource, algorithm?: ChecksumAlgorithm): Promise<CheckedBody> {
  const bytes = await (body.gather() ?? collect(body))
  if (body.lengthBytes !== undefined && bytes.length !== body.lengthBytes) throw fail("incompleteBody")
  const digest = md5(bytes)
  if (body.md5 !== undefined && !equalBytes(digest, body.md5)) throw wrongMd5(body.md5, digest)
  if (body.sha256Hex !== undefined && hex(sha256(bytes)) !== body.sha256Hex) throw fail("contentSha256Mismatch")
  const kept = body.checksumAlgorithm ?? algorithm
  const checksum = kept === undefined ? undefined : fullChecksum(kept, bytes)
  const declared = body.declaredChecksum()
  if (declared !== undefined && declared !== checksum?.value) throw wrongChecksum(kept)
  return { bytes, etag: hex(digest), checksum }
}
