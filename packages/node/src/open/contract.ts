/** A store as its start leaves it, before its engine runs. */
import type { Incarnation, NodeName, StoreId } from "@hayloft/base/ids.js"
import type { Ownership, Stalls } from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { SharedRecordManager } from "../cluster/shared-record.js"
import type { TakenFolder } from "../control/folders.js"
import type { SharedMetadata } from "../metadata/database.js"
import type { StoreSecrets } from "./secrets.js"

export interface OpenedStore {
  readonly storeId: StoreId
  /** The record in effect. */
  readonly record: ControlRecord
  readonly secrets: StoreSecrets
  /** Devices that take part, in the record's order. */
  readonly devices: readonly Ownership[]
  /** The incarnation of this process, the same on each device. */
  readonly incarnation: Incarnation
  /** Judges all devices of this process together. */
  readonly stalls: Stalls
  /** This start created the store. */
  readonly isNew: boolean
  /** Folders that did not simply open: one line each. */
  readonly notes: readonly string[]
  /** The node is undefined if the devices of this process are the store. */
  readonly node?: OpenedNode
}

/** The parts that a node has of a store whose metadata is in a database. */
export interface OpenedNode {
  readonly name: NodeName
  readonly metadata: SharedMetadata
  readonly records: SharedRecordManager
  /** Folders whose devices the record does not name yet. */
  readonly joining: readonly TakenFolder[]
  /** Folders whose disk failed at this start. */
  readonly leftOut: readonly string[]
}
