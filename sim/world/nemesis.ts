/**
 * Nemesis: damages the disks of a machine, both while a store runs on it and while the store is stopped. Disks die,
 * hang, fail, slow down, fill up and rot; they are pulled and put back, with their content or an old image of it,
 * into the same or other bays, or replaced by empty ones; the operator replaces, adds and removes disks.
 *
 * Budget  With a budget, no more devices are weak at a time than the store promises to survive: a device is weak
 *         from its first fault until the store is fully redundant again, and a device with rot until everything has
 *         been scrubbed. While devices join or leave, no new fault is injected. Without a budget there is no limit,
 *         except that no more devices get old images than the store tolerates.
 */
import { parseDeviceId, type DeviceId } from "@hayloft/base/ids.js"
import { isFailure } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import { textOfPolicy, tolerance } from "@hayloft/base/policy.js"
import { votingIds } from "@hayloft/engine/device/index.js"
import type { ControlDevice, ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Drive } from "./drives.js"
import type { ServedStore, StoreMachine } from "./store-machine.js"

const BAYS_MAX = 8
const UNKNOWN = parseDeviceId("f".repeat(16))
const FREE_BYTES_MAX = 16 * MIB
const ROT_PLACES_MAX = 4
const IMAGES_MAX = 3
const STALL_MS_MAX = 15_000
const STALL_RECOVERY_MS = 3_000
const FILES = ["volumes", "payloads", "log"] as const
const FAULTY = ["hung", "lost", "failing", "readOnly", "slow", "rotten"] as const
/** A device opens at a start if its disk is in one of these states. */
const OPENS = new Set(["well", "slow", "full"])

interface Image {
  readonly of: Drive
  readonly image: Drive
}

export class Nemesis {
  /** The events so far, as text for a failing run. */
  readonly story: string[] = []
  /** Drives on which acknowledged data may be missing or damaged. */
  private readonly weak = new Set<Drive>()
  /** Drives that stay faulty permanently. */
  private readonly dead = new Set<Drive>()
  /** Drives with rotten stored bytes, until everything is scrubbed. */
  private readonly rotten = new Set<Drive>()
  /** Pulled drives that will be put back, with their bays. */
  private readonly pulled = new Map<Drive, string>()
  private readonly ids = new Map<Drive, DeviceId>()
  private images: Image[] = []
  private record: ControlRecord | undefined
  /** How often the store was found fully redundant since the last change of the devices or the policy. */
  private wholeScans = 0
  private readonly stalls: Random
  private endStall = (): void => undefined
  private stalledUntilMs = 0
  /** The drives that the latest stall has stopped, rotten ones among them. */
  private stopped: ReadonlySet<Drive> = new Set()

  constructor(
    private readonly machine: StoreMachine,
    private readonly random: Random,
    private readonly hasBudget: boolean,
  ) {
    this.stalls = random.fork("stalls")
  }

  /** The control record of the running store. */
  see(record: ControlRecord): void {
    const before = this.record && textOfPolicy(this.record.policy)
    if (before !== textOfPolicy(record.policy)) this.wholeScans = 0
    this.record = record
    for (const { id, pathHint, state } of record.devices) {
      const drive = this.machine.bays.at(pathHint)
      if (drive !== undefined && state !== "offline") this.ids.set(drive, id)
    }
  }

  /** The store is fully redundant: healthy devices may get faults again. */
  foundWhole(): void {
    this.wholeScans += 1
    for (const drive of [...this.weak]) {
      const isWell = drive.faulty.state === "well" && !this.pulled.has(drive)
      if (isWell && !this.dead.has(drive) && !this.rotten.has(drive)) this.weak.delete(drive)
    }
  }

  /** A drive without a fault lacks data: it has to be rebuilt first. */
  foundLacking(): void {
    if (this.weakIds.size === 0) this.wholeScans = 0
  }

  /** By the second check, work that began before the change of the devices or the policy has ended. */
  private get isSound(): boolean {
    return this.wholeScans > 1
  }

