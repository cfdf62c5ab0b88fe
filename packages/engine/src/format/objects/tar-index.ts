/**
 * Tar index, version 1: the members of a tar archive, by path, and where the content of each is. So one member is read
 * as a byte range of the archive, and members are listed from any path on.
 *
 * Little-endian, lengths in parentheses:
 *
 *   0  magic "HLTI"       8  archive bytes (8)     24  bytes of all blocks (4)
 *   4  version (2)       16  members (4)           28  reserved (4)
 *   6  reserved (2)      20  blocks (4)
 *
 *   then blocks of 32 members, the last one perhaps shorter; for each block its offset behind the header (4); at the
 *   end XXH64 of everything before (8)
 *
 * A member: bytes that its path shares with that of the member before, other bytes of the path, these bytes; kind (1
 * byte: the number of the kind, and 16 if the time is in whole seconds); size; time; place of the content; and of links
 * and hard links the length of the target and the target. Numbers are varints: 7 bits a byte, the lowest first, 128 if
 * more follow. Time and place are differences: from the time of the member before (its seconds, rounded down, if in
 * seconds), and from the place that would follow its content, in units of 512 bytes; a negative one is stored as
 * -2n - 1, another as 2n. Before the first member of a block all is zero and no path is shared.
 *
 * Promises  Bytes that `TarIndex.open` accepts are those that were written. Reading decodes only members of the blocks
 *           that it passes.
 * Refuses   Anything else with `corruptRecord`.
 * Limits    4 GiB; sizes and offsets below 2^53; times up to `TAR_MODIFIED_MS_MAX` before and after 1970.
 */
import { assert } from "@hayloft/base/assert.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { bufferOf } from "../encoding/buffer-of.js"

/** Numbers are on disk: append only, 16 at most. `sparse`: a file of which only parts are stored. */
export const TAR_KINDS = [
  "file",
  "directory",
  "hardLink",
  "symlink",
  "sparse",
  "characterDevice",
  "blockDevice",
  "fifo",
  "other",
] as const
export type TarKind = (typeof TAR_KINDS)[number]

export interface TarMember {
  /** Without "./" before it; of a directory without "/" behind it. */
  readonly path: Uint8Array
  readonly kind: TarKind
  /** The size of the content that readers get; for a sparse file, that of the whole file. */
  readonly sizeBytes: number
  readonly modifiedMs: number
  /** Offset of the content, a multiple of 512. A hard link has the offset of its target, or 0 if the target does not exist. */
  readonly offsetBytes: number
  /** The target of a link, as the archive states it; undefined for other members. */
  readonly linkTarget: Uint8Array | undefined
}

/** Some 31,000 years: differences of times are exact numbers. */
export const TAR_MODIFIED_MS_MAX = 1e15

const MAGIC = 0x4954_4c48
const VERSION = 1
const HEAD_BYTES = 32
const CHECKSUM_BYTES = 8
const BLOCK_MEMBERS = 32
const UNIT_BYTES = 512
const SECOND_MS = 1000
const WHOLE_SECONDS = 16
const KIND_MASK = 15
const OFFSET_BYTES = 4
/** Seven numbers of a member are stored in 8 bytes each at most. */
const NUMBERS_BYTES_MAX = 7 * 8
const VARINT_BITS_MAX = 56
const NOTHING = Buffer.alloc(0)

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "tar index", field })
const hasTarget = (kind: TarKind): boolean => kind === "symlink" || kind === "hardLink"
const signedAsVarint = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value)
const signedOfVarint = (value: number): number => (value % 2 === 1 ? -(value + 1) / 2 : value / 2)
/** The place, in units, that would follow the content of a member and the header of the next one. */
const unitAfter = (offsetBytes: number, sizeBytes: number): number =>
  offsetBytes / UNIT_BYTES + Math.ceil(sizeBytes / UNIT_BYTES) + 1

/** Writes an index, member by member, in ascending order of their paths as bytes. */
export class TarIndexWriter {
  private bytes: Buffer
  private end = HEAD_BYTES
  private members = 0
  private readonly blockOffsets: number[] = []
  private previousPath = Buffer.alloc(256)
  private previousBytes = 0
  private previousMs = 0
  private nextUnit = 0

  constructor(private readonly archiveBytes: number) {
    this.bytes = Buffer.alloc(4096)
  }

  /** How long the index would be now. */
  get lengthBytes(): number {
    return this.end + OFFSET_BYTES * this.blockOffsets.length + CHECKSUM_BYTES
  }

