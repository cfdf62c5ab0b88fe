/**
 * Entries: the content of a tablet's log. An entry is the absolute writes of one decision (put or delete
 * with the full value), so that replay from any older position produces the same rows. A snapshot entry
 * (kind 2) contains rows as of its position, copied to a device that starts to hold the tablet.
 * Any number of them may appear between the entries of that position and the next one.
 *
 * Layout, little-endian: format (1), kind (1), tablet (4), epoch (4), position (8), writes (2); then
 * for each write: family (1), flags (1), key length (2), key, and by flags value length (4) + value,
 * payload length (4) + checksum (8) + payload. The payload's checksum is XXH64 seeded with the
 * position, so that recycled log space never passes for it. The log's batch carries the checksum of
 * the whole.
 */
import { assert } from "@hayloft/base/assert.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { familyOfNumber, FAMILIES, type Family } from "@hayloft/base/rows/families.js"
import { parseEpoch, parsePosition, parseTabletId, rowKeyOf } from "@hayloft/base/ids.js"
import type { Epoch, Position, RowKey, TabletId } from "@hayloft/base/ids.js"
import { xxh64, xxh64Into } from "@hayloft/base/simd/xxh64.js"
import { bufferOf } from "../encoding/buffer-of.js"

export interface EntryWrite {
  readonly family: Family
  readonly key: RowKey
  /** The value is undefined to delete the row. */
  readonly value: Uint8Array | undefined
  /** Inline payload that is written with the row. */
  readonly payload?: Uint8Array
}

export interface Entry {
  readonly tabletId: TabletId
  readonly epoch: Epoch
  readonly position: Position
  readonly writes: readonly EntryWrite[]
  /** Contains rows that existed at the position; it uses no position itself. */
  readonly isSnapshot?: true
}

interface DecodedWrite extends EntryWrite {
  /** The place where the payload's checksum begins in the record; the payload follows it. */
  readonly payloadAt: number
}

interface DecodedEntry extends Entry {
  readonly writes: readonly DecodedWrite[]
}

const FORMAT = 1
const KIND_WRITES = 1
const KIND_SNAPSHOT = 2
const HEAD_BYTES = 20
const HAS_VALUE = 1
const HAS_PAYLOAD = 2
export const PAYLOAD_CHECKSUM_BYTES = 8

function writeBytes(write: EntryWrite): number {
  const value = write.value === undefined ? 0 : 4 + write.value.length
  const payload = write.payload === undefined ? 0 : 4 + PAYLOAD_CHECKSUM_BYTES + write.payload.length
  return 4 + write.key.length + value + payload
}

export const entryBytes = (writes: readonly EntryWrite[]): number =>
  writes.reduce((sum, write) => sum + writeBytes(write), HEAD_BYTES)

interface EncodedRecord {
  readonly record: Uint8Array
  /** For each write, the offset of its payload's checksum in the record; 0 if none. */
  readonly payloadsAt: readonly number[]
}

/**
 * All records share one allocation, since separate ones cost more than the bytes of small records.
 * `memoryOf` returns at least the requested length.
 */
export function encodeEntries(
  entries: readonly Entry[],
  memoryOf: (lengthBytes: number) => Buffer = lengthBytes => Buffer.allocUnsafeSlow(lengthBytes),
): readonly EncodedRecord[] {
  const lengths = entries.map(({ writes }) => entryBytes(writes))
  const memory = memoryOf(lengths.reduce((sum, length) => sum + length, 0))
  let at = 0
  return entries.map((entry, i) => {
    const start = at
    at += lengths[i] ?? 0
    return encodeInto(entry, memory.subarray(start, at))
  })
}

function encodeInto(entry: Entry, record: Buffer): EncodedRecord {
  record.writeUInt8(FORMAT, 0)
  record.writeUInt8(entry.isSnapshot ? KIND_SNAPSHOT : KIND_WRITES, 1)
  record.writeUInt32LE(entry.tabletId, 2)
  record.writeUInt32LE(entry.epoch, 6)
  record.writeBigUInt64LE(BigInt(entry.position), 10)
  record.writeUInt16LE(entry.writes.length, 18)
  let at = HEAD_BYTES
  const payloadsAt = entry.writes.map(write => {
    record.writeUInt8(FAMILIES[write.family], at)
    record.writeUInt8((write.value ? HAS_VALUE : 0) | (write.payload ? HAS_PAYLOAD : 0), at + 1)
    record.writeUInt16LE(write.key.length, at + 2)
    at += 4 + record.write(write.key, at + 4, "latin1")
    if (write.value) {
      record.writeUInt32LE(write.value.length, at)
      record.set(write.value, at + 4)
      at += 4 + write.value.length
    }
    if (!write.payload) return 0
    record.writeUInt32LE(write.payload.length, at)
    const payloadAt = at + 4
    xxh64Into(write.payload, BigInt(entry.position), record, payloadAt)
    record.set(write.payload, payloadAt + PAYLOAD_CHECKSUM_BYTES)
    at = payloadAt + PAYLOAD_CHECKSUM_BYTES + write.payload.length
    return payloadAt
  })
  assert(at === record.length, "an entry fills its record")
  return { record, payloadsAt }
}

