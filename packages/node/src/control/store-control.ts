/**
 * Store control: keeps a running engine in line with the control record. It takes devices offline and brings
 * them in, publishes layouts and changes replicas as the record demands, and it changes the record when a
 * device fails, returns, or is complete.
 *
 * Promises  A device in trouble is neither read nor written from the moment the trouble is known, and is
 *           offline in the record before any write is acknowledged that it lacks. The last device with a
 *           metadata replica is never taken offline: it serves reads, and writes fail with the reason. If the
 *           metadata is in a database, the last device is not.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { lacksSpace } from "@hayloft/base/space/full-disk-core.js"
import type { DeviceId, Epoch } from "@hayloft/base/ids.js"
import type { Policy } from "@hayloft/base/policy.js"
import { ALL_NEEDLES, type Layouts } from "@hayloft/engine/block/index.js"
import {
  addLearner,
  deviceOf,
  dropReplicas,
  followDevices,
  forgetDevice,
  markOffline,
  markReopened,
  markReturning,
  narrowLayout,
  nextReplicaStep,
  placeWithout,
  placeWithoutLongOffline,
  promoteLearner,
  tabletOf,
} from "@hayloft/engine/cluster/index.js"
import { publishLayouts } from "./publish-layouts.js"
import type { RecordManager } from "./record-manager.js"
import type { ControlDevice, ControlReplica, ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { Replica, type ConfigurationStore, type Primary } from "@hayloft/engine/tablet/index.js"
import type { DeviceSet } from "../devices/device-set.js"
import type { DeviceStack } from "../devices/device-stack.js"
import { OfflineTimes } from "./offline-times-core.js"
import { FIRST_TABLET } from "../metadata/first-tablet.js"

const ALARM_EVERY_MS = 60_000

/** The metadata replicas; none if the metadata is in a database. */
const replicasIn = ({ tablets }: ControlRecord): readonly ControlReplica[] =>
  tablets.find(({ id }) => id === FIRST_TABLET)?.replicas ?? []

interface ControlOptions {
  /** Refuse writes that would have only one copy. */
  readonly refuseSingleCopy: boolean
  /** Returns true if this process, if any, has the device. */
  readonly isOwn: (device: ControlDevice) => boolean
  /** Reopens a device without a metadata replica, with an empty metadata store. */
  readonly rebuild: (id: DeviceId) => Promise<void>
  /** Most of the other nodes cannot reach this one. */
  readonly isCutOff: () => boolean
  /** Policies that buckets set for themselves. */
  readonly bucketPolicies: () => readonly Policy[]
  /** Policies of stored blocks; undefined until a shard scan has completed. */
  readonly heldPolicies: () => readonly Policy[] | undefined
}

export class StoreControl implements Job, ConfigurationStore {
  readonly name = "replicas"
  private tablet: Primary | undefined
  private readonly decommissioning = new Set<DeviceId>()
  private readonly offlineTimes = new OfflineTimes()
  /** The reasons why this process took devices offline. */
  private readonly reasons = new Map<DeviceId, string>()
  /** When the last single-copy alarm was logged. */
  private alarmedMs: number | undefined
  /** To be rebuilt from other replicas. */
  private readonly damagedStores = new Set<DeviceId>()
  private doing = "nothing"
  /** The reason why some device lacks the record with the keys of the store. */
  private lacks: string | undefined

  constructor(
    private readonly recordManager: RecordManager,
    private readonly devices: DeviceSet,
    private readonly layouts: Layouts,
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly options: ControlOptions,
  ) {
    this.offlineTimes.observe(recordManager.record, clock.monotonicMs())
    recordManager.onChange(record => this.publish(record))
  }

  offlineReason(id: DeviceId): string | undefined {
    return this.reasons.get(id)
  }

  /** Records why a device is offline if the decision was made elsewhere. */
  noteOffline(id: DeviceId, reason: Failure): void {
    this.reasons.set(id, reason.message)
  }

  get record(): ControlRecord {
    return this.recordManager.record
  }

  /** From now on the tablet's replicas follow the record. Not called if the metadata is in a database. */
  attach(tablet: Primary): void {
    this.tablet = tablet
  }

  progress(): string {
    return this.doing
  }

