/**
 * A tablet on simulated devices for tests, reopened repeatedly from its configuration, with a record of
 * acknowledged writes. The machine can be stopped at every call to a disk, every commit of a metadata store and
 * every change of the configuration.
 */
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import {
  parseDeviceId,
  parseEpoch,
  parseIncarnation,
  parseLogSequence,
  parseTabletId,
  rowKeyOf,
} from "@hayloft/base/ids.js"
import type { DeviceId, Epoch, RowKey, TabletId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { owned } from "@hayloft/base/memory/lent.js"
import {
  containedPosition,
  containedSequence,
  openLog,
  openLogReader,
  Rows,
  runCheckpoint,
  type CommitLog,
  PayloadUpkeep,
  type PayloadShelf,
} from "@hayloft/engine/device/index.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { FIRST_EPOCH } from "@hayloft/engine/format/device/replica-incarnation.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { inTurn, FaultyDevice, SimDisk } from "@hayloft/base/seams/disk/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { StoreReader } from "@hayloft/base/seams/store/contract.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { ConfigurationStore } from "@hayloft/engine/tablet/contract.js"
import { command, soleProcess, type Incarnations } from "@hayloft/engine/metadata/index.js"
import { Replica, type ReplicaDevice } from "@hayloft/engine/tablet/replica.js"
import type { ReplicaIncarnationOf } from "@hayloft/engine/tablet/contract.js"
import { Primary } from "@hayloft/engine/tablet/primary.js"
import { recoverTablet } from "@hayloft/engine/tablet/recover.js"

export const TABLET = parseTabletId(1)
export const idOf = (number: number): DeviceId => parseDeviceId(number.toString(16).padStart(16, "0"))

/** The configuration that is durable. */
export interface Configuration {
  readonly epoch: Epoch
  readonly replicas: readonly ReplicaIncarnationOf[]
  readonly learner: ReplicaIncarnationOf | undefined
}

interface KeptPayload {
  readonly family: Family
  readonly key: RowKey
  readonly payload: Uint8Array
}

/** Inline payloads of one device by their place, in one volume that is never compacted. */
class Payloads implements PayloadShelf {
  readonly kept: KeptPayload[] = []
  readonly keep = () => undefined
  readonly rollBack = () => Promise.resolve()
  readonly list = () => []
  readonly bytesOf = (_: RowKey, lengthBytes: number) => lengthBytes
  readonly seal = () => Promise.resolve()
  readonly remove = () => Promise.resolve()
  readonly readRun = () => Promise.resolve([])

  append(request: KeptPayload) {
    const offsetBytes = this.kept.push({ ...request, payload: Uint8Array.from(request.payload) }) - 1
    return { in: "volume", volume: 1, offsetBytes, lengthBytes: request.payload.length } as const
  }

  flush(): Promise<void> {
    return Promise.resolve()
  }

  async *walk() {
    // No volume is listed, so none is scanned.
  }

  async read(family: Family, key: RowKey, { offsetBytes }: { readonly offsetBytes: number }): Promise<Uint8Array> {
    const found = this.kept[offsetBytes]
    if (found?.family !== family || found.key !== key) throw fail("corruptNeedle")
    return Promise.resolve(found.payload)
  }
}

/** One device of the machine, through all process incarnations. */
export class SceneDevice {
  readonly disk = new SimDisk()
  readonly payloads = new Payloads()
  readonly faulty: FaultyDevice
  readonly stores: MemoryStores
  readonly replicaIncarnations = new Map<TabletId, Epoch>()
  log: CommitLog | undefined
  rows: Rows | undefined
  base: StoreReader | undefined
  room: Promise<void> | undefined
  mayGrow = true

  constructor(
    readonly id: DeviceId,
    clock: SimClock,
    tick: () => Promise<void> | undefined,
    private readonly segmentBytes: number,
  ) {
    this.faulty = new FaultyDevice(clock, new SimRandom(1))
    this.disk.intercept(inTurn(() => tick(), this.faulty.intercept))
    this.stores = new MemoryStores({ beforeCommit: () => tick() })
  }

  /** Opens the device for the current process, or reopens it after its log has failed. */
  async open(replicaIncarnations: ReadonlyMap<TabletId, Epoch>): Promise<ReplicaDevice> {
    const base = await this.stores.openReader("/base")
    const contained = containedSequence(base)
    const options = { known: contained, segmentBytes: this.segmentBytes, fillStepBytes: 16 * KIB }
    const log = await openLog(this.disk.boot(), "/log", this.id, options)
    const rows = new Rows(base, contained)
    this.replicaIncarnations.clear()
    for (const [tabletId, since] of replicaIncarnations) this.replicaIncarnations.set(tabletId, since)
    this.log = log
    this.rows = rows
    this.base = base
    return {
      id: this.id,
      log,
      rows,
      contained,
      containedPosition: (tabletId, since) => containedPosition(base, tabletId, since),
      readPayload: async (family, key, { offsetBytes }) => {
        const found = this.payloads.kept[offsetBytes]
        if (found?.family !== family || found.key !== key) throw fail("corruptNeedle")
        return Promise.resolve(found.payload)
      },
      verifyMetadataStore: signal => base.verify(signal),
      spaceForWrites: grows => this.room?.then(() => this.growth(grows)) ?? this.growth(grows),
    }
  }

  private growth(grows: boolean): Promise<void> | undefined {
    return grows && !this.mayGrow ? Promise.reject(fail("deviceFull")) : undefined
  }

  async checkpoint(): Promise<number> {
    const rows = must(this.rows, "the device is open")
    const log = must(this.log, "the device is open")
    const upTo = rows.isCheckpointing ? rows.frozenAt : rows.freeze()
    const writer = await this.stores.openWriter("/base")
    const reader = openLogReader(this.disk.boot(), "/log", this.id)
    const request = { upTo, replicaIncarnations: this.replicaIncarnations, emptied: [] }
    const { deadRows } = await runCheckpoint(writer, reader, [], new PayloadUpkeep(this.payloads), request)
    rows.dropFrozen()
    await log.cut(upTo)
    return deadRows
  }
}

export interface SceneOptions {
  readonly devices: number
  readonly replicas?: number
  readonly segmentBytes?: number
  /** Each process notes itself in a row, as in a store. */
  readonly hasOpenings?: boolean
}

/** A row in a test: key, value, inline payload. */
export interface RowInput {
  readonly family?: Family
  readonly key: string
  /** The row is deleted if the value is undefined. */
  readonly value: string | undefined
  readonly payload?: string
}

const NEVER = new Promise<void>(() => undefined)

const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1")

export const put = command<[rows: readonly RowInput[], grows?: false], void>({
  name: "put",
  grows: (_rows, grows) => grows !== false,
  decide(view, _time, rows) {
    for (const { family = "current", key } of rows) view.get(family, rowKeyOf(key))
    const writes = rows.map(({ family = "current", key, value, payload }): EntryWrite => ({
      family,
      key: rowKeyOf(key),
      value: value === undefined ? undefined : bytesOf(value),
      ...(payload === undefined ? {} : { payload: bytesOf(payload) }),
    }))
    return { writes, result: undefined }
  },
})

export class Scene {
  readonly clock = new SimClock()
  readonly telemetry = new SimTelemetry()
  readonly devices: readonly SceneDevice[]
  configuration: Configuration
  /** The failure that configuration changes get. */
  refuseChanges: Failure | undefined
  refusesSingleCopy = false
  /** All replicas are wanted if it is undefined. */
  replicasWanted: number | undefined
  /** Acknowledged rows, and rows that may have been written without an acknowledgement. */
  readonly acknowledged = new Map<string, string>()
  readonly doubtful = new Map<string, (string | undefined)[]>()
  readonly damages: { readonly id: DeviceId; readonly failure: Failure }[] = []
  readonly learningFailures: Failure[] = []
  /** Replicas that could not continue at the last open. */
  lostAtStart: readonly number[] = []
  /** The number of moments so far. */
  ticks = 0
  /** The moment at which the machine stops, and how. */
  stopAt: { readonly tick: number; readonly cutsPower: Random | undefined } | undefined
  private onStop: () => void = () => undefined
  private hasStopped = false
  private current: Primary | undefined
  /** The number of the process. */
  private opening: number | undefined

  constructor({ devices, replicas = devices, segmentBytes = 256 * KIB, hasOpenings = false }: SceneOptions) {
    if (hasOpenings) this.opening = 0
    const ids = Array.from({ length: devices }, (_, i) => idOf(i + 1))
    this.devices = ids.map(id => new SceneDevice(id, this.clock, () => this.tick(), segmentBytes))
    this.configuration = {
      epoch: FIRST_EPOCH,
      replicas: ids.slice(0, replicas).map(id => ({ id, since: FIRST_EPOCH })),
      learner: undefined,
    }
  }

  get tablet(): Primary {
    return must(this.current, "the tablet is open")
  }

  device(number: number): SceneDevice {
    return must(this.devices[number - 1], "the device exists")
  }

  /** A moment at which the machine may stop: then its work never ends. */
  private tick(): Promise<void> | undefined {
    this.ticks += 1
    if (this.stopAt?.tick !== this.ticks) return undefined
    for (const { disk } of this.devices) {
      if (this.stopAt.cutsPower) disk.crash(this.stopAt.cutsPower)
      else disk.kill()
    }
    this.hasStopped = true
    this.onStop()
    return NEVER
  }

  /** Runs until it ends, or the machine stops. */
  async until(run: () => Promise<void>): Promise<void> {
    const stop = new Promise<void>(resolve => (this.onStop = resolve))
    await Promise.race([run(), stop])
    // Work that does not use the disk still ends.
    await new Promise(resolve => setImmediate(resolve))
  }

  /** A stopped process does nothing more. */
  private alive(): Promise<void> | undefined {
    return this.hasStopped ? NEVER : undefined
  }

  private async change(decide: (before: Configuration) => Omit<Configuration, "epoch">): Promise<Epoch> {
    await this.alive()
    await this.tick()
    if (this.refuseChanges) throw this.refuseChanges
    const epoch = parseEpoch(this.configuration.epoch + 1)
    this.configuration = { ...decide(this.configuration), epoch }
    await this.tick()
    return epoch
  }

  readonly drop = (ids: readonly DeviceId[]): Promise<Epoch> =>
    this.change(({ replicas, learner }) => {
      const left = replicas.filter(({ id }) => !ids.includes(id))
      if (left.length === 0) throw fail("deviceFailed", { message: "no replica would remain" })
      return { replicas: left, learner: learner && ids.includes(learner.id) ? undefined : learner }
    })

  private readonly configurations: ConfigurationStore = {
    leave: ids => this.drop(ids),
    learningFailed: (_, failure) => void this.learningFailures.push(failure),
    damaged: (id, failure) => void this.damages.push({ id, failure }),
    replicasWanted: () => this.replicasWanted ?? this.configuration.replicas.length,
    refusesSingleCopy: () => this.refusesSingleCopy,
  }

  /** Starts a process: learners start over, damaged replicas leave. */
  async open(incarnations: Incarnations = soleProcess(parseIncarnation(1))): Promise<void> {
    this.hasStopped = false
    for (const { faulty, disk } of this.devices) {
      disk.kill()
      faulty.become("well")
    }
    const replicas: Replica[] = []
    for (const { id, since } of this.configuration.replicas) {
      const device = must(
        this.devices.find(each => each.id === id),
        "replicas are on devices",
      )
      replicas.push(new Replica(await device.open(new Map([[TABLET, since]])), TABLET, since))
    }
    const recovered = await recoverTablet(replicas)
    const failed = recovered.failed.map(({ replica }) => replica.id)
    this.lostAtStart = failed.map(Number)
    const { learner } = this.configuration
    const decommissioning = learner ? [...failed, learner.id] : failed
    if (decommissioning.length > 0) await this.drop(decommissioning)
    const { epoch } = this.configuration
    const { log } = this.telemetry
    if (this.opening !== undefined) this.opening += 1
    const { opening } = this
    this.current = new Primary(
      { replicas: recovered.replicas, epoch, recovered: recovered.position, ...(opening !== undefined && { opening }) },
      this.clock,
      log,
      this.configurations,
      incarnations,
    )
  }

  /** Writes rows, and records the acknowledged ones. */
  async write(...rows: readonly RowInput[]): Promise<void> {
    await this.alive()
    for (const { family = "current", key, value, payload } of rows) {
      const name = `${family} ${key}`
      const shown = value === undefined ? undefined : `${value}|${payload ?? ""}`
      this.doubtful.set(name, [...(this.doubtful.get(name) ?? []), shown])
    }
    try {
      await this.tablet.run(put(rows))
    } catch (error) {
      if (!isFailure(error, "indeterminate")) this.settle(rows, false)
      throw error
    }
    this.settle(rows, true)
  }

  private settle(rows: readonly RowInput[], isDone: boolean): void {
    for (const { family = "current", key, value, payload } of rows) {
      const name = `${family} ${key}`
      const shown = value === undefined ? undefined : `${value}|${payload ?? ""}`
      const doubts = this.doubtful.get(name) ?? []
      if (isDone) {
        this.doubtful.delete(name)
        if (shown === undefined) this.acknowledged.delete(name)
        else this.acknowledged.set(name, shown)
      } else this.doubtful.set(name, doubts.slice(0, -1))
    }
  }

  /** Every row as a reader sees it, with its payload. */
  async rows(): Promise<ReadonlyMap<string, string>> {
    const shown = new Map<string, string>()
    for (const family of ["current", "versions"] as const) {
      for (const [key, row] of [...this.tablet.committed.range(family, ALL)]) {
        const payload = row.payload && (await owned(this.tablet.payload(family, key, row)))
        const payloadText = payload ? Buffer.from(payload).toString("latin1") : ""
        shown.set(`${family} ${key}`, `${Buffer.from(row.value).toString("latin1")}|${payloadText}`)
      }
    }
    return shown
  }

  /** Returns rows that differ from the acknowledged ones, or between replicas; found rows become certain. */
  async problems(): Promise<readonly string[]> {
    const found = await this.rows()
    const names = new Set([...found.keys(), ...this.acknowledged.keys()])
    const problems: string[] = []
    for (const name of names) {
      const may = [this.acknowledged.get(name), ...(this.doubtful.get(name) ?? [])]
      if (!may.includes(found.get(name))) problems.push(`${name}: ${found.get(name)} instead of ${may.join(" or ")}`)
    }
    this.acknowledged.clear()
    for (const [name, shown] of found) this.acknowledged.set(name, shown)
    this.doubtful.clear()
    const comparison = this.tablet.compareReplicas()
    while (comparison.step()) continue
    problems.push(...comparison.differences.map(({ family, key, id, what }) => `${family} ${key}: ${what} on ${id}`))
    if (new Set(comparison.digestOf.values()).size > 1) problems.push("the digests of the replicas differ")
    return problems
  }

  /** Reopens a failed device. */
  async reopen(number: number): Promise<void> {
    await this.alive()
    const device = this.device(number)
    device.disk.kill()
    device.faulty.become("well")
    await device.open(new Map())
  }

  /** Makes an open device a learner without any rows. */
  async learn(number: number): Promise<void> {
    const device = this.device(number)
    const epoch = await this.change(({ replicas }) => {
      const since = parseEpoch(this.configuration.epoch + 1)
      return { replicas, learner: { id: device.id, since } }
    })
    device.replicaIncarnations.set(TABLET, epoch)
    const log = must(device.log, "the device is open")
    const rows = must(device.rows, "the device is open")
    const contained = parseLogSequence(0)
    const memberDevice: ReplicaDevice = {
      id: device.id,
      log,
      rows,
      contained,
      containedPosition: () => undefined,
      verifyMetadataStore: signal => must(device.base, "the device is open").verify(signal),
      readPayload: (family, key, place) => device.payloads.read(family, key, place),
      spaceForWrites: () => device.room,
    }
    this.tablet.addLearner(new Replica(memberDevice, TABLET, epoch), epoch)
  }

  /** Copies rows until all are copied. */
  async finishLearning(): Promise<void> {
    for (let steps = 0; steps < 10_000 && this.tablet.learning?.isComplete === false; steps += 1) {
      await this.tablet.stepLearning()
    }
  }

  promote(number: number): Promise<void> {
    const { id } = this.device(number)
    return this.tablet.promote(id, () =>
      this.change(({ replicas, learner }) => ({
        replicas: [...replicas, must(learner, "it learns")],
        learner: undefined,
      })),
    )
  }
}

export const ALL = { start: rowKeyOf(""), end: rowKeyOf("\xff\xff") }
