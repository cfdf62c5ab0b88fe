/** Changes of a running store that an operator may request, their plans, and the operations that carry them out. */
import type { BucketName, DeviceId } from "../../base/ids.js"
import type { Policy } from "../../base/policy.js"
import type { DeviceState, ProgressReport } from "../status/contract.js"

/** A change of a running store by an operator. */
export type StoreChange =
  /** Without a weight: by its size, relative to the others. */
  | { readonly kind: "addDevice"; readonly path: string; readonly weight: number | undefined }
  /** Its shards move to the others; it stays part of the store. */
  | { readonly kind: "drainDevice"; readonly id: DeviceId }
  /** The device is drained, then removed once it is empty. */
  | { readonly kind: "removeDevice"; readonly id: DeviceId }
  /**
   * Permanently removes an offline device; its shards are rebuilt on the others. `acceptLoss`: even if objects are
   * lost.
   */
  | { readonly kind: "forgetDevice"; readonly id: DeviceId; readonly acceptLoss: boolean }
  /** An empty folder replaces an offline device. */
  | { readonly kind: "replaceDevice"; readonly id: DeviceId; readonly path: string; readonly acceptLoss: boolean }
  | { readonly kind: "setWeight"; readonly id: DeviceId; readonly weight: number }
  /** Without a bucket: of the store. "automatic" follows the number of devices, or for a bucket the store's policy. */
  | {
      readonly kind: "setRedundancy"
      readonly policy: Policy | "automatic"
      readonly bucket: BucketName | undefined
    }

/** The effect of a change on one device. */
interface PlannedDevice {
  /** Absent for a device that does not exist yet. */
  readonly id?: DeviceId
  readonly path: string
  /** Bytes of shards that are written to it. */
  readonly bytesIn: number
  /** Bytes of shards that it gives up. */
  readonly bytesOut: number
}

export interface ChangePlan {
  /** The effect, in a sentence. */
  readonly summary: string
  readonly policyBefore: string
  readonly policyAfter: string
  readonly devices: readonly PlannedDevice[]
  /** Bytes of shards that are copied to, or rebuilt on, another device. */
  readonly movedBytes: number
  /** Bytes of shards that are re-encoded under another policy. */
  readonly reencodedBytes: number
  /** At the rate limit of such work. */
  readonly hours: number
  /** How many arbitrary disks may fail without a loss; -1: something is not readable. */
  readonly survives: { readonly before: number; readonly during: number; readonly after: number }
  /** Bytes of objects that fit, including stored ones; absent if unknown. */
  readonly usableBytesBefore?: number
  readonly usableBytesAfter?: number
  /** Warnings for the operator before confirmation. */
  readonly warnings: readonly string[]
  /** Text to repeat for a change that is less safe or probably a mistake; absent: yes is enough. */
  readonly confirmBy?: string
}

export interface AppliedChange {
  readonly plan: ChangePlan
  /** Of the control record with the change. */
  readonly generation: number
}

export interface DeviceCheck {
  readonly id: DeviceId
  readonly state: DeviceState
  /** The result, in a sentence. */
  readonly finding: string
}

export interface RedundancyReport {
  readonly policy: string
  /** The policy follows the number of devices. */
  readonly isAutomatic: boolean
  /** The meaning of the policy with the present devices, in a sentence. */
  readonly meaning: string
  /** Buckets with their own policy. */
  readonly buckets: readonly { readonly bucket: string; readonly policy: string }[]
  /** While blocks are re-encoded from one policy to another. */
  readonly reencoding?: ProgressReport
}

/** Operations of the admin API on a running store. Refusals are failures with messages for operators. */
export interface StoreOperations {
  /** Returns the effect of the change. Throws what `change` would throw; changes nothing. */
  plan(change: StoreChange): Promise<ChangePlan>
  /**
   * Resolves when the change is durable and in force; the work that it causes runs in the background. Throws
   * `invalidArgument` if the plan has a `confirmBy` and `confirm` differs from it.
   */
  change(change: StoreChange, confirm: string | undefined): Promise<AppliedChange>
  /** Probes a device now; an offline device that works takes part again and is rebuilt. */
  checkDevice(id: DeviceId): Promise<DeviceCheck>
  redundancy(): Promise<RedundancyReport>
  /** Persists across restarts, as do the next two. */
  setRepairPaused(isPaused: boolean): Promise<void>
  /** Ends a pause, and begins a pass now if none is running; of all devices if `device` is undefined. */
  startScrub(device: DeviceId | undefined): Promise<void>
  pauseScrub(): Promise<void>
  /** Aborted blocks are removed, however many there are, until the process ends. */
  resumeOrphans(): Promise<void>
  /** Throws `invalidArgument` for an unknown job, and for a throttle out of range. */
  setThrottle(job: string, throttle: number): void
  /** Wakes a job, so that it checks for work. Throws `invalidArgument` for an unknown job. */
  wakeJob(job: string): void
}
