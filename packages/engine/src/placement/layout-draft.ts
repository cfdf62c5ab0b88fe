/**
 * A layout while it is planned: vacant slots, the holders, and how the current partition is
 * spread over the failure domains.
 */
import { assert, AssertionError } from "@hayloft/base/assert.js"
import { STORE_DEVICES_MAX } from "@hayloft/base/limits.js"
import type { Disorder } from "./disorder.js"
import { DomainTree } from "./domain-tree.js"
import { tableFor, type LayoutDevice, type SlotTable } from "./layout.js"
import { Spread } from "./spread.js"

export const VACANT = 0xffff

export class LayoutDraft {
  readonly table: Uint16Array
  /** Slots that each device holds. */
  readonly held: Int32Array
  readonly devices: number
  readonly tree: DomainTree
  /** The spread of the partition that `look` was last called with. */
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
    assert(width >= 1 && width <= count && count <= STORE_DEVICES_MAX, "a layout needs as many devices as slots")
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

  /** Makes `spread` follow this partition, including later changes to its slots. */
  look(partition: number): Spread {
    if (this.looked >= 0) this.changeSpread(this.looked, -1)
    this.changeSpread(partition, 1)
    this.looked = partition
    return this.spread
  }

  /** Writes the devices that hold a slot of the partition to `holders`, in slot order, and returns their number. */
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

  /** The slot of the partition that a device holds; -1 if none. */
  slotOf(partition: number, device: number): number {
    for (let slot = 0; slot < this.width; slot += 1) if (this.at(partition, slot) === device) return slot
    return -1
  }

  /** Gives a slot to a device that holds none of the partition, replacing its holder. */
  put(partition: number, slot: number, device: number): void {
    const before = this.at(partition, slot)
    if (before !== VACANT) {
      this.held[before] = (this.held[before] ?? 0) - 1
      if (partition === this.looked) this.spread.change(before, -1)
    }
    this.table[partition * this.width + slot] = device
    this.held[device] = (this.held[device] ?? 0) + 1
    if (partition === this.looked) this.spread.change(device, 1)
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

  private changeSpread(partition: number, by: 1 | -1): void {
    const end = (partition + 1) * this.width
    for (let slot = partition * this.width; slot < end; slot += 1) {
      const device = this.table[slot] ?? VACANT
      if (device !== VACANT) this.spread.change(device, by)
    }
  }
}

/** Weight of disorder against the schedule: at 16, devices of nearly equal rates meet as often as random ones. */
const DISORDER = 16

/**
 * Amounts to spread over the coming partitions. At each of its chances a device becomes due by the same
 * fraction of a slot, so that it stays on schedule to the end.
 */
export class SlotQuotas {
  readonly left: Int32Array
  /** The amount that a device should have received by now, including this chance, minus what it received. */
  private readonly due: Float64Array
  /** The fraction of its chances that a device uses: 0 … 1. */
  private readonly rate: Float64Array
  /** Devices with a remaining amount. */
  open = 0

  /** `chances`: how many coming partitions may consider the device. */
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

  /** Records a partition that was a chance for the device. */
  pass(device: number): void {
    if (this.isOpen(device)) this.due[device] = (this.due[device] ?? 0) + (this.rate[device] ?? 0)
  }

  /**
   * How much a device is due, plus some disorder, which prevents the same devices from always meeting. A device
   * that needs each of its chances gets no disorder.
   */
  urgency(device: number, disorder: Disorder): number {
    const due = this.due[device] ?? 0
    const rate = this.rate[device] ?? 0
    return rate >= 1 ? due + DISORDER : due + DISORDER * rate * (1 - rate) * (disorder.fraction() - 0.5)
  }

  /** The same, but below all others if nothing remains. */
  urgencyOrLast(device: number, disorder: Disorder): number {
    return this.urgency(device, disorder) + (this.isOpen(device) ? 0 : -1e9)
  }
}