  /** Everything on the disks has been verified and repaired. */
  foundVerified(): void {
    this.rotten.clear()
    this.foundWhole()
  }

  private get devices(): readonly ControlDevice[] {
    return this.record?.devices ?? []
  }

  /** The most devices that may be weak at a time. */
  private get limit(): number {
    const { record } = this
    if (record === undefined || votingIds(record).length < 2) return 0
    return Math.max(1, tolerance(record.policy) - 1)
  }

  private get weakIds(): ReadonlySet<DeviceId> {
    const weak = new Set([...this.weak].map(drive => this.ids.get(drive)))
    const isWeak = ({ id, state }: ControlDevice): boolean =>
      state === "offline" || state === "rebuilding" || weak.has(id)
    return new Set(this.devices.filter(isWeak).map(({ id }) => id))
  }

  private may(drive: Drive): boolean {
    if (!this.hasBudget) return true
    return this.maySurvive(drive)
  }

  /** Returns true if the store promises to continue if the drive gets a fault. */
  private maySurvive(drive: Drive): boolean {
    const [id, weak] = [this.ids.get(drive), this.weakIds]
    if (id === undefined || !this.devices.some(device => device.id === id)) return false
    return weak.has(id) || (this.isSound && weak.size < this.limit)
  }

  private note(what: string): void {
    this.story.push(`${this.machine.clock.monotonicMs()} ${what}`)
  }

  private get bays(): readonly (readonly [string, Drive])[] {
    return this.machine.folders.flatMap(bay => {
      const drive = this.machine.bays.at(bay)
      return drive === undefined ? [] : [[bay, drive] as const]
    })
  }

  private pick<T>(items: readonly T[]): T | undefined {
    return items[this.random.below(Math.max(1, items.length))]
  }

  /** Causes an event while the store runs. An operator's command ends with the process. */
  async act(store: ServedStore): Promise<void> {
    this.see(store.engine.recordManager.record)
    if (this.stalls.below(25) === 0) return this.stall()
    const what = this.random.below(20)
    if (what < 6) return this.breakDrive()
    if (what < 10) return this.heal()
    if (what < 12) return this.fill()
    if (what < 14) return this.rot()
    if (what < 17) return this.replace(store, this.pick(this.devices.filter(({ state }) => state === "offline")))
    if (what < 18) return this.add(store)
    if (what < 19) return this.check(store)
    return this.remove(store)
  }

  /** All drives stop at one moment, and recover slowly: nothing is lost, so that it needs no budget. */
  private stall(): void {
    const durationMs = 1_000 + this.stalls.below(STALL_MS_MAX)
    this.note(`all stop for ${durationMs} ms`)
    this.stalledUntilMs = this.machine.clock.monotonicMs() + durationMs
    this.stopped = new Set(this.bays.flatMap(([, drive]) => (drive.faulty.state === "well" ? [drive] : [])))
    this.endStall = this.machine.stallDisks(durationMs, STALL_RECOVERY_MS)
  }

  private breakDrive(): void {
    const [bay, drive] = this.pick(this.bays.filter(([, each]) => each.faulty.state === "well" && this.may(each))) ?? []
    if (bay === undefined || drive === undefined) return
    const state = this.pick(FAULTY) ?? "hung"
    this.weak.add(drive)
    const isForEver = state === "lost" && this.random.below(2) === 0 && this.opensWithout(drive)
    if (isForEver) this.dead.add(drive)
    this.note(`${bay} (${drive.name}) is ${state}${isForEver ? " permanently" : ""}`)
    drive.faulty.become(state)
  }

  /** Drives that stopped together recover together: if only some of them did, the others would exceed the budget. */
  private get curable(): readonly (readonly [string, Drive])[] {
    const isStalled = this.machine.clock.monotonicMs() < this.stalledUntilMs
    return this.bays
      .filter(([, drive]) => drive.faulty.state !== "well" && !(isStalled && this.stopped.has(drive)))
      .filter(([, drive]) => !this.isLostForEver(drive))
  }

