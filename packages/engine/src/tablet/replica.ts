/**
 * One device's replica of a tablet. It logs entries, and applies them once they are committed.
 *
 * A replica incarnation begins with an epoch, `since`. Its rows are stored on the device under a store prefix of their
 * own. Entries of earlier epochs in the device's log are not part of its history: they may never have been committed.
 * An incarnation that began with the tablet has the whole history; a later one begins with a snapshot entry, which
 * contains the position from which on it has everything.
 */
import { must } from "@hayloft/base/assert.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { parsePosition, rowKeyOf } from "@hayloft/base/ids.js"
import { Lent, type LentSoon } from "@hayloft/base/memory/lent.js"
import { PAYLOAD_BYTES_MAX } from "@hayloft/base/encryption/segments.js"
import { asPromise, type Soon } from "@hayloft/base/soon.js"
import type { DeviceId, Epoch, LogSequence, Position, RowKey, TabletId } from "@hayloft/base/ids.js"
import {
  decodeEntry,
  encodeEntries,
  openLoggedPayload,
  PAYLOAD_CHECKSUM_BYTES,
  type Entry,
  type EntryWrite,
} from "../format/device/entry.js"
import { FIRST_EPOCH, storePrefixOf } from "../format/device/replica-incarnation.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { RowVisitor } from "@hayloft/base/rows/row-scan.js"
import type { AppliedWrite, CommitLog, DeviceRow, DeviceRows, LogPlace, PayloadPlace } from "../device/contract.js"

/** The functions of its device that a replica uses. */
export interface ReplicaDevice {
  readonly id: DeviceId
  readonly log: CommitLog
  readonly rows: DeviceRows
  /** The log batch that the metadata store contained at start. */
  readonly contained: LogSequence
  /** The position of an incarnation that the metadata store contained at start; undefined if it had nothing of it. */
  containedPosition(tabletId: TabletId, since: Epoch): Position | undefined
  readPayload(family: Family, key: RowKey, place: Extract<PayloadPlace, { in: "volume" }>): LentSoon<Uint8Array>
  /** Runs reads on the calling thread; returns undefined if one fails, or took long lately. Absent: there are none. */
  readonly syncReads?: { read<T>(read: () => T): T | undefined }
  /** Verifies every row of the metadata store, in small steps: `StoreReader.verify`. */
  verifyMetadataStore(signal: AbortSignal): Promise<void>
  /**
   * Resolves when the memtable has space, and the device too if the rows make the store larger: otherwise it throws
   * `deviceFull`. Returns undefined if there is space now.
   */
  spaceForWrites(grows: boolean): Promise<void> | undefined
}

/** Logged, not yet applied. */
export interface LoggedBatch {
  readonly sequence: LogSequence
  apply(): void
}

/** An entry as all replicas apply it; their common data is made once. */
class EncodedEntry {
  readonly writes: readonly EntryWrite[]
  readonly position: Position
  private prefix: string | undefined
  private keys: readonly RowKey[] = []

  constructor(
    { writes, position }: Entry,
    /** For each write: where its payload's checksum is in the record. */
    readonly payloadsAt: readonly number[],
  ) {
    this.writes = writes
    this.position = position
  }

  /** The writes' keys on a device; replicas usually have the same prefix. */
  keysUnder(prefix: string): readonly RowKey[] {
    if (prefix !== this.prefix) {
      this.prefix = prefix
      this.keys = this.writes.map(({ key }) => rowKeyOf(prefix + key))
    }
    return this.keys
  }
}

/** Entries on their way to all replicas: encoded once. */
export class EncodedBatch {
  private constructor(
    readonly entries: readonly EncodedEntry[],
    readonly records: readonly Uint8Array[],
  ) {}

  static of(entries: readonly Entry[], memoryOf?: (lengthBytes: number) => Buffer): EncodedBatch {
    const encoded = encodeEntries(entries, memoryOf)
    return new EncodedBatch(
      entries.map((entry, i) => new EncodedEntry(entry, encoded[i]?.payloadsAt ?? [])),
      encoded.map(({ record }) => record),
    )
  }

  /** One after another, to be logged with one write. */
  static join(batches: readonly EncodedBatch[]): EncodedBatch {
    const [only] = batches
    if (only && batches.length === 1) return only
    return new EncodedBatch(
      batches.flatMap(({ entries }) => entries),
      batches.flatMap(({ records }) => records),
    )
  }

  get lengthBytes(): number {
    return this.records.reduce((sum, { length }) => sum + length, 0)
  }
}

export class Replica {
  private readonly prefix: string

  constructor(
    readonly device: ReplicaDevice,
    readonly tabletId: TabletId,
    readonly since: Epoch,
  ) {
    this.prefix = storePrefixOf(since)
  }

  get id(): DeviceId {
    return this.device.id
  }

