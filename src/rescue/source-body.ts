/**
 * Bodies of a rescue on their way into the new store. What goes wrong on the source's side is kept apart
 * from what goes wrong in the store, since the one costs an object and the other the rescue.
 */
import { asFailure, isFailure, type Failure } from "../base/failures.js"
import type { BodySource } from "../object/contract.js"
import type { ChecksumAlgorithm } from "../seams/compute/contract.js"
import type { WholeBody } from "./plan.js"
import type { SourceShards } from "./source-shards.js"

export interface Promised {
  readonly md5: Uint8Array | undefined
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly value: string | undefined } | undefined
}

export class RescuedBody implements BodySource {
  readonly lengthBytes: number
  readonly md5?: Uint8Array
  readonly checksumAlgorithm?: ChecksumAlgorithm
  /** Why the source could not give it. */
  failure: Failure | undefined

  constructor(
    private readonly shards: SourceShards,
    private readonly from: Uint8Array | WholeBody,
    private readonly promised: Promised,
    private readonly onBytes: (count: number) => void,
    private readonly signal: AbortSignal,
  ) {
    this.lengthBytes = from instanceof Uint8Array ? from.length : from.extent.lengthBytes
    const { md5, checksum } = promised
    if (md5) this.md5 = md5
    if (checksum) this.checksumAlgorithm = checksum.algorithm
  }

  declaredChecksum(): string | undefined {
    return this.promised.checksum?.value
  }

  /** It is streamed, also where it is small: its bytes are counted, and its failures noted, on their way. */
  gather(): undefined {
    return undefined
  }

  async *open(): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of this.pieces()) {
        this.onBytes(piece.length)
        yield piece
      }
    } catch (error) {
      this.signal.throwIfAborted()
      if (!isFailure(error)) throw error
      this.failure = error
      throw error
    }
  }

  private pieces(): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
    const { from } = this
    return from instanceof Uint8Array ? [from] : this.shards.read(from, this.signal, "reader")
  }

  /** What is wrong with the source, where that is why it failed; throws any other error. */
  reasonOf(error: unknown): string {
    if (this.failure) return this.failure.message
    if (isFailure(error, "badDigest", "incompleteBody"))
      return `its bytes are not those that were stored: ${asFailure(error).message}`
    throw error
  }
}