  private isLostForEver(drive: Drive): boolean {
    return drive.faulty.state === "lost" && this.dead.has(drive)
  }

  private heal(): void {
    const [bay, drive] = this.pick(this.curable) ?? []
    if (drive === undefined) return
    this.note(`${bay} (${drive.name}) is healthy again`)
    drive.faulty.become("well")
  }

  private fill(): void {
    const [bay, drive] = this.pick(this.bays) ?? []
    if (bay === undefined || drive === undefined) return
    const isFull = this.random.below(2) === 0
    this.note(`${bay} is ${isFull ? "nearly full" : "nearly empty"}`)
    if (isFull) drive.fill(this.random.below(FREE_BYTES_MAX))
    else drive.empty()
  }

  private async rot(): Promise<void> {
    const [bay, drive] = this.pick(this.bays.filter(([, each]) => this.may(each))) ?? []
    if (bay === undefined || drive === undefined) return
    this.weak.add(drive)
    this.rotten.add(drive)
    if (this.random.below(3) === 0) return this.note(`rot in ${drive.rot(`${bay}/base`, this.random, 0)}`)
    for (let places = 1 + this.random.below(ROT_PLACES_MAX); places > 0; places -= 1) {
      this.note(`rot in ${drive.rot(`${bay}/${this.pick(FILES) ?? "volumes"}`, this.random)}`)
    }
  }

  /** The operator puts an empty disk in the place of an offline device. */
  private async replace(store: ServedStore, out: ControlDevice | undefined): Promise<void> {
    const bay = out?.pathHint
    if (out === undefined || bay === undefined || !this.machine.folders.includes(bay)) return
    const there = this.machine.bays.at(bay)
    const isOld = there !== undefined && this.ids.get(there) === out.id
    // The disk of another device may be in the bay by now.
    if (there !== undefined && !isOld && this.ids.has(there)) return
    const old = isOld ? there : [...this.pulled].find(([drive]) => this.ids.get(drive) === out.id)?.[0]
    if (isOld) {
      there.faulty.become("lost")
      this.machine.bays.take(bay)
    }
    if (old !== undefined) {
      this.weak.add(old)
      this.dead.add(old)
      this.pulled.delete(old)
    }
    const drive = there === undefined || isOld ? this.machine.newDrive() : there
    if (drive !== there) this.machine.bays.put(bay, drive)
    this.note(`the operator replaces ${out.id} at ${bay} by ${drive.name}`)
    this.wholeScans = 0
    await this.order(store, { kind: "replaceDevice", id: out.id, path: bay, acceptLoss: false })
  }

  private async add(store: ServedStore): Promise<void> {
    const numbers = Array.from({ length: BAYS_MAX }, (_, i) => i + 1)
    const bay = numbers.map(number => `/d${number}`).find(each => this.machine.bays.at(each) === undefined)
    if (this.machine.folders.length >= BAYS_MAX || bay === undefined || this.machine.folders.includes(bay)) return
    const drive = this.machine.newDrive()
    this.machine.bays.put(bay, drive)
    this.note(`the operator adds ${drive.name} at ${bay}`)
    this.wholeScans = 0
    this.machine.joining = bay
    const isDone = await this.order(store, { kind: "addDevice", path: bay, weight: 1 + this.random.below(3) })
    this.machine.joining = undefined
    if (isDone && !this.machine.folders.includes(bay)) this.machine.folders.push(bay)
    else this.machine.bays.take(bay)
  }

  private async check(store: ServedStore): Promise<void> {
    const device = this.pick(this.devices)
    if (device === undefined) return
    this.note(`the operator retries ${device.id}`)
    await this.obey(store.operations.checkDevice(device.id))
  }

  private async remove(store: ServedStore): Promise<void> {
    const device = this.pick(this.devices)
    if (device === undefined || this.devices.length < 4 || this.weakIds.size > 0 || !this.isSound) return
    this.note(`the operator removes ${device.id}`)
    this.wholeScans = 0
    await this.order(store, { kind: "removeDevice", id: device.id })
  }

