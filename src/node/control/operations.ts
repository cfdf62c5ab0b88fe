/**
 * Operations: carries out an operator's changes to a running store. It changes the control record, takes and
 * releases folders, and wakes background jobs; the work that a change causes runs in the background.
 *
 * Promises  A refused change has no effect; a folder that was taken for it is released.
 */
import type {
  AppliedChange,
  ChangePlan,
  DeviceCheck,
  RedundancyReport,
  StoreChange,
  StoreOperations,
} from "./contract.js"
import type { ProgressReport } from "../status/contract.js"
import { fail, isFailure, type Failure } from "../../base/failures.js"
import { parseDeviceId, type DeviceId } from "../../base/ids.js"
import { textOfPolicy, type Policy } from "../../base/policy.js"
import {
  addDevice,
  admitBucketPolicy,
  deviceOf,
  drainDevice,
  forgetDevice,
  policyInWords,
  previewChange,
  removeDevice,
  replaceDevice,
  setPolicy,
  setWeight,
  reencodingOf,
  type NewDevice,
  type Preview,
  type PreviewFacts,
  type Reencoding,
} from "../../cluster/index.js"
import type { ControlRecord } from "../../format/control-record.js"
import type { JobRunner } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { OwnedFolder } from "../devices/device-set.js"
import type { Engine } from "../engine.js"
import { notesOf, type NewDisk, type PolicyStep } from "./plan-warnings-core.js"

/** Properties that a folder would have as a device. */
interface FolderFacts {
  readonly isMountPoint: boolean
  readonly capacityBytes: number
}

export interface FolderMatch extends FolderFacts {
  /** Equal for folders that fail together. */
  readonly disk: string
  /** The disk of the operating system. */
  readonly systemDisk: string
}

export interface FolderTaken extends FolderFacts {
  readonly folder: OwnedFolder
  /** The record does not name it yet. */
  readonly isNew: boolean
}

/** Folders that the running store inspects and takes. */
export interface FolderTaker {
  /**
   * Changes nothing. Throws the failures of `take` that concern the folder, and if the parent folder does not exist.
   */
  inspect(path: string): Promise<FolderMatch>
  /** Returns the device in the folder; undefined if there is none. Changes nothing. */
  deviceAt(path: string): Promise<DeviceId | undefined>
  /**
   * Whether the folder exists without a device: empty, emptied, or begun as a device and never used. Changes nothing.
   */
  mayBeFilled(path: string): Promise<boolean>
  take(path: string): Promise<FolderTaken>
  /** Throws `deviceFailed` if the device fails a write, a sync or a read. */
  probe(path: string): Promise<void>
}

/** The contents of the store, as plans need them. */
type PlanFacts = () => PreviewFacts

/** Placeholder for a device that does not exist yet. */
const NEW_ID = parseDeviceId("f".repeat(16))
/** Work that an operator may pause. */
const REPAIR = "repair"
const SCRUB = "scrub"

export class EngineOperations implements StoreOperations {
  constructor(
    private readonly engine: Engine,
    private readonly folders: FolderTaker,
    private readonly jobs: JobRunner,
    private readonly clock: Clock,
    private readonly facts: PlanFacts,
    private readonly reencoding: () => ProgressReport | undefined,
  ) {}

  private get record(): ControlRecord {
    return this.engine.recordManager.record
  }

  async plan(change: StoreChange): Promise<ChangePlan> {
    if (!("path" in change)) return this.planOf(change, undefined, undefined)
    const found = await this.folders.inspect(change.path)
    const { isMountPoint, capacityBytes } = found
    return this.planOf(change, { id: NEW_ID, pathHint: change.path, isMountPoint, capacityBytes }, found)
  }

  async change(change: StoreChange, confirm: string | undefined): Promise<AppliedChange> {
    // Check the change before taking the folder: taking it makes it a device, and it would no longer be empty.
    const planned = await this.plan(change)
    checkConfirmed(planned, confirm)
    const taken = "path" in change ? await this.take(change.path) : undefined
    const newDevice = taken && newDeviceOf(taken)
    try {
      const plan = { ...(await this.planOf(change, newDevice, undefined)), warnings: planned.warnings }
      const record = await this.make(change, newDevice)
      this.follow(change)
      return { plan, generation: record.generation }
    } catch (error) {
      if (taken !== undefined) this.engine.giveUp(taken.folder.place.id, asReason(error))
      throw error
    }
  }

