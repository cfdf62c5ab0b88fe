/** A store over devices in memory that come and go, its rows in one tree, for tests of the background jobs. */
import { assert, must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseAccountId, parseBucketName, parseIncarnation } from "@hayloft/base/ids.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { shardCount, type Policy } from "@hayloft/base/policy.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { ALL_NEEDLES, Layouts, LocalBlocks, type Devices } from "@hayloft/engine/block/index.js"
import { standingOf } from "@hayloft/engine/block/testing-standing.js"
import type { ControlDeviceState } from "@hayloft/engine/format/device/control-record.js"
import type { Job } from "@hayloft/base/life/index.js"
import { replaceDevice } from "@hayloft/engine/placement/index.js"
import { firstLayout, nextLayout } from "@hayloft/engine/placement/testing-plans.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { InlineCompute, type MakeCoder } from "@hayloft/base/seams/compute/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { soleProcess, type Metadata } from "@hayloft/engine/metadata/index.js"
import type { ObjectKeys } from "@hayloft/access/keys/contract.js"
import { testingKeys } from "@hayloft/access/keys/testing-keys.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { ABORTED_WAITS, SHARED_ABORTED_WAITS, type AbortedWaits } from "./garbage/aborted-blocks.js"
import type { BodySource, Bucket, PutRequest } from "@hayloft/objects/contract.js"
import type { MetadataBackupFacts } from "./backup/metadata-backup.js"
import type { RedundancySource } from "./repair/repair-contract.js"
import type { ClassMap } from "@hayloft/objects/class-policies.js"
import type { ByteRetention } from "@hayloft/objects/bodies/retention.js"
import { Reconciliation } from "./reconcile/reconciliation.js"
import { SealedBodies } from "@hayloft/objects/bodies/sealed-body.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { createServices, type StoreServices } from "@hayloft/features/index.js"

const noSignal = new AbortController().signal
/**
 * Parts of these stores, except for the last one, have at least as many bytes: more blocks than most work takes at once, and
 * far less work than what S3 asks for.
 */
export const SMALL_PART_BYTES = 320 * KIB

/** Devices that a test can manipulate. */
export interface WorldDevices {
  readonly live: Devices
  add(number: number): Promise<DeviceId>
  takeOffline(id: DeviceId): void
  bringBack(id: DeviceId): void
  needlesOn(id: DeviceId): number
}

interface DeviceState {
  readonly state: ControlDeviceState
  readonly stateSinceMs: number
}

export class StoreWorld<Its extends WorldDevices> {
  readonly clock: SimClock
  readonly random = new SimRandom(5)
  readonly telemetry = new SimTelemetry()
  readonly tablet: MemoryMetadata
  readonly layouts: Layouts
  readonly compute: InlineCompute
  readonly blocks: LocalBlocks
  readonly services: StoreServices
  readonly keys: ObjectKeys
  readonly whole: DeviceId[] = []
  readonly moved: number[] = []
  /** Misplaced copies when the transition was reported as done. */
  straysWhenMoved = 0
  private readonly states: Map<DeviceId, DeviceState>
  policyVersion = 1
  /** The operator's map of storage classes. */
  readonly mapped: Map<StorageClass, Policy>
  /** Later processes of the store take themselves for one of several. */
  isShared = false
  /** Later processes encrypt at rest, existing objects too. */
  encrypts = false
  /** The retention of later processes. If undefined, their readers decide. */
  retention: ByteRetention | undefined
  private readonly abortedWaits: AbortedWaits
  private readonly blockBytes: number
  /** Random source for later processes. */
  moveBytesPerSecondMax = Infinity
  private bucket: Bucket | undefined