  /** Publishes a changed record to the block layer, and gives up devices that another node has claimed. */
  private publish(record: ControlRecord): void {
    this.offlineTimes.observe(record, this.clock.monotonicMs())
    for (const device of record.devices) {
      if (this.options.isOwn(device) || this.devices.find(device.id) === undefined) continue
      if (device.home === undefined) continue
      const message = `node ${device.home.node} has claimed the device`
      this.remove(device.id, fail("deviceFailed", { message, device: device.id }))
    }
    publishLayouts(this.layouts, record)
  }

  change(name: string, decide: (record: ControlRecord) => ControlRecord | undefined): Promise<ControlRecord> {
    return this.recordManager.change(name, decide)
  }

  async leave(ids: readonly DeviceId[], reason: Failure): Promise<Epoch> {
    // A full log has begun nothing: its device is otherwise healthy and can be a learner again later.
    if (lacksSpace(reason)) return this.leaveTablet(ids)
    for (const id of ids) this.remove(id, reason)
    return this.markHoldersOffline(ids)
  }

  learningFailed(id: DeviceId, failure: Failure): void {
    this.log.warn("metadata_learner_failed", { device: id, reason: failure.message })
    void this.leaveTablet([id]).catch((error: unknown) => this.changeFailed(id, error))
  }

  damaged(id: DeviceId, failure: Failure): void {
    // A read error is a failure of the device, not of its metadata store.
    if (this.damagedStores.has(id) || failure.kind === "deviceFailed") return
    this.damagedStores.add(id)
    this.log.error("metadata_store_damaged", { device: id, reason: failure.message })
  }

  replicasWanted(): number {
    const may = this.record.devices.filter(({ state }) => state !== "draining" && state !== "decommissioning")
    return Math.max(1, Math.min(this.record.metaCopies, may.length))
  }

  refusesSingleCopy(): boolean {
    return this.options.refuseSingleCopy && this.record.metaCopies > 1
  }

  private remove(id: DeviceId, reason: Failure): void {
    this.log.error("device_taken_offline", { device: id, reason: reason.message })
    this.noteOffline(id, reason)
    this.devices.remove(id, reason)
  }

  /** Reports that a block was written to a single device; logged at intervals, not for each block. */
  singleCopyWritten(): void {
    const nowMs = this.clock.monotonicMs()
    if (this.alarmedMs !== undefined && nowMs - this.alarmedMs < ALARM_EVERY_MS) return
    this.alarmedMs = nowMs
    this.log.error("objects_written_with_single_copy")
  }

  private alarmOfNames(record: ControlRecord): void {
    const replicas = replicasIn(record)
    if (replicas.length !== 1 || record.metaCopies === 1) return
    this.log.error("single_metadata_replica_left", { device: replicas[0]?.id })
  }

  private async markOffline(ids: readonly DeviceId[]): Promise<ControlRecord> {
    // Another node may have claimed one of them meanwhile.
    const isOwn = (id: DeviceId, { devices }: ControlRecord) =>
      devices.some(device => device.id === id && this.options.isOwn(device))
    const record = await this.change("devices offline", before =>
      markOffline(
        before,
        ids.filter(id => isOwn(id, before)),
        this.clock.wallMs(),
      ),
    )
    this.alarmOfNames(record)
    return record
  }

  /** Like `markOffline`, for devices with a metadata replica: returns the tablet's new epoch. */
  private async markHoldersOffline(ids: readonly DeviceId[]): Promise<Epoch> {
    return tabletOf(await this.markOffline(ids), FIRST_TABLET).epoch
  }

  private async leaveTablet(ids: readonly DeviceId[]): Promise<Epoch> {
    const record = await this.change("replicas dropped", before => dropReplicas(before, ids))
    for (const id of ids) this.devices.find(id)?.replicaIncarnations.delete(FIRST_TABLET)
    return tabletOf(record, FIRST_TABLET).epoch
  }

  private changeFailed(id: DeviceId, error: unknown): void {
    this.log.error("control_record_change_failed", { device: id, error: String(error) })
  }

  /**
   * Takes a device offline unless it has the last metadata replica. Never rejects. While the store opens, it only
   * closes a device that has a replica: the opener then changes the record.
   */
  async takeOffline(id: DeviceId, reason: Failure): Promise<void> {
    if (this.decommissioning.has(id) || this.devices.find(id) === undefined || this.isLast(id)) return
    this.decommissioning.add(id)
    try {
      this.remove(id, reason)
      if (this.holdsMetadata(id)) await this.tablet?.dropReplicas([id], reason, () => this.markHoldersOffline([id]))
      else await this.markOffline([id])
    } catch (error) {
      this.changeFailed(id, error)
    } finally {
      this.decommissioning.delete(id)
    }
  }

