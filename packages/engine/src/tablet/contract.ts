/**
 * Tablets: the metadata engine of one machine. Ordered, transactional, replicated rows, without any notion of objects.
 *
 * The writes of a command (never the command itself) are logged on every replica and applied when all have them
 * durable.
 */
import type { PayloadPlace } from "../device/contract.js"
import type { Failure } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { DeviceId, Epoch, RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { MetadataRow, RowView } from "../metadata/index.js"

export interface ReplicaIncarnationOf {
  readonly id: DeviceId
  readonly since: Epoch
}

/** A place on the device of a replica: of the first one, if `of` is absent. */
export type ReplicaPlace = PayloadPlace & { readonly of?: ReplicaIncarnationOf }

/** An inline payload: still in memory (uncommitted), or at its place on a device. */
export type TabletPayload = ReplicaPlace | { readonly in: "memory"; readonly bytes: Uint8Array }

export interface TabletRow extends MetadataRow {
  readonly payload: TabletPayload | undefined
}

/** Rows of one replica, or of the first that can return them. */
export interface TabletView extends RowView {
  get(family: Family, key: RowKey): TabletRow | undefined
  range(family: Family, range: KeyRange): Iterable<readonly [RowKey, TabletRow]>
}

/** Stores the tablet's configuration, and receives reports of failures of its devices. */
export interface ConfigurationStore {
  /**
   * Removes replicas from the configuration, because others have logged entries that these could not log (`deviceFull`:
   * for lack of space, while the device is healthy otherwise). Resolves with the epoch of the configuration without
   * them, when it is certain to be found after a crash; until then no entry that they lack is committed. If they are no
   * longer in it, that is the present epoch. A rejection halts writes. Must not wait for the tablet.
   */
  leave(ids: readonly DeviceId[], reason: Failure): Promise<Epoch>
  /** A learner has ended its learning by itself. */
  learningFailed(id: DeviceId, failure: Failure): void
  /**
   * The metadata store or payloads of a replica could not return a row (`corruptRow`, `corruptNeedle`, `deviceFailed`);
   * may be called often.
   */
  damaged(id: DeviceId, failure: Failure): void
  /** Number of replicas that the configuration should have, including those that are offline. */
  replicasWanted(): number
  /** Returns true if commands are refused while only one device would store their writes. */
  refusesSingleCopy(): boolean
}
