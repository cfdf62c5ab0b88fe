/**
 * Source bodies: stream from a rescue's sources into the new store. They keep errors of the source apart from errors
 * of the new store: the former fail one object, the latter the rescue.
 */
import { asFailure, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { BodySource } from "@hayloft/objects/contract.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import type { BodyRange } from "./plan.js"
import type { SourceShards } from "./source-shards.js"

export interface Promised {
  readonly md5: Uint8Array | undefined
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly value: string | undefined } | undefined
}

export class RescuedBody implements BodySource {
  readonly lengthBytes: number
  readonly md5?: Uint8Array
  readonly checksumAlgorithm?: ChecksumAlgorithm
  /** The reason why the source could not be read. */
  failure: Failure | undefined

  constructor(
    private readonly shards: SourceShards,
    private readonly from: Uint8Array | readonly BodyRange[],
    private readonly promised: Promised,
    private readonly onBytes: (count: number) => void,
    private readonly signal: AbortSignal,
  ) {
    this.lengthBytes =
      from instanceof Uint8Array ? from.length : from.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
    const { md5, checksum } = promised
    if (md5) this.md5 = md5
    if (checksum) this.checksumAlgorithm = checksum.algorithm
  }

  declaredChecksum(): string | undefined {
    return this.promised.checksum?.value
  }

  /** Even a small body is streamed, so that its bytes are counted and its failures recorded. */
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

  private async *pieces(): AsyncGenerator<Uint8Array> {
    const { from } = this
    if (from instanceof Uint8Array) yield from
    else for (const range of from) yield* this.bytesOf(range)
  }

  /** The body is checked as a whole, and so it is read as a whole. */
  private async *bytesOf({ body, offsetBytes, lengthBytes }: BodyRange): AsyncGenerator<Uint8Array> {
    const end = offsetBytes + lengthBytes
    let at = 0
    for await (const piece of this.shards.read(body, this.signal, "reader")) {
      const [first, last] = [Math.max(offsetBytes - at, 0), Math.min(end - at, piece.length)]
      if (first < last) yield piece.subarray(first, last)
      at += piece.length
    }
  }

  /** Returns the error of the source if it caused the failure; throws any other error. */
  reasonOf(error: unknown): string {
    if (this.failure) return this.failure.message
    if (isFailure(error, "badDigest", "incompleteBody"))
      return `its bytes differ from the stored ones: ${asFailure(error).message}`
    throw error
  }
}

/** Neighbours that have so many bytes together, but for the last ones. */
export function grouped(ranges: readonly BodyRange[], partBytes: number): readonly (readonly BodyRange[])[] {
  const groups: BodyRange[][] = []
  let bytes = Infinity
  for (const range of ranges) {
    if (bytes >= partBytes) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)?.push(range)
    bytes += range.lengthBytes
  }
  return groups
}
