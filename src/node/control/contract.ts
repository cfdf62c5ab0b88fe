/** Changes of a running store that an operator may request, their plans, and the operations that carry them out. */
import type { BucketName, DeviceId } from "../../base/ids.js"
import type { Policy } from "../../base/policy.js"
import type { DeviceState, ProgressReport } from "../status/contract.js"

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
