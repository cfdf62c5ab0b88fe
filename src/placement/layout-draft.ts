/**
 * A layout while it is planned: slots that are vacant still, who holds what, and how the partition that is looked at
 * lies in the failure domains. At most `PLANNED_DEVICES_MAX` devices.
 */
import { assert, AssertionError } from "../base/assert.js"
import type { Disorder } from "./disorder.js"
import { DomainTree } from "./domain-tree.js"
import { tableFor, type LayoutDevice, type SlotTable } from "./layout.js"
import { Spread } from "./spread.js"

/** The planner's own limit; what a store may have is said by `DEVICES_MAX`. */
export const PLANNED_DEVICES_MAX = 4096

export const VACANT = 0xffff

export class LayoutDraft {
  readonly table: Uint16Array
  /** Slots that each device holds. */
  readonly held: Int32Array
  readonly devices: number
  readonly tree: DomainTree
  /** Of the partition that `look` was called with last. */
  readonly spread: Spread
  /** By device. */
  readonly mayGain: readonly boolean[]
  private looked = -1

  constructor(
    readonly partitions: number,
    readonly width: number,
    devices: readonly LayoutDevice[],
  ) {
    const count = devices.length
    assert(width >= 1 && width <= count && count <= PLANNED_DEVICES_MAX, "a layout needs as many devices as slots")
    this.devices = count
    this.table = new Uint16Array(partitions * width).fill(VACANT)
    this.held = new Int32Array(count)
    this.tree = new DomainTree(devices)
    this.mayGain = devices.map(device => device.mayGain !== false)
    this.spread = new Spread(this.tree, this.mayGain)
  }

  at(partition: number, slot: number): number {
    return this.table[partition * this.width + slot] ?? VACANT
  }

  /** From now on `spread` shows this partition, also while its slots are given to others. */
  look(partition: number): Spread {
    if (this.looked >= 0) this.eachHolder(this.looked, device => this.spread.remove(device))
    this.eachHolder(partition, device => this.spread.add(device))
    this.looked = partition
    return this.spread
  }

  /** Writes to `holders` the devices that hold a slot of the partition, in their order, and returns their number. */
  holdersOf(partition: number, holders: Int32Array): number {
    let count = 0
    for (let slot = 0; slot < this.width; slot += 1) {
      const device = this.at(partition, slot)
      if (device === VACANT) continue
      let to = count
      for (; to > 0 && (holders[to - 1] ?? 0) > device; to -= 1) holders[to] = holders[to - 1] ?? 0
      holders[to] = device
      count += 1
    }
    return count
  }

  /** Where a device has a slot of the partition; -1: nowhere. */
  slotOf(partition: number, device: number): number {
    for (let slot = 0; slot < this.width; slot += 1) if (this.at(partition, slot) === device) return slot
    return -1
  }

  /** Gives a slot to a device that holds none of the partition, in place of whoever has it. */
  put(partition: number, slot: number, device: number): void {
    const before = this.at(partition, slot)
    if (before !== VACANT) {
      this.held[before] = (this.held[before] ?? 0) - 1
      if (partition === this.looked) this.spread.remove(before)
    }
    this.table[partition * this.width + slot] = device
    this.held[device] = (this.held[device] ?? 0) + 1
    if (partition === this.looked) this.spread.add(device)
  }

  /** Gives the slot of one device to another. */
  move(partition: number, from: number, to: number): void {
    const slot = this.slotOf(partition, from)
    if (slot < 0) throw new AssertionError("the device holds a slot of the partition")
    this.put(partition, slot, to)
  }

  /** The finished table. */
  get slots(): SlotTable {
    const table = tableFor(this.devices, this.table.length)
    table.set(this.table)
    return table
  }

  private eachHolder(partition: number, visit: (device: number) => void): void {
    for (let slot = 0; slot < this.width; slot += 1) {
      const device = this.at(partition, slot)
      if (device !== VACANT) visit(device)
    }
  }
}

/** How much disorder outweighs the schedule: at 16, devices of nearly equal rates meet as often as drawn ones would. */
const DISORDER = 16

/**
 * Amounts that are to be spread over the partitions that come by. A device becomes due by the same
 * part of a slot at each of its chances, so that it is on schedule to the end.
 */
export class Quotas {
  readonly left: Int32Array
  /** What a device should have got by now, this chance included, less what it got. */
  private readonly due: Float64Array
  /** The part of its chances that a device takes: 0 … 1. */
  private readonly rate: Float64Array
  /** Devices for which something is left. */
  open = 0

  /** `chances`: the partitions to come in which a device may be considered. */
  constructor(left: ArrayLike<number>, chances: ArrayLike<number>) {
    this.left = Int32Array.from(left)
    this.rate = Float64Array.from(left, (amount, device) => Math.max(0, amount) / Math.max(1, chances[device] ?? 0))
    this.due = this.rate.slice()
    for (const amount of this.left) if (amount > 0) this.open += 1
  }

  isOpen(device: number): boolean {
    return (this.left[device] ?? 0) > 0
  }

  take(device: number): void {
    this.due[device] = (this.due[device] ?? 0) - 1
    const left = (this.left[device] ?? 0) - 1
    this.left[device] = left
    if (left === 0) this.open -= 1
  }

  /** A partition went by that was a chance for the device. */
  pass(device: number): void {
    if (this.isOpen(device)) this.due[device] = (this.due[device] ?? 0) + (this.rate[device] ?? 0)
  }

  /**
   * What is due to a device, and some disorder, which keeps the same devices from always meeting; one
   * that needs each of its chances is left no doubt.
   */
  urgency(device: number, disorder: Disorder): number {
    const [due, rate] = [this.due[device] ?? 0, this.rate[device] ?? 0]
    return rate >= 1 ? due + DISORDER : due + DISORDER * rate * (1 - rate) * (disorder.fraction() - 0.5)
  }

  /** The same; below all others where nothing is left. */
  urgencyOrLast(device: number, disorder: Disorder): number {
    return this.urgency(device, disorder) + (this.isOpen(device) ? 0 : -1e9)
  }
}
