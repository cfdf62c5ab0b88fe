/**
 * A layout while it is planned: slots that are vacant still, who holds what, and how much is still to
 * be given to whom. At most 32 devices, so that the holders of a partition are the bits of one number.
 */
import { assert, AssertionError } from "../base/assert.js"
import { DEVICES_MAX } from "../base/limits.js"

export const VACANT = 0xff

export class LayoutDraft {
  readonly table: Uint8Array
  /** Slots that each device holds. */
  readonly held: Int32Array
  /** Partition by partition; bit i: device i holds a slot. */
  private readonly holders: Int32Array

  constructor(
    readonly partitions: number,
    readonly width: number,
    readonly devices: number,
  ) {
    assert(width >= 1 && width <= devices && devices <= DEVICES_MAX, "a layout needs as many devices as slots")
    this.table = new Uint8Array(partitions * width).fill(VACANT)
    this.held = new Int32Array(devices)
    this.holders = new Int32Array(partitions)
  }

  at(partition: number, slot: number): number {
    return this.table[partition * this.width + slot] ?? VACANT
  }

  /** Bit i: device i holds a slot of the partition. */
  holdersOf(partition: number): number {
    return this.holders[partition] ?? 0
  }

  /** Gives a slot to a device that holds none of the partition, in place of whoever has it. */
  put(partition: number, slot: number, device: number): void {
    const before = this.at(partition, slot)
    let holders = this.holdersOf(partition)
    if (before !== VACANT) {
      holders &= ~(1 << before)
      this.held[before] = (this.held[before] ?? 0) - 1
    }
    this.table[partition * this.width + slot] = device
    this.holders[partition] = holders | (1 << device)
    this.held[device] = (this.held[device] ?? 0) + 1
  }
}

/**
 * Amounts that are to be spread over the partitions that come by. A device becomes due by the same
 * part of a slot at each of its chances, so that it is on schedule to the end.
 */
export class Quotas {
  readonly left: Int32Array
  /** What a device should have got by now, this chance included, less what it got. */
  readonly due: Float64Array
  /** The part of its chances that a device takes: 0 … 1. */
  readonly rate: Float64Array
  /** Bit i: something is left for device i. */
  open = 0

  /** `chances`: the partitions to come in which a device may be considered. */
  constructor(left: ArrayLike<number>, chances: ArrayLike<number>) {
    this.left = Int32Array.from(left)
    this.rate = Float64Array.from(left, (amount, device) => Math.max(0, amount) / Math.max(1, chances[device] ?? 0))
    this.due = this.rate.slice()
    this.left.forEach((amount, device) => {
      if (amount > 0) this.open |= 1 << device
    })
  }

  take(device: number): void {
    this.due[device] = (this.due[device] ?? 0) - 1
    const left = (this.left[device] ?? 0) - 1
    this.left[device] = left
    if (left <= 0) this.open &= ~(1 << device)
  }

  /** A partition went by that was a chance for the devices of these bits. */
  pass(devices: number): void {
    for (let bits = devices & this.open; bits !== 0; bits &= bits - 1) {
      const device = lowestBit(bits)
      this.due[device] = (this.due[device] ?? 0) + (this.rate[device] ?? 0)
    }
  }
}

/** The number of the lowest bit that is set. */
export const lowestBit = (bits: number): number => 31 - Math.clz32(bits & -bits)

/** Where a device that holds a slot of the partition has it. */
export function slotOf(draft: LayoutDraft, partition: number, device: number): number {
  for (let slot = 0; slot < draft.width; slot += 1) if (draft.at(partition, slot) === device) return slot
  throw new AssertionError("the device holds a slot of the partition")
}
