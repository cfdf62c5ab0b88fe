/**
 * Nemesis: what happens to the disks of a machine, while a store runs on it and between its lives. Disks die,
 * hang, fail, slow down, fill up and rot; they are pulled out and put back, as they were or as they were long
 * ago, in other bays, or an empty one comes in their place; the operator replaces and adds disks.
 *
 * Budget  With one, no more drives are weak at a time than the store promises to survive: a drive is weak
 *         from the moment something happens to it until the store is whole again. Without one anything goes,
 *         except that what was long ago never comes back to more drives than that.
 */
import { parseDeviceId, type DeviceId } from "../../src/base/ids.js"
import { isFailure } from "../../src/base/failures.js"
import { MIB } from "../../src/base/limits.js"
import { tolerance } from "../../src/base/policy.js"
import { countedIds } from "../../src/device/index.js"
import type { ControlRecord } from "../../src/format/control-record.js"
import type { Random } from "../../src/seams/random/contract.js"
import type { Drive } from "./drives.js"
import type { ServedStore, StoreMachine } from "./store-machine.js"

const BAYS_MAX = 8
const ROOM_BYTES_MAX = 16 * MIB
const ROT_PLACES_MAX = 4
const IMAGES_MAX = 3
const FILES = ["volumes", "payloads", "log"] as const
const SICK = ["hung", "lost", "failing", "readOnly", "slow", "rotten"] as const

interface Image {
  readonly of: Drive
  readonly image: Drive
}

export class Nemesis {
  /** What it did, for a failing run. */
  readonly story: string[] = []
  /** Drives that may lack something that was acknowledged, or have it damaged. */
  private readonly weak = new Set<Drive>()
  /** Will never be well again. */
  private readonly dead = new Set<Drive>()
  /** Out of their bays, to come back. */
  private readonly pulled = new Map<Drive, string>()
  private images: Image[] = []
  private record: ControlRecord | undefined

  constructor(
    private readonly machine: StoreMachine,
    private readonly random: Random,
    private readonly hasBudget: boolean,
  ) {}

  /** The record of the store, as it is now. */
  see(record: ControlRecord): void {
    this.record = record
  }

  /** Everything is where it should be: what is well now may be hit anew. */
  foundWhole(): void {
    for (const drive of [...this.weak])
      if (drive.sick.state === "well" && !this.pulled.has(drive)) this.weak.delete(drive)
  }

  /** How many drives may be weak at a time. */
  private get limit(): number {
    const { record } = this
    if (record === undefined) return 0
    const counted = countedIds(record).length
    return counted < 2 ? 0 : Math.max(1, tolerance(record.policy) - 1)
  }

  private may(drive: Drive): boolean {
    return !this.hasBudget || this.weak.has(drive) || this.weak.size < this.limit
  }

