/** Repair: what it is told of the store, and what it tells. */
import type { DeviceId } from "../../base/ids.js"
import type { Policy } from "../../base/policy.js"
import type { Layouts } from "../../block/index.js"
import type { ControlDevice } from "../../format/control-record.js"

/** How a device is, and since when: one that left and came back is so anew. */
export type RepairDevice = Pick<ControlDevice, "state" | "stateSinceMs">

export interface RepairSource {
  /** Every device of the store and how it is, now. */
  states(): ReadonlyMap<DeviceId, RepairDevice>
  readonly layouts: Layouts
  /** What moving shards and coding blocks anew write together at most. Rebuilding what is lost is not bounded. */
  readonly moveBytesPerSecondMax: number
  /** A device that was `rebuilding` has everything that the layout gives it. May be told again. */
  onDeviceWhole(id: DeviceId): void
  /** Every shard that can be moved lies where the layout of this version wants it. May be told again. */
  onTransitionDone(version: number): void
  /** There is work: who runs the job is to wake it. */
  wake(): void
}

/** What repair and re-encoding are told, and whom they tell. */
export interface RedundancySource extends RepairSource {
  /** Grows with each change of a policy: the generation of the needles that re-encoding writes under it. */
  policyVersion(): number
  /** Of buckets that chose none for themselves. */
  policy(): Policy
}

/** Blocks of one partition whose shards lie on exactly these devices, where no layout would have them. */
export interface MisplacedBlocks {
  readonly partition: number
  /** Shards that a read needs. */
  readonly needed: number
  readonly devices: readonly DeviceId[]
  /** Of the blocks, not of their shards. */
  readonly bytes: number
}

/** What lies where, as the latest look at each partition found it. */
export interface ShardScanReport {
  /** Grows when anything of it changes. */
  readonly version: number
  /** When the look that this comes from began, by the monotonic clock; undefined: nobody has looked yet. */
  readonly beganMs: number | undefined
  /** Every partition was looked at since devices or layouts changed last. */
  readonly isComplete: boolean
  /** The same, at some time in this life: until then it is not known how blocks lie. */
  readonly hasLooked: boolean
  /** Policies that blocks lie under, with the bytes of blocks; those of odd blocks not counted. */
  readonly policies: readonly { readonly policy: Policy; readonly bytes: number }[]
  /** By device, a byte for each partition: not 0 where it may lack shards. Absent: it lacks nothing. */
  readonly lacking: ReadonlyMap<DeviceId, Uint8Array>
  readonly misplacedBlocks: readonly MisplacedBlocks[]
  /** Blocks that are there once, whatever their policy should have been. */
  readonly singleCopyBlocks: number
}

/** Blocks that rows name and that cannot be read, as they were called last. */
export interface IntegrityAuditReport {
  /** Grows when anything of it changes. */
  readonly version: number
  /** Every row was called since devices came or went last. */
  readonly isComplete: boolean
  /** The same, and since damage was found last: all other blocks can be read. */
  readonly isCounted: boolean
  readonly blocks: number
  /** Of these blocks, before coding. */
  readonly bytes: number
  /** All of them; of none it is told where what is left of it lies. */
  readonly misplacedBlocks: readonly MisplacedBlocks[]
}

/** Something that clients cannot read: an object, an older version of one, or a part of an upload in progress. */
export interface LostObject {
  readonly bucket: string
  readonly key: string
  readonly what: "object" | "version" | "part"
}

export interface RepairWork {
  readonly doneBytes: number
  readonly remainingBytes: number
  readonly partitionsDone: number
  readonly partitionsLeft: number
}

export interface RepairReport {
  readonly isPaused: boolean
  /** Partitions that the look under way has passed; 65,536 when it has ended. */
  readonly partitionsScanned: number
  /** Shards that are missing: rebuilt, or copied from where they are. */
  readonly mending: RepairWork
  /** Shards that are whole and lie where an older layout had them. */
  readonly moving: RepairWork
  readonly bytesPerSecond: number
  /** Undefined where nothing is left, or nobody knows. */
  readonly secondsLeft: number | undefined
  readonly writtenShards: number
  /** Devices without room, which it waits for. */
  readonly isShortOfSpace: boolean
}
