/**
 * Operations: carries out an operator's changes to a running store. It changes the control record, takes and
 * releases folders, and wakes background jobs; the work that a change causes runs in the background.
 *
 * Promises  A refused change has no effect; a folder that was taken for it is released.
 */
import type { ReportedBackup } from "@hayloft/engine/format/nodes/node-operation.js"
import type {
  AppliedChange,
  ChangePlan,
  DeviceCheck,
  LayoutDetails,
  PendingReport,
  RedundancyReport,
  StoreChange,
  StoreOperations,
} from "./contract.js"
import type { JobReport, LayoutReport, ProgressReport } from "../status/contract.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import { parseIncarnation, textOfObjectKey } from "@hayloft/base/ids.js"
import type { DeviceId, Incarnation, NodeName } from "@hayloft/base/ids.js"
import { requireLockedNames } from "@hayloft/base/locked-names.js"
import { textOfPolicy } from "@hayloft/base/policy.js"
import {
  claimDevice,
  deviceOf,
  isSameChoice,
  layoutFileOf,
  policyInWords,
  withLeaving,
  type NewDevice,
} from "@hayloft/engine/cluster/index.js"
import { jobsOfFeatures } from "@hayloft/features/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { LayoutFile } from "@hayloft/engine/format/device/layout-file.js"
import { mapBounded, type JobRunner } from "@hayloft/base/life/index.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { OwnedFolder } from "../devices/device-set.js"
import type { Engine } from "../engine.js"
import { ChangePlanner, type FolderMatch, type PlannedNodes, type PlanSources } from "./change-planner.js"
import { chosen } from "./decide-change-core.js"
import { deviceAlready } from "./folders.js"
import { layoutDetails } from "./layout-details-core.js"
import { checkOutlook } from "./outlook-core.js"

export interface FolderTaken extends Pick<FolderMatch, "isMountPoint" | "capacityBytes"> {
  readonly folder: OwnedFolder
  /** The record does not name it yet. */
  readonly isNew: boolean
}

/** Folders that the running store inspects and takes. */
export interface FolderTaker {
  /**
   * A folder that is to become a device. Changes nothing. Throws the failures of `take` that concern the folder, and if it is
   * a device of the store already, or its parent folder does not exist.
   */
  inspect(path: string): Promise<FolderMatch>
  /** A folder that is there, whatever is in it. */
  factsOf(path: string): Promise<FolderMatch>
  /** Returns the device in the folder; undefined if there is none. Changes nothing. */
  deviceAt(path: string): Promise<DeviceId | undefined>
  /**
   * Returns true if the folder exists without a device: empty, emptied, or begun as a device and never used. Changes
   * nothing.
   */
  mayBeFilled(path: string): Promise<boolean>
  /** Makes the folder of a new device, but not its parents. */
  makeAndTake(path: string): Promise<FolderTaken>
  /** Throws `deviceFailed` if the folder is not there. */
  take(path: string): Promise<FolderTaken>
  /** Throws `deviceFailed` if the device fails a write, a sync or a read. */
  probe(path: string): Promise<void>
}

/** The nodes of the store, of which this process is one. */
export interface NodeDirectory extends PlannedNodes {
  readonly own: NodeName
  isOver(incarnation: Incarnation): boolean
  /** Once it resolves, nothing that the node does takes effect any more. */
  end(node: NodeName): Promise<void>
  /** The node is no longer one of the store. */
  removeRow(node: NodeName): Promise<void>
}

/** The sources of plans and reports. */
interface OperationSources extends PlanSources {
  readonly reencoding: () => ProgressReport | undefined
  readonly layout: () => LayoutReport
  /** The directory is undefined on one machine. */
  readonly nodes: NodeDirectory | undefined
  readonly log: Pick<Log, "info">
}

/** Work that an operator may pause. */
const REPAIR = "repair"
const SCRUB = "scrub"
const ORPHANS = "orphans"
/** A list with keys of full length is below 1 MiB. */
const PENDING_SHOWN_MAX = 500
/** Jobs that the store can do without for a while: their pause is in the control record. */
const pausableJobs = (): readonly string[] => [
  REPAIR,
  SCRUB,
  ORPHANS,
  "reencode",
  "compaction",
  "integrity-audit",
  "metadata-backup",
  "encrypt",
  "encrypt-files",
  ...jobsOfFeatures().flatMap(({ name, isPausable }) => (isPausable === true ? [name] : [])),
]

