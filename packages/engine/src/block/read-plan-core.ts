/**
 * Read plan: which pieces of which shards hold a range of an extent. Pure.
 *
 * A piece is inside one data shard of one block, ends at a 64 KiB boundary of its shard if possible, and is at most
 * 1 MiB long. The reader sets the maximum length of each piece (`read-ahead-core.ts`).
 */
import { must } from "@hayloft/base/assert.js"
import { MIB, SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { shardBytesOfBlock, shardCount, shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import { exceptionOf, type Extent, type ExtentException } from "../format/needles/extent.js"
import type { CodingShape } from "@hayloft/base/seams/compute/contract.js"

export const PIECE_BYTES_MAX = 1 * MIB

export interface ReadPiece {
  readonly block: number
  readonly slot: number
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** How one block of an extent is stored. */
export interface BlockShape {
  readonly lengthBytes: number
  readonly shardBytes: number
  readonly policy: Policy
  readonly generation: number
  readonly exception: ExtentException | undefined
}

export const shapeOf = (policy: Policy): CodingShape =>
  policy.kind === "replica"
    ? { kind: "copies", copies: policy.copies }
    : { kind: "code", k: policy.k, m: policy.m, matrix: policy.matrix }

export function blockShape(extent: Extent, block: number): BlockShape {
  const exception = exceptionOf(extent, block)
  const policy = exception?.policy ?? extent.policy
  const lengthBytes = Math.min(extent.blockBytes, extent.lengthBytes - block * extent.blockBytes)
  const shardBytes = shardBytesOfBlock(shardsNeeded(policy), lengthBytes)
  return { lengthBytes, shardBytes, policy, generation: exception?.generation ?? extent.generation, exception }
}

/** A range of an extent. */
export interface ExtentRange {
  readonly extent: Extent
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** The rest of some ranges, one after another. */
export class ReadPlan {
  private readonly ranges: Iterator<ExtentRange>
  private current: ExtentRange | undefined
  /** Ranges returned by `back`: read before all others. */
  private returned: ExtentRange[] = []

  constructor(ranges: Iterable<ExtentRange>) {
    this.ranges = ranges[Symbol.iterator]()
  }

  /** The next piece, of at most this many bytes; undefined at the end. Never empty. */
  next(bytesMax: number): PlannedPiece | undefined {
    const range = this.range()
    if (range === undefined) return undefined
    const piece = pieceAt(range, bytesMax)
    this.current = restOf(range, piece.lengthBytes)
    return { extent: range.extent, piece }
  }

  /** Returns the last pieces, in their order, to be read again, possibly in pieces of other lengths. */
  back(pieces: readonly (PlannedPiece | ExtentRange)[]): void {
    const rest = this.current === undefined ? [] : [this.current]
    this.returned = [...pieces.map(each => ("piece" in each ? rangeOf(each) : each)), ...rest, ...this.returned]
    this.current = undefined
  }

  /** Passes over the beginning of what is left, which is read in another way, and returns it. */
  pass(lengthBytes: number): ExtentRange {
    const range = must(this.range(), "there is more to read")
    this.current = restOf(range, lengthBytes)
    return { ...range, lengthBytes }
  }

  /** The range that the next piece is from; undefined at the end. */
  range(): ExtentRange | undefined {
    while (this.current === undefined || this.current.lengthBytes === 0) {
      const returned = this.returned.shift()
      const next = returned ? { done: false, value: returned } : this.ranges.next()
      if (next.done === true) return undefined
      this.current = next.value
    }
    return this.current
  }
}

export interface PlannedPiece {
  readonly extent: Extent
  readonly piece: ReadPiece
}

const restOf = ({ extent, offsetBytes, lengthBytes }: ExtentRange, readBytes: number): ExtentRange => ({
  extent,
  offsetBytes: offsetBytes + readBytes,
  lengthBytes: lengthBytes - readBytes,
})

/** The piece at the beginning of a range. */
function pieceAt({ extent, offsetBytes, lengthBytes }: ExtentRange, bytesMax: number): ReadPiece {
  const block = Math.floor(offsetBytes / extent.blockBytes)
  const { lengthBytes: blockLength, shardBytes, policy } = blockShape(extent, block)
  const inBlock = offsetBytes - block * extent.blockBytes
  // Blocks spread the reads of copies over their holders; coded data is in one place.
  const slot = policy.kind === "replica" ? block % shardCount(policy) : Math.floor(inBlock / shardBytes)
  const inShard = policy.kind === "replica" ? inBlock : inBlock % shardBytes
  const shardEnd = policy.kind === "replica" ? blockLength : Math.min(shardBytes, blockLength - slot * shardBytes)
  const boundary = Math.floor(inShard / SUB_BLOCK_BYTES) * SUB_BLOCK_BYTES + bytesMax
  const length = Math.min(lengthBytes, shardEnd - inShard, boundary - inShard)
  return { block, slot, offsetBytes: inShard, lengthBytes: length }
}

function rangeOf({ extent, piece }: PlannedPiece): ExtentRange {
  const { block, slot, offsetBytes, lengthBytes } = piece
  const { shardBytes, policy } = blockShape(extent, block)
  const inBlock = policy.kind === "replica" ? offsetBytes : slot * shardBytes + offsetBytes
  return { extent, offsetBytes: block * extent.blockBytes + inBlock, lengthBytes }
}