  /**
   * Returns true if no other open device remains that has what the store cannot be without: metadata, if devices keep
   * it.
   */
  private isLast(id: DeviceId): boolean {
    const { devices, tablets } = this.record
    const needed = tablets.length > 0 ? replicasIn(this.record) : devices
    const stays = (other: DeviceId) =>
      other !== id && !this.decommissioning.has(other) && this.devices.find(other) !== undefined
    const isElsewhere = devices.some(device => device.state !== "offline" && !this.options.isOwn(device))
    return !isElsewhere && !needed.some(each => stays(each.id))
  }

  holdsMetadata(id: DeviceId): boolean {
    const { tablets } = this.record
    return tablets.some(({ replicas, learners }) => [...replicas, ...learners].some(replica => replica.id === id))
  }

  /** An open device takes part from now on. */
  async bringIn(stack: DeviceStack): Promise<void> {
    const { id } = stack.place
    await this.change("device returns", before => markReturning(before, id, this.clock.wallMs()))
    this.log.info("device_returned", { device: id, state: deviceOf(this.record, id).state })
  }

  /** Takes one step: updates the record, then the metadata replicas. */
  async step(): Promise<StepOutcome> {
    if (await this.markClosed()) return "busy"
    if (await this.markOpen()) return "busy"
    if (await this.followDevices()) return "busy"
    if (await this.rebuildDamaged()) return "busy"
    await this.spreadKeys()
    return this.stepReplicas()
  }

  /** Some open device of this process lacks the newest keys of the store. */
  get isShortOfKeys(): boolean {
    return this.lacks !== undefined
  }

  /** Keys are in the record only: devices that were full or overloaded when it changed get it later. */
  private async spreadKeys(): Promise<void> {
    if (this.record.keyring === undefined) return
    const lacks = await this.recordManager.spread().then(
      () => undefined,
      (error: unknown) => String(error),
    )
    if (lacks !== undefined && this.lacks === undefined) this.log.warn("keys_not_on_all_devices", { reason: lacks })
    this.lacks = lacks
  }

  /** Takes a device back that others took offline while they did not reach this node; returns true if there was one. */
  private async markOpen(): Promise<boolean> {
    const isOpen = (id: DeviceId): boolean => this.devices.find(id) !== undefined && !this.decommissioning.has(id)
    const { devices, tablets } = this.record
    if (tablets.length > 0 || this.options.isCutOff()) return false
    const back = devices.find(device => device.state === "offline" && this.options.isOwn(device) && isOpen(device.id))
    if (back === undefined) return false
    await this.change("device returns", record => markReturning(record, back.id, this.clock.wallMs()))
    return true
  }

  /** Marks a device offline that was closed while the record could not be changed; returns true if there was one. */
  private async markClosed(): Promise<boolean> {
    const isClosed = (id: DeviceId): boolean =>
      this.devices.find(id) === undefined && !this.decommissioning.has(id) && !this.isLast(id)
    const isMissing = (device: ControlDevice) =>
      device.state !== "offline" && this.options.isOwn(device) && isClosed(device.id)
    const closed = this.record.devices.find(isMissing)
    if (closed === undefined) return false
    const { id } = closed
    const reason = fail("deviceFailed", { message: "the device was taken offline", device: id })
    if (this.holdsMetadata(id)) await this.tablet?.dropReplicas([id], reason, () => this.markHoldersOffline([id]))
    else await this.markOffline([id])
    return true
  }

  /**
   * Adapts policies and width to the devices, and removes decommissioning devices that are empty. Returns true if
   * anything changed.
   */
  private async followDevices(): Promise<boolean> {
    const before = this.record
    const leaver = before.devices.find(({ id, state }) => state === "decommissioning" && this.isEmptied(id))
    const [chosen, held] = [this.options.bucketPolicies(), this.options.heldPolicies()]
    await this.change("follow devices", record => {
      const next = leaver === undefined ? record : forgetDevice(record, leaver.id, [...chosen, ...(held ?? [])], false)
      const followed = followDevices(this.withoutLongOffline(next), chosen)
      return held === undefined ? followed : narrowLayout(followed, [...chosen, ...held])
    })
    if (leaver !== undefined) {
      this.log.info("device_removed", { device: leaver.id })
      this.devices.remove(
        leaver.id,
        fail("deviceFailed", { message: "the device was removed from the store", device: leaver.id }),
      )
    }
    return this.record !== before
  }

