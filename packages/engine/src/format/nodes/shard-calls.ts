/**
 * Calls about shards, version 1: what one node sends to another that has a device, and what it receives.
 *
 * The header of each request and response begins with the version (1). All numbers are little-endian, except those in
 * needle keys (27 bytes, see `needle.ts`). Lengths are in parentheses.
 *
 *   number, call      request                                                   response
 *   1 deviceStates    nothing                                                   count (2); for each device: id (8),
 *                                                                               flags (1): 1 writable, 2 full
 *   2 append          flags (1): 1 unhurried, 2 the needle ends; device (8);    nothing
 *                     if it ends: when, in ms since 1970 (8), only on frames
 *                     of version 3; needle header. Body: the shard
 *   3 read            device (8), key (27), offset (4), length (4)              XXH64 of the range (8). Body: the range
 *   4 fetch           device (8), key (27), shard length (4), offset (4),       needle header. Body: the range
 *                     length (4)
 *   5 headerOf        device (8), key (27)                                      needle header
 *   6 has             count (2); for each needle: device (8), key (27)          an answer (1) for each: 0 no, 1 yes,
 *                                                                               2 index damaged, 3 device failed
 *   7 remove          device (8), count (2), keys                               nothing
 *   8 markSuspect     device (8), count (2), keys                               nothing
 *   9 indexed         flags (1): 1 a set of partitions ends the request;        end (1): 0 the range ends here, 1 more
 *                     device (8), needles wanted (4); two keys, each after      follows, 2 the index is damaged from
 *                     its length (1): inclusive start, exclusive end;           here on; next key, after its length (1),
 *                     set of partitions (8,192): bit p % 8 of byte p / 8        empty unless more follows.
 *                                                                               Body: 40 bytes for each needle
 *
 *   A needle in a page: key (27), flags (1): 1 suspect, 2 with policy and block length; body length (4); policy (4),
 *   block length (4), or zeros.
 *
 * Refuses   Anything else, with `malformedFrame` and a reason, before it allocates memory for it.
 */
import { assert } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { parseDeviceId, rowKeyOf, type DeviceId, type PartitionId, type RowKey } from "@hayloft/base/ids.js"
import { BLOCK_BYTES_MAX, PARTITIONS, SHARDS_MAX } from "@hayloft/base/limits.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { bufferOf } from "../encoding/buffer-of.js"
import { FRAME_VERSION_OF_ENDS } from "./frame.js"
import {
  decodeNeedleHeader,
  encodeNeedleHeader,
  needleHeaderLength,
  needleSeed,
  NEEDLE_BODY_BYTES_MAX,
  NEEDLE_KEY_BYTES,
  POLICY_BYTES,
  readNeedleKey,
  readPolicy,
  writeNeedleKey,
  writePolicy,
  type NeedleId,
  type ShardHeader,
  type ShardShape,
} from "../needles/needle.js"

/** The numbers of all calls between nodes. A number is never reused for another meaning. */
export const CALL_NUMBERS = {
  deviceStates: 1,
  append: 2,
  read: 3,
  fetch: 4,
  headerOf: 5,
  has: 6,
  remove: 7,
  markSuspect: 8,
  indexed: 9,
} as const

/** Needles that one call names. */
export const CALL_NEEDLES_MAX = 1_024
/** Devices of one node. */
export const NODE_DEVICES_MAX = 1_024
/** Needles in one page of an index. */
export const PAGE_NEEDLES_MAX = 4_096
/** One needle in a page. */
const LISTED_BYTES = NEEDLE_KEY_BYTES + 1 + 4 + POLICY_BYTES + 4
export const PAGE_BYTES_MAX = PAGE_NEEDLES_MAX * LISTED_BYTES
const SET_BYTES = PARTITIONS / 8

const VERSION = 1
const DEVICE_BYTES = 8
const CHECKSUM_BYTES = 8
const PLACE_BYTES = DEVICE_BYTES + NEEDLE_KEY_BYTES
const ROW_KEY_BYTES_MAX = 255
/** All needles of the range. */
const ALL = 0xffff_ffff

