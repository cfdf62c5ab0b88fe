/** The methods that the engine thread and its fronts offer each other, beside rows and shards. */
import type { DeviceId, Incarnation, StoreId } from "@hayloft/base/ids.js"
import type { RootKey } from "@hayloft/access/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { SeenIncarnations } from "@hayloft/engine/metadata/index.js"
import { changing, reading, type DeviceHints } from "@hayloft/engine/thread/index.js"
import type { NeedleId } from "@hayloft/engine/volume/index.js"
import type { HealthReport } from "../status/contract.js"

/** The state of the store for those who only follow it. */
export interface StoreState {
  readonly incarnations: SeenIncarnations
  readonly devices: readonly DeviceHints[]
  /** The reason why requests wait now: so many devices do not answer that it is one stall. */
  readonly stalled: string | undefined
  readonly health: HealthReport
  readonly liveness: HealthReport
  /** The names of other nodes that this one reaches. */
  readonly othersReached: readonly string[]
}

/** The secrets of a running store, as its threads share them. */
interface ThreadSecrets {
  readonly masterKey: Uint8Array
  readonly formerKey: Uint8Array | undefined
  readonly nextKey: Uint8Array | undefined
  readonly root: RootKey
}

/** The store as a front begins with it. */
export interface FrontStart {
  readonly incarnation: Incarnation
  readonly storeId: StoreId
  readonly record: ControlRecord
  readonly state: StoreState
  readonly secrets: ThreadSecrets
  /** See `LastChanges`; undefined if other processes change the metadata, too. */
  readonly changes: SharedArrayBuffer | undefined
}

interface ChangeOfRecord {
  /** For messages. */
  readonly name: string
  /** The generation of the record that it was decided on. */
  readonly before: number
  readonly next: ControlRecord
}

interface ChangedRecord {
  /** False: another change has come before it, and this one has to be decided again. */
  readonly isMade: boolean
  /** The record in effect. */
  readonly record: ControlRecord
}

interface Damage {
  readonly deviceId: DeviceId
  readonly needle: NeedleId
}

/** The engine thread offers these. */
export const STORE_METHODS = {
  changeRecord: changing<ChangeOfRecord, ChangedRecord>("change record"),
  readRecord: reading<undefined, ControlRecord>("read record"),
  spreadRecord: reading<undefined, ControlRecord>("spread record"),
  raiseFormatEpoch: changing<number, void>("raise format epoch"),
  /** See `CoreServices.refuseEarlier`. */
  refuseEarlier: changing<undefined, void>("refuse earlier"),
  singleCopyWritten: changing<undefined, void>("single copy written"),
  onDamage: changing<Damage, void>("damage"),
} as const

/** A front offers these. */
export const FRONT_METHODS = {
  /** The front knows the record, if it is given, and the state once it answers. */
  follow: changing<{ readonly record: ControlRecord | undefined; readonly state: StoreState }, FollowAnswer>("follow"),
  /** The positions that its readers have pinned: none of them uses bytes released at or below the answer. */
  oldestPin: reading<undefined, number>("oldest pin"),
} as const

interface FollowAnswer {
  /** The oldest layout under which a write of the front may be under way. */
  readonly oldestLayout: number
}
