/**
 * Entries: what a tablet's log holds. An entry is the absolute writes of one decision (put or delete
 * with the full value), so that replay from any older position gives the same rows. A snapshot entry
 * (kind 2) is rows as they were at its position, brought to a device that begins to hold the tablet:
 * it stands between the entries of that position and the next one, and any number may stand there.
 *
 * Layout, little-endian: format (1), kind (1), tablet (4), epoch (4), position (8), writes (2); then
 * for each write: family (1), flags (1), key length (2), key, and by flags value length (4) + value,
 * payload length (4) + checksum (8) + payload. The payload's checksum is XXH64 seeded with the
 * position, so that recycled log space never passes for it. The log's batch carries the checksum of
 * the whole.
 */
import { assert } from "../base/assert.js"
import { fail } from "../base/failures.js"
import { familyOfNumber, FAMILIES, type Family } from "../base/families.js"
import { parseEpoch, parsePosition, parseTabletId, rowKeyOf } from "../base/ids.js"
import type { Epoch, Position, RowKey, TabletId } from "../base/ids.js"
import { xxh64, xxh64Into } from "../base/xxh64.js"

export interface EntryWrite {
  readonly family: Family
  readonly key: RowKey
  /** Undefined: delete. */
  readonly value: Uint8Array | undefined
  /** Inline payload that travels with the row. */
  readonly payload?: Uint8Array
}

export interface Entry {
  readonly tabletId: TabletId
  readonly epoch: Epoch
  readonly position: Position
  readonly writes: readonly EntryWrite[]
  /** Rows that were there at the position already; it takes up none. */
  readonly isSnapshot?: true
}

export interface DecodedWrite extends EntryWrite {
  /** Where the payload's checksum begins in the record; the payload follows it. */
  readonly payloadAt: number
}

export interface DecodedEntry extends Entry {
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

export interface EncodedRecord {
  readonly record: Uint8Array
  /** For each write where its payload's checksum lies in the record (0: none). */
  readonly payloadsAt: readonly number[]
}

export const encodeEntry = (entry: Entry): EncodedRecord =>
  encodeInto(entry, Buffer.allocUnsafe(entryBytes(entry.writes)))

/** The records lie in one memory: one of its own for each costs small ones more than all their bytes. */
export function encodeEntries(entries: readonly Entry[]): readonly EncodedRecord[] {
  const lengths = entries.map(({ writes }) => entryBytes(writes))
  const memory = Buffer.allocUnsafeSlow(lengths.reduce((sum, length) => sum + length, 0))
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

/** Throws `corruptRecord` for anything that `encodeEntry` did not write. Values and payloads are views. */
export function decodeEntry(record: Uint8Array): DecodedEntry {
  try {
    return readEntry(Buffer.from(record.buffer, record.byteOffset, record.length))
  } catch (error) {
    throw fail("corruptRecord", { what: "entry" }, error)
  }
}

function readEntry(record: Buffer): DecodedEntry {
  const kind = record.readUInt8(1)
  const isKnown = kind === KIND_WRITES || kind === KIND_SNAPSHOT
  assert(record.readUInt8(0) === FORMAT && isKnown, "unknown entry format")
  const count = record.readUInt16LE(18)
  const writes: DecodedWrite[] = []
  let at = HEAD_BYTES
  const take = (length: number): Buffer => {
    assert(at + length <= record.length, "an entry ends early")
    at += length
    return record.subarray(at - length, at)
  }
  for (let i = 0; i < count; i += 1) {
    const head = take(4)
    const family = familyOfNumber(head.readUInt8(0))
    const flags = head.readUInt8(1)
    assert(family !== undefined && flags <= (HAS_VALUE | HAS_PAYLOAD), "unknown family or flags")
    const key = rowKeyOf(take(head.readUInt16LE(2)).toString("latin1"))
    const value = flags & HAS_VALUE ? take(take(4).readUInt32LE(0)) : undefined
    if (flags & HAS_PAYLOAD) {
      const lengthBytes = take(4).readUInt32LE(0)
      const payloadAt = at
      take(PAYLOAD_CHECKSUM_BYTES)
      writes.push({ family, key, value, payload: take(lengthBytes), payloadAt })
    } else writes.push({ family, key, value, payloadAt: 0 })
  }
  assert(at === record.length, "an entry has trailing bytes")
  return {
    tabletId: parseTabletId(record.readUInt32LE(2)),
    epoch: parseEpoch(record.readUInt32LE(6)),
    position: parsePosition(Number(record.readBigUInt64LE(10))),
    writes,
    ...(kind === KIND_SNAPSHOT && { isSnapshot: true }),
  }
}

/** The payload behind its checksum, as read back from the log; undefined where it is not this one. */
export function openLoggedPayload(bytes: Uint8Array, position: Position): Uint8Array | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const payload = buffer.subarray(PAYLOAD_CHECKSUM_BYTES)
  return buffer.readBigUInt64LE(0) === xxh64(payload, BigInt(position)) ? payload : undefined
}