export interface RemoteDeviceState {
  readonly id: DeviceId
  readonly isWritable: boolean
  readonly isFull: boolean
}

/** A needle on one device. */
export interface ShardPlace {
  readonly deviceId: DeviceId
  readonly id: NeedleId
}

export interface AppendCall {
  readonly deviceId: DeviceId
  readonly header: ShardHeader
  readonly isUnhurried: boolean
  /** When the needle will probably be removed: a hint. Absent: unknown. */
  readonly endsAtMs?: number | undefined
}

export interface ReadCall extends ShardPlace {
  readonly offsetBytes: number
  readonly lengthBytes: number
}

export interface FetchCall extends ReadCall {
  readonly bodyBytes: number
}

interface NeedlesCall {
  readonly deviceId: DeviceId
  readonly ids: readonly NeedleId[]
}

/** The answer of a device on whether it has a needle; or why it cannot tell. */
export type HasAnswer = "no" | "yes" | "corruptRow" | "deviceFailed"

/** A set of partitions, one bit each. */
export class PartitionSet {
  private constructor(readonly bytes: Uint8Array) {}

  static of(partitions: Iterable<PartitionId>): PartitionSet {
    const bytes = new Uint8Array(SET_BYTES)
    for (const partition of partitions) bytes[partition >> 3] = (bytes[partition >> 3] ?? 0) | (1 << (partition & 7))
    return new PartitionSet(bytes)
  }

  static ofBytes(bytes: Uint8Array): PartitionSet {
    if (bytes.length !== SET_BYTES) throw malformed("set of partitions")
    return new PartitionSet(new Uint8Array(bytes))
  }

  has(partition: number): boolean {
    return ((this.bytes[partition >> 3] ?? 0) & (1 << (partition & 7))) !== 0
  }
}

export interface IndexedCall {
  readonly deviceId: DeviceId
  readonly start: RowKey
  readonly end: RowKey
  /** Infinity: all of the range. */
  readonly needlesMin: number
  /** It is undefined for all partitions. */
  readonly partitions: PartitionSet | undefined
}

/** A needle as an index lists it. */
export interface ListedNeedle {
  readonly key: RowKey
  readonly bodyBytes: number
  readonly shape: ShardShape | undefined
  readonly isSuspect: boolean
}

/** How a page of an index ends. */
export type PageEnd =
  | { readonly kind: "end" }
  /** The next page begins at `next`. */
  | { readonly kind: "more"; readonly next: RowKey }
  /** The index is damaged after the needles of this page. */
  | { readonly kind: "damaged" }

interface HeaderCodec<T> {
  encode(value: T, version?: number): Uint8Array
  /** Throws `malformedFrame`. */
  decode(bytes: Uint8Array): T
}

const malformed = (reason: string, cause?: unknown): Failure => fail("malformedFrame", { reason }, cause)

/** Writes one header from front to back. */
class Writer {
  private readonly bytes: Buffer
  private at = 1

  constructor(lengthBytes: number) {
    this.bytes = Buffer.allocUnsafe(1 + lengthBytes)
    this.bytes[0] = VERSION
  }

  u8(value: number): this {
    this.at = this.bytes.writeUInt8(value, this.at)
    return this
  }

  u16(value: number): this {
    this.at = this.bytes.writeUInt16LE(value, this.at)
    return this
  }

  u32(value: number): this {
    this.at = this.bytes.writeUInt32LE(value, this.at)
    return this
  }

  u64(value: bigint): this {
    this.at = this.bytes.writeBigUInt64LE(value, this.at)
    return this
  }

  raw(bytes: Uint8Array): this {
    this.bytes.set(bytes, this.at)
    this.at += bytes.length
    return this
  }

  device(id: DeviceId): this {
    const bytes = bytesOfHex(id)
    assert(bytes?.length === DEVICE_BYTES, "a device id has its length")
    return this.raw(bytes)
  }

  needle(id: NeedleId): this {
    writeNeedleKey(id, this.bytes, this.at)
    this.at += NEEDLE_KEY_BYTES
    return this
  }

