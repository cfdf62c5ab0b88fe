/**
 * Member: one device's replica of a tablet. It logs entries, and applies them once they are committed.
 *
 * The tablet's rows live on the device under a store prefix, so that a dropped tablet never mixes with
 * its successor.
 */
import { assert, must } from "../base/assert.js"
import { fail } from "../base/failures.js"
import type { Family } from "../base/families.js"
import { parsePosition, rowKeyOf } from "../base/ids.js"
import type { DeviceId, LogSequence, Position, RowKey, TabletId } from "../base/ids.js"
import {
  decodeEntry,
  encodeEntry,
  openLoggedPayload,
  PAYLOAD_CHECKSUM_BYTES,
  type Entry,
  type EntryWrite,
} from "../format/entry.js"
import type { KeyRange } from "../base/key-range.js"
import type { AppliedWrite, CommitLog, DeviceRow, DeviceRows, LogPlace, PayloadPlace } from "../device/contract.js"

/** What a member needs of its device. */
export interface MemberDevice {
  readonly id: DeviceId
  readonly log: CommitLog
  readonly rows: DeviceRows
  /** The log batch, and the tablet's position, that the base contained at start. */
  readonly contained: LogSequence
  containedPosition(tabletId: TabletId): Position
  readPayload(family: Family, key: RowKey, place: Extract<PayloadPlace, { in: "volume" }>): Promise<Uint8Array>
  /** Resolves when the overlay has room; undefined where it has. */
  roomForWrites(): Promise<void> | undefined
}

/** Logged, not yet applied. */
export interface LoggedBatch {
  readonly sequence: LogSequence
  apply(): void
}

/** An entry as all members apply it; what they have in common is made once. */
class EncodedEntry {
  readonly writes: readonly EntryWrite[]
  readonly position: Position
  private prefix: string | undefined
  private keys: readonly RowKey[] = []

  constructor(
    { writes, position }: Entry,
    /** For each write: where its payload's checksum lies in the record. */
    readonly payloadsAt: readonly number[],
  ) {
    this.writes = writes
    this.position = position
  }

  /** The writes' keys on a device; members usually have the same prefix. */
  keysUnder(prefix: string): readonly RowKey[] {
    if (prefix !== this.prefix) {
      this.prefix = prefix
      this.keys = this.writes.map(({ key }) => rowKeyOf(prefix + key))
    }
    return this.keys
  }
}

/** Entries on their way to all members: encoded once. */
export class EncodedBatch {
  readonly entries: readonly EncodedEntry[]
  readonly records: readonly Uint8Array[]

  constructor(entries: readonly Entry[]) {
    const encoded = entries.map(encodeEntry)
    this.records = encoded.map(({ record }) => record)
    this.entries = entries.map((entry, i) => new EncodedEntry(entry, encoded[i]?.payloadsAt ?? []))
  }
}

export class Member {
  constructor(
    readonly device: MemberDevice,
    readonly tabletId: TabletId,
    readonly prefix: string,
  ) {
    assert(prefix.length === 4, "store prefixes have four bytes")
  }

  private deviceKey(key: RowKey): RowKey {
    return rowKeyOf(this.prefix + key)
  }

  get(family: Family, key: RowKey): DeviceRow | undefined {
    return this.device.rows.get(family, this.deviceKey(key))
  }

  *range(family: Family, range: KeyRange): Generator<readonly [RowKey, DeviceRow]> {
    const deviceRange = {
      start: this.deviceKey(range.start),
      end: this.deviceKey(range.end),
      reverse: range.reverse ?? false,
    }
    for (const [key, row] of this.device.rows.range(family, deviceRange)) {
      yield [rowKeyOf(key.slice(this.prefix.length)), row]
    }
  }

  warm(family: Family, keys: readonly RowKey[]): Promise<void> | undefined {
    return this.device.rows.warm(
      family,
      keys.map(key => this.deviceKey(key)),
    )
  }

  /** Durable when it resolves. */
  async log(batch: EncodedBatch): Promise<LoggedBatch> {
    const { sequence, places } = await this.device.log.append(batch.records)
    return {
      sequence,
      apply: () => {
        batch.entries.forEach((entry, i) => this.apply(entry, must(places[i], "each record has a place"), sequence))
      },
    }
  }

  private apply(entry: EncodedEntry, place: LogPlace, sequence: LogSequence): void {
    const { writes, position, payloadsAt } = entry
    const keys = entry.keysUnder(this.prefix)
    const applied = writes.map(({ family, value, payload }, i): AppliedWrite => {
      const key = must(keys[i], "each write has a key")
      if (!payload) return { family, key, value }
      const at: LogPlace = { segment: place.segment, offsetBytes: place.offsetBytes + (payloadsAt[i] ?? 0) }
      const inLog: PayloadPlace = { in: "log", place: at, lengthBytes: payload.length, position }
      return { family, key, value, payload: inLog }
    })
    this.device.rows.apply(applied, sequence)
  }

  /** The payload of a row of this member; undefined where its place no longer holds it. */
  async readPayload(family: Family, key: RowKey, place: PayloadPlace): Promise<Uint8Array | undefined> {
    if (place.in === "volume") return this.device.readPayload(family, this.deviceKey(key), place)
    const lengthBytes = PAYLOAD_CHECKSUM_BYTES + place.lengthBytes
    const bytes = await this.device.log.read(place.place, lengthBytes)
    return bytes.length === lengthBytes ? openLoggedPayload(bytes, place.position) : undefined
  }

  /** Last position of the tablet that this member has durable, in its base or its log. */
  async durablePosition(): Promise<Position> {
    let last = this.device.containedPosition(this.tabletId)
    for await (const { entry } of this.loggedEntries()) {
      if (entry.position !== last + 1) {
        throw fail("corruptLog", { device: this.device.id, expected: last + 1, found: entry.position })
      }
      last = entry.position
    }
    return last
  }

  /** Makes everything in the log readable again; values are copied out of their records. */
  async replay(): Promise<void> {
    for await (const { entry, place, sequence } of this.loggedEntries()) {
      const kept = entry.writes.map(write => ({ ...write, value: write.value && Uint8Array.from(write.value) }))
      const payloadsAt = entry.writes.map(write => write.payloadAt)
      this.apply(new EncodedEntry({ ...entry, writes: kept }, payloadsAt), place, sequence)
    }
  }

  private async *loggedEntries() {
    for await (const { bytes, place, sequence } of this.device.log.records(this.device.contained)) {
      const entry = decodeEntry(bytes)
      if (entry.tabletId === this.tabletId) yield { entry, place, sequence }
    }
  }

  /** Entries above a position, for a member that lacks them. */
  async *entriesAfter(position: Position): AsyncGenerator<Entry> {
    for await (const { entry } of this.loggedEntries()) if (entry.position > position) yield entry
  }
}

export const NO_POSITION = parsePosition(0)
