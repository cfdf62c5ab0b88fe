/**
 * The report of a running store, which metrics, the admin API and the command line render.
 *
 * The reports are plain data, made when they are requested and never cached here. They contain no secrets. A value that
 * is not known is absent, never invented.
 */
import type { DeviceId, StoreId } from "../../base/ids.js"

/**
 * The first five are what the control record says. Of a device that should be here, `missing` says that
 * its folder was not found, `failed` that it refuses or does not answer, `full` that it takes no new
 * blocks.
 */
export type DeviceState =
  "active" | "rebuilding" | "draining" | "decommissioning" | "offline" | "missing" | "failed" | "full"

/** A bounded queue and how near it is to its limit. */
export interface QueueReport {
  readonly name: string
  readonly depth: number
  readonly limit: number
}

export interface DeviceReport {
  readonly id: DeviceId
  /** The folder; where it was last seen, for a missing one. */
  readonly path: string
  readonly state: DeviceState
  /** Why the state is what it is; "" for an active one. */
  readonly reason: string
  /** When the state was entered; absent: not known. */
  readonly sinceMs?: number
  /** Its share of the shards, relative to the others. */
  readonly weight: number
  readonly metadataReplica: "yes" | "learning" | "no"
  /** Equal for folders on one file system, which fail together; absent: not known. */
  readonly disk?: string
  /** 0 where the device does not answer. */
  readonly totalBytes: number
  readonly freeBytes: number
  /** Free, and not kept back for deletes, repair and compaction; absent: not known. */
  readonly usableBytes?: number
  readonly reserveBytes?: number
  /** In volumes, of what is gone: compaction may give it back; absent: not known. */
  readonly deadBytes?: number
  /** At the rate of the last minutes; absent: it does not fill, or nobody has looked for long enough. */
  readonly fullInSeconds?: number
  /** "ext4", "xfs", "tmpfs" … or "unknown". */
  readonly fileSystemKind: string
  /** Rows that the base does not contain yet; absent, like the next two, if the device is not open. */
  readonly memtableRows?: number
  /** Bytes of the commit log above its cut. */
  readonly logBytes?: number
  /** Bytes of needle volumes. */
  readonly volumeBytes?: number
  readonly queues: readonly QueueReport[]
}

/** Work with an end: how much is done, and when the rest will be. */
export interface ProgressReport {
  readonly doneBytes: number
  readonly remainingBytes: number
  /** Over the last minutes. */
  readonly bytesPerSecond: number
  /** Absent: nothing is left, or the rate is not known yet. */
  readonly endsInSeconds?: number
}

/** What may fail now. */
export interface SafetyReport {
  /** `ec:4+3 in 7 folders on 7 disks: any 3 of 7 disks may fail without loss` … */
  readonly sentence: string
  readonly disks: number
  /** So many arbitrary disks may fail now; -1: something cannot be read now. */
  readonly safeLosses: number
  readonly safeLossesWhenWhole: number
  /** The same of folders, each by itself. */
  readonly safeFolderLosses: number
  readonly safeFolderLossesWhenWhole: number
  /** So many arbitrary disks may be missing at a start without `hayloft device forget`. */
  readonly opensWithout: number
  /** What keeps the store from being whole; empty: nothing. */
  readonly reasons: readonly string[]
  /** Devices on a disk that must not fail now. */
  readonly critical: readonly DeviceId[]
  /** Bytes of blocks, before coding, by how many more lost disks they survive, ascending; -1: not readable now. */
  readonly levels: readonly SafetyLevelReport[]
  /** A few, the worst first. */
  readonly riskiest: readonly RiskReport[]
  /** Absent: it is whole, or nothing is under way. */
  readonly wholeInSeconds?: number
}

interface SafetyLevelReport {
  readonly losses: number
  readonly bytes: number
}

interface RiskReport {
  readonly partition: number
  readonly losses: number
  readonly lacking: readonly DeviceId[]
}

/** Devices that hold the names. */
export interface MetadataReport {
  readonly copies: number
  readonly copiesWanted: number
  /** Devices that are on the way to hold them. */
  readonly learning: number
}

/** Something that clients cannot read: an object, an older version of one, or a part of an upload in progress. */
export interface LostObject {
  readonly bucket: string
  readonly key: string
  readonly what: "object" | "version" | "part"
}

export interface RepairReport {
  readonly isPaused: boolean
  /** Of 65,536, since devices or layouts changed last; what is left is known once all have been. */
  readonly partitionsScanned: number
  /** Partitions that lacked shards, and those that still do. */
  readonly partitionsDone: number
  readonly partitionsLeft: number
  /** Of shards that are missing. */
  readonly progress: ProgressReport
  /** Since the start of the process. */
  readonly rebuiltShards: number
  /** Blocks of which fewer shards are left than a read needs. */
  readonly lostBlocks: number
  /** Bytes of these blocks, before coding. */
  readonly lostBytes: number
  /** Some of what cannot be read for it. */
  readonly lostObjects: readonly LostObject[]
  /** Blocks that were written as one copy, whatever their policy should be. */
  readonly singleCopyBlocks: number
}

export interface ScrubReport {
  readonly device: DeviceId
  readonly state: "running" | "waiting" | "paused"
  readonly passStartedMs: number
  /** Of this pass. */
  readonly progress: ProgressReport
  /** When the byte that was verified longest ago was verified, or written. */
  readonly oldestVerifiedMs: number
  /** Since the start of the process. */
  readonly damagesFound: number
}

export interface JobReport {
  readonly name: string
  readonly state: "busy" | "throttled" | "idle" | "done" | "failed"
  readonly progress: string
  readonly lastError?: string
  /** How long it rests after a step, as a multiple of how long the step took. */
  readonly throttle: number
}

interface LayoutReport {
  readonly version: number
  /** Slots of each partition. */
  readonly width: number
  /** While shards move from one layout to the next. */
  readonly transition?: LayoutTransitionReport
}

interface LayoutTransitionReport {
  readonly fromVersion: number
  /** Absent: not known. */
  readonly progress?: ProgressReport
}

export interface StoreReport {
  readonly storeId: StoreId
  readonly version: string
  readonly region: string
  readonly startedMs: number
  readonly uptimeSeconds: number
  /** `ec:4+3`, `replica:2`: what new blocks are written under. */
  readonly policy: string
  /** Nobody chose the policy: it follows the number of devices. */
  readonly isPolicyAutomatic: boolean
  readonly blockBytes: number
  /** Settings that allow, for the sake of older clients, what is refused otherwise; those that are on. */
  readonly compatibility: readonly string[]
  readonly safety: SafetyReport
  readonly metadata: MetadataReport
  readonly health: HealthReport
  readonly devices: readonly DeviceReport[]
  readonly layout: LayoutReport
  /** While blocks are brought from one policy to another. */
  readonly reencoding?: ProgressReport
  /** Absent: no such work is done by this process. */
  readonly repair?: RepairReport
  readonly scrub?: readonly ScrubReport[]
  readonly jobs: readonly JobReport[]
  /** Queues that belong to no device. */
  readonly queues: readonly QueueReport[]
}

export interface HealthReport {
  /** May be sent requests. */
  readonly ready: boolean
  /** Why not, or what is degraded though ready; empty where all is well. */
  readonly reasons: readonly string[]
}

/** Answers from memory: at once, whatever devices do. */
export interface StoreStatus {
  /** Cheap: asked by every probe. */
  health(): HealthReport
  report(): StoreReport
}
