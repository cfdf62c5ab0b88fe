/**
 * One owned folder on one disk: its commit log, and its rows (memtable over metadata store).
 *
 * Layout of the folder: `superblock`, `control`, `log/` (segments), `base/` (the metadata store), `volumes/` (needles),
 * `volumes-1d/` … `volumes-100d/` (needles that end, by class), `payloads/` (inline payloads, written by checkpoints).
 */
import type { Failure } from "@hayloft/base/failures.js"
import type { DeviceId, Epoch, Incarnation, LogSequence, Position, RowKey, TabletId } from "@hayloft/base/ids.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { RowVisitor } from "@hayloft/base/rows/row-scan.js"
import type { SealedRecord } from "../format/device/log-batch.js"
import type { VolumePlace } from "../format/tables/stored-row.js"
import type { VolumePosition } from "../format/needles/volume.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { ReadUse } from "@hayloft/base/seams/disk/contract.js"
import type { StoreWrite } from "@hayloft/base/seams/store/contract.js"

/** The place where the bytes of a record begin in the log. */
export interface LogPlace {
  readonly segment: number
  readonly offsetBytes: number
  /** The seal of an encrypted record. */
  readonly sealed?: SealedRecord
}

export interface LoggedRecord {
  /** The batch that the record was part of. */
  readonly sequence: LogSequence
  readonly bytes: Uint8Array
  readonly place: LogPlace
}

/**
 * An append-only log of batches in recycled, preallocated segments (O_DSYNC, one `writev` a batch).
 *
 * Promises  A batch whose append resolved is returned by every later `records`, whole and in order.
 * Refuses   To append after a failed write (`deviceFailed`): the device must be inspected first.
 */
export interface CommitLog {
  /** Last durable batch; 0 before the first. */
  readonly durable: LogSequence
  /** Bytes of batches above the cut. */
  readonly lengthBytes: number
  /** Batches up to and including this one may be gone. */
  readonly cutUpTo: LogSequence
  /** The reason why the log accepts no more appends. */
  readonly stopped: Failure | undefined
  /** Appends one batch; calls queue and are written in order, one write at a time. */
  append(records: readonly Uint8Array[]): Promise<{ sequence: LogSequence; places: readonly LogPlace[] }>
  /**
   * Proves that the last batch was durable, so that later damage to it differs from a torn tail. Called from time to
   * time; does nothing if there is nothing to prove.
   */
  confirm(): Promise<void>
  /**
   * Reads bytes from a place on (inside one record) into the memory; the caller verifies them. Returns the part that
   * was filled: less, if the place is in a segment that has been recycled. Below the cut the space may have been
   * recycled. The page cache has the whole log, which this process wrote or read: "resident" reads are fast.
   */
  read(place: LogPlace, memory: Uint8Array, use?: ReadUse): Soon<Uint8Array>
  /**
   * Durable records of batches above `after`, up to and including `upTo`; the bytes of each are valid until the next.
   */
  records(after: LogSequence, upTo?: LogSequence): AsyncIterable<LoggedRecord>
  /** Batches up to and including `upTo` are no longer needed; whole segments below are recycled. */
  cut(upTo: LogSequence): Promise<void>
  close(): Promise<void>
}

/** The place where an inline payload is stored on this device. */
export type PayloadPlace =
  | {
      readonly in: "log"
      /** Place of the payload's checksum, which the payload follows (see `format/entry`). */
      readonly place: LogPlace
      readonly lengthBytes: number
      /** The entry's position: the seed of the checksum. */
      readonly position: Position
    }
  | { readonly in: "volume"; readonly volume: number; readonly offsetBytes: number; readonly lengthBytes: number }

export interface DeviceRow {
  readonly value: Uint8Array
  readonly payload: PayloadPlace | undefined
}

/** A committed write as it enters the memtable. */
export interface AppliedWrite {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array | undefined
  readonly payload?: PayloadPlace
}

/**
 * Rows of one device: the memtable (rows that no checkpoint has written yet) merged over the metadata store. Keys here
 * are device keys: tablet rows carry their tablet's store prefix.
 */
export interface DeviceRows {
  /** Throws `corruptRow` when the stored value fails its hash. */
  get(family: Family, key: RowKey): DeviceRow | undefined
  range(family: Family, range: KeyRange): Iterable<readonly [RowKey, DeviceRow]>
  /** Works like `range`, forward, without an object for each row. Must not run within another scan of the device. */
  scan(family: Family, range: KeyRange, visitor: RowVisitor): void
  /** Brings rows into memory; returns undefined if there is nothing to wait for. */
  warm(family: Family, keys: readonly RowKey[]): Promise<void> | undefined
  /**
   * Makes committed writes readable. `sequence`: the log batch that contains them (undefined for unlogged families).
   */
  apply(writes: readonly AppliedWrite[], sequence?: LogSequence): void
}

/** Input of a checkpoint from the unlogged family of another module: the writes since its mark, and the new mark. */
export interface CheckpointSource {
  readonly name: string
  collect(mark: Uint8Array | undefined): AsyncIterable<StoreWrite>
  /** The mark that covers everything `collect` returned; stored in the same transaction. */
  markAfter(): Uint8Array
}

/** Stores the inline payloads of a checkpoint; they are durable when `flush` resolves. */
export interface PayloadSink {
  /** The payload's bytes are copied. */
  append(request: { readonly family: Family; readonly key: RowKey; readonly payload: Uint8Array }): PayloadPlace
  flush(): Promise<void>
  /** Rows now point at everything that was appended so far. */
  keep(): void
  /** Nothing will ever point at what was appended since: on a full disk it would take the space of the next attempt. */
  rollBack(): Promise<void>
}

export interface PayloadVolumeSize {
  readonly volume: number
  readonly writtenBytes: number
  /** The volume is the one that is being written. */
  readonly isOpen: boolean
}

export interface PayloadMatch {
  readonly family: Family
  readonly key: RowKey
  readonly place: VolumePlace
}

export type VolumeFindings =
  | { readonly kind: "payloads"; readonly payloads: readonly PayloadMatch[] }
  /** Everything before the position has been walked. */
  | { readonly kind: "position"; readonly position: VolumePosition }
  /** A part of the volume cannot be read. */
  | { readonly kind: "damage" }

/** A device's payload volumes, for their upkeep. */
export interface PayloadShelf extends PayloadSink {
  list(): readonly PayloadVolumeSize[]
  /** Bytes that the payload of a row occupies in its volume. */
  bytesOf(key: RowKey, lengthBytes: number): number
  /** The contents of a volume, in order, from the end of an earlier walk. Throws `deviceFailed`. */
  walk(volume: number, from: VolumePosition | undefined): AsyncIterable<VolumeFindings>
  /**
   * Payloads of one volume, verified, in the order in which they are stored; undefined for each that cannot be read.
   * Valid until the next call.
   */
  readRun(payloads: readonly PayloadMatch[]): Promise<readonly (Uint8Array | undefined)[]>
  /** The next payload begins another volume. */
  seal(): Promise<void>
  remove(volume: number): Promise<void>
}

export interface DeviceIdentity {
  readonly id: DeviceId
  readonly path: string
  readonly incarnation: Incarnation
  /** By the wall clock. */
  readonly createdMs: number
}

/**
 * The tablets of which this device has a replica or is a learner, each with the epoch that began the replica
 * incarnation: the store prefix of its rows. Entries of earlier epochs, and rows under other prefixes, belong to
 * incarnations that have ended.
 */
export type ReplicaIncarnations = ReadonlyMap<TabletId, Epoch>