  private async make(change: StoreChange, newDevice: NewDevice | undefined): Promise<ControlRecord> {
    const { control, services } = this.engine
    const takeEffect = () => control.change(change.kind, before => this.decide(before, change, newDevice))
    if (change.kind !== "setRedundancy" || change.bucket === undefined) return takeEffect()
    const { bucket, policy } = change
    await services.buckets.open(bucket)
    try {
      const record = await takeEffect()
      await services.buckets.setPolicy(bucket, chosen(policy))
      return record
    } finally {
      services.reencode.policyChanged()
    }
  }

  private async take(path: string): Promise<FolderTaken> {
    const taken = await this.folders.take(path)
    if (!taken.isNew) {
      await taken.folder.release()
      const { id } = taken.folder.place
      throw fail("invalidArgument", {
        message: `${path} is device ${id} of this store: to bring it back: hayloft device check ${id}`,
      })
    }
    await this.engine.bringIn(taken.folder)
    return taken
  }

  private decide(record: ControlRecord, change: StoreChange, device: NewDevice | undefined): ControlRecord {
    const nowMs = this.clock.wallMs()
    const { policies } = this.facts()
    // Blocks that are still stored under another policy will be re-encoded; they need no space in a future layout.
    const ofBuckets = this.engine.services.buckets.policies().map(({ policy }) => policy)
    const inUse = [...policies.map(({ policy }) => policy), ...ofBuckets]
    switch (change.kind) {
      case "addDevice":
        return addDevice(record, needed(device), change.weight, ofBuckets, nowMs)
      case "drainDevice":
        return drainDevice(record, change.id, ofBuckets, nowMs)
      case "removeDevice":
        return removeDevice(record, change.id, ofBuckets, nowMs)
      case "forgetDevice":
        return forgetDevice(record, change.id, inUse, change.acceptLoss)
      case "replaceDevice":
        return replaceDevice(record, change.id, needed(device), inUse, change.acceptLoss, nowMs)
      case "setWeight":
        return setWeight(record, change.id, change.weight, ofBuckets, nowMs)
      case "setRedundancy":
        return this.setRedundancy(record, change, ofBuckets)
    }
  }

  private setRedundancy(
    record: ControlRecord,
    { policy, bucket }: Extract<StoreChange, { kind: "setRedundancy" }>,
    ofBuckets: readonly Policy[],
  ): ControlRecord {
    if (policy !== "automatic") this.engine.checkPolicy(policy)
    if (bucket === undefined) return setPolicy(record, policy, ofBuckets)
    return admitBucketPolicy(record, chosen(policy), ofBuckets)
  }

  /** Starts the work that a change in force causes. */
  private follow(change: StoreChange): void {
    if (change.kind === "forgetDevice" || change.kind === "replaceDevice") {
      this.engine.giveUp(
        change.id,
        fail("deviceFailed", { message: "the device was removed from the store", device: change.id }),
      )
    }
    for (const job of [REPAIR, "replicas", "reencode"]) this.wakeIfThere(job)
  }

  private wakeIfThere(job: string): void {
    if (this.jobs.status().some(({ name }) => name === job)) this.jobs.wake(job)
  }

  private async planOf(
    change: StoreChange,
    device: NewDevice | undefined,
    found: FolderMatch | undefined,
  ): Promise<ChangePlan> {
    const { buckets } = this.engine.services
    const isOfBucket = change.kind === "setRedundancy" && change.bucket !== undefined
    const holdings = isOfBucket ? await buckets.holdings(change.bucket) : undefined
    const ownBytes = (await buckets.policiesWithBytes()).reduce((sum, { bytes }) => sum + bytes, 0)
    const before = this.record
    const after = this.decide(before, change, device)
    const facts = this.facts()
    const preview = previewChange(before, after, facts, reencodingsOf(before, after, change, facts, holdings, ownBytes))
    const named = [...before.devices, ...after.devices]
    const newDisk =
      found && device && change.kind === "addDevice" ? newDiskOf(before, after, device, found, facts) : undefined
    const { warnings, confirmBy } = notesOf(change, preview.survives, policyStep(change, preview, holdings), newDisk)
    return {
      summary: summaryOf(change),
      policyBefore: textOfPolicy(preview.policyBefore),
      policyAfter: textOfPolicy(preview.policyAfter),
      devices: preview.devices.map(({ id, bytesIn, bytesOut }) => ({
        ...(id === NEW_ID ? {} : { id }),
        path: named.find(each => each.id === id)?.pathHint ?? "",
        bytesIn: Math.round(bytesIn),
        bytesOut: Math.round(bytesOut),
      })),
      movedBytes: Math.round(preview.movedBytes),
      reencodedBytes: Math.round(preview.reencodedBytes),
      hours: preview.hours,
      survives: preview.survives,
      ...(preview.usableBefore === undefined ? {} : { usableBytesBefore: Math.round(preview.usableBefore) }),
      ...(preview.usableAfter === undefined ? {} : { usableBytesAfter: Math.round(preview.usableAfter) }),
      warnings,
      ...(confirmBy === undefined ? {} : { confirmBy }),
    }
  }

