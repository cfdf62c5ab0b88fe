/**
 * One owned folder on one disk: its commit log, and its rows (overlay over base).
 *
 * Layout of the folder: `superblock`, `control`, `log/` (segments), `base/` (the store),
 * `volumes/` (needles), `payloads/` (inline payloads, written by checkpoints).
 */
import type { Failure } from "../base/failures.js"
import type { DeviceId, Epoch, Incarnation, LogSequence, Position, RowKey, TabletId } from "../base/ids.js"
import type { Family } from "../base/families.js"
import type { KeyRange } from "../base/key-range.js"
import type { RowVisitor } from "../base/row-scan.js"
import type { VolumePlace } from "../format/stored-row.js"
import type { VolumePosition } from "../format/volume.js"
import type { Soon } from "../base/soon.js"
import type { ReadUse } from "../seams/disk/contract.js"
import type { StoreWrite } from "../seams/store/contract.js"

/** Where a record's bytes begin in the log. */
export interface LogPlace {
  readonly segment: number
  readonly offsetBytes: number
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
 * Refuses   To append after a failed write (`deviceFailed`): the device is to be judged first.
 */
export interface CommitLog {
  /** Last durable batch; 0 before the first. */
  readonly durable: LogSequence
  /** Bytes of batches above the cut. */
  readonly lengthBytes: number
  /** Batches up to and including this one may be gone. */
  readonly cutUpTo: LogSequence
  /** Why nothing is appended any more. */
  readonly stopped: Failure | undefined
  /** Appends one batch; calls queue and are written in order, one write at a time. */
  append(records: readonly Uint8Array[]): Promise<{ sequence: LogSequence; places: readonly LogPlace[] }>
  /**
   * Vouches for the last batch, so that later damage to it is known from a torn tail. Called now and
   * then; does nothing where there is nothing to vouch for.
   */
  confirm(): Promise<void>
  /**
   * Reads bytes from a place on (inside one record) into the memory, to be verified by the caller; returns the part
   * that was filled: less, if the place is in a segment that has been recycled. Below the cut it may be recycled
   * space. The page cache has the whole log, which was written or read in this process: "resident" reads are fast.
   */
  read(place: LogPlace, memory: Uint8Array, use?: ReadUse): Soon<Uint8Array>
  /** Durable records of batches above `after`, up to and including `upTo`; the bytes of each are good until the next. */
  records(after: LogSequence, upTo?: LogSequence): AsyncIterable<LoggedRecord>
  /** Batches up to and including `upTo` are no longer needed; whole segments below are recycled. */
  cut(upTo: LogSequence): Promise<void>
  close(): Promise<void>
}

/** Where an inline payload lies on this device. */
export type PayloadPlace =
  | {
      readonly in: "log"
      /** Of the payload's checksum, which the payload follows (see `format/entry`). */
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

/** A committed write as it enters the overlay. */
export interface AppliedWrite {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array | undefined
  readonly payload?: PayloadPlace
}

/**
 * Rows of one device: the overlay (what checkpoints have not yet written) merged over the base.
 * Keys here are device keys: tablet rows carry their tablet's store prefix.
 */
export interface DeviceRows {
  /** Throws `corruptRow` when the base value fails its hash. */
  get(family: Family, key: RowKey): DeviceRow | undefined
  range(family: Family, range: KeyRange): Iterable<readonly [RowKey, DeviceRow]>
  /** As `range`, forward, without an object for each row. Not within a scan of the same device. */
  scan(family: Family, range: KeyRange, visitor: RowVisitor): void
  /** Brings rows into memory; undefined where there is nothing to wait for. */
  warm(family: Family, keys: readonly RowKey[]): Promise<void> | undefined
  /** Makes committed writes readable. `sequence`: the log batch that holds them (undefined for unlogged families). */
  apply(writes: readonly AppliedWrite[], sequence?: LogSequence): void
}

/** What a checkpoint of another room's unlogged family needs: the writes since its mark, and the new mark. */
export interface CheckpointSource {
  readonly name: string
  collect(mark: Uint8Array | undefined): AsyncIterable<StoreWrite>
  /** The mark that covers everything `collect` gave; stored in the same transaction. */
  markAfter(): Uint8Array
}

/** Takes the inline payloads of a checkpoint, durable when `flush` resolves. */
export interface PayloadSink {
  /** The payload's bytes are copied. */
  append(request: { readonly family: Family; readonly key: RowKey; readonly payload: Uint8Array }): PayloadPlace
  flush(): Promise<void>
  /** What was appended until now is pointed at. */
  keep(): void
  /** What was appended since is not, and never will be: on a full disk it would be in the way of the next try. */
  rollBack(): Promise<void>
}

export interface PayloadVolumeSize {
  readonly volume: number
  readonly writtenBytes: number
  /** It is the one that is being written. */
  readonly isOpen: boolean
}

export interface PayloadMatch {
  readonly family: Family
  readonly key: RowKey
  readonly place: VolumePlace
}

export type VolumeFindings =
  | { readonly kind: "payloads"; readonly payloads: readonly PayloadMatch[] }
  /** Everything before it has been walked. */
  | { readonly kind: "position"; readonly position: VolumePosition }
  /** A part of the volume cannot be read. */
  | { readonly kind: "damage" }

/** A device's payload volumes, for their upkeep. */
export interface PayloadShelf extends PayloadSink {
  list(): readonly PayloadVolumeSize[]
  /** What a payload of a row takes in its volume. */
  bytesOf(key: RowKey, lengthBytes: number): number
  /** What lies in a volume, in order, from where an earlier walk came to. Throws `deviceFailed`. */
  walk(volume: number, from: VolumePosition | undefined): AsyncIterable<VolumeFindings>
  /**
   * Payloads of one volume, verified, in the order in which they lie there; undefined for each that cannot be
   * read. Good until the next call.
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
 * The tablets that this device holds a member of, or is learning, each with the epoch that began the
 * membership: the store prefix of its rows. Entries of earlier epochs, and rows under other prefixes,
 * are of memberships that have ended.
 */
export type ReplicaIncarnations = ReadonlyMap<TabletId, Epoch>