  private async order(
    store: ServedStore,
    change: Parameters<ServedStore["operations"]["change"]>[0],
  ): Promise<boolean> {
    const { operations } = store
    const isDone = await this.obey(operations.plan(change).then(plan => operations.change(change, plan.confirmBy)))
    this.see(store.engine.recordManager.record)
    return isDone
  }

  /** The operator's command may be refused. */
  private async obey(order: Promise<unknown>): Promise<boolean> {
    try {
      await order
      this.note("… done")
      return true
    } catch (error) {
      if (!isFailure(error)) throw error
      this.note(`… refused: ${error.message}`)
      return false
    }
  }

  /** Causes an event while no process runs. */
  between(): void {
    this.endStall()
    this.stalledUntilMs = 0
    this.forgetLeavers()
    if (this.images.length < IMAGES_MAX && this.random.below(3) === 0) this.takeImage()
    const what = this.random.below(8)
    if (what < 2) this.pull()
    else if (what < 4) this.putBack()
    else if (what < 5) this.restore()
    else if (what < 6) this.swap()
    else if (what < 7) this.exchange()
    if (this.hasBudget) this.makeOpenable()
  }

  /** Folders of removed devices are not configured again. */
  private forgetLeavers(): void {
    const bays = new Set(this.devices.map(({ pathHint }) => pathHint))
    const isUsed = (bay: string): boolean => {
      const drive = this.machine.bays.at(bay)
      const id = drive && this.ids.get(drive)
      return bays.has(bay) || id === undefined || this.devices.some(device => device.id === id)
    }
    this.machine.folders = this.machine.folders.filter(isUsed)
  }

  private takeImage(): void {
    const [, drive] = this.pick(this.bays.filter(([, each]) => this.ids.has(each))) ?? []
    if (drive === undefined || this.rotten.has(drive)) return
    this.images.push({ of: drive, image: this.machine.imageOf(drive) })
  }

  /** Returns true if enough devices for a start would remain without these. */
  private opensWithout(...drives: readonly Drive[]): boolean {
    const { record } = this
    if (record === undefined) return false
    const voting = votingIds(record)
    const opening = this.bays.filter(([, drive]) => OPENS.has(drive.faulty.state) && !drives.includes(drive))
    const present = new Set(opening.map(([, drive]) => this.ids.get(drive)))
    return 2 * voting.filter(id => present.has(id)).length > voting.length
  }

  /**
   * Returns true if the drive may be missing at a start: if no device of the store is present, a new store is created.
   */
  private mayBeMissing(drive: Drive): boolean {
    if (this.hasBudget) return this.opensWithout(drive)
    const ids = new Set(this.devices.map(({ id }) => id))
    const isKnown = (other: Drive): boolean => ids.has(this.ids.get(other) ?? UNKNOWN)
    return this.bays.some(([, other]) => other !== drive && isKnown(other))
  }

  /** The operator does what is necessary for the store to start. */
  private makeOpenable(): void {
    while (!this.opensWithout() && this.curable.length > 0) this.heal()
    while (!this.opensWithout() && this.pulled.size > 0) {
      const before = this.pulled.size
      this.putBack()
      if (this.pulled.size === before) return
    }
  }

  private pull(): void {
    const [bay, drive] = this.pick(this.bays.filter(([, each]) => this.may(each) && this.ids.has(each))) ?? []
    if (bay === undefined || drive === undefined || !this.mayBeMissing(drive)) return
    this.weak.add(drive)
    this.pulled.set(drive, bay)
    this.machine.bays.take(bay)
    this.note(`${bay} (${drive.name}) is pulled`)
  }

  private putBack(): void {
    const back = [...this.pulled].filter(([, bay]) => this.machine.bays.at(bay) === undefined)
    const [drive, bay] = this.pick(back) ?? []
    if (drive === undefined || bay === undefined) return
    this.pulled.delete(drive)
    this.machine.bays.put(bay, drive)
    this.note(`${bay} (${drive.name}) is put back`)
  }

