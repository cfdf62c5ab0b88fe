/** Repair: its view of the store, and its reports. */
import type { DeviceId, Incarnation, UploadId } from "@hayloft/base/ids.js"
import type { Policy } from "@hayloft/base/policy.js"
import type { Layouts } from "@hayloft/engine/block/index.js"
import type { ControlDevice } from "@hayloft/engine/format/device/control-record.js"
import type { RepairOutcome, RepairVisit } from "@hayloft/engine/format/nodes/repair-calls.js"
import type { ReportedContents, ReportedRepair } from "@hayloft/engine/format/nodes/node-report.js"

/** A device's state and when it began; a device that left and came back has a new beginning. */
export type RepairDevice = Pick<ControlDevice, "state" | "stateSinceMs">

export interface RepairSource {
  /** The current state of every device of the store. */
  states(): ReadonlyMap<DeviceId, RepairDevice>
  readonly layouts: Layouts
  /** Limits the bytes that moves and re-encoding write together. Rebuilding lost shards is not limited. */
  readonly moveBytesPerSecondMax: number
  /** A `rebuilding` device has everything that the layout assigns to it. May be called repeatedly. */
  onDeviceWhole(id: DeviceId): void
  /** Every shard that can be moved is where the layout of this version puts it. May be called repeatedly. */
  onTransitionDone(version: number): void
  /** The policy of buckets without their own. */
  policy(): Policy
  /** There is work: the job's runner must wake the job. */
  wake(): void
}

/** A visit that repair wants to be made. */
export interface VisitOrder extends Omit<RepairVisit, "generation" | "longPassedOver"> {
  readonly longPassedOver: ReadonlySet<UploadId>
  /** The devices of the partition's slots that take part, in the order in which their nodes should make the visit. */
  readonly slots: readonly DeviceId[]
  /** Only this process can resolve what is left: it has assigned the uploads, and may hold them. Undefined: any can. */
  readonly by: Incarnation | undefined
}

/** The processes that make the visits of repair. */
export interface RepairWorkers {
  /** How many nodes share the visits now, at least 1: a step takes so many times the work of one. */
  readonly count: number
  /** How many have made visits in the last minute. */
  readonly takingPart: number
  /** A visit by one of them. Rejects with the signal's reason once it fires. */
  visit(order: VisitOrder, signal: AbortSignal): Promise<RepairOutcome>
}

/** The view of the store for repair and re-encoding. */
export interface RedundancySource extends RepairSource {
  /** Increases with each change of a policy. */
  policyVersion(): number
  /** Buckets with their own policy, as last read: another process may have set one. */
  bucketPolicies(): readonly { readonly name: string; readonly policy: Policy }[]
}

/** Blocks of one partition with shards on exactly these devices, where no layout puts them. */
export type MisplacedBlocks = ReportedContents["misplacedGroups"][number]

/** The location of all shards, as of the latest scan of each partition. */
export interface ShardScanReport {
  /** Increases with each change of the report. */
  readonly version: number
  /** When the scan behind this report started (monotonic clock); undefined: nothing has been scanned. */
  readonly beganMs: number | undefined
  /** Every partition was scanned since devices or layouts last changed. */
  readonly isComplete: boolean
  /** A scan was complete at some time in this process: until then the location of blocks is unknown. */
  readonly hasScanned: boolean
  /** Policies of blocks with the bytes of the blocks, without misplaced blocks. */
  readonly policies: readonly { readonly policy: Policy; readonly bytes: number }[]
  /** By device, a byte for each partition: not 0 if the device may lack shards. Absent: it lacks nothing. */
  readonly lacking: ReadonlyMap<DeviceId, Uint8Array>
  readonly misplacedBlocks: readonly MisplacedBlocks[]
  /** There are more misplaced blocks than the report lists: what the store survives is not certain. */
  readonly omitsMisplaced: boolean
  /** Blocks with a single copy, whatever their policy should have been. */
  readonly singleCopyBlocks: number
}

/** Blocks that rows reference and that cannot be read, as of their latest check. */
export interface IntegrityAuditReport {
  /** Increases with each change of the report. */
  readonly version: number
  /** Every row was checked since devices last came or went. */
  readonly isComplete: boolean
  /** Also true since damage was last found: all other blocks can be read. */
  readonly isCounted: boolean
  readonly blocks: number
  /** Bytes of these blocks, before coding. */
  readonly bytes: number
  /** All misplaced blocks, in one entry. The audit does not report where their remaining shards are. */
  readonly misplacedBlocks: readonly MisplacedBlocks[]
}

/** Something that clients cannot read: an object, an older version of one, or a part of an upload in progress. */
export type LostObject = ReportedRepair["lostObjects"][number]

/** Older versions of one key count once, as do the parts of its uploads. */
export interface LostObjects {
  /** At most `objectsReported`. */
  readonly first: readonly LostObject[]
  /** The number of all that are remembered: there may be more. */
  readonly count: number
}

export type RepairWork = ReportedRepair["mending"]

export interface RepairJobReport extends Pick<
  ReportedRepair,
  "isPaused" | "partitionsScanned" | "mending" | "moving" | "bytesPerSecond" | "secondsLeft" | "isShortOfSpace"
> {
  readonly writtenShards: number
}
