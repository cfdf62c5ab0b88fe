/**
 * Row sums: the sum, modulo 2^64, of the XXH64 of rows (key, flags, value). It does not depend on the order of
 * rows, and rows can be subtracted one by one, so a merge can show that it lost and changed nothing.
 */
import { XXH64_PIECE, xxh64Into, xxh64OfPieceInto } from "@hayloft/base/simd/xxh64.js"

const hashed = Buffer.alloc(8)

/** The hash of one row at a time, to add to several sums. */
export class RowHash {
  low = 0
  high = 0

  /** Hashes a row whose key and value are adjacent in `bytes[keyAt…end)`. */
  of(bytes: Buffer, keyAt: number, end: number, flags: number): this {
    hashRow(bytes, keyAt, end, flags)
    this.low = hashed.readUInt32LE(0)
    this.high = hashed.readUInt32LE(4)
    return this
  }
}

const ownHash = new RowHash()

export class RowSum {
  constructor(
    private low = 0,
    private high = 0,
  ) {}

  /** Adds a row whose key and value are adjacent in `bytes[keyAt…end)`. */
  add(bytes: Buffer, keyAt: number, end: number, flags: number): void {
    this.addHash(ownHash.of(bytes, keyAt, end, flags))
  }

  addHash({ low, high }: RowHash): void {
    this.plus(low, high)
  }

  addSum(other: RowSum): void {
    this.plus(other.low, other.high)
  }

  private plus(low: number, high: number): void {
    const sum = this.low + low
    this.low = sum >>> 0
    this.high = (this.high + high + (sum > 0xffff_ffff ? 1 : 0)) >>> 0
  }

  equals(other: RowSum): boolean {
    return this.low === other.low && this.high === other.high
  }

  copy(): RowSum {
    return new RowSum(this.low, this.high)
  }

  /** Low and high half, as formats store it. */
  get halves(): readonly [number, number] {
    return [this.low, this.high]
  }

  toString(): string {
    return this.high.toString(16).padStart(8, "0") + this.low.toString(16).padStart(8, "0")
  }
}

function hashRow(bytes: Buffer, keyAt: number, end: number, flags: number): void {
  const length = end - keyAt
  if (length < XXH64_PIECE.length) {
    bytes.copy(XXH64_PIECE, 0, keyAt, end)
    XXH64_PIECE[length] = flags
    xxh64OfPieceInto(length + 1, hashed, 0)
  } else {
    const row = Buffer.allocUnsafe(length + 1)
    bytes.copy(row, 0, keyAt, end)
    row[length] = flags
    xxh64Into(row, 0n, hashed, 0)
  }
}