  /** Replaces a disk by an old image of itself. */
  private restore(): void {
    const found = this.pick(this.images.filter(({ of }) => this.bays.some(([, drive]) => drive === of)))
    const bay = this.bays.find(([, drive]) => drive === found?.of)?.[0]
    const id = found && this.ids.get(found.of)
    if (found === undefined || bay === undefined || id === undefined || !this.maySurvive(found.of)) return
    if (!this.opensWithout(found.of)) return
    this.dead.add(found.of)
    this.weak.add(found.image)
    this.ids.set(found.image, id)
    this.machine.bays.take(bay)
    this.machine.bays.put(bay, found.image)
    this.images = this.images.filter(image => image !== found)
    this.note(`${bay} is restored to an old image (${found.image.name} of ${found.of.name})`)
  }

  private swap(): void {
    // A device is identified by its bay until the store finds it in another one.
    const seen = this.bays.filter(([, { faulty }]) => OPENS.has(faulty.state))
    const [[one, first] = [], [other, second] = []] = [this.pick(seen), this.pick(seen)]
    if (one === undefined || other === undefined || !first || !second || one === other) return
    this.machine.bays.take(one)
    this.machine.bays.take(other)
    this.machine.bays.put(one, second)
    this.machine.bays.put(other, first)
    this.note(`${one} and ${other} are swapped`)
  }

  /** A disk is exchanged for an empty one while no process runs; the store can identify it only by its bay. */
  private exchange(): void {
    const isInPlace = ([bay, drive]: readonly [string, Drive]): boolean =>
      this.devices.some(({ id, pathHint }) => pathHint === bay && this.ids.get(drive) === id)
    const [bay, drive] = this.pick(this.bays.filter(each => isInPlace(each) && this.may(each[1]))) ?? []
    if (bay === undefined || drive === undefined || !this.mayBeMissing(drive)) return
    const fresh = this.machine.newDrive()
    this.machine.bays.take(bay)
    this.machine.bays.put(bay, fresh)
    this.dead.add(drive)
    this.weak.add(drive)
    this.note(`${bay}: an empty disk (${fresh.name}) replaces ${drive.name}`)
  }

  /** From now on, every drive that can recover is healthy. */
  healAll(): void {
    this.forgetLeavers()
    for (const [drive, bay] of this.pulled) {
      if (this.machine.bays.at(bay) === undefined) this.machine.bays.put(bay, drive)
    }
    this.pulled.clear()
    for (const [bay, drive] of this.bays) {
      drive.empty()
      if (this.isLostForEver(drive)) continue
      if (drive.faulty.state !== "well") this.note(`${bay} (${drive.name}) is healthy again`)
      drive.faulty.become("well")
    }
  }

  /** Replaces each device whose disk will not return by an empty disk, while the store runs. */
  async replaceLost(store: ServedStore): Promise<void> {
    this.see(store.engine.recordManager.record)
    for (const device of this.devices) {
      const drive = this.machine.bays.at(device.pathHint)
      const isLost = drive === undefined || this.ids.get(drive) !== device.id || this.isLostForEver(drive)
      if (device.state !== "offline" || !isLost) continue
      await this.replace(store, device)
      // A device to which the layout assigns no shards is not replaced.
      const stays = this.devices.some(({ id, state }) => id === device.id && state === "offline")
      if (stays && (await this.order(store, { kind: "forgetDevice", id: device.id, acceptLoss: false })))
        this.takeSpare(device.pathHint)
    }
  }

  /** An empty disk that replaces no device is taken out, and its folder is not configured again. */
  private takeSpare(bay: string): void {
    const drive = this.machine.bays.at(bay)
    if (drive === undefined || this.ids.has(drive)) return
    this.machine.bays.take(bay)
    this.machine.folders = this.machine.folders.filter(folder => folder !== bay)
  }
}