export class EngineOperations implements StoreOperations {
  private readonly planner: ChangePlanner

  constructor(
    private readonly engine: Engine,
    private readonly folders: FolderTaker,
    private readonly jobs: JobRunner,
    private readonly clock: Clock,
    private readonly sources: OperationSources,
  ) {
    this.planner = new ChangePlanner(engine, folders, clock, sources)
  }

  private get record(): ControlRecord {
    return this.engine.recordManager.record
  }

  async plan(change: StoreChange): Promise<ChangePlan> {
    const { plan, outlook } = await this.planner.plan(change)
    return { ...plan, outlook }
  }

  async change(
    change: StoreChange,
    confirm: string | undefined,
    lockedBuckets: readonly string[] = [],
    shown?: string,
  ): Promise<AppliedChange> {
    // Check the change before taking the folder: taking it makes it a device, and it would no longer be empty.
    const { plan: planned, outlook, outlookIn } = await this.planner.plan(change)
    if (shown !== undefined) checkOutlook(shown, outlook)
    checkConfirmed(planned, confirm)
    checkLockedNamed(planned, lockedBuckets)
    // Devices may go offline until the change takes effect.
    const check = (before: ControlRecord) => shown === undefined || checkOutlook(shown, outlookIn(before))
    const taken = "path" in change ? await this.take(change.path) : undefined
    try {
      const newDevice = taken && (await this.newDeviceOf(taken))
      const { plan } = await this.planner.planOf(change, newDevice, undefined)
      const record = await this.make(change, newDevice, check)
      this.follow(change)
      const { kind, ...what } = change
      this.sources.log.info("store_changed", { change: kind, ...textsOf(what) })
      return { plan: { ...plan, warnings: planned.warnings }, generation: record.generation }
    } catch (error) {
      if (taken !== undefined) this.engine.giveUp(taken.folder.place.id, asReason(error))
      throw error
    }
  }

  /** `check` throws if the change must not be made of this record. */
  private async make(
    change: StoreChange,
    newDevice: NewDevice | undefined,
    check: (before: ControlRecord) => void,
  ): Promise<ControlRecord> {
    const { control, services } = this.engine
    const takeEffect = () =>
      control.change(change.kind, before => {
        check(before)
        return this.planner.decide(before, change, newDevice)
      })
    if (change.kind === "forgetNode") return this.forgetNode(change.node, takeEffect)
    if (change.kind === "setClass") {
      // From here on the devices of this node refuse earlier releases, which would drop a class.
      await services.classes.use(change.storageClass)
      return takeEffect()
    }
    if (change.kind !== "setRedundancy" || change.bucket === undefined) return takeEffect()
    const { bucket, policy } = change
    // Each change takes one of the policy versions, of which there is an end, and everything is checked again.
    const { policy: present } = await services.buckets.holdings(bucket)
    if (isSameChoice(present, chosen(policy))) return this.record
    try {
      const record = await takeEffect()
      await services.buckets.setPolicy(bucket, chosen(policy))
      return record
    } finally {
      services.reencode.policyChanged()
    }
  }

  /**
   * The node is fenced first: it may still run, cut off from others. If the change is refused then, its process registers
   * again once it is back. If this process ends after the change, the job `leaving` of any node goes on; the row of a node
   * without devices, which the record does not know, stays until the command is repeated.
   */
  private async forgetNode(node: NodeName, takeEffect: () => Promise<ControlRecord>): Promise<ControlRecord> {
    const { nodes } = this.sources
    await nodes?.end(node)
    await takeEffect()
    await nodes?.removeRow(node)
    return this.engine.control.change("node has left", record => withLeaving(record, node, false))
  }

  private async newDeviceOf({ folder, isMountPoint, capacityBytes }: FolderTaken): Promise<NewDevice> {
    const { id, path: pathHint } = folder.place
    const device = { id, pathHint, isMountPoint, capacityBytes }
    if (this.sources.nodes === undefined) return device
    return { ...device, ...this.planner.homeOn((await this.folders.factsOf(pathHint)).disk) }
  }