/** Throws `corruptRecord` for anything that `encodeEntries` did not write. Values and payloads are views. */
export function decodeEntry(record: Uint8Array): DecodedEntry {
  const reader = EntryReader.open(record)
  const { tabletId, epoch, position, isSnapshot } = reader
  const writes: DecodedWrite[] = []
  for (let family = reader.next(); family !== undefined; family = reader.next()) {
    const { key, value, payload, payloadAt } = reader
    writes.push(payload ? { family, key, value, payload, payloadAt } : { family, key, value, payloadAt: 0 })
  }
  return { tabletId, epoch, position, writes, ...(isSnapshot && { isSnapshot }) }
}

const ABSENT = -1

/**
 * Reads an entry write by write, for callers that need little of most writes. Throws `corruptRecord`, at the latest
 * after the last write, for anything that `encodeEntries` did not write.
 */
export class EntryReader {
  private left: number
  private at = HEAD_BYTES
  private keyAt = 0
  private keyEnd = 0
  private valueAt = ABSENT
  private valueEnd = 0
  private payloadChecksumAt = ABSENT

  private constructor(
    private readonly record: Buffer,
    readonly tabletId: TabletId,
    readonly epoch: Epoch,
    readonly position: Position,
    readonly isSnapshot: boolean,
  ) {
    this.left = record.readUInt16LE(18)
  }

  static open(bytes: Uint8Array): EntryReader {
    try {
      const record = bufferOf(bytes)
      const kind = record.readUInt8(1)
      const isKnown = kind === KIND_WRITES || kind === KIND_SNAPSHOT
      assert(record.readUInt8(0) === FORMAT && isKnown, "unknown entry format")
      const [tabletId, epoch] = [parseTabletId(record.readUInt32LE(2)), parseEpoch(record.readUInt32LE(6))]
      const position = parsePosition(Number(record.readBigUInt64LE(10)))
      return new EntryReader(record, tabletId, epoch, position, kind === KIND_SNAPSHOT)
    } catch (error) {
      throw fail("corruptRecord", { what: "entry" }, error)
    }
  }

  /** Advances to the next write; undefined after the last one. */
  next(): Family | undefined {
    const { record } = this
    if (this.left === 0) {
      if (this.at !== record.length) throw this.corrupt("trailing bytes")
      return undefined
    }
    this.left -= 1
    const head = this.take(4)
    const family = familyOfNumber(record[head] ?? 0)
    const flags = record[head + 1] ?? 0
    if (family === undefined || flags > (HAS_VALUE | HAS_PAYLOAD)) throw this.corrupt("unknown family or flags")
    this.keyAt = this.take(record.readUInt16LE(head + 2))
    this.keyEnd = this.at
    this.valueAt = flags & HAS_VALUE ? this.take(this.takeLength()) : ABSENT
    this.valueEnd = this.at
    this.payloadChecksumAt = flags & HAS_PAYLOAD ? this.take(this.takeLength() + PAYLOAD_CHECKSUM_BYTES) : ABSENT
    return family
  }

  get key(): RowKey {
    return rowKeyOf(this.record.toString("latin1", this.keyAt, this.keyEnd))
  }

  /** A view; undefined if the write deletes the row. */
  get value(): Uint8Array | undefined {
    return this.valueAt === ABSENT ? undefined : this.record.subarray(this.valueAt, this.valueEnd)
  }

  /** A view. */
  get payload(): Uint8Array | undefined {
    if (this.payloadChecksumAt === ABSENT) return undefined
    return this.record.subarray(this.payloadChecksumAt + PAYLOAD_CHECKSUM_BYTES, this.at)
  }

  /** The offset of the payload's checksum, if there is one. */
  get payloadAt(): number {
    return this.payloadChecksumAt
  }

  private takeLength(): number {
    return this.record.readUInt32LE(this.take(4))
  }

  private take(lengthBytes: number): number {
    const from = this.at
    if (from + lengthBytes > this.record.length) throw this.corrupt("it ends early")
    this.at = from + lengthBytes
    return from
  }

  private corrupt(reason: string): Failure {
    return fail("corruptRecord", { what: "entry", reason })
  }
}

/** The payload after its checksum, as read back from the log; undefined if the checksum does not match. */
export function openLoggedPayload(bytes: Uint8Array, position: Position): Uint8Array | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const payload = buffer.subarray(PAYLOAD_CHECKSUM_BYTES)
  return buffer.readBigUInt64LE(0) === xxh64(payload, BigInt(position)) ? payload : undefined
}