  async checkDevice(id: DeviceId): Promise<DeviceCheck> {
    const { pathHint, state } = deviceOf(this.record, id)
    const isOpen = this.engine.devices.some(({ place }) => place.id === id)
    if (!isOpen) await this.return(id, pathHint)
    try {
      await this.folders.probe(pathHint)
    } catch (error) {
      if (!isFailure(error, "deviceFull")) throw error
      return { id, state: "full", finding: "the device works but is full" }
    }
    const now = deviceOf(this.record, id).state
    const finding = isOpen ? "the device reads and writes" : `the device works; it was ${state} and is back in use`
    return { id, state: now, finding }
  }

  /**
   * Takes back an offline device. An emptied folder in its place is rebuilt, as at a start, unless objects could be
   * lost, or the device had its own mount point and the folder is not one.
   */
  async readmit(id: DeviceId, path: string): Promise<"back" | "replaced"> {
    if (!(await this.folders.mayBeFilled(path))) {
      await this.return(id, path)
      return "back"
    }
    const { isMountPoint } = await this.folders.inspect(path)
    if (deviceOf(this.record, id).isMountPoint && !isMountPoint) {
      throw fail("deviceFailed", {
        message: `${path} is empty and not a mount point, but the device had its own: mount the disk, or rebuild the device in this folder with: hayloft device replace ${id} ${path}`,
      })
    }
    await this.change({ kind: "replaceDevice", id, path, acceptLoss: false }, undefined)
    return "replaced"
  }

  /** Takes back the folder of an offline device after a probe succeeds. */
  async return(id: DeviceId, path: string): Promise<void> {
    const found = await this.folders.deviceAt(path)
    if (found === undefined) throw fail("deviceFailed", { message: `there is no device at ${path}`, device: id })
    if (found !== id) {
      throw fail("foreignFolder", { message: `${path} is not device ${id}; replace the device to use this folder` })
    }
    const { folder } = await this.folders.take(path)
    try {
      await this.folders.probe(path)
      const stack = await this.engine.bringIn(folder)
      await this.engine.control.bringIn(stack)
    } catch (error) {
      this.engine.giveUp(id, asReason(error))
      await folder.release()
      throw error
    }
    for (const job of [REPAIR, "replicas"]) this.wakeIfThere(job)
  }

  redundancy(): Promise<RedundancyReport> {
    const { record } = this
    const reencoding = this.reencoding()
    return Promise.resolve({
      policy: textOfPolicy(record.policy),
      isAutomatic: record.isPolicyAutomatic,
      meaning: policyInWords(record),
      buckets: this.engine.services.buckets
        .policies()
        .map(({ name, policy }) => ({ bucket: name, policy: textOfPolicy(policy) })),
      ...(reencoding === undefined ? {} : { reencoding }),
    })
  }

  setRepairPaused(isPaused: boolean): Promise<void> {
    return this.setPaused(REPAIR, isPaused)
  }

  async startScrub(device: DeviceId | undefined): Promise<void> {
    if (device !== undefined) deviceOf(this.record, device)
    await this.setPaused(SCRUB, false)
    for (const { place, tending } of this.engine.devices) {
      if (device === undefined || place.id === device) tending.scrub.startNow()
    }
    this.wakeIfThere(SCRUB)
  }

  pauseScrub(): Promise<void> {
    return this.setPaused(SCRUB, true)
  }

  private async setPaused(work: string, isPaused: boolean): Promise<void> {
    await this.engine.control.change(isPaused ? "pause" : "resume", record => {
      const others = record.pausedWork.filter(name => name !== work)
      return { ...record, pausedWork: isPaused ? [...others, work] : others }
    })
    this.wakeIfThere(work)
  }

  resumeOrphans(): Promise<void> {
    this.engine.services.orphans.resume()
    this.wakeIfThere("orphans")
    return Promise.resolve()
  }