  add({ path, kind, sizeBytes, modifiedMs, offsetBytes, linkTarget }: TarMember): void {
    const isInOrder = this.previousPath.compare(path, 0, path.length, 0, this.previousBytes) < 0
    assert(this.members === 0 || isInOrder, "members are added in order")
    assert(offsetBytes % UNIT_BYTES === 0, "content begins at a multiple of 512")
    assert(Math.abs(modifiedMs) <= TAR_MODIFIED_MS_MAX && Number.isInteger(modifiedMs), "the time can be stored")
    this.ensure(path.length + (linkTarget?.length ?? 0) + NUMBERS_BYTES_MAX)
    const isFirst = this.members % BLOCK_MEMBERS === 0
    if (isFirst) this.beginBlock()
    const shared = isFirst ? 0 : commonBytes(this.previousPath, this.previousBytes, path)
    this.varint(shared)
    this.varint(path.length - shared)
    this.raw(path.subarray(shared))
    const isWhole = modifiedMs % SECOND_MS === 0
    this.bytes[this.end] = TAR_KINDS.indexOf(kind) | (isWhole ? WHOLE_SECONDS : 0)
    this.end += 1
    this.varint(sizeBytes)
    const sinceMs = this.previousMs
    const time = isWhole ? modifiedMs / SECOND_MS - Math.floor(sinceMs / SECOND_MS) : modifiedMs - sinceMs
    this.varint(signedAsVarint(time))
    this.varint(signedAsVarint(offsetBytes / UNIT_BYTES - this.nextUnit))
    if (hasTarget(kind)) {
      const target = linkTarget ?? NOTHING
      this.varint(target.length)
      this.raw(target)
    }
    this.members += 1
    this.keepPath(path)
    this.previousMs = modifiedMs
    this.nextUnit = unitAfter(offsetBytes, sizeBytes)
  }

  private keepPath(path: Uint8Array): void {
    if (path.length > this.previousPath.length) this.previousPath = Buffer.alloc(2 * path.length)
    this.previousPath.set(path)
    this.previousBytes = path.length
  }

  private beginBlock(): void {
    this.blockOffsets.push(this.end - HEAD_BYTES)
    this.previousMs = 0
    this.nextUnit = 0
  }

  private ensure(moreBytes: number): void {
    if (this.end + moreBytes <= this.bytes.length) return
    const larger = Buffer.alloc(2 * (this.bytes.length + moreBytes))
    this.bytes.copy(larger, 0, 0, this.end)
    this.bytes = larger
  }

  private raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.end)
    this.end += bytes.length
  }

  private varint(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, "a varint is a safe integer")
    let [left, at] = [value, this.end]
    for (; left >= 0x80; at += 1) {
      this.bytes[at] = (left % 0x80) | 0x80
      left = Math.floor(left / 0x80)
    }
    this.bytes[at] = left
    this.end = at + 1
  }

  /** The index, in memory of its own. The writer is of no use afterwards. */
  finish(): Uint8Array {
    const blocksBytes = this.end - HEAD_BYTES
    const whole = Buffer.alloc(this.lengthBytes)
    this.bytes.copy(whole, 0, 0, this.end)
    whole.writeUInt32LE(MAGIC, 0)
    whole.writeUInt16LE(VERSION, 4)
    whole.writeBigUInt64LE(BigInt(this.archiveBytes), 8)
    whole.writeUInt32LE(this.members, 16)
    whole.writeUInt32LE(this.blockOffsets.length, 20)
    whole.writeUInt32LE(blocksBytes, 24)
    let at = this.end
    for (const offset of this.blockOffsets) at = whole.writeUInt32LE(offset, at)
    whole.writeBigUInt64LE(xxh64(whole.subarray(0, at)), at)
    this.bytes = NOTHING
    return whole
  }
}

function commonBytes(a: Uint8Array, aBytes: number, b: Uint8Array): number {
  const end = Math.min(aBytes, b.length)
  let at = 0
  while (at < end && a[at] === b[at]) at += 1
  return at
}

/** A verified index, read in place. */
export class TarIndex {
  private constructor(
    private readonly bytes: Buffer,
    readonly archiveBytes: number,
    readonly members: number,
    private readonly blocks: number,
    private readonly blocksEnd: number,
  ) {}

  /** Keeps the bytes, which must not change. */
  static open(encoded: Uint8Array): TarIndex {
    const bytes = bufferOf(encoded)
    const end = bytes.length - CHECKSUM_BYTES
    if (end < HEAD_BYTES) throw corrupt("length")
    if (bytes.readUInt32LE(0) !== MAGIC || bytes.readUInt16LE(4) !== VERSION) throw corrupt("magic")
    if (bytes.readBigUInt64LE(end) !== xxh64(bytes.subarray(0, end))) throw corrupt("checksum")
    const [members, blocks] = [bytes.readUInt32LE(16), bytes.readUInt32LE(20)]
    const blocksEnd = HEAD_BYTES + bytes.readUInt32LE(24)
    if (blocks !== Math.ceil(members / BLOCK_MEMBERS)) throw corrupt("blocks")
    if (blocksEnd + OFFSET_BYTES * blocks !== end) throw corrupt("length")
    const archiveBytes = Number(bytes.readBigUInt64LE(8))
    if (!Number.isSafeInteger(archiveBytes)) throw corrupt("archive bytes")
    return new TarIndex(bytes, archiveBytes, members, blocks, blocksEnd)
  }