  rowKey(key: string): this {
    assert(key.length <= ROW_KEY_BYTES_MAX, "a key of the index is short")
    return this.u8(key.length).raw(Buffer.from(key, "latin1"))
  }

  get done(): Uint8Array {
    assert(this.at === this.bytes.length, "a header fills its bytes")
    return this.bytes
  }
}

/** Reads one header from front to back, within its bytes. */
class Reader {
  private readonly bytes: Buffer
  private at = 0

  constructor(
    bytes: Uint8Array,
    private readonly what: string,
  ) {
    this.bytes = bufferOf(bytes)
    if (this.u8() !== VERSION) throw malformed(`version of ${what}`)
  }

  u8(): number {
    return this.bytes.readUInt8(this.take(1))
  }

  u16(): number {
    return this.bytes.readUInt16LE(this.take(2))
  }

  u32(): number {
    return this.bytes.readUInt32LE(this.take(4))
  }

  u64(): bigint {
    return this.bytes.readBigUInt64LE(this.take(8))
  }

  flags(known: number): number {
    const flags = this.u8()
    if ((flags & ~known) !== 0) throw malformed(`flags of ${this.what}`)
    return flags
  }

  length(): number {
    const length = this.u32()
    if (length > BLOCK_BYTES_MAX) throw malformed(`length in ${this.what}`)
    return length
  }

  count(most: number): number {
    const count = this.u16()
    if (count > most) throw malformed(`count of ${this.what}`)
    return count
  }

  device(): DeviceId {
    const at = this.take(DEVICE_BYTES)
    return parseDeviceId(hexOf(this.bytes.subarray(at, at + DEVICE_BYTES)))
  }

  needle(): NeedleId {
    return needleAt(this.bytes, this.take(NEEDLE_KEY_BYTES))
  }

  rowKey(): RowKey {
    const length = this.u8()
    const at = this.take(length)
    return rowKeyOf(this.bytes.toString("latin1", at, at + length))
  }

  /** All that is left. */
  rest(): Buffer {
    return this.bytes.subarray(this.take(this.bytes.length - this.at))
  }

  get leftBytes(): number {
    return this.bytes.length - this.at
  }

  end<T>(value: T): T {
    if (this.at !== this.bytes.length) throw malformed(`bytes after ${this.what}`)
    return value
  }

  private take(lengthBytes: number): number {
    const { at } = this
    if (at + lengthBytes > this.bytes.length) throw malformed(`short ${this.what}`)
    this.at += lengthBytes
    return at
  }
}

function needleAt(bytes: Uint8Array, at: number): NeedleId {
  const id = readNeedleKey(bytes, at)
  if (id.slot >= SHARDS_MAX) throw malformed("slot of a needle")
  return id
}

function shardHeader(bytes: Uint8Array): ShardHeader {
  try {
    const header = decodeNeedleHeader(bytes)
    if (header.kind === "shard" && header.id.slot < SHARDS_MAX) return header
  } catch (error) {
    throw malformed("needle header", error)
  }
  throw malformed("needle header of another kind")
}

/** A header that must be the rest of its message, to the byte. */
function wholeShardHeader(bytes: Uint8Array): ShardHeader {
  if (needleHeaderLength(bytes) !== bytes.length) throw malformed("length of a needle header")
  return shardHeader(bytes)
}

const NOTHING: HeaderCodec<undefined> = {
  encode: () => new Writer(0).done,
  decode: bytes => new Reader(bytes, "empty header").end(undefined),
}

const WRITABLE = 1
const FULL = 2

