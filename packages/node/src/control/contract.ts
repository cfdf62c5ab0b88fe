/** Changes of a running store that an operator may request, their plans, and the operations that carry them out. */
import type { BucketName, DeviceId, NodeName } from "@hayloft/base/ids.js"
import type { Policy } from "@hayloft/base/policy.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { StagedChange } from "@hayloft/engine/cluster/index.js"
import type { ControlDeviceState } from "@hayloft/engine/format/device/control-record.js"
import type { LayoutFile } from "@hayloft/engine/format/device/layout-file.js"
import type { NodeOperationResult, ReportedBackup } from "@hayloft/engine/format/nodes/node-operation.js"
import type { JobReport, LayoutReport, ProgressReport } from "../status/contract.js"

export type { StagedChange } from "@hayloft/engine/cluster/index.js"

/** A change of a running store by an operator. */
export type StoreChange =
  | StagedChange
  /** Several in one change of the layout. */
  | { readonly kind: "changeLayout"; readonly changes: readonly StagedChange[] }
  /** While shards move: back to the layout before. */
  | { readonly kind: "revertLayout" }
  /** Without a weight: by its size, relative to the others. Without a node: on the one that is asked. */
  | {
      readonly kind: "addDevice"
      readonly path: string
      readonly weight: number | undefined
      readonly node?: NodeName | undefined
    }
  /**
   * Permanently removes an offline device; its shards are rebuilt on the others. `acceptLoss`: even if objects are
   * lost.
   */
  | { readonly kind: "forgetDevice"; readonly id: DeviceId; readonly acceptLoss: boolean }
  /** The same for a node that is lost, with all its devices. */
  | { readonly kind: "forgetNode"; readonly node: NodeName; readonly acceptLoss: boolean }
  /** An empty folder replaces an offline device. Without a node: on the node of the device. */
  | {
      readonly kind: "replaceDevice"
      readonly id: DeviceId
      readonly path: string
      readonly acceptLoss: boolean
      readonly node?: NodeName | undefined
    }
  /** Without a bucket: of the store. "automatic" follows the number of devices, or for a bucket the store's policy. */
  | {
      readonly kind: "setRedundancy"
      readonly policy: Policy | "automatic"
      readonly bucket: BucketName | undefined
    }
  /** The policy is undefined if the class has the redundancy of the bucket or the store. */
  | { readonly kind: "setClass"; readonly storageClass: StorageClass; readonly policy: Policy | undefined }

/** The result of an operation, which another node may have carried out. */
type ResultOf<Kind extends NodeOperationResult["kind"]> = Omit<
  Extract<NodeOperationResult, { readonly kind: Kind }>,
  "kind"
>

export type AppliedChange = ResultOf<"changed">
/** `outlook`: a text to repeat with the confirmation; absent if the node that planned has an earlier release. */
export type ChangePlan = ResultOf<"planned">["plan"] & Pick<ResultOf<"planned">, "outlook">
export type PlannedLosses = ChangePlan["survives"]
export type DeviceCheck = ResultOf<"checked">

export interface RedundancyReport {
  readonly policy: string
  /** The policy follows the number of devices. */
  readonly isAutomatic: boolean
  /** The meaning of the policy with the present devices, in a sentence. */
  readonly meaning: string
  /** Buckets with their own policy. */
  readonly buckets: readonly { readonly bucket: string; readonly policy: string }[]
  /** Storage classes with their own policy. */
  readonly classes: readonly { readonly storageClass: StorageClass; readonly policy: string }[]
  /** While blocks are re-encoded from one policy to another. */
  readonly reencoding?: ProgressReport
}

/** The share of one device in the layout. */
export interface DeviceShare {
  readonly id: DeviceId
  readonly path: string
  /** The node is absent, like the next two fields, on one machine, or if no zone is named. */
  readonly node?: string
  readonly zone?: string
  readonly machine?: string
  readonly state: ControlDeviceState
  readonly weight: number
  /** Slots of the layout, of all partitions. */
  readonly slots: number
  /** The slots that its weight and an even spread give it; absent without a place, or if there are too few devices. */
  readonly fairSlots?: number
  /** `slots` as a share of all slots, 0 to 1. */
  readonly share: number
  /** In the previous layout, while shards move. */
  readonly shareBefore?: number
}

export interface LayoutDetails extends LayoutReport {
  readonly devices: readonly DeviceShare[]
}

/** Uploads of processes that ended between "shards durable" and "commit", and of refused requests. */
export type PendingReport = ResultOf<"pending">

/** Operations of the admin API on a running store. Refusals are failures with messages for operators. */
export interface StoreOperations {
  /** Returns the effect of the change. Throws what `change` would throw; changes nothing. */
  plan(change: StoreChange): Promise<ChangePlan>
  /**
   * Resolves when the change is durable and in force; the work that it causes runs in the background. Throws
   * `invalidArgument` if the plan has a `confirmBy` and `confirm` differs from it, or if `lockedBuckets` lacks one of the
   * plan's. `outlook`: that of the plan that the operator was shown; throws `planOutdated` if the change has a worse one by
   * now.
   */
  change(
    change: StoreChange,
    confirm: string | undefined,
    lockedBuckets?: readonly string[],
    outlook?: string,
  ): Promise<AppliedChange>
  /** Probes a device now; an offline device that works takes part again and is rebuilt. */
  checkDevice(id: DeviceId): Promise<DeviceCheck>
  redundancy(): Promise<RedundancyReport>
  /** The layout, with the share of each device. */
  layout(): Promise<LayoutDetails>
  /** The layout for programs that compute where blocks are. */
  layoutFile(): LayoutFile
  /** Persists across restarts, as do the next two. */
  setRepairPaused(isPaused: boolean): Promise<void>
  /** Ends a pause, and begins a pass now if none is running; of all devices if `device` is undefined. */
  startScrub(device: DeviceId | undefined): Promise<void>
  pauseScrub(): Promise<void>
  /** Uploads that have bytes on devices, and that no object has. */
  pending(): Promise<PendingReport>
  /** Aborted blocks are removed, however many there are, until the process ends. */
  resumeOrphans(): Promise<JobReport>
  /** Throws `invalidArgument` for an unknown job, and for a throttle out of range. */
  setThrottle(job: string, throttle: number): Promise<JobReport>
  /**
   * Pauses a job on all nodes, or lets it go on; persists across restarts. Throws `invalidArgument` for an unknown job, and
   * for one that may not be paused, with the reason.
   */
  setJobPaused(job: string, isPaused: boolean): Promise<JobReport>
  /** Wakes a job, so that it checks for work. Throws `invalidArgument` for an unknown job. */
  wakeJob(job: string): Promise<JobReport>
  /** The state of the metadata backup, from the process that makes it. Throws `peerUnreachable` if none does now. */
  backup(): Promise<ReportedBackup>
  /** Makes a snapshot of the metadata begin soon, even if nothing has changed. Throws as `backup`. */
  orderBackup(): Promise<ReportedBackup>
}