  /** The bytes of the index itself, in memory as well. */
  get lengthBytes(): number {
    return this.bytes.length
  }

  find(path: Uint8Array): TarMember | undefined {
    const cursor = this.cursorAt(path)
    return cursor.isAtEnd || cursor.compare(path) !== 0 ? undefined : cursor.member()
  }

  /** The members whose paths are at or above this one, in order of the bytes of their paths. */
  *from(path: Uint8Array): Generator<TarMember, void> {
    for (const cursor = this.cursorAt(path); !cursor.isAtEnd; cursor.next()) yield cursor.member()
  }

  /** At the first member whose path is at or above this one. */
  private cursorAt(path: Uint8Array): MemberCursor {
    // The first block that begins above the path: the one before may have it.
    let [low, high] = [0, this.blocks]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.cursorOfBlock(middle).compare(path) <= 0) low = middle + 1
      else high = middle
    }
    const cursor = this.cursorOfBlock(Math.max(0, low - 1))
    while (!cursor.isAtEnd && cursor.compare(path) < 0) cursor.next()
    return cursor
  }

  private cursorOfBlock(block: number): MemberCursor {
    const at = block < this.blocks ? this.bytes.readUInt32LE(this.blocksEnd + OFFSET_BYTES * block) : 0
    return new MemberCursor(this.bytes, HEAD_BYTES + at, this.blocksEnd, this.members - block * BLOCK_MEMBERS)
  }
}

/** Stands at a member of an index, from the first one of a block on. */
class MemberCursor {
  private path = Buffer.alloc(256)
  private pathBytes = 0
  private kind: TarKind = "file"
  private sizeBytes = 0
  private modifiedMs = 0
  private offsetBytes = 0
  private targetAt = 0
  private targetBytes = 0
  private passed = 0

  /** `left`: how many members there are from here on. */
  constructor(
    private readonly bytes: Buffer,
    private at: number,
    private readonly end: number,
    private left: number,
  ) {
    if (left > 0) this.decode()
  }

  get isAtEnd(): boolean {
    return this.left <= 0
  }

  next(): void {
    this.left -= 1
    this.passed += 1
    if (this.left > 0) this.decode()
  }

  /** Negative if the path here is below this one. */
  compare(path: Uint8Array): number {
    return this.path.compare(path, 0, path.length, 0, this.pathBytes)
  }

  member(): TarMember {
    const { kind, sizeBytes, modifiedMs, offsetBytes, targetAt } = this
    const linkTarget = hasTarget(kind) ? copyOf(this.bytes, targetAt, targetAt + this.targetBytes) : undefined
    return { path: copyOf(this.path, 0, this.pathBytes), kind, sizeBytes, modifiedMs, offsetBytes, linkTarget }
  }

  private decode(): void {
    const isFirst = this.passed % BLOCK_MEMBERS === 0
    this.decodePath(isFirst)
    const [previousMs, nextUnit] = isFirst ? [0, 0] : [this.modifiedMs, unitAfter(this.offsetBytes, this.sizeBytes)]
    const flags = this.bytes[this.skip(1)] ?? 0
    const kind = TAR_KINDS[flags & KIND_MASK]
    if (kind === undefined) throw corrupt("kind")
    this.kind = kind
    this.sizeBytes = this.varint()
    const time = signedOfVarint(this.varint())
    const isWhole = (flags & WHOLE_SECONDS) !== 0
    this.modifiedMs = isWhole ? (Math.floor(previousMs / SECOND_MS) + time) * SECOND_MS : previousMs + time
    this.offsetBytes = (nextUnit + signedOfVarint(this.varint())) * UNIT_BYTES
    this.targetBytes = hasTarget(kind) ? this.varint() : 0
    this.targetAt = this.skip(this.targetBytes)
  }

  private decodePath(isFirst: boolean): void {
    const [shared, rest] = [this.varint(), this.varint()]
    if (shared > (isFirst ? 0 : this.pathBytes)) throw corrupt("path")
    const from = this.skip(rest)
    if (shared + rest > this.path.length) {
      const larger = Buffer.alloc(2 * (shared + rest))
      this.path.copy(larger, 0, 0, shared)
      this.path = larger
    }
    this.bytes.copy(this.path, shared, from, from + rest)
    this.pathBytes = shared + rest
  }

  /** Passes so many bytes; returns where they begin. */
  private skip(lengthBytes: number): number {
    const from = this.at
    if (lengthBytes > this.end - from) throw corrupt("member")
    this.at = from + lengthBytes
    return from
  }

  private varint(): number {
    let [value, scale] = [0, 1]
    for (let bits = 0; bits < VARINT_BITS_MAX; bits += 7) {
      const byte = this.bytes[this.skip(1)] ?? 0
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 0x80
    }
    throw corrupt("number")
  }
}

/** In memory of its own: the index may be large, and the copy be kept longer. */
const copyOf = (bytes: Uint8Array, from: number, to: number): Uint8Array => Uint8Array.from(bytes.subarray(from, to))
