/**
 * What status needs to see of a running store: small views that whoever runs the store hands in. All of
 * it is in memory and read at once; what a store does not know or do is undefined, never invented.
 */
import type { JobReport, LostObject, MetadataReport, QueueReport } from "./contract.js"
import type { Failure } from "../../base/failures.js"
import type { DeviceId } from "../../base/ids.js"
import type { Policy } from "../../base/policy.js"
import type { SafetyInput } from "../../cluster/index.js"
import type { OrphanReport } from "../../object/index.js"
import type { ControlRecord } from "../../format/control-record.js"

export interface StatusSources {
  /** As it is in force now. */
  readonly record: () => ControlRecord
  /** Devices that are open. */
  readonly devices: () => readonly OpenDevice[]
  /** Why a device was taken out in the life of this process. */
  readonly offlineReason: (id: DeviceId) => string | undefined
  readonly tablet: () => TabletView
  /** Queues that belong to no device. */
  readonly queues: () => readonly QueueReport[]
  readonly jobs: () => readonly JobReport[]
  /** What blocks lie where; undefined: nobody has looked. */
  readonly contents: () => StoreContents | undefined
  /** Undefined: this process does no such work. */
  readonly repair: () => RepairView | undefined
  readonly orphans: () => OrphanReport
  readonly scrub: () => readonly ScrubView[] | undefined
  /** Of blocks from one policy to another; undefined: not known, or none are re-encoded. */
  readonly reencoding: () => ReencodingView | undefined
}

interface TabletView {
  /** Writes are taken. */
  readonly isServing: boolean
  /** Why the metadata of a replica is not what was written; empty if no damage was found. */
  readonly metadataDamages: readonly string[]
}

export interface OpenDevice {
  readonly id: DeviceId
  readonly path: string
  /** Why it must go; undefined while it is well. A full device is well. */
  readonly trouble: Failure | undefined
  /** Why the latest checkpoint failed. */
  readonly checkpointError: string | undefined
  /** As it was known last; undefined: nobody has asked the file system yet. */
  readonly space: SpaceView | undefined
  /** Bytes in volumes of what is gone; undefined: not counted. */
  readonly deadBytes: number | undefined
  readonly volumeBytes: number
  readonly logBytes: number
  readonly memtableRows: number
  readonly calls: QueueReport
}

export interface SpaceView {
  /** Equal for folders that fail together. */
  readonly fileSystemId: string
  readonly fileSystemKind: string
  readonly totalBytes: number
  readonly freeBytes: number
  /** What needles may still take; undefined: nothing is kept back. */
  readonly usableBytes: number | undefined
  readonly reserveBytes: number | undefined
  /** Takes no new blocks. */
  readonly isFull: boolean
  /** Takes no new rows either. */
  readonly isCritical?: boolean
  readonly secondsUntilFull: number | undefined
}

export interface StoreContents {
  /** False: how blocks lie has not been looked at in this life, and soon will be. */
  readonly isKnown: boolean
  /** Every block was called: those of odd groups without devices cannot be read, and all others can. */
  readonly isCounted: boolean
  /** Grows when anything of this changes. */
  readonly version: number
  /** Policies that blocks lie under, with the bytes of blocks before coding; those of odd groups not counted. */
  readonly policies: readonly { readonly policy: Policy; readonly bytes: number }[]
  /** That buckets chose for themselves. */
  readonly bucketPolicies: readonly Policy[]
  readonly lacking: SafetyInput["lacking"]
  readonly misplacedGroups: SafetyInput["misplacedGroups"]
}

/** Of bytes: how many are done and how many are left. */
export interface Work {
  readonly doneBytes: number
  readonly remainingBytes: number
}

export interface RepairView {
  readonly isPaused: boolean
  /** Of all, since devices or layouts changed last; what is left is known once all have been. */
  readonly partitionsScanned: number
  /** Shards that are missing. */
  readonly mending: PartitionWork
  /** Shards that are whole and lie where the previous layout had them; done after the others. */
  readonly moving: PartitionWork
  readonly bytesPerSecond: number
  /** Until all of it is done; undefined: nothing is left, or nobody knows. */
  readonly secondsLeft: number | undefined
  readonly rebuiltShards: number
  readonly lostBlocks: number
  readonly lostBytes: number
  /** Some of those that cannot be read for it. */
  readonly lostObjects: readonly LostObject[]
  readonly singleCopyBlocks: number
  /** It waits for room on devices that are full. */
  readonly isShortOfSpace: boolean
}

export interface ReencodingView extends Work {
  readonly isPaused: boolean
  readonly secondsLeft: number | undefined
  /** Uploads that cannot be coded anew now, because devices or shards are missing. */
  readonly waiting: number
}

interface PartitionWork extends Work {
  readonly partitionsDone: number
  readonly partitionsLeft: number
}

export interface ScrubView extends Work {
  readonly device: DeviceId
  readonly state: "running" | "waiting" | "paused"
  readonly passStartedMs: number
  readonly oldestVerifiedMs: number
  readonly damagesFound: number
}

/** Who holds the names, by the record; of several tablets the one that fewest hold. */
export function namesOf({ tablets, devices, metaCopies }: ControlRecord): MetadataReport {
  const fewest = [...tablets].sort((a, b) => a.replicas.length - b.replicas.length)[0]
  return {
    copies: fewest?.replicas.length ?? 0,
    copiesWanted: Math.min(metaCopies, devices.length),
    learning: fewest?.learners.length ?? 0,
  }
}