  private tell(what: string): void {
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

  private weaken(drive: Drive): void {
    this.weak.add(drive)
  }

  /** Something happens while the store runs. What the operator does ends when it ends. */
  async act(store: ServedStore): Promise<void> {
    this.see(store.engine.keeper.record)
    const what = this.random.below(20)
    if (what < 6) return this.sicken()
    if (what < 10) return this.heal()
    if (what < 12) return this.fill()
    if (what < 14) return this.rot()
    if (what < 17) return this.replace(store)
    if (what < 18) return this.add(store)
    if (what < 19) return this.check(store)
    return this.remove(store)
  }

  private sicken(): void {
    const [bay, drive] = this.pick(this.bays.filter(([, each]) => each.sick.state === "well" && this.may(each))) ?? []
    if (bay === undefined || drive === undefined) return
    const state = this.pick(SICK) ?? "hung"
    this.weaken(drive)
    if (state === "lost" && this.random.below(2) === 0) this.dead.add(drive)
    this.tell(`${bay} (${drive.name}) is ${state}${this.dead.has(drive) ? " for ever" : ""}`)
    drive.sick.become(state)
  }

  private heal(): void {
    const [bay, drive] =
      this.pick(this.bays.filter(([, each]) => each.sick.state !== "well" && !this.dead.has(each))) ?? []
    if (drive === undefined) return
    this.tell(`${bay} (${drive.name}) is well again`)
    drive.sick.become("well")
  }

  private fill(): void {
    const [bay, drive] = this.pick(this.bays) ?? []
    if (bay === undefined || drive === undefined) return
    const isFull = this.random.below(2) === 0
    this.tell(`${bay} is ${isFull ? "nearly full" : "roomy"}`)
    if (isFull) drive.fill(this.random.below(ROOM_BYTES_MAX))
    else drive.empty()
  }

  private async rot(): Promise<void> {
    const [bay, drive] = this.pick(this.bays.filter(([, each]) => this.may(each))) ?? []
    if (bay === undefined || drive === undefined) return
    this.weaken(drive)
    // It shows only where something looks, so nobody can say when it is made good: the drive is to be replaced.
    this.dead.add(drive)
    if (this.random.below(3) === 0) return this.tell(`rot in ${await drive.rotBase(`${bay}/base`, this.random)}`)
    for (let places = 1 + this.random.below(ROT_PLACES_MAX); places > 0; places -= 1) {
      this.tell(`rot in ${drive.rot(`${bay}/${this.pick(FILES) ?? "volumes"}`, this.random)}`)
    }
  }

  /** The operator puts an empty disk in the place of one whose device is out. */
  private async replace(store: ServedStore): Promise<void> {
    const out = this.pick(store.engine.keeper.record.devices.filter(({ state }) => state === "out"))
    const bay = out?.pathHint
    if (out === undefined || bay === undefined) return
    const old = this.machine.bays.at(bay)
    if (old !== undefined) {
      if (!this.may(old)) return
      this.weaken(old)
      old.sick.become("lost")
      this.dead.add(old)
      this.machine.bays.take(bay)
    }
    const drive = this.machine.newDrive()
    this.machine.bays.put(bay, drive)
    this.tell(`the operator replaces ${out.id} at ${bay} by ${drive.name}`)
    await this.order(store, { kind: "replaceDevice", id: out.id, path: bay, acceptLoss: false })
    if (old !== undefined && this.isNamed(store, bay, out.id)) this.moveWeakness(old, drive)
  }

  private isNamed(store: ServedStore, bay: string, old: DeviceId): boolean {
    return store.engine.keeper.record.devices.some(({ id, pathHint }) => pathHint === bay && id !== old)
  }

  /** The new one lacks all that the old one had: the same hole, not one more. */
  private moveWeakness(old: Drive, drive: Drive): void {
    this.weak.delete(old)
    this.weak.add(drive)
  }

  private async add(store: ServedStore): Promise<void> {
    const bay = `/d${this.machine.folders.length + 1}`
    if (this.machine.folders.length >= BAYS_MAX || this.machine.bays.at(bay) !== undefined) return
    const drive = this.machine.newDrive()
    this.machine.bays.put(bay, drive)
    this.machine.folders.push(bay)
    this.tell(`the operator adds ${drive.name} at ${bay}`)
    await this.order(store, { kind: "addDevice", path: bay, weight: 1 + this.random.below(3) })
  }

  private async check(store: ServedStore): Promise<void> {
    const device = this.pick(store.engine.keeper.record.devices)
    if (device === undefined) return
    this.tell(`the operator looks at ${device.id}`)
    await this.obey(store.operations.checkDevice(device.id))
  }

  private async remove(store: ServedStore): Promise<void> {
    const { devices } = store.engine.keeper.record
    const device = this.pick(devices)
    if (device === undefined || devices.length < 4 || this.weak.size > 0) return
    this.tell(`the operator removes ${device.id}`)
    await this.order(store, { kind: "removeDevice", id: device.id })
  }

  private order(store: ServedStore, change: Parameters<ServedStore["operations"]["change"]>[0]): Promise<void> {
    return this.obey(store.operations.change(change))
  }

  /** What the operator asks may be refused. */
  private async obey(order: Promise<unknown>): Promise<void> {
    try {
      await order
      this.tell("… done")
    } catch (error) {
      if (!isFailure(error)) throw error
      this.tell(`… refused: ${error.message}`)
    }
  }

  /** Something happens while nothing runs. */
  between(): void {
    this.forgetLeavers()
    if (this.images.length < IMAGES_MAX && this.random.below(3) === 0) this.takeImage()
    const what = this.random.below(8)
    if (what < 2) this.pull()
    else if (what < 4) this.putBack()
    else if (what < 5) this.restore()
    else if (what < 6) this.swap()
    else if (what < 7) this.exchange()
  }

  /** Folders whose device has left the store are not given again. */
  private forgetLeavers(): void {
    const { record } = this
    if (record === undefined) return
    const isUsed = (bay: string): boolean =>
      record.devices.some(({ pathHint }) => pathHint === bay) || [...this.pulled.values()].includes(bay)
    this.machine.folders = this.machine.folders.filter(isUsed)
  }

  private takeImage(): void {
    const [, drive] = this.pick(this.bays) ?? []
    if (drive !== undefined && !this.dead.has(drive))
      this.images.push({ of: drive, image: this.machine.imageOf(drive) })
  }

  /** Whether the store would still open with one more drive missing. */
  private staysOpenable(): boolean {
    const { record } = this
    if (!this.hasBudget || record === undefined) return true
    const counted = countedIds(record)
    const present = this.bays.filter(([, drive]) => drive.sick.state === "well").length
    return 2 * (Math.min(present, counted.length) - 1) > counted.length
  }

  private pull(): void {
    const [bay, drive] = this.pick(this.bays.filter(([, each]) => this.may(each))) ?? []
    if (bay === undefined || drive === undefined || !this.staysOpenable()) return
    this.weaken(drive)
    this.pulled.set(drive, bay)
    this.machine.bays.take(bay)
    this.tell(`${bay} (${drive.name}) is pulled out`)
  }

  private putBack(): void {
    const [drive, bay] = this.pick([...this.pulled]) ?? []
    if (drive === undefined || bay === undefined || this.machine.bays.at(bay) !== undefined) return
    this.pulled.delete(drive)
    this.machine.bays.put(bay, drive)
    this.tell(`${bay} (${drive.name}) is put back`)
  }

  /** An old image of a disk takes its place. */
  private restore(): void {
    const found = this.pick(this.images.filter(({ of }) => this.bays.some(([, drive]) => drive === of)))
    const bay = this.bays.find(([, drive]) => drive === found?.of)?.[0]
    if (found === undefined || bay === undefined) return
    const isAllowed = this.weak.has(found.of) || this.weak.size < this.limit
    if (!isAllowed) return
    this.weak.delete(found.of)
    this.weaken(found.image)
    this.dead.add(found.of)
    this.machine.bays.take(bay)
    this.machine.bays.put(bay, found.image)
    this.images = this.images.filter(image => image !== found)
    this.tell(`${bay} is restored to an old image (${found.image.name})`)
  }

  private swap(): void {
    const [[one, first] = [], [other, second] = []] = [this.pick(this.bays), this.pick(this.bays)]
    if (one === undefined || other === undefined || !first || !second || one === other) return
    this.machine.bays.take(one)
    this.machine.bays.take(other)
    this.machine.bays.put(one, second)
    this.machine.bays.put(other, first)
    this.tell(`${one} and ${other} are swapped`)
  }

  /** A dead disk is exchanged for an empty one while nothing runs. */
  private exchange(): void {
    const [bay, drive] = this.pick(this.bays.filter(([, each]) => this.may(each))) ?? []
    if (bay === undefined || drive === undefined || !this.staysOpenable()) return
    const fresh = this.machine.newDrive()
    this.machine.bays.take(bay)
    this.machine.bays.put(bay, fresh)
    this.dead.add(drive)
    this.weaken(drive)
    this.moveWeakness(drive, fresh)
    this.tell(`${bay}: an empty disk (${fresh.name}) is in the place of ${drive.name}`)
  }

  /** Everything that can be well is, from now on; disks that cannot are exchanged by the operator. */
  healAll(): void {
    for (const [drive, bay] of this.pulled)
      if (this.machine.bays.at(bay) === undefined) this.machine.bays.put(bay, drive)
    this.pulled.clear()
    for (const [, drive] of this.bays) {
      drive.empty()
      if (drive.sick.state !== "lost" || !this.dead.has(drive)) drive.sick.become("well")
    }
  }

  /** Whatever is out for good gets an empty disk, now that the store runs. */
  async repairAll(store: ServedStore): Promise<void> {
    for (const { id, pathHint, state } of store.engine.keeper.record.devices) {
      const drive = this.machine.bays.at(pathHint)
      if (state !== "out" || (drive !== undefined && !this.dead.has(drive))) continue
      if (drive !== undefined) this.machine.bays.take(pathHint)
      this.machine.bays.put(pathHint, this.machine.newDrive())
      this.tell(`the operator replaces ${id} at ${pathHint} at last`)
      await this.order(store, { kind: "replaceDevice", id: parseDeviceId(id), path: pathHint, acceptLoss: false })
    }
  }
}