  setThrottle(job: string, throttle: number): void {
    this.jobs.setThrottle(job, throttle)
  }

  wakeJob(job: string): void {
    this.jobs.wake(job)
  }
}

const chosen = (policy: Policy | "automatic"): Policy | undefined => (policy === "automatic" ? undefined : policy)

function newDiskOf(
  before: ControlRecord,
  after: ControlRecord,
  { id, pathHint: path }: NewDevice,
  { disk, systemDisk }: FolderMatch,
  { diskOf }: PreviewFacts,
): NewDisk {
  return {
    ...{ path, disk, systemDisk, weight: deviceOf(after, id).weight },
    otherDisks: before.devices.map(device => diskOf(device.id)),
    otherWeights: before.devices.map(({ weight }) => weight),
  }
}

const newDeviceOf = ({ folder, isMountPoint, capacityBytes }: FolderTaken): NewDevice => ({
  id: folder.place.id,
  pathHint: folder.place.path,
  isMountPoint,
  capacityBytes,
})

function needed(device: NewDevice | undefined): NewDevice {
  if (device === undefined) throw fail("invalidArgument", { message: "the change needs a folder" })
  return device
}

const asReason = (error: unknown): Failure =>
  isFailure(error) ? error : fail("internal", { reason: String(error) }, error)

function summaryOf(change: StoreChange): string {
  switch (change.kind) {
    case "addDevice":
      return `${change.path} is added to the store; shards move to it until it has its share`
    case "drainDevice":
      return `the shards of device ${change.id} move to the others; it stays part of the store`
    case "removeDevice":
      return `the shards of device ${change.id} move to the others; then it is removed from the store`
    case "forgetDevice":
      return `device ${change.id} is permanently removed from the store; its shards are rebuilt on the others`
    case "replaceDevice":
      return `${change.path} replaces device ${change.id}; the shards of that device are rebuilt on it`
    case "setWeight":
      return `device ${change.id} gets a weight of ${change.weight}; shards move until every device has its share`
    case "setRedundancy":
      if (change.bucket !== undefined) return bucketSummary(change.bucket, change.policy)
      return change.policy === "automatic"
        ? "the redundancy follows the number of devices"
        : `new objects are stored as ${textOfPolicy(change.policy)}, and existing ones are re-encoded`
  }
}

const bucketSummary = (bucket: string, policy: Policy | "automatic"): string =>
  policy === "automatic"
    ? `bucket ${bucket} follows the redundancy of the store`
    : `objects of bucket ${bucket} are stored as ${textOfPolicy(policy)}, and existing ones are re-encoded`

/** The size of a bucket, and the policy that it set. */
interface Holdings {
  readonly bytes: number
  readonly policy: Policy | undefined
}

/** The policy change of the store, or of the bucket that the change concerns. */
function policyStep(
  change: StoreChange,
  { policyBefore, policyAfter }: Preview,
  holdings: Holdings | undefined,
): PolicyStep {
  if (change.kind !== "setRedundancy" || holdings === undefined) return { before: policyBefore, after: policyAfter }
  return { before: holdings.policy ?? policyBefore, after: chosen(change.policy) ?? policyAfter }
}

function reencodingsOf(
  before: ControlRecord,
  after: ControlRecord,
  change: StoreChange,
  { policies }: PreviewFacts,
  holdings: Holdings | undefined,
  /** Bytes of buckets that set their own policies. */
  ownBytes: number,
): readonly Reencoding[] {
  if (change.kind === "setRedundancy" && holdings !== undefined)
    return reencodingOf(holdings.policy ?? before.policy, chosen(change.policy) ?? after.policy, holdings.bytes)
  const allBytes = policies.reduce((sum, { bytes }) => sum + bytes, 0)
  return reencodingOf(before.policy, after.policy, Math.max(0, allBytes - ownBytes))
}

/** Throws `invalidArgument`, which tells what to send, unless `confirm` is the name that the plan asks for. */
function checkConfirmed(
  { summary, warnings, confirmBy }: Pick<ChangePlan, "summary" | "warnings" | "confirmBy">,
  confirm: string | undefined,
): void {
  if (confirmBy === undefined || confirm === confirmBy) return
  const why = warnings.length === 0 ? "" : ` (${warnings.join("; ")})`
  const given = confirm === undefined ? "" : `, not ${JSON.stringify(confirm)}`
  const message = `not done: ${summary}${why}. To do it all the same send "confirm": ${JSON.stringify(confirmBy)}${given}`
  throw fail("invalidArgument", { message })
}