const DEVICE_STATES: HeaderCodec<readonly RemoteDeviceState[]> = {
  encode: states => {
    assert(states.length <= NODE_DEVICES_MAX, "a node has a limited number of devices")
    const writer = new Writer(2 + states.length * (DEVICE_BYTES + 1)).u16(states.length)
    for (const { id, isWritable, isFull } of states) {
      writer.device(id).u8((isWritable ? WRITABLE : 0) | (isFull ? FULL : 0))
    }
    return writer.done
  },
  decode: bytes => {
    const reader = new Reader(bytes, "device states")
    const states = Array.from({ length: reader.count(NODE_DEVICES_MAX) }, (): RemoteDeviceState => {
      const id = reader.device()
      const flags = reader.flags(WRITABLE | FULL)
      return { id, isWritable: (flags & WRITABLE) !== 0, isFull: (flags & FULL) !== 0 }
    })
    return reader.end(states)
  },
}

const [UNHURRIED, ENDS, TIME_BYTES] = [1, 2, 8]

const APPEND: HeaderCodec<AppendCall> = {
  encode: ({ deviceId, header, isUnhurried, endsAtMs }, version = FRAME_VERSION_OF_ENDS) => {
    const encoded = encodeNeedleHeader(header)
    const ends = version < FRAME_VERSION_OF_ENDS ? undefined : endsAtMs
    const writer = new Writer(1 + DEVICE_BYTES + (ends === undefined ? 0 : TIME_BYTES) + encoded.length)
    writer.u8((isUnhurried ? UNHURRIED : 0) | (ends === undefined ? 0 : ENDS)).device(deviceId)
    if (ends !== undefined) writer.u64(BigInt(Math.max(0, Math.floor(ends))))
    return writer.raw(encoded).done
  },
  decode: bytes => {
    const reader = new Reader(bytes, "append")
    const flags = reader.flags(UNHURRIED | ENDS)
    const deviceId = reader.device()
    const ends = (flags & ENDS) !== 0 && { endsAtMs: Number(reader.u64()) }
    return { deviceId, header: wholeShardHeader(reader.rest()), isUnhurried: (flags & UNHURRIED) !== 0, ...ends }
  },
}

function range(reader: Reader, mostBytes: number): { offsetBytes: number; lengthBytes: number } {
  const [offsetBytes, lengthBytes] = [reader.length(), reader.length()]
  if (offsetBytes + lengthBytes > mostBytes) throw malformed("range of a shard")
  return { offsetBytes, lengthBytes }
}

const READ: HeaderCodec<ReadCall> = {
  encode: ({ deviceId, id, offsetBytes, lengthBytes }) =>
    new Writer(PLACE_BYTES + 8).device(deviceId).needle(id).u32(offsetBytes).u32(lengthBytes).done,
  decode: bytes => {
    const reader = new Reader(bytes, "read")
    const place = { deviceId: reader.device(), id: reader.needle() }
    return reader.end({ ...place, ...range(reader, NEEDLE_BODY_BYTES_MAX) })
  },
}

const READ_CHECKSUM: HeaderCodec<bigint> = {
  encode: checksum => new Writer(CHECKSUM_BYTES).u64(checksum).done,
  decode: bytes => {
    const reader = new Reader(bytes, "checksum of a range")
    return reader.end(reader.u64())
  },
}

const FETCH: HeaderCodec<FetchCall> = {
  encode: ({ deviceId, id, bodyBytes, offsetBytes, lengthBytes }) =>
    new Writer(PLACE_BYTES + 12).device(deviceId).needle(id).u32(bodyBytes).u32(offsetBytes).u32(lengthBytes).done,
  decode: bytes => {
    const reader = new Reader(bytes, "fetch")
    const place = { deviceId: reader.device(), id: reader.needle() }
    const bodyBytes = reader.length()
    return reader.end({ ...place, bodyBytes, ...range(reader, bodyBytes) })
  },
}

const SHARD_HEADER: HeaderCodec<ShardHeader> = {
  encode: header => {
    const encoded = encodeNeedleHeader(header)
    return new Writer(encoded.length).raw(encoded).done
  },
  decode: bytes => wholeShardHeader(new Reader(bytes, "needle header").rest()),
}

const PLACE: HeaderCodec<ShardPlace> = {
  encode: ({ deviceId, id }) => new Writer(PLACE_BYTES).device(deviceId).needle(id).done,
  decode: bytes => {
    const reader = new Reader(bytes, "place of a needle")
    return reader.end({ deviceId: reader.device(), id: reader.needle() })
  },
}