  private constructor(
    readonly devices: Its,
    private readonly makeCodec: MakeCoder,
    public policy: Policy,
    incarnation: number,
    before?: StoreWorld<Its>,
    /** `isBeside`: `before` goes on. */
    { isBeside = false, blockBytes }: { readonly isBeside?: boolean; readonly blockBytes?: number | undefined } = {},
  ) {
    this.blockBytes = blockBytes ?? before?.blockBytes ?? 16 * KIB
    const other = isBeside ? before : undefined
    this.clock = other?.clock ?? new SimClock()
    this.states = other === undefined ? new Map<DeviceId, DeviceState>() : other.states
    const ids = [...devices.live.keys()]
    this.tablet = before?.tablet ?? new MemoryMetadata()
    const turns = this.random.fork("turns")
    // Services get some answers within the turn, and others later.
    this.tablet.later = () => (turns.below(2) === 0 ? Promise.resolve() : undefined)
    this.layouts = before?.layouts ?? new Layouts(firstLayout(ids, shardCount(policy)))
    for (const id of ids) this.states.set(id, before?.states.get(id) ?? { state: "active", stateSinceMs: 0 })
    this.policyVersion = before?.policyVersion ?? 1
    this.moveBytesPerSecondMax = before?.moveBytesPerSecondMax ?? Infinity
    this.bucket = before?.bucket
    // Another process follows the map later.
    this.mapped = other ? new Map(other.mapped) : (before?.mapped ?? new Map<StorageClass, Policy>())
    this.compute = new InlineCompute(makeCodec, { slabBytes: 8 * this.blockBytes, poolBytes: 256 * this.blockBytes })
    const { clock, tablet, layouts, compute, telemetry } = this
    this.blocks = new LocalBlocks(clock, compute, layouts, devices.live, telemetry.metrics, {
      onDamage: (deviceId, id) => this.services.repair.noteDamage({ deviceId, id }),
    })
    const store = Object.defineProperty({ policy, blockBytes: this.blockBytes }, "policy", { get: () => this.policy })
    const number = parseIncarnation(incarnation)
    tablet.incarnations = soleProcess(number)
    const random = new SimRandom(1000 + incarnation)
    this.keys = testingKeys(tablet, clock, random)
    const seams = { clock, random, tablet, compute, blocks: this.blocks, telemetry, keys: this.keys }
    const isShared = before?.isShared ?? false
    this.abortedWaits = isShared ? SHARED_ABORTED_WAITS : ABORTED_WAITS
    const retention = before?.retention
    const encryptsAtRest = before?.encrypts ?? false
    this.encrypts = encryptsAtRest
    const encryption = { encryptsAtRest, encryptsExisting: () => this.encrypts }
    const settings = { store, redundancy: this.source(), classes: this.classes(), isShared, retention, ...encryption }
    this.services = createServices(seams, { ...settings, partBytesMin: SMALL_PART_BYTES })
  }

  private classes(): ClassMap {
    const { mapped } = this
    return {
      policyOf: storageClass => mapped.get(storageClass),
      get isAnyMapped() {
        return mapped.size > 0
      },
      use: () => undefined,
    }
  }

  /** A new store on empty devices, as many as the policy needs. */
  static async open<Its extends WorldDevices>(
    devices: Its,
    makeCodec: MakeCoder,
    policy: Policy,
    count = shardCount(policy),
    blockBytes?: number,
  ): Promise<StoreWorld<Its>> {
    for (let i = 1; i <= count; i += 1) await devices.add(i)
    const world = new StoreWorld(devices, makeCodec, policy, 1, undefined, { blockBytes })
    const name = parseBucketName("bucket")
    world.bucket = await world.services.buckets.create({ name, owner: parseAccountId("root"), location: "" })
    return world
  }

  /** The next process on the same devices and rows. */
  restart(incarnation: number): StoreWorld<Its> {
    return new StoreWorld(this.devices, this.makeCodec, this.policy, incarnation, this)
  }

  /** Another process that works on the same devices and rows at the same time. */
  beside(incarnation: number): StoreWorld<Its> {
    this.isShared = true
    return new StoreWorld(this.devices, this.makeCodec, this.policy, incarnation, this, { isBeside: true })
  }

  private source(): RedundancySource {
    return {
      layouts: this.layouts,
      moveBytesPerSecondMax: this.moveBytesPerSecondMax,
      states: () => this.states,
      policyVersion: () => this.policyVersion,
      policy: () => this.policy,
      bucketPolicies: () => this.services.buckets.policies(),
      onDeviceWhole: id => {
        this.whole.push(id)
        this.setState(id, "active")
      },
      onTransitionDone: version => {
        this.moved.push(version)
        this.straysWhenMoved += this.strays
        this.layouts.publish(this.layouts.current, undefined)
      },
      wake: () => undefined,
    }
  }

  /** Returns the reconciliation of a process that has just started. */
  reconciliation(metadata: Metadata = this.tablet, backup?: Pick<MetadataBackupFacts, "storeId">): Reconciliation {
    const { blocks, compute, telemetry, random } = this
    const bytes = { blocks, sealedBodies: new SealedBodies(blocks, compute, telemetry.log) }
    const rows = { metadata, keys: this.keys }
    return new Reconciliation(rows, bytes, random.fork("reconciliation"), { nowMs: () => 0 }, backup)
  }