  private async take(path: string): Promise<FolderTaken> {
    const taken = await this.folders.makeAndTake(path)
    if (!taken.isNew) {
      await taken.folder.release()
      throw deviceAlready(path, taken.folder.place.id, this.record)
    }
    await this.engine.bringIn(taken.folder)
    return taken
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

  async checkDevice(id: DeviceId): Promise<DeviceCheck> {
    const { pathHint, state } = deviceOf(this.record, id)
    const isOpen = this.engine.devices.some(({ place }) => place.id === id)
    if (!isOpen) await this.return(id, pathHint)
    const isFull = await unlessFull(
      () => this.folders.probe(pathHint).then(() => false),
      () => true,
    )
    if (isFull) return { id, state: "full", finding: "the device works but is full" }
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
    const { isMountPoint } = await this.folders.factsOf(path)
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
    if (found !== id) throw fail("foreignFolder", { message: this.whyOther(id, found, path) })
    const { folder } = await this.folders.take(path)
    try {
      await this.folders.probe(path)
      const stack = await this.engine.bringIn(folder)
      await this.claim(id, path)
      await this.engine.control.bringIn(stack)
    } catch (error) {
      this.engine.giveUp(id, asReason(error))
      await folder.release()
      throw error
    }
    for (const job of [REPAIR, "replicas"]) this.wakeIfThere(job)
  }

  /** In the place of a device is another one. */
  private whyOther(id: DeviceId, found: DeviceId, path: string): string {
    const isNamed = this.record.devices.some(device => device.id === found)
    if (!isNamed) {
      return `${path} is not device ${id} but another one: mount the disk of the device there; or empty the folder, and use it in its place: hayloft device replace ${id} ${path}`
    }
    // A node that starts makes each empty folder a new device.
    return `${path} is device ${found} now, which joined when a node started with that folder empty. If the shards of device ${id} are lost, give it up: hayloft device forget ${id}. If its disk exists, mount it at another path and start the node with that folder too`
  }

  /** The claim may be that of an earlier process, or of a node that the disk was in before. */
  private async claim(id: DeviceId, path: string): Promise<void> {
    const { nodes } = this.sources
    if (nodes === undefined) return
    const home = nodes.homeOn((await this.folders.factsOf(path)).disk)
    const isOver = (incarnation: number) => nodes.isOver(parseIncarnation(incarnation))
    await this.engine.control.change("device is claimed", record => claimDevice(record, id, home, isOver))
  }

  layout(): Promise<LayoutDetails> {
    return Promise.resolve(layoutDetails(this.record, this.sources.layout()))
  }

  layoutFile(): LayoutFile {
    return layoutFileOf(this.record)
  }

  redundancy(): Promise<RedundancyReport> {
    const { record } = this
    const reencoding = this.sources.reencoding()
    return Promise.resolve({
      policy: textOfPolicy(record.policy),
      isAutomatic: record.isPolicyAutomatic,
      meaning: policyInWords(record),
      buckets: this.engine.services.buckets
        .policies()
        .map(({ name, policy }) => ({ bucket: name, policy: textOfPolicy(policy) })),
      classes: (record.classes ?? []).map(([storageClass, policy]) => ({ storageClass, policy: textOfPolicy(policy) })),
      ...(reencoding === undefined ? {} : { reencoding }),
    })
  }

  setRepairPaused(isPaused: boolean): Promise<void> {
    return this.setPaused(REPAIR, isPaused)
  }

  async startScrub(device: DeviceId | undefined): Promise<void> {
    if (device !== undefined) deviceOf(this.record, device)
    await this.setPaused(SCRUB, false)
    const scrubbed = this.engine.devices.filter(({ place }) => device === undefined || place.id === device)
    try {
      await mapBounded(scrubbed, DEVICES_MAX, ({ tending }) => tending.scrub.startNow())
    } catch (error) {
      // A device that cannot keep the request fails, and goes offline: it hinders no pass of another.
      if (device !== undefined) throw error
    } finally {
      this.wakeIfThere(SCRUB)
    }
  }

  pauseScrub(): Promise<void> {
    return this.setPaused(SCRUB, true)
  }

  private async setPaused(work: string, isPaused: boolean): Promise<void> {
    await this.engine.control.change(isPaused ? "pause" : "resume", record => {
      if (record.pausedWork.includes(work) === isPaused) return record
      const others = record.pausedWork.filter(name => name !== work)
      return { ...record, pausedWork: isPaused ? [...others, work] : others }
    })
    this.wakeIfThere(work)
  }

  async pending(): Promise<PendingReport> {
    const found = this.engine.services.orphans.pending()
    const shown = found.slice(0, PENDING_SHOWN_MAX)
    const names = await this.engine.services.buckets.namesOf(shown.map(({ owner }) => owner.bucketId))
    return {
      uploads: shown.map(({ uploadId: upload, owner, blocks, bytes, removableInMs }, at) => ({
        upload,
        bucket: names[at],
        key: textOfObjectKey(owner.key),
        blocks,
        bytes,
        removableMs: removableInMs === Infinity ? undefined : Math.ceil(this.clock.wallMs() + removableInMs),
      })),
      more: found.length - shown.length,
    }
  }

  async resumeOrphans(): Promise<JobReport> {
    this.engine.services.orphans.resume()
    this.wakeIfThere(ORPHANS)
    return this.jobOf(ORPHANS)
  }

  async setJobPaused(job: string, isPaused: boolean): Promise<JobReport> {
    this.jobOf(job)
    checkPausable(job)
    await this.setPaused(job, isPaused)
    return this.jobOf(job)
  }

  async setThrottle(job: string, throttle: number): Promise<JobReport> {
    this.jobs.setThrottle(job, throttle)
    return this.jobOf(job)
  }

  /** The backup of the metadata begins now, even if it is not due. */
  async wakeJob(job: string): Promise<JobReport> {
    if (job === this.engine.services.metadataBackup?.name) await this.orderBackup()
    else this.jobs.wake(job)
    return this.jobOf(job)
  }

  async backup(): Promise<ReportedBackup> {
    const { metadataBackup } = this.engine.services
    if (metadataBackup === undefined)
      throw fail("notImplemented", { message: "this store makes no backups of its metadata" })
    const job = this.jobs.status().find(({ name }) => name === metadataBackup.name)
    const { isPaused = false, failuresInARow: failures = 0, lastError } = job ?? {}
    return { ...metadataBackup.report(), isPaused, failures, ...(lastError !== undefined && { lastError }) }
  }

  orderBackup(): Promise<ReportedBackup> {
    const { metadataBackup } = this.engine.services
    metadataBackup?.order()
    if (metadataBackup !== undefined) this.wakeIfThere(metadataBackup.name)
    return this.backup()
  }

  private jobOf(name: string): JobReport {
    const job = this.jobs.status().find(each => each.name === name)
    if (job === undefined) throw fail("invalidArgument", { message: "no such job", job: name })
    const { lastError, failuresInARow: _, ...rest } = job
    return lastError === undefined ? rest : { ...rest, lastError }
  }
}

/** The members of a change that name something. */
const textsOf = (change: object): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(change).flatMap(([name, value]) =>
      typeof value === "string" ? [[name === "id" ? "device" : name, value]] : [],
    ),
  )

/** Throws `invalidArgument`. */
function checkPausable(job: string): void {
  const pausable = pausableJobs()
  if (pausable.includes(job)) return
  throw fail("invalidArgument", {
    message: `${job} cannot be paused: without it the store fills up, or is less safe than it shows; hayloft jobs set-throttle slows it. These can be: ${pausable.join(", ")}`,
  })
}

const asReason = (error: unknown): Failure =>
  isFailure(error) ? error : fail("internal", { reason: String(error) }, error)

/** Throws `invalidArgument`, which tells what to send, unless the plan's buckets with object lock are named. */
function checkLockedNamed(
  { summary, lockedBuckets = [], moreLockedBuckets = 0 }: ChangePlan,
  named: readonly string[],
): void {
  requireLockedNames(summary, { listed: lockedBuckets, more: moreLockedBuckets }, named)
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
