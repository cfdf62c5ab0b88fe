/**
 * Slot words: which slots of a block have their shard on its device, given the layouts and what devices hold. By partition, one
 * word with a bit for each slot, so that a walk over a million slots takes a few milliseconds. Pure.
 */
import { assert } from "@hayloft/base/assert.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { Layout } from "../placement/index.js"

/** A device of the store, with its assumed contents. */
export interface PlacedDevice {
  readonly id: DeviceId
  /** Numbered in the order of the devices. */
  readonly disk: number
  /** Not offline. */
  readonly isHere: boolean
  /** A scan has found what it holds. */
  readonly isKnown: boolean
  /** The assigned shards that it lacks; an array has a byte for each partition, not 0 if shards may be missing. */
  readonly lacks: "nothing" | "everything" | Uint8Array
}

export const partitionsOf = ({ table, width }: Layout): number => table.length / width

export function hasShard({ lacks }: PlacedDevice, partition: number): boolean {
  return lacks === "nothing" || (lacks !== "everything" && lacks[partition] === 0)
}

/** Counts the bits of the word that are set. */
export function bitsIn(word: number): number {
  const pairs = word - ((word >>> 1) & 0x5555_5555)
  const fours = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333)
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24
}

/** The number of the lowest set bit; the word must not be 0. */
export const lowestBit = (word: number): number => 31 - Math.clz32(word & -word)

/** The contents of a device; the array has one more element for a device that is not in the store. */
const [HAS_NONE, HAS_ALL, HAS_SOME] = [0, 1, 2]

/** The devices' contents in arrays, since a walk reads them a million times. */
export class DeviceContents {
  readonly has: Uint8Array
  /** By device number: 1 if the contents of the device are known. */
  readonly isKnown: Uint8Array
  private readonly lacks: readonly (Uint8Array | undefined)[]
  private readonly numbers: ReadonlyMap<DeviceId, number>

  constructor(devices: readonly PlacedDevice[]) {
    assert(devices.length < 0xffff, "a device number has two bytes")
    this.has = new Uint8Array(devices.length + 1)
    this.isKnown = new Uint8Array(devices.length + 1)
    devices.forEach(({ lacks, isKnown }, number) => {
      this.has[number] = lacks === "nothing" ? HAS_ALL : lacks === "everything" ? HAS_NONE : HAS_SOME
      this.isKnown[number] = isKnown ? 1 : 0
    })
    this.lacks = devices.map(({ lacks }) => (typeof lacks === "string" ? undefined : lacks))
    this.numbers = new Map(devices.map(({ id }, number) => [id, number]))
  }

  /** Maps an index of the layout's table to the number of the store's device. */
  numbersOf({ devices }: Layout): Uint16Array {
    return Uint16Array.from(devices, id => this.numbers.get(id) ?? this.lacks.length)
  }

  /** 1 if a device that has some shards has this one. */
  hasSome(device: number, partition: number): number {
    return this.lacks[device]?.[partition] === 0 ? 1 : 0
  }
}

/** Slot words: by partition, bit i is slot i. A policy narrower than the widest uses the first slots. */
export interface SlotWords {
  /** Slots whose shards of blocks older than the current layout are where the current layout places them. */
  readonly current: Int32Array
  /** Other slots, whose shards are where the previous layout placed them. */
  readonly previous: Int32Array | undefined
  /** By partition, 1 if a device has two of its shards: it lost one slot and gained another. */
  readonly isDouble: Uint8Array | undefined
}

export const firstSlots = (slots: number): number => (slots >= 32 ? ~0 : (1 << slots) - 1)

/** By partition, the slots whose device counts; `counts` has 1 or 0 by index of the table. */
export function wordsOf({ table, width }: Layout, slots: number, counts: Uint8Array): Int32Array {
  const words = new Int32Array(table.length / width)
  if (!counts.includes(0)) return words.fill(firstSlots(slots))
  for (let partition = 0; partition < words.length; partition += 1) {
    const start = partition * width
    let word = 0
    for (let slot = 0; slot < slots; slot += 1) word |= (counts[table[start + slot] ?? 0] ?? 0) << slot
    words[partition] = word
  }
  return words
}

/** By partition, the slots whose shards are present. */
export function currentOf(layout: Layout, contents: DeviceContents, slots: number): Int32Array {
  const { table, width } = layout
  const numbers = contents.numbersOf(layout)
  const has = Uint8Array.from(numbers, number => contents.has[number] ?? HAS_NONE)
  if (!has.includes(HAS_SOME)) return wordsOf(layout, slots, has)
  const words = new Int32Array(partitionsOf(layout))
  for (let partition = 0; partition < words.length; partition += 1) {
    const start = partition * width
    let word = 0
    for (let slot = 0; slot < slots; slot += 1) {
      const index = table[start + slot] ?? 0
      let one = has[index] ?? HAS_NONE
      if (one === HAS_SOME) one = contents.hasSome(numbers[index] ?? 0, partition)
      word |= one << slot
    }
    words[partition] = word
  }
  return words
}

export function whileMoving(layout: Layout, before: Layout, contents: DeviceContents, slots: number): SlotWords {
  const { table, width } = layout
  const { has, isKnown } = contents
  const none = has.length - 1
  const [numbers, numbersBefore] = [contents.numbersOf(layout), contents.numbersOf(before)]
  const [current, previous] = [new Int32Array(partitionsOf(layout)), new Int32Array(partitionsOf(layout))]
  const isDouble = new Uint8Array(current.length)
  for (let partition = 0; partition < current.length; partition += 1) {
    const start = partition * width
    const startBefore = partition * before.width
    let word = 0
    let wordBefore = 0
    for (let slot = 0; slot < slots; slot += 1) {
      const to = numbers[table[start + slot] ?? 0] ?? none
      const from = slot < before.width ? (numbersBefore[before.table[startBefore + slot] ?? 0] ?? none) : none
      // 1 if the slot has moved. Without a branch, since a processor would mispredict it.
      const isMoved = -(to ^ from) >>> 31
      let hasNow = has[to] ?? HAS_NONE
      if (hasNow === HAS_SOME) hasNow = contents.hasSome(to, partition)
      let hasBefore = has[from] ?? HAS_NONE
      if (hasBefore === HAS_SOME) hasBefore = contents.hasSome(from, partition)
      // A device that gained the slot is assumed to have the shard only if a scan has found it.
      const one = hasNow & ((isMoved ^ 1) | (isKnown[to] ?? 0))
      word |= one << slot
      wordBefore |= (hasBefore & isMoved & (one ^ 1)) << slot
    }
    current[partition] = word
    previous[partition] = wordBefore
    for (let left = wordBefore; left !== 0; left &= left - 1) {
      const from = numbersBefore[before.table[startBefore + lowestBit(left)] ?? 0]
      for (let slot = 0; slot < slots; slot += 1) {
        const isSame = numbers[table[start + slot] ?? 0] === from
        if (isSame && (word & (1 << slot)) !== 0) isDouble[partition] = 1
      }
    }
  }
  return { current, previous, isDouble }
}