const PLACES: HeaderCodec<readonly ShardPlace[]> = {
  encode: places => {
    assert(places.length <= CALL_NEEDLES_MAX, "a call names a limited number of needles")
    const writer = new Writer(2 + places.length * PLACE_BYTES).u16(places.length)
    for (const { deviceId, id } of places) writer.device(deviceId).needle(id)
    return writer.done
  },
  decode: bytes => {
    const reader = new Reader(bytes, "places of needles")
    const count = reader.count(CALL_NEEDLES_MAX)
    if (reader.leftBytes !== count * PLACE_BYTES) throw malformed("length of places of needles")
    return Array.from({ length: count }, () => ({ deviceId: reader.device(), id: reader.needle() }))
  },
}

const HAS_ANSWERS: readonly HasAnswer[] = ["no", "yes", "corruptRow", "deviceFailed"]

const ANSWERS: HeaderCodec<readonly HasAnswer[]> = {
  encode: answers => new Writer(answers.length).raw(Uint8Array.from(answers, it => HAS_ANSWERS.indexOf(it))).done,
  decode: bytes => {
    const rest = new Reader(bytes, "answers").rest()
    if (rest.length > CALL_NEEDLES_MAX) throw malformed("count of answers")
    return Array.from(rest, number => {
      const answer = HAS_ANSWERS[number]
      if (answer === undefined) throw malformed("answer about a needle")
      return answer
    })
  },
}

const NEEDLES: HeaderCodec<NeedlesCall> = {
  encode: ({ deviceId, ids }) => {
    assert(ids.length <= CALL_NEEDLES_MAX, "a call names a limited number of needles")
    const writer = new Writer(DEVICE_BYTES + 2 + ids.length * NEEDLE_KEY_BYTES).device(deviceId).u16(ids.length)
    for (const id of ids) writer.needle(id)
    return writer.done
  },
  decode: bytes => {
    const reader = new Reader(bytes, "needles")
    const deviceId = reader.device()
    const count = reader.count(CALL_NEEDLES_MAX)
    if (reader.leftBytes !== count * NEEDLE_KEY_BYTES) throw malformed("length of needles")
    return { deviceId, ids: Array.from({ length: count }, () => reader.needle()) }
  },
}

const WITH_SET = 1

const INDEXED: HeaderCodec<IndexedCall> = {
  encode: ({ deviceId, start, end, needlesMin, partitions }) => {
    const setBytes = partitions === undefined ? 0 : SET_BYTES
    const writer = new Writer(1 + DEVICE_BYTES + 4 + 1 + start.length + 1 + end.length + setBytes)
    writer.u8(partitions === undefined ? 0 : WITH_SET).device(deviceId)
    writer.u32(Math.min(needlesMin, ALL)).rowKey(start).rowKey(end)
    if (partitions !== undefined) writer.raw(partitions.bytes)
    return writer.done
  },
  decode: bytes => {
    const reader = new Reader(bytes, "indexed")
    const withSet = reader.flags(WITH_SET) !== 0
    const deviceId = reader.device()
    const needlesMin = reader.u32()
    const [start, end] = [reader.rowKey(), reader.rowKey()]
    const partitions = withSet ? PartitionSet.ofBytes(reader.rest()) : undefined
    return reader.end({ deviceId, start, end, needlesMin: needlesMin === ALL ? Infinity : needlesMin, partitions })
  },
}

const PAGE_ENDS: readonly PageEnd["kind"][] = ["end", "more", "damaged"]

const PAGE_END: HeaderCodec<PageEnd> = {
  encode: end => {
    const next = end.kind === "more" ? end.next : ""
    return new Writer(2 + next.length).u8(PAGE_ENDS.indexOf(end.kind)).rowKey(next).done
  },
  decode: bytes => {
    const reader = new Reader(bytes, "end of a page")
    const kind = PAGE_ENDS[reader.u8()]
    const next = reader.end(reader.rowKey())
    if (kind === undefined || (kind === "more") !== next.length > 0) throw malformed("end of a page")
    return kind === "more" ? { kind, next } : { kind }
  },
}

