/**
 * Tablets: the metadata engine of one machine. Ordered, transactional, replicated rows; they know no objects.
 *
 * The writes of a command (never the command itself) are logged on every member and applied when all have them durable.
 */
import type { PayloadPlace } from "../device/contract.js"
import type { Failure } from "../base/failures.js"
import type { Family } from "../base/families.js"
import type { DeviceId, Epoch, RowKey } from "../base/ids.js"
import type { KeyRange } from "../base/key-range.js"
import type { MetadataRow, RowView } from "../metadata/index.js"

/** An inline payload: still in memory (uncommitted), or at its place on a device. */
export type TabletPayload = PayloadPlace | { readonly in: "memory"; readonly bytes: Uint8Array }

export interface TabletRow extends MetadataRow {
  readonly payload: TabletPayload | undefined
}

/** Rows of one replica, or of the first that can give them. */
export interface TabletView extends RowView {
  get(family: Family, key: RowKey): TabletRow | undefined
  range(family: Family, range: KeyRange): Iterable<readonly [RowKey, TabletRow]>
}

/** Who keeps the tablet's configuration, and is told of what its devices cannot do. */
export interface ConfigurationStore {
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
