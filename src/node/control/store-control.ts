/**
 * Store control: keeps a running engine and the control record alike. The record says what should be;
 * here devices are taken out and brought in, layouts published and memberships changed accordingly, and
 * the record is changed when a device fails, comes back, or has all that it should have.
 *
 * Promises  A device in trouble is neither read nor written from the moment it is known, and is out of
 *           the record before anything is acknowledged that it lacks. The last device that holds names
 *           is never taken out: reads go on there, and writes say why they cannot.
 */
import { assert, must } from "../../base/assert.js"
import { fail, isFailure, type Failure } from "../../base/failures.js"
import type { DeviceId, Epoch } from "../../base/ids.js"
import type { Policy } from "../../base/policy.js"
import { ALL_NEEDLES, type Layouts } from "../../block/index.js"
import {
  addLearner,
  deviceOf,
  dropReplicas,
  followDevices,
  forgetDevice,
  layoutOf,
  markOffline,
  markReopened,
  markReturning,
  narrowLayout,
  nextReplicaStep,
  placeWithoutLongOffline,
  promoteLearner,
  tabletOf,
} from "../../cluster/index.js"
import type { ControlRecordManager } from "./record-manager.js"
import type { ControlReplica, ControlRecord } from "../../format/control-record.js"
import { needleIdOfKey, type NeedleId } from "../../format/needle.js"
import type { Job, StepOutcome } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"
import { Replica, type ConfigurationStore, type Primary } from "../../tablet/index.js"
import type { DeviceSet } from "../devices/device-set.js"
import type { DeviceStack } from "../devices/device-stack.js"
import { FIRST_TABLET } from "../metadata/first-tablet.js"

const ALARM_EVERY_MS = 60_000

interface ControlOptions {
  /** Writes that would have one copy only are refused. */
  readonly refuseSingleCopy: boolean
  /** Opens a device anew that holds no names, with nothing of theirs on it. */
  readonly rebuild: (id: DeviceId) => Promise<void>
  /** Every replica of the metadata has confirmed that no row names the block. */
  readonly isAborted: (needle: NeedleId) => boolean
  /** That buckets chose for themselves. */
  readonly bucketPolicies: () => readonly Policy[]
  /** Under which blocks lie; undefined while nobody has looked at all of them. */
  readonly heldPolicies: () => readonly Policy[] | undefined
}

export class StoreControl implements Job, ConfigurationStore {
  readonly name = "replicas"
  private tablet: Primary | undefined
  private readonly decommissioning = new Set<DeviceId>()
  /** Why devices were taken out in this life. */
  private readonly reasons = new Map<DeviceId, string>()
  /** When a single copy was last complained of. */
  private alarmedMs: number | undefined
  /** To be rebuilt from other members. */
  private readonly damagedStores = new Set<DeviceId>()
  private doing = "nothing"

  constructor(
    private readonly recordManager: ControlRecordManager,
    private readonly devices: DeviceSet,
    private readonly layouts: Layouts,
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly options: ControlOptions,
  ) {
    recordManager.onChange(record => this.publish(record))
  }

  offlineReason(id: DeviceId): string | undefined {
    return this.reasons.get(id)
  }

  /** The device is out, and not by what is decided here. */
  noteOffline(id: DeviceId, reason: Failure): void {
    this.reasons.set(id, reason.message)
  }

  get record(): ControlRecord {
    return this.recordManager.record
  }

  /** From here on the tablet's memberships follow the record. */
  attach(tablet: Primary): void {
    this.tablet = tablet
  }

  progress(): string {
    return this.doing
  }

  /** Makes known what a change of the record has changed for the block layer. */
  private publish(record: ControlRecord): void {
    const { layout, previousLayout } = record
    const isKnown = this.layouts.current.version === layout.version
    if (isKnown && (this.layouts.previous === undefined) === (previousLayout === undefined)) return
    this.layouts.publish(isKnown ? this.layouts.current : layoutOf(layout), previousLayout && layoutOf(previousLayout))
  }

  change(name: string, decide: (record: ControlRecord) => ControlRecord | undefined): Promise<ControlRecord> {
    return this.recordManager.change(name, decide)
  }

  async leave(ids: readonly DeviceId[], reason: Failure): Promise<Epoch> {
    // A log without room has begun nothing: its device is well otherwise, and will learn again.
    if (isFailure(reason, "deviceFull")) return this.leaveTablet(ids)
    for (const id of ids) this.remove(id, reason)
    return this.markOffline(ids)
  }

