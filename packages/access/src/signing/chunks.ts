/**
 * The chain of signatures in a signed chunked body: each covers a chunk and the signature before it.
 *
 * Source  "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
 *         Chunks", Amazon S3 API Reference, and its page on trailing headers.
 */
import { EMPTY_SHA256 } from "./canonical.js"
import type { SigningKey } from "./keys.js"

export class ChunkSignatures {
  private previous: string

  /** `seed`: the signature of the request's headers. `scope`: `day/region/service/aws4_request`. */
  constructor(
    private readonly signingKey: SigningKey,
    private readonly timestamp: string,
    private readonly scope: string,
    seed: string,
  ) {
    this.previous = seed
  }

  /** The signature of the next chunk, given the hex SHA-256 of its data. */
  chunk(sha256Hex: string): string {
    return this.next("AWS4-HMAC-SHA256-PAYLOAD", `${EMPTY_SHA256}\n${sha256Hex}`)
  }

  /** The signature of the trailer, given the hex SHA-256 of its lines (`name:value\n` each). */
  trailer(sha256Hex: string): string {
    return this.next("AWS4-HMAC-SHA256-TRAILER", sha256Hex)
  }

  private next(kind: string, hashes: string): string {
    this.previous = this.signingKey.sign(`${kind}\n${this.timestamp}\n${this.scope}\n${this.previous}\n${hashes}`)
    return this.previous
  }
}
