/**
 * The report of a running store, which metrics, the admin API and the command line render.
 *
 * The reports are plain data, made when they are requested and never cached here. They contain no secrets. A value that
 * is not known is absent, never invented.
 */
import type { BucketId, BucketName, DeviceId, StoreId } from "@hayloft/base/ids.js"
import type { RateReport } from "@hayloft/access/index.js"
import type { MayFail } from "@hayloft/engine/cluster/index.js"
import type { KeyServiceReport } from "@hayloft/access/keys/index.js"
import type { DatabaseHealth, ReportedDatabase } from "@hayloft/engine/format/database-health.js"
import type { LostObject } from "@hayloft/upkeep/index.js"

/**
 * The first five are the states of the control record. For a device that should be present, `missing` means that its
 * folder was not found, `failed` that it fails calls or does not respond, `full` that it accepts no new blocks.
 */
export type DeviceState =
  | "active"
  | "rebuilding"
  | "draining"
  | "decommissioning"
  | "offline"
  | "missing"
  | "failed"
  | "full"

/** A bounded queue and its fill level. */
export interface QueueReport {
  readonly name: string
  readonly depth: number
  readonly limit: number
}

export interface DeviceReport {
  readonly id: DeviceId
  /** The folder; for a missing device, its last one. */
  readonly path: string
  /** The node that serves it; absent, as the next two, on one machine. */
  readonly node?: string
  /** The zone is absent if none is named. */
  readonly zone?: string
  readonly machine?: string
  readonly state: DeviceState
  /** The reason for the state; "" for an active device. */
  readonly reason: string
  /** When the state was entered; absent if unknown. */
  readonly sinceMs?: number
  /** Share of the shards, relative to the others. */
  readonly weight: number
  readonly metadataReplica: "yes" | "learning" | "no"
  /** Equal for folders of one machine on one file system, which fail together; absent if unknown. */
  readonly disk?: string
  /** 0 if the device does not respond. */
  readonly totalBytes: number
  readonly freeBytes: number
  /** Free space, without the reserve for deletes, repair and compaction; absent if unknown. */
  readonly usableBytes?: number
  readonly reserveBytes?: number
  /** Bytes of removed needles in volumes, which compaction may free; absent if unknown. */
  readonly deadBytes?: number
  /** At the rate of the last minutes; absent if usage does not grow, or has not been observed for long enough. */
  readonly fullInSeconds?: number
  /** "ext4", "xfs", "tmpfs" … or "unknown". */
  readonly fileSystemKind: string
  /** Rows that the metadata store does not contain yet; absent, like the next two, if the device is not open. */
  readonly memtableRows?: number
  /** Rows that the metadata store could not hold as rows; absent also for devices of other nodes. */
  readonly asideRows?: number
  /** Bytes of the commit log that are not truncated yet. */
  readonly logBytes?: number
  /** Bytes of needle volumes. */
  readonly volumeBytes?: number
  readonly queues: readonly QueueReport[]
}

/** Finite work: how much is done, and when the rest will be. */
export interface ProgressReport {
  readonly doneBytes: number
  readonly remainingBytes: number
  /** Over the last minutes. */
  readonly bytesPerSecond: number
  /** The time is absent if nothing remains, or if the rate is not known yet. */
  readonly endsInSeconds?: number
}