  learningFailed(id: DeviceId, failure: Failure): void {
    this.log.warn("a device could not learn the names", { device: id, reason: failure.message })
    void this.leaveTablet([id]).catch((error: unknown) => this.changeFailed(id, error))
  }

  damaged(id: DeviceId, failure: Failure): void {
    // What cannot be read is the device's trouble, not the base's.
    if (this.damagedStores.has(id) || failure.kind === "deviceFailed") return
    this.damagedStores.add(id)
    this.log.error("the base of a device is damaged", { device: id, reason: failure.message })
  }

  replicasWanted(): number {
    const may = this.record.devices.filter(({ state }) => state !== "draining" && state !== "decommissioning")
    return Math.max(1, Math.min(this.record.metaCopies, may.length))
  }

  refusesSingleCopy(): boolean {
    return this.options.refuseSingleCopy && this.record.metaCopies > 1
  }

  private remove(id: DeviceId, reason: Failure): void {
    this.log.error("a device is taken out", { device: id, reason: reason.message })
    this.noteOffline(id, reason)
    this.devices.remove(id, reason)
  }

  /** A block was written to one device alone; said now and then, not for each. */
  singleCopyWritten(): void {
    const nowMs = this.clock.monotonicMs()
    if (this.alarmedMs !== undefined && nowMs - this.alarmedMs < ALARM_EVERY_MS) return
    this.alarmedMs = nowMs
    this.log.error("objects are being written with a single copy: only one of their devices is left")
  }

  private alarmOfNames(record: ControlRecord): void {
    const { replicas } = tabletOf(record, FIRST_TABLET)
    if (replicas.length > 1 || record.metaCopies === 1) return
    this.log.error("one device alone holds the names of objects", { device: replicas[0]?.id })
  }

  private async markOffline(ids: readonly DeviceId[]): Promise<Epoch> {
    const record = await this.change("devices out", before => markOffline(before, ids, this.clock.wallMs()))
    this.alarmOfNames(record)
    return tabletOf(record, FIRST_TABLET).epoch
  }

  private async leaveTablet(ids: readonly DeviceId[]): Promise<Epoch> {
    const record = await this.change("members leave", before => dropReplicas(before, ids))
    for (const id of ids) this.devices.find(id)?.replicaIncarnations.delete(FIRST_TABLET)
    return tabletOf(record, FIRST_TABLET).epoch
  }

  private changeFailed(id: DeviceId, error: unknown): void {
    this.log.error("the control record could not be changed", { device: id, error: String(error) })
  }

  /**
   * Takes a device out of everything, unless it is the last that holds names. Never rejects. While the store
   * still opens, a device that holds names is only closed: whoever opens it sees to the record.
   */
  async takeOffline(id: DeviceId, reason: Failure): Promise<void> {
    if (this.decommissioning.has(id) || this.devices.find(id) === undefined || this.isLast(id)) return
    this.decommissioning.add(id)
    try {
      this.remove(id, reason)
      if (this.holdsMetadata(id)) await this.tablet?.dropReplicas([id], reason, () => this.markOffline([id]))
      else await this.markOffline([id])
    } catch (error) {
      this.changeFailed(id, error)
    } finally {
      this.decommissioning.delete(id)
    }
  }

  /** Whether no other device that is here, and stays, holds names. */
  private isLast(id: DeviceId): boolean {
    const { replicas } = tabletOf(this.record, FIRST_TABLET)
    const stays = (other: DeviceId) =>
      other !== id && !this.decommissioning.has(other) && this.devices.find(other) !== undefined
    return !replicas.some(replica => stays(replica.id))
  }

  holdsMetadata(id: DeviceId): boolean {
    const { replicas, learners } = tabletOf(this.record, FIRST_TABLET)
    return [...replicas, ...learners].some(replica => replica.id === id)
  }

  /** A device that is open now takes part. */
  async bringIn(stack: DeviceStack): Promise<void> {
    const { id } = stack.place
    await this.change("device returns", before => markReturning(before, id, this.clock.wallMs()))
    this.log.info("a device takes part again", { device: id, state: deviceOf(this.record, id).state })
  }

  /** One step of what follows from the devices that are there: the record, then who holds names. */
  async step(): Promise<StepOutcome> {
    if (await this.markClosed()) return "busy"
    if (await this.followDevices()) return "busy"
    if (await this.rebuildDamaged()) return "busy"
    return this.stepReplicas()
  }