  deviceKey(key: RowKey): RowKey {
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

  scan(family: Family, { start, end }: KeyRange, visitor: RowVisitor): void {
    const skip = this.prefix.length
    const row = (bytes: Buffer, keyAt: number, valueAt: number, rowEnd: number): boolean =>
      visitor.row(bytes, keyAt + skip, valueAt, rowEnd)
    this.device.rows.scan(family, { start: this.deviceKey(start), end: this.deviceKey(end) }, { row })
  }

  warm(family: Family, key: RowKey): Promise<void> | undefined {
    return this.device.rows.warm(family, [this.deviceKey(key)])
  }

  /** The batch is durable when it resolves. */
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
      const at: LogPlace = { ...place, offsetBytes: place.offsetBytes + (payloadsAt[i] ?? 0) }
      const inLog: PayloadPlace = { in: "log", place: at, lengthBytes: payload.length, position }
      return { family, key, value, payload: inLog }
    })
    this.device.rows.apply(applied, sequence)
  }

  /** The payload of a row of this replica; undefined if its place no longer contains it. */
  readPayload(family: Family, key: RowKey, place: PayloadPlace): LentSoon {
    if (place.in === "volume") return this.device.readPayload(family, this.deviceKey(key), place)
    const isShort = PAYLOAD_CHECKSUM_BYTES + place.lengthBytes <= loggedMemory.length
    const lent = isShort
      ? this.device.syncReads?.read(() => this.readLogged(place, loggedMemory, "resident"))
      : undefined
    if (lent instanceof Uint8Array) return new Lent(lent)
    return asPromise(() => this.readLogged(place, new Uint8Array(PAYLOAD_CHECKSUM_BYTES + place.lengthBytes)))
  }

  private readLogged(
    { place, lengthBytes, position }: Extract<PayloadPlace, { in: "log" }>,
    memory: Uint8Array,
    use?: "resident",
  ): Soon<Uint8Array | undefined> {
    const loggedBytes = PAYLOAD_CHECKSUM_BYTES + lengthBytes
    const bytes = this.device.log.read(place, memory.subarray(0, loggedBytes), use)
    return bytes instanceof Promise
      ? bytes.then(logged => openLogged(logged, loggedBytes, position))
      : openLogged(bytes, loggedBytes, position)
  }

  /**
   * Last position of the tablet that this replica has durable, in its metadata store or its log. Throws `corruptLog` if
   * its history has a gap, or no beginning.
   */
  async durablePosition(): Promise<Position> {
    const contained = this.device.containedPosition(this.tabletId, this.since)
    let last = contained ?? (this.since === FIRST_EPOCH ? NO_POSITION : undefined)
    for await (const { entry } of this.loggedEntries()) {
      const { position, isSnapshot = false } = entry
      const follows = last === undefined ? isSnapshot : position === (isSnapshot ? last : last + 1)
      if (!follows) throw this.broken({ after: last, found: position })
      last = position
    }
    if (last === undefined) throw this.broken({})
    return last
  }

  private broken(details: { readonly after?: Position | undefined; readonly found?: Position }): Failure {
    const message = "the metadata history of a device has a gap"
    return fail("corruptLog", { message, device: this.id, since: this.since, ...details })
  }

  /** Makes everything in the log readable again; values are copied out of their records. */
  async replay(): Promise<void> {
    for await (const { entry, place, sequence } of this.loggedEntries()) {
      const kept = entry.writes.map(write => ({ ...write, value: write.value && Uint8Array.from(write.value) }))
      const payloadsAt = entry.writes.map(write => write.payloadAt)
      this.apply(new EncodedEntry({ ...entry, writes: kept }, payloadsAt), place, sequence)
    }
  }

  /** `bytes` are valid until the next entry. */
  private async *loggedEntries() {
    for await (const { bytes, place, sequence } of this.device.log.records(this.device.contained)) {
      const entry = decodeEntry(bytes)
      if (entry.tabletId === this.tabletId && entry.epoch >= this.since) yield { entry, bytes, place, sequence }
    }
  }

  /** Entries above a position, for a replica that lacks them. */
  async *entriesAfter(position: Position): AsyncGenerator<Entry> {
    for await (const { entry, bytes } of this.loggedEntries()) {
      if (entry.position > position && !entry.isSnapshot) yield decodeEntry(Uint8Array.from(bytes))
    }
  }
}

const openLogged = (bytes: Uint8Array, loggedBytes: number, position: Position): Uint8Array | undefined =>
  bytes.length === loggedBytes ? openLoggedPayload(bytes, position) : undefined

/** Memory of payloads that are lent from the log. */
const loggedMemory = Buffer.alloc(PAYLOAD_CHECKSUM_BYTES + PAYLOAD_BYTES_MAX)

export const NO_POSITION = parsePosition(0)