/** The losses that the store tolerates now. */
export interface SafetyReport {
  /** `ec:4+3 in 7 folders on 7 disks: any 3 of 7 disks may fail without loss` … */
  readonly sentence: string
  /** The answers of which the sentence consists, one by one: whether any disk, machine or zone may fail now. */
  readonly mayFail: readonly MayFail[]
  readonly disks: number
  /** How many arbitrary disks may fail now; -1: something cannot be read now. */
  readonly safeLosses: number
  readonly safeLossesWhenWhole: number
  /** The same for single folders. */
  readonly safeFolderLosses: number
  readonly safeFolderLossesWhenWhole: number
  /** How many arbitrary disks may be missing at a start without `hayloft device forget`. */
  readonly opensWithout: number
  /** Why the store is not whole; empty if it is. */
  readonly reasons: readonly string[]
  /** Devices on a disk that must not fail now. */
  readonly critical: readonly DeviceId[]
  /**
   * Bytes of blocks, before coding, by the number of further disk losses they survive, ascending; -1: not readable now.
   */
  readonly levels: readonly SafetyLevelReport[]
  /** A few, the worst first. */
  readonly riskiest: readonly RiskReport[]
  /** The time is absent if the store is whole, or if no work is in progress. */
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

/** The metadata replicas; none if it is in a database. */
export interface MetadataReport {
  readonly isInDatabase: boolean
  readonly copies: number
  readonly copiesWanted: number
  /** Devices that are becoming replicas. */
  readonly learning: number
}

export interface RepairReport {
  readonly isPaused: boolean
  /**
   * The partitions, of 65,536, scanned since devices or layouts last changed; the remaining work is known once all have
   * been scanned.
   */
  readonly partitionsScanned: number
  /** Partitions that lacked shards, and those that still do. */
  readonly partitionsDone: number
  readonly partitionsRemaining: number
  /** The progress with missing shards. */
  readonly progress: ProgressReport
  /** Since the start of the process. */
  readonly rebuiltShards: number
  /** Blocks with fewer shards left than a read needs. */
  readonly lostBlocks: number
  /** Bytes of these blocks, before coding. */
  readonly lostBytes: number
  /** Some of the objects that are unreadable for this reason. */
  readonly lostObjects: readonly LostObject[]
  /** Blocks that were written as a single copy, whatever their policy. */
  readonly singleCopyBlocks: number
}

export interface ScrubReport {
  readonly device: DeviceId
  readonly state: "running" | "waiting" | "paused"
  readonly passStartedMs: number
  /** The progress of this pass. */
  readonly progress: ProgressReport
  /** When the byte that was verified longest ago was verified, or written. */
  readonly oldestVerifiedMs: number
  /** Since the start of the process. */
  readonly damagesFound: number
}

export interface JobReport {
  readonly name: string
  readonly state: "busy" | "throttled" | "idle" | "done" | "failed"
  /** It takes no steps; absent for a job on another node. */
  readonly isPaused?: boolean
  readonly progress: string
  readonly lastError?: string
  /** Rest after a step, as a multiple of the step's duration. */
  readonly throttle: number
}

export interface LayoutReport {
  readonly version: number
  /** Slots of each partition. */
  readonly width: number
  /** While shards move from one layout to the next. */
  readonly transition?: LayoutTransitionReport
}

/**
 * `silent`: it has written no heartbeat for a while. `ended`: its process has stopped, or was silent for so long that its
 * incarnation was ended. `unknown`: devices name it as their node, and it has not joined, or was removed.
 */
export type NodeState = "serving" | "unreachable" | "silent" | "ended" | "removed" | "unknown"

/** A node as the asked one sees it. */
export interface NodeStatus {
  readonly name: string
  /** The zone is absent if none is named. */
  readonly zone?: string
  readonly machine: string
  /** Where the other nodes reach it. */
  readonly address: string
  /** The version of its program. */
  readonly version: string
  readonly state: NodeState
  /** The reason for the state; "" for a node that serves. */
  readonly reason: string
  /**
   * It says whether the node's devices are being emptied: all of them (`drained`: they are empty), to stay or to leave.
   */
  readonly use: "in use" | "draining" | "drained" | "leaving"
  readonly devices: readonly DeviceId[]
  /** Nodes that it cannot reach, as it reports itself. */
  readonly cannotReach: readonly string[]
  /** Jobs that it does for the whole store. */
  readonly jobs: readonly string[]
}

/** The nodes of the store. */
export interface NodesReport {
  /** The node that was asked. */
  readonly own: string
  /** The node that watches over the others; absent if none does at the moment. */
  readonly steward?: string
  /** By zone, then by name. */
  readonly nodes: readonly NodeStatus[]
  /** Jobs for the whole store that no node does at the moment. */
  readonly idleJobs: readonly string[]
  /** Devices of silent nodes that wait for a decision of the operator: which, why, and what to do. */
  readonly heldBack: readonly string[]
}

/** How the database answers a node. */
export interface NodeOfDatabase extends Pick<ReportedDatabase, "commits" | "reads" | "clock"> {
  readonly name: string
}

/** Something that is wrong with the database: what is the case, what it means, what to do. */
export interface DatabaseFinding {
  readonly check:
    | "responseTimes"
    | "clock"
    | "oldSnapshot"
    | "deadRows"
    | "vacuum"
    | "durability"
    | "recovery"
    | "replication"
    | "connections"
    | "slots"
    | "transactionIds"
  readonly sentence: string
}

/** The database that keeps the metadata of the store. */
export interface DatabaseReport {
  /** The node that was asked. */
  readonly own: string
  /** Empty if nothing is wrong. */
  readonly findings: readonly DatabaseFinding[]
  /** The nodes that say how it answers them. */
  readonly nodes: readonly NodeOfDatabase[]
  /** The latest facts that one of the nodes has read; undefined if none has read them lately. */
  readonly health: DatabaseHealth | undefined
  readonly healthSecondsAgo: number | undefined
}

interface LayoutTransitionReport {
  readonly fromVersion: number
  /** The progress is absent if it is unknown. */
  readonly progress?: ProgressReport
}

/** The erasure of a bucket under way. */
export interface ErasureReport {
  /** Its former name, which another bucket may have by now. */
  readonly bucket: BucketName
  readonly bucketId: BucketId
  readonly sinceMs: number
  /** The control record has no key any more that opens the bucket's secret. */
  readonly keysReplaced: boolean
  /** The devices that may still have a control record with such a key. */
  readonly devices: readonly {
    readonly id: DeviceId
    readonly path: string
    readonly isOffline: boolean
    /** The node is absent on one machine. */
    readonly node?: string
  }[]
  /** Still to be removed. */
  readonly versions: number
  readonly uploads: number
}

/** The report on an existing store that is being encrypted. */
export interface EncryptingReport {
  /** The share of the bytes of objects. */
  readonly percent: number
  readonly doing: string
  /** The devices that may still have plain files. */
  readonly devices: readonly {
    readonly id: DeviceId
    readonly path: string
    readonly isOffline: boolean
    readonly left?: string
  }[]
  /** Objects that could not be encrypted in the latest pass, and are tried again; some of them. */
  readonly troubles: readonly { readonly bucket: string; readonly key: string; readonly reason: string }[]
  /** The number of all such objects. */
  readonly troubleCount: number
}

/** Threads that serve the ports of clients beside the one that decides. */
export interface ThreadsReport {
  /** The number that the operator has configured. */
  readonly wanted: number
  readonly running: number
  /** Why there are none although some are wanted; absent: there is no such reason. */
  readonly reason?: string
}

/** Features add fields of their own. */
export interface StoreReport {
  readonly storeId: StoreId
  readonly version: string
  readonly region: string
  readonly startedMs: number
  readonly uptimeSeconds: number
  /** The policy of new blocks: `ec:4+3`, `replica:2`. */
  readonly policy: string
  /** The policy follows the number of devices. */
  readonly isPolicyAutomatic: boolean
  readonly blockBytes: number
  /** Everything on the devices is encrypted. */
  readonly isEncryptedAtRest: boolean
  /** Whose keys were missing when they were last asked for. */
  readonly bucketsWithoutKeys: number
  /** An open device of this process lacks the newest keys: requests that need a new one fail. */
  readonly isShortOfKeys: boolean
  /** Present while an existing store is being encrypted. */
  readonly encrypting?: EncryptingReport
  /** Compatibility switches that are on: each allows what is refused by default. */
  readonly compatibility: readonly string[]
  /** The report is absent if the operator wants none. */
  readonly threads?: ThreadsReport
  readonly safety: SafetyReport
  readonly metadata: MetadataReport
  readonly health: HealthReport
  readonly devices: readonly DeviceReport[]
  /** The report is absent on one machine. */
  readonly nodes?: NodesReport
  /** The report is absent if the metadata is on the devices. */
  readonly database?: DatabaseReport
  readonly layout: LayoutReport
  /** While blocks are re-encoded from one policy to another. */
  readonly reencoding?: ProgressReport
  /** The report is absent if this process does no such work. */
  readonly repair?: RepairReport
  readonly scrub?: readonly ScrubReport[]
  /** Erasures of buckets under way; absent if there are none. */
  readonly erasures?: readonly ErasureReport[]
  /** External key services of this node; absent if it has none. */
  readonly keyServices?: readonly KeyServiceReport[]
  /** Accounts and keys whose limits of rates were used, on this node since its start; absent if there are none. */
  readonly rates?: readonly RateReport[]
  readonly jobs: readonly JobReport[]
  /** Queues that belong to no device. */
  readonly queues: readonly QueueReport[]
}

export interface HealthReport {
  /** The store accepts requests. */
  readonly ready: boolean
  /** Why it does not, or how it is degraded; empty if all is well. */
  readonly reasons: readonly string[]
  /** A device is full: new objects may be refused, while reads and deletes go on. Absent: none is. */
  readonly refusesWrites?: boolean
}

/** Responds from memory, without I/O, whatever devices do. */
export interface StoreStatus {
  /** Cheap: every probe calls it. */
  health(): HealthReport
  /** Reports whether the process works; if not, a restart of it is worth a try. As cheap. */
  liveness(): HealthReport
  report(): StoreReport
}