  /** A device that was taken away while the record could not be changed is out all the same; true where there was one. */
  private async markClosed(): Promise<boolean> {
    const isClosed = (id: DeviceId): boolean =>
      this.devices.find(id) === undefined && !this.decommissioning.has(id) && !this.isLast(id)
    const closed = this.record.devices.find(({ id, state }) => state !== "offline" && isClosed(id))
    if (closed === undefined) return false
    const { id } = closed
    const reason = fail("deviceFailed", { message: "the device was taken out", device: id })
    if (this.holdsMetadata(id)) await this.tablet?.dropReplicas([id], reason, () => this.markOffline([id]))
    else await this.markOffline([id])
    return true
  }

  /** Policies and width as the devices allow, and an end of devices that leave once they are empty; true where that changed something. */
  private async followDevices(): Promise<boolean> {
    const before = this.record
    const leaver = before.devices.find(({ id, state }) => state === "decommissioning" && this.isEmptied(id))
    const [chosen, held] = [this.options.bucketPolicies(), this.options.heldPolicies()]
    await this.change("follow devices", record => {
      const next = leaver === undefined ? record : forgetDevice(record, leaver.id, [...chosen, ...(held ?? [])], false)
      const followed = followDevices(placeWithoutLongOffline(next, this.clock.wallMs()), chosen)
      return held === undefined ? followed : narrowLayout(followed, [...chosen, ...held])
    })
    if (leaver !== undefined) {
      this.log.info("a device is empty and has left the store", { device: leaver.id })
      this.devices.remove(leaver.id, fail("deviceFailed", { message: "the device has left", device: leaver.id }))
    }
    return this.record !== before
  }

  /** A damaged base is never mended in place: its device learns everything anew from those that have it. */
  private async rebuildDamaged(): Promise<boolean> {
    const [id] = this.damagedStores
    if (id === undefined || this.isLast(id)) return false
    if (this.devices.find(id) !== undefined) {
      if (this.holdsMetadata(id)) await this.drop(id)
      await this.options.rebuild(id)
      await this.change("device opened anew", record => markReopened(record, id, this.clock.wallMs()))
    }
    this.damagedStores.delete(id)
    return true
  }

  private isEmptied(id: DeviceId): boolean {
    const { layout, previousLayout } = this.record
    const isPlaced = layout.devices.includes(id) || previousLayout !== undefined
    const stack = this.devices.find(id)
    if (isPlaced || stack === undefined || this.holdsMetadata(id)) return false
    // What is bad, or lost with its volume, is no reason to stay: it has been rebuilt elsewhere, or cannot be.
    // Nor what all replicas call nobody's: what is left of it elsewhere waits for its removal.
    for (const { key, isSuspect } of stack.volumes.indexed(ALL_NEEDLES)) {
      if (!isSuspect && !this.options.isAborted(needleIdOfKey(key))) return false
    }
    return true
  }

  private async stepReplicas(): Promise<StepOutcome> {
    const tablet = must(this.tablet, "jobs run once the tablet is there")
    const { learning } = tablet
    if (learning !== undefined && !learning.isComplete) {
      this.doing = learning.progress
      return (await tablet.stepLearning()) ? "busy" : "throttled"
    }
    const forgotten = tabletOf(this.record, FIRST_TABLET).learners.find(({ id }) => learning?.id !== id)
    // Its learning has ended, and the record could not be told.
    if (forgotten !== undefined) {
      await this.leaveTablet([forgotten.id])
      return "busy"
    }
    if (!tablet.isServing) {
      this.doing = "nobody learns the names while writes are halted"
      return "throttled"
    }
    const next = nextReplicaStep(
      this.record,
      FIRST_TABLET,
      learner => learning?.isComplete === true && learning.id === learner.id,
      id => this.devices.find(id)?.shards.isWritable === true,
    )
    if (next === undefined) {
      this.doing = `${tabletOf(this.record, FIRST_TABLET).replicas.length} devices hold names`
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
    assert(learner.since === epoch, "a learner begins with the epoch of its change")
    stack.replicaIncarnations.set(FIRST_TABLET, learner.since)
    this.log.info("a device learns the names", { device: id })
    this.tablet?.addLearner(new Replica(stack.replica, FIRST_TABLET, learner.since), epoch)
  }

  /** False: it has not caught up yet, and goes on learning. */
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
    this.log.info("a device holds the names", { device: learner.id })
    return true
  }

  private async drop(id: DeviceId): Promise<void> {
    const reason = fail("deviceFailed", { message: "the device holds names no longer", device: id })
    await this.tablet?.dropReplicas([id], reason, () => this.leaveTablet([id]))
    this.log.info("a device holds the names no longer", { device: id })
  }
}