  /** On one machine the time counts across restarts; on several nodes no clock but the own one counts. */
  private withoutLongOffline(record: ControlRecord): ControlRecord {
    return record.tablets.length > 0
      ? placeWithoutLongOffline(record, this.clock.wallMs())
      : placeWithout(record, this.offlineTimes.long(this.clock.monotonicMs()))
  }

  /** A damaged metadata store is never repaired in place: its device learns everything from the other replicas. */
  private async rebuildDamaged(): Promise<boolean> {
    const [id] = this.damagedStores
    if (id === undefined || this.isLast(id)) return false
    if (this.devices.find(id) !== undefined) {
      if (this.holdsMetadata(id)) await this.drop(id)
      await this.options.rebuild(id)
      await this.change("device reopened", record => markReopened(record, id, this.clock.wallMs()))
    }
    this.damagedStores.delete(id)
    return true
  }

  private isEmptied(id: DeviceId): boolean {
    const { layout, previousLayout } = this.record
    const isPlaced = layout.devices.includes(id) || previousLayout !== undefined
    const stack = this.devices.find(id)
    if (isPlaced || stack === undefined || this.holdsMetadata(id)) return false
    // A corrupt needle, or one lost with its volume, does not keep the device: repair has rebuilt it elsewhere, or
    // cannot. All others do: repair moves also those that no row references.
    for (const { isSuspect } of stack.volumes.indexed(ALL_NEEDLES)) if (!isSuspect) return false
    return true
  }

  private async stepReplicas(): Promise<StepOutcome> {
    const { tablet } = this
    if (tablet === undefined) {
      this.doing = "no metadata replicas: the metadata is in a database"
      return "idle"
    }
    const { learning } = tablet
    if (learning !== undefined && !learning.isComplete) {
      this.doing = learning.progress
      return (await tablet.stepLearning()) ? "busy" : "throttled"
    }
    const forgotten = tabletOf(this.record, FIRST_TABLET).learners.find(({ id }) => learning?.id !== id)
    // Learning has ended, but the record could not be changed.
    if (forgotten !== undefined) {
      await this.leaveTablet([forgotten.id])
      return "busy"
    }
    if (!tablet.isServing) {
      this.doing = "no metadata replica is added while writes are halted"
      return "throttled"
    }
    const next = nextReplicaStep(
      this.record,
      FIRST_TABLET,
      learner => learning?.isComplete === true && learning.id === learner.id,
      id => this.devices.find(id)?.shards.isWritable === true,
    )
    if (next === undefined) {
      this.doing = `${tabletOf(this.record, FIRST_TABLET).replicas.length} metadata replicas`
      return "idle"
    }
    if (next.kind === "learn") await this.learn(next.id)
    else if (next.kind === "drop") await this.drop(next.id)
    else if (!(await this.promote(next.learner))) return "throttled"
    return "busy"
  }

  private async learn(id: DeviceId): Promise<void> {
    const stack = must(this.devices.find(id), "a learner is open")
    const record = await this.change("learner", before => addLearner(before, FIRST_TABLET, id))
    const { learners, epoch } = tabletOf(record, FIRST_TABLET)
    const learner = must(
      learners.find(each => each.id === id),
      "the learner was added",
    )
    assert(learner.since === epoch, "a learner starts in the epoch of its change")
    stack.replicaIncarnations.set(FIRST_TABLET, learner.since)
    this.log.info("metadata_learner_started", { device: id })
    this.tablet?.addLearner(new Replica(stack.replica, FIRST_TABLET, learner.since), epoch)
  }

  /** Returns false if the learner has not caught up yet. */
  private async promote(learner: ControlReplica): Promise<boolean> {
    try {
      await this.tablet?.promote(learner.id, async () => {
        const record = await this.change("member", before => promoteLearner(before, FIRST_TABLET, learner))
        return tabletOf(record, FIRST_TABLET).epoch
      })
    } catch (error) {
      if (isFailure(error, "tooManyInFlight")) return false
      throw error
    }
    this.log.info("metadata_replica_added", { device: learner.id })
    return true
  }

  private async drop(id: DeviceId): Promise<void> {
    const reason = fail("deviceFailed", { message: "the device no longer holds a metadata replica", device: id })
    await this.tablet?.dropReplicas([id], reason, () => this.leaveTablet([id]))
    this.log.info("metadata_replica_removed", { device: id })
  }
}