  setState(id: DeviceId, state: ControlDeviceState): void {
    this.states.set(id, { state, stateSinceMs: this.clock.monotonicMs() + 1 })
  }

  stateOf(id: DeviceId): ControlDeviceState | undefined {
    return this.states.get(id)?.state
  }

  takeOffline(id: DeviceId): void {
    this.devices.takeOffline(id)
    this.setState(id, "offline")
  }

  bringBack(id: DeviceId): void {
    this.devices.bringBack(id)
    this.setState(id, "rebuilding")
  }

  /** Takes a device out of the layout: it is removed once nothing is left on it. */
  decommission(id: DeviceId, width = this.layouts.current.width): void {
    this.relayout(
      this.layouts.current.devices.filter(each => each !== id),
      width,
    )
    this.setState(id, "decommissioning")
  }

  /** The device is not part of the store any more. */
  forget(id: DeviceId): void {
    this.devices.takeOffline(id)
    this.states.delete(id)
  }

  /** Replaces a lost device by an empty one with the same slots. */
  async replace(old: DeviceId, number: number): Promise<DeviceId> {
    const { current } = this.layouts
    this.devices.takeOffline(old)
    this.states.delete(old)
    const id = await this.devices.add(number)
    this.layouts.publish(replaceDevice(current, old, id, current.version + 1), undefined)
    this.setState(id, "rebuilding")
    return id
  }

  async add(number: number): Promise<DeviceId> {
    const id = await this.devices.add(number)
    this.setState(id, "rebuilding")
    return id
  }

  /** Starts a transition to these devices. */
  relayout(ids: readonly DeviceId[], width = this.layouts.current.width): void {
    const { current } = this.layouts
    this.layouts.publish(nextLayout(current, ids, width), current)
  }

  get home(): Bucket {
    return must(this.bucket, "it was made at the start")
  }

  private target(key: string) {
    return { bucket: this.home, key: objectKeyOfText(key), conditions: {} }
  }

  /** A request to put a body. */
  putting(key: string, body: BodySource): PutRequest {
    const what = {
      attributes: { headers: { contentType: "text/plain" }, userMetadata: [] },
      tags: [],
      signal: noSignal,
    }
    return { ...this.target(key), ...what, body }
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.clock.runUntil(this.services.objects.put(this.putting(key, sourceOf(bytes))))
  }

  async get(key: string): Promise<Buffer> {
    return this.clock.runUntil(this.read(key))
  }

  private async read(key: string): Promise<Buffer> {
    const body = await this.services.objects.get(this.target(key))
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(noSignal)) pieces.push(piece.slice())
    return Buffer.concat(pieces)
  }

  async remove(key: string): Promise<void> {
    await this.services.objects.remove(this.target(key))
  }

  job(name: string): Job {
    return must(
      this.services.jobs.find(job => job.name === name),
      "the job exists",
    )
  }

  /** Steps until the job has nothing to do; returns the number of steps. */
  async settle(name = "repair", stepsMax = 2_000): Promise<number> {
    const job = this.job(name)
    for (let steps = 1; steps <= stepsMax; steps += 1) {
      const outcome = await this.clock.runUntil(job.step(noSignal))
      if (outcome === "idle" || outcome === "done") return steps
      if (outcome === "throttled") await this.clock.advance(1_000)
    }
    assert(false, `${name} does not become idle: ${job.progress()}`)
  }

  /** Removes all unreferenced blocks: decides, waits a day, removes. */
  async removeAborted(): Promise<void> {
    await this.settle("orphans")
    await this.clock.advance(this.abortedWaits.countWaitMs)
    await this.settle("orphans")
    await this.clock.advance(this.abortedWaits.removalWaitMs - this.abortedWaits.countWaitMs)
    await this.settle("orphans")
  }

  /** Copies on devices in use where the layout does not put them. */
  private get strays(): number {
    const page = this.blocks.shardScan(ALL_NEEDLES.start)
    assert(!(page instanceof Promise), "test devices answer synchronously")
    const standings = page.groups.map(group =>
      standingOf(group, group.shape?.policy ?? this.policy, this.layouts.current),
    )
    return standings.reduce((sum, { strays }) => sum + strays, 0)
  }

  /** The number of needles on all devices in use. */
  get needles(): number {
    return [...this.devices.live.keys()].reduce((sum, id) => sum + this.devices.needlesOn(id), 0)
  }
}
