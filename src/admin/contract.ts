/**
 * What the admin API shows of a running store, and what it needs from whoever wires it.
 *
 * The reports are plain data: read when asked, never cached here. Nothing in them is secret. What is not
 * known is absent, never invented.
 */
import type { AccountId, BucketName, DeviceId, StoreId } from "../base/ids.js"
import type { SettingDocuments } from "../object/contract.js"
import type { Policy } from "../base/policy.js"

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

/** What an operator may change of a running store. */
export type StoreChange =
  /** Without a weight: by its size, as the others have theirs. */
  | { readonly kind: "addDevice"; readonly path: string; readonly weight: number | undefined }
  /** Its shards move to the others; it stays part of the store. */
  | { readonly kind: "drainDevice"; readonly id: DeviceId }
  /** Drained, then forgotten once it is empty. */
  | { readonly kind: "removeDevice"; readonly id: DeviceId }
  /** One that is out, for ever: what it held is rebuilt on the others. `acceptLoss`: also where objects are lost by it. */
  | { readonly kind: "forgetDevice"; readonly id: DeviceId; readonly acceptLoss: boolean }
  /** An empty folder takes the place of one that is out. */
  | { readonly kind: "replaceDevice"; readonly id: DeviceId; readonly path: string; readonly acceptLoss: boolean }
  | { readonly kind: "setWeight"; readonly id: DeviceId; readonly weight: number }
  /** Without a bucket: of the store. "automatic" follows the number of devices, or the store for a bucket. */
  | {
      readonly kind: "setRedundancy"
      readonly policy: Policy | "automatic"
      readonly bucket: BucketName | undefined
    }

/** What a change does to one device. */
interface PlannedDevice {
  /** Absent: a device that does not exist yet. */
  readonly id?: DeviceId
  readonly path: string
  /** Of shards that are written to it. */
  readonly bytesIn: number
  /** Of shards that it gives up. */
  readonly bytesOut: number
}

export interface ChangePlan {
  /** What it does, in a sentence. */
  readonly summary: string
  readonly policyBefore: string
  readonly policyAfter: string
  readonly devices: readonly PlannedDevice[]
  /** Of shards that are copied to, or rebuilt on, another device. */
  readonly movedBytes: number
  /** Of shards that are written anew under another policy. */
  readonly reencodedBytes: number
  /** At the rate that such work keeps to. */
  readonly hours: number
  /** How many arbitrary disks may fail without a loss; -1: something is not readable. */
  readonly survives: { readonly before: number; readonly during: number; readonly after: number }
  /** Bytes of objects that fit, those that are there included; absent: not known. */
  readonly usableBytesBefore?: number
  readonly usableBytesAfter?: number
  /** What the operator should know before saying yes. */
  readonly warnings: readonly string[]
  /** Less safe than now, or likely a mistake: what has to be repeated before it is done; absent: yes is enough. */
  readonly confirmBy?: string
}

export interface AppliedChange {
  readonly plan: ChangePlan
  /** Of the control record that holds the change. */
  readonly generation: number
}

export interface DeviceCheck {
  readonly id: DeviceId
  readonly state: DeviceState
  /** What was found, in a sentence. */
  readonly finding: string
}

export interface RedundancyReport {
  readonly policy: string
  /** Nobody chose it: it follows the number of devices. */
  readonly isAutomatic: boolean
  /** What the policy means with the devices that are there, in a sentence. */
  readonly meaning: string
  /** Buckets that have a policy of their own. */
  readonly buckets: readonly { readonly bucket: string; readonly policy: string }[]
  /** While blocks are brought from one policy to another. */
  readonly reencoding?: ProgressReport
}

/** What the admin API asks of a running store. Refusals are failures whose words an operator understands. */
export interface StoreOperations {
  /** What the change would do. Throws what `change` would throw; changes nothing. */
  plan(change: StoreChange): Promise<ChangePlan>
  /**
   * Resolves when the change is durable and in force; what it sets moving goes on behind. Throws `invalidArgument` where
   * the plan has a `confirmBy` and `confirm` is not it.
   */
  change(change: StoreChange, confirm: string | undefined): Promise<AppliedChange>
  /** Looks at a device now; one that is out and well again takes part again, to be filled. */
  checkDevice(id: DeviceId): Promise<DeviceCheck>
  redundancy(): Promise<RedundancyReport>
  /** Lasts over restarts, as do the next two. */
  setRepairPaused(isPaused: boolean): Promise<void>
  /** Ends a pause, and begins a pass now where none is running; of all devices where none is named. */
  startScrub(device: DeviceId | undefined): Promise<void>
  pauseScrub(): Promise<void>
  /** Aborted blocks are removed, however many there are, until the process ends. */
  resumeOrphans(): Promise<void>
  /** Throws `invalidArgument` for a job that does not exist, and for throttle out of range. */
  setThrottle(job: string, throttle: number): void
  /** There may be something to do. Throws `invalidArgument` for a job that does not exist. */
  wakeJob(job: string): void
}

/** The project's documentation, as the admin port shows it. */
export interface Documents {
  /** Names such as `install.md` or `recipes/restic.md`, sorted. */
  list(): Promise<readonly string[]>
  /** Undefined: no such document. Names not in `list` are never looked for. */
  read(name: string): Promise<Uint8Array | undefined>
}

export interface AdminOptions {
  readonly version: string
  /** Bearer token of `/v1` (and of `/metrics` off loopback). */
  readonly token: string
  /** Listening on loopback only: `/metrics` asks for no token. */
  readonly onLoopback: boolean
  /** Owner of buckets made without one; its keys include the root key. */
  readonly rootAccount: AccountId
  /** What a bucket that is made here begins with. */
  readonly newBucketSettings: SettingDocuments
  /** Prometheus text, rendered when scraped. */
  readonly metricsText: () => string
}
