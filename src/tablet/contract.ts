/**
 * Tablets: ordered, transactional, replicated rows. They know no objects.
 *
 * A command is a named, pure decision on rows; its writes (never the command itself) are logged on
 * every member and applied when all have them durable. An answer, also a refusal or a no-op, is given
 * only when everything that the decision saw is committed.
 */
import type { PayloadPlace } from "../device/contract.js"
import type { Failure } from "../base/failures.js"
import type { Family } from "../base/families.js"
import type { DeviceId, Epoch, Position, RowKey } from "../base/ids.js"
import type { EntryWrite } from "../format/entry.js"
import type { LentSoon } from "../base/lent.js"
import type { KeyRange } from "../base/key-range.js"
import type { RowVisitor } from "../base/row-scan.js"

/** An inline payload: still in memory (uncommitted), or at its place on a device. */
export type TabletPayload = PayloadPlace | { readonly in: "memory"; readonly bytes: Uint8Array }

export interface TabletRow {
  readonly value: Uint8Array
  readonly payload: TabletPayload | undefined
}

/** Rows as one moment shows them. Ranges are to be consumed within the turn. */
export interface TabletView {
  get(family: Family, key: RowKey): TabletRow | undefined
  range(family: Family, range: KeyRange): Iterable<readonly [RowKey, TabletRow]>
}

export interface CommittedRows extends TabletView {
  /** As `range`, forward, without an object for each row. Not within another scan. */
  scan(family: Family, range: KeyRange, visitor: RowVisitor): void
}

export interface DecisionView extends TabletView {
  /** The payload of a row, for a write that carries it on. The decision is taken again once it has been read. */
  payload(family: Family, key: RowKey, row: TabletRow): Uint8Array | undefined
}

export interface DecisionTime {
  /** Wall clock. */
  readonly nowMs: number
  /** The position that the decision's entry would have. */
  readonly position: Position
}

export interface Decision<Result> {
  /** Empty: nothing changes. */
  readonly writes: readonly EntryWrite[]
  readonly result: Result
}

export interface Command<Result> {
  readonly name: string
  /** False: lets rows shrink, or keeps the books. Such commands pass where a disk has no room for more. */
  readonly grows?: false
  /** Rows that the decision is about to read, brought into memory before it. */
  readonly touches: readonly (readonly [Family, RowKey])[]
  /** Pure. Throws a `Failure` to refuse. */
  decide(view: DecisionView, time: DecisionTime): Decision<Result>
}

export interface Tablet {
  /**
   * Decides, logs, commits, answers. Throws the decision's refusal, `tooManyInFlight`, `stopping`,
   * `deviceFull`, `deviceFailed` (refused, nothing happened) or `indeterminate` (it may or may not have
   * happened).
   */
  run<Result>(command: Command<Result>): Promise<Result>
  /**
   * Asks every replica of the configuration, each by its own committed rows: for decisions by absence. Undefined while
   * a replica is offline, or its metadata has not been verified, by a walk over all rows that began in this process
   * and not before `verifiedSinceMs` of the monotonic clock. `ask` may be called again.
   */
  askEveryReplica<Answer>(
    verifiedSinceMs: number,
    ask: (view: TabletView) => Answer,
  ): Promise<readonly Answer[] | undefined>
  /** The committed rows of this moment. */
  readonly committed: CommittedRows
  readonly committedPosition: Position
  /** Brings rows into memory, so that reading them does not stall the thread. Undefined: nothing to wait for. */
  warm(family: Family, keys: readonly RowKey[]): Promise<void> | undefined
  /**
   * The inline payload of a row read from `committed`: lent, good until the next payload is asked for, if it is
   * available; otherwise a promise of bytes that are the caller's own. If it has moved meanwhile the row is read
   * again: undefined if it is gone or holds another value now.
   */
  payload(family: Family, key: RowKey, row: TabletRow): LentSoon
}

/** Who keeps the tablet's configuration, and is told of what its devices cannot do. */
export interface ConfigurationKeeper {
  /**
   * Takes members out of the configuration, because others have logged what these could not
   * (`deviceFull`: for want of room, and the device is well otherwise). Resolves with the epoch of the
   * configuration without them, when it is certain to be found after a crash; until then nothing that
   * they lack is committed. Where they are in it no longer that is the present epoch. A rejection halts
   * writes. Must not wait for the tablet.
   */
  leave(ids: readonly DeviceId[], reason: Failure): Promise<Epoch>
  /** A learner has ended its learning by itself. */
  learningFailed(id: DeviceId, failure: Failure): void
  /** A member's base or payloads could not give a row (`corruptRow`, `corruptNeedle`, `deviceFailed`); may come often. */
  damaged(id: DeviceId, failure: Failure): void
  /** How many replicas the configuration should have, those that are offline included. */
  replicasWanted(): number
  /** Whether commands are refused while one device alone would have what they write. */
  refusesSingleCopy(): boolean
}