/** The headers of each call. */
export const SHARD_CALLS = {
  deviceStates: { request: NOTHING, response: DEVICE_STATES },
  append: { request: APPEND, response: NOTHING },
  read: { request: READ, response: READ_CHECKSUM },
  fetch: { request: FETCH, response: SHARD_HEADER },
  headerOf: { request: PLACE, response: SHARD_HEADER },
  has: { request: PLACES, response: ANSWERS },
  remove: { request: NEEDLES, response: NOTHING },
  markSuspect: { request: NEEDLES, response: NOTHING },
  indexed: { request: INDEXED, response: PAGE_END },
} as const

/** Covers which needle and which range the bytes are, so that those of another call are refused like damaged ones. */
export const rangeChecksum = (id: NeedleId, offsetBytes: number, bytes: Uint8Array): bigint =>
  xxh64(bytes, needleSeed(id) + BigInt(offsetBytes))

// Pages

const SUSPECT = 1
const WITH_SHAPE = 2

/** The body of a page. */
export function encodePage(needles: readonly ListedNeedle[]): Uint8Array {
  assert(needles.length <= PAGE_NEEDLES_MAX, "a page has a limited number of needles")
  const bytes = Buffer.alloc(needles.length * LISTED_BYTES)
  let at = 0
  for (const { key, bodyBytes, shape, isSuspect } of needles) {
    assert(key.length === NEEDLE_KEY_BYTES, "the key of a needle has its length")
    bytes.write(key, at, "latin1")
    at += NEEDLE_KEY_BYTES
    bytes[at] = (isSuspect ? SUSPECT : 0) | (shape === undefined ? 0 : WITH_SHAPE)
    bytes.writeUInt32LE(bodyBytes, at + 1)
    if (shape !== undefined) {
      writePolicy(shape.policy, bytes, at + 5)
      bytes.writeUInt32LE(shape.blockLengthBytes, at + 5 + POLICY_BYTES)
    }
    at += LISTED_BYTES - NEEDLE_KEY_BYTES
  }
  return bytes
}

/** Throws `malformedFrame`, also for needles that are not in ascending order. */
export function decodePage(page: Uint8Array): readonly ListedNeedle[] {
  const bytes = bufferOf(page)
  if (bytes.length % LISTED_BYTES !== 0 || bytes.length > PAGE_BYTES_MAX) throw malformed("length of a page")
  const needles: ListedNeedle[] = []
  let last = ""
  for (let at = 0; at < bytes.length; at += LISTED_BYTES) {
    const needle = listedNeedle(bytes, at)
    if (needle.key <= last) throw malformed("order of a page")
    last = needle.key
    needles.push(needle)
  }
  return needles
}

function listedNeedle(bytes: Buffer, keyAt: number): ListedNeedle {
  const at = keyAt + NEEDLE_KEY_BYTES
  const key = rowKeyOf(bytes.toString("latin1", keyAt, at))
  const flags = bytes[at] ?? 0
  const bodyBytes = bytes.readUInt32LE(at + 1)
  const blockLengthBytes = bytes.readUInt32LE(at + 5 + POLICY_BYTES)
  const isShaped = (flags & WITH_SHAPE) !== 0
  const policy = isShaped ? readPolicy(bytes, at + 5) : undefined
  if ((flags & ~(SUSPECT | WITH_SHAPE)) !== 0) throw malformed("flags of a needle in a page")
  if (bodyBytes > NEEDLE_BODY_BYTES_MAX || blockLengthBytes > BLOCK_BYTES_MAX) throw malformed("length in a page")
  if (isShaped !== (policy !== undefined)) throw malformed("policy in a page")
  if (!isShaped && (blockLengthBytes !== 0 || bytes.readUInt32LE(at + 5) !== 0)) throw malformed("shape in a page")
  const shape = policy && { policy, blockLengthBytes }
  return { key, bodyBytes, shape, isSuspect: (flags & SUSPECT) !== 0 }
}
