/**
 * How many disks may fail before blocks are lost, given the layouts: one walk over all partitions. Pure.
 *
 * A group is a set of shards with a shared fate: the shards of a block, of which `needed` must remain. r disks
 * can lose it if the r disks that hold most of its shards hold more than it can spare. A walk reads slot words
 * (`slot-words-core.ts`), whatever the number of devices.
 */
import { assert } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { SHARDS_MAX } from "@hayloft/base/limits.js"
import type { Layout } from "../placement/index.js"
import {
  DeviceContents,
  bitsIn,
  currentOf,
  firstSlots,
  lowestBit,
  partitionsOf,
  whileMoving,
  wordsOf,
  type SlotWords,
  type PlacedDevice,
} from "./slot-words-core.js"
import { Together } from "./together-core.js"

/** A set of disks, by their numbers. */
class DiskSet {
  private readonly isIn: Uint8Array
  private size = 0

  constructor(private readonly disks: number) {
    this.isIn = new Uint8Array(disks)
  }

  get isFull(): boolean {
    return this.size === this.disks
  }

  has(disk: number): boolean {
    return this.isIn[disk] === 1
  }

  add(disk: number): void {
    if (this.isIn[disk] !== 0) return
    this.isIn[disk] = 1
    this.size += 1
  }

  addAll(others: DiskSet): void {
    for (let disk = 0; disk < others.disks; disk += 1) if (others.has(disk)) this.add(disk)
  }
}

/** The shards of one group, by disk; computes how many disks it takes to lose it. */
export class Group {
  private readonly onDisk: Uint16Array
  /** The first `used` hold shards. */
  private readonly held: Uint16Array
  private used = 0
  /** By count: how many disks hold at least that many of its shards. */
  private readonly disksWith: Uint16Array
  private most = 0
  shards = 0

  /** `shards` and `disks` are upper limits. */
  constructor(disks: number, shards: number) {
    this.onDisk = new Uint16Array(disks)
    this.held = new Uint16Array(disks)
    this.disksWith = new Uint16Array(shards + 1)
  }

  /** Replaces the group: one shard on each of the first `count` disks. */
  set(disks: Uint16Array, count = disks.length): this {
    const { onDisk, held, disksWith } = this
    for (let i = 0; i < this.used; i += 1) onDisk[held[i] ?? 0] = 0
    for (let size = 0; size <= this.most; size += 1) disksWith[size] = 0
    let used = 0
    let most = 0
    for (let i = 0; i < count; i += 1) {
      const disk = disks[i] ?? 0
      const size = (onDisk[disk] ?? 0) + 1
      onDisk[disk] = size
      disksWith[size] = (disksWith[size] ?? 0) + 1
      if (size > most) most = size
      if (size > 1) continue
      held[used] = disk
      used += 1
    }
    this.used = used
    this.most = most
    this.shards = count
    return this
  }

  /** How many arbitrary disks may fail while `needed` shards remain; -1 if fewer remain already. */
  losses(needed: number): number {
    let spare = this.shards - needed
    if (spare < 0) return -1
    let disks = 0
    for (let size = this.most; size > 0; size -= 1) {
      // The count includes the larger ones, which are already subtracted.
      const ofSize = (this.disksWith[size] ?? 0) - disks
      if (spare < ofSize * size) return disks + Math.floor(spare / size)
      spare -= ofSize * size
      disks += ofSize
    }
    return disks
  }

  /** Adds each disk that alone holds more shards than the group can spare. */
  addCritical(needed: number, to: DiskSet): void {
    const spare = this.shards - needed
    if (spare < 0 || spare >= this.most) return
    for (let i = 0; i < this.used; i += 1) {
      const disk = this.held[i] ?? 0
      if ((this.onDisk[disk] ?? 0) > spare) to.add(disk)
    }
  }
}

/** Results so far, over all groups. */
export class Findings {
  losses = Infinity
  /** Disks whose loss alone loses a group. */
  readonly critical: DiskSet

  constructor(disks: number) {
    this.critical = new DiskSet(disks)
  }

  /** Counts a group and returns how many disk failures it survives. */
  take(group: Group, needed: number): number {
    const losses = group.losses(needed)
    if (losses === 0 && !this.critical.isFull) group.addCritical(needed, this.critical)
    this.note(losses)
    return losses
  }

  note(losses: number): void {
    if (losses < this.losses) this.losses = losses
  }
}

/** How the blocks of a policy are placed. */
export interface PlacementShape {
  readonly slots: number
  readonly needed: number
  /** All its blocks were written since the current layout. */
  readonly isNew: boolean
  /** The shape counts for what the store survives when complete. */
  readonly isStaying: boolean
}

/** The failure domains of one level above disks: zones, or machines. */
export interface DomainLevel {
  /** By device, the number of its domain. */
  readonly numbers: Uint16Array
  readonly count: number
}

/** The place where blocks may be stored. */
export interface BlockPlaces {
  readonly layout: Layout
  /** While shards move from it to `layout`. */
  readonly previousLayout: Layout | undefined
  readonly devices: readonly PlacedDevice[]
  readonly disks: number
  /** Empty if the devices have no homes. */
  readonly levels: readonly DomainLevel[]
}

/** The losses that blocks survive if they are stored where the layouts place them. */
export interface Survival {
  readonly losses: number
  readonly critical: DiskSet
  /** By shape: the number of partitions by (losses that the shape's blocks in them survive) + 1. */
  readonly partitionsAt: readonly Uint32Array[]
  /** By partition, losses + 1 of its weakest block; `UNTOUCHED` if no block can be in it. */
  readonly lowest: Uint8Array
  /** Losses once no device is offline, no shard is missing and none moves. */
  readonly whenWhole: number
}

/** The losses that blocks survive if the devices of a domain fail together. */
interface LevelSurvival {
  readonly survival: Survival
  /** By shape, the most shards of a block that the layout has in one domain. */
  readonly mostTogether: readonly number[]
}

interface BlocksSafety {
  readonly together: Survival
  /** The same, if each device were a separate disk. */
  readonly apart: Survival
  /** By level of the places. */
  readonly levels: readonly LevelSurvival[]
  /** By partition, 1 if some shard is missing. */
  readonly lacks: Uint8Array
}

/** Above the losses + 1 of any block: each of its slots has one shard at most. */
export const UNTOUCHED = SHARDS_MAX + 1

/** By partition, a group: the slots that count, by the layout that places their shard. */
interface Groups {
  readonly current: Int32Array
  readonly previous: Int32Array | undefined
  readonly isDouble: Uint8Array | undefined
  /** 0: there is no such group. */
  readonly exists: Uint8Array
}

/** Evaluates groups of blocks on disks, partition by partition. */
class Walk {
  private readonly group: Group
  private readonly disksOfGroup = new Uint16Array(SHARDS_MAX)
  private readonly found: Findings
  private readonly byId: ReadonlyMap<DeviceId, PlacedDevice>
  private readonly isApart: boolean
  /** By index of a layout's table, the disk. */
  private readonly currentDisks: Uint16Array
  private readonly previousDisks: Uint16Array
  private readonly partitions: number

  constructor(
    private readonly places: BlockPlaces,
    private readonly slotWords: SlotWords,
    private readonly shapes: readonly PlacementShape[],
  ) {
    const { devices, disks, layout, previousLayout } = places
    this.byId = new Map(devices.map(device => [device.id, device]))
    const disksOf = (ids: readonly DeviceId[]) => Uint16Array.from(ids, id => this.byId.get(id)?.disk ?? disks)
    this.group = new Group(disks, SHARDS_MAX)
    this.found = new Findings(disks)
    this.isApart = disks === devices.length
    this.currentDisks = disksOf(layout.devices)
    this.previousDisks = disksOf(previousLayout?.devices ?? [])
    this.partitions = partitionsOf(layout)
  }

  now(): Omit<Survival, "whenWhole"> {
    const losses = this.shapes.map(() => new Int8Array(this.partitions).fill(SHARDS_MAX))
    this.takeBefore(losses)
    if (this.places.previousLayout !== undefined) this.takeSince(losses)
    const partitionsAt = losses.map(() => new Uint32Array(UNTOUCHED + 1))
    const lowest = new Uint8Array(this.partitions).fill(UNTOUCHED)
    losses.forEach((ofShape, i) => countLosses(ofShape, partitionsAt[i] ?? new Uint32Array(), lowest))
    return { losses: this.found.losses, critical: this.found.critical, partitionsAt, lowest }
  }

  whenWhole(): number {
    const { partitions } = this
    const assigned = this.slotsWith(() => true)
    // If each device is a separate disk, all partitions are like the first.
    const isUniform = this.isApart && this.places.layout.devices.every(id => this.byId.has(id))
    const exists = new Uint8Array(partitions).fill(1, 0, isUniform ? 1 : undefined)
    const groups = { current: assigned, previous: undefined, isDouble: undefined, exists }
    for (const shape of this.shapes) if (shape.isStaying) this.take(groups, shape, new Int8Array(partitions))
    return this.found.losses
  }

  /** By partition, the slots that the current layout gives to such a device. */
  private slotsWith(counts: (device: PlacedDevice) => boolean): Int32Array {
    const { layout } = this.places
    const isVoting = Uint8Array.from(layout.devices, id => {
      const device = this.byId.get(id)
      return device !== undefined && counts(device) ? 1 : 0
    })
    return wordsOf(layout, this.shapes.at(-1)?.slots ?? 0, isVoting)
  }

  /** Counts blocks that were written before the current layout. */
  private takeBefore(losses: readonly Int8Array[]): void {
    const groups = { ...this.slotWords, exists: new Uint8Array(this.partitions).fill(1) }
    this.shapes.forEach((shape, i) => {
      const ofShape = losses[i]
      if (!shape.isNew && ofShape !== undefined) this.take(groups, shape, ofShape)
    })
  }

  /** Counts blocks that were written since: they are all where the current layout places them. */
  private takeSince(losses: readonly Int8Array[]): void {
    // If no shard is where the previous layout placed it, newer blocks have at least the shards that older ones have.
    const exists = new Uint8Array(this.partitions)
    this.slotWords.previous?.forEach((word, partition) => (exists[partition] = word === 0 ? 0 : 1))
    if (this.shapes.some(({ isNew }) => isNew)) exists.fill(1)
    for (const before of losses) markLost(before, exists)
    const here = this.slotsWith(({ isHere }) => isHere)
    const groups = { current: here, previous: undefined, isDouble: undefined, exists }
    this.shapes.forEach((shape, i) => {
      const ofShape = losses[i]
      if (ofShape !== undefined) this.take(groups, shape, ofShape)
    })
  }

  /** Lowers the losses, by partition, to what the groups survive. */
  private take(
    { current, previous, isDouble, exists }: Groups,
    { slots, needed }: PlacementShape,
    losses: Int8Array,
  ): void {
    const { isApart, found } = this
    const among = firstSlots(slots)
    // If the policy uses every device and all have their shards, all partitions are alike.
    const onAll = slots === this.places.layout.devices.length ? among : undefined
    let survivedOnAll: number | undefined
    for (let partition = 0; partition < exists.length; partition += 1) {
      if (exists[partition] === 0) continue
      const ofCurrent = (current[partition] ?? 0) & among
      const ofPrevious = (previous?.[partition] ?? 0) & among
      let survived: number
      if (ofCurrent === onAll && survivedOnAll !== undefined) {
        survived = survivedOnAll
      } else if (isApart && (ofPrevious === 0 || isDouble?.[partition] === 0)) {
        // Each disk holds one shard, so each loss uses up one spare.
        survived = Math.max(-1, bitsIn(ofCurrent | ofPrevious) - needed)
        if (survived === 0 && !found.critical.isFull) found.take(this.groupOf(partition, ofCurrent, ofPrevious), needed)
        found.note(survived)
      } else {
        survived = found.take(this.groupOf(partition, ofCurrent, ofPrevious), needed)
      }
      if (ofCurrent === onAll) survivedOnAll = survived
      if (survived < (losses[partition] ?? 0)) losses[partition] = survived
    }
  }

  private groupOf(partition: number, ofCurrent: number, ofPrevious: number): Group {
    const { group, disksOfGroup } = this
    const { layout, previousLayout } = this.places
    const count = disksOfSlots(layout, partition, ofCurrent, this.currentDisks, disksOfGroup, 0)
    if (previousLayout === undefined || ofPrevious === 0) return group.set(disksOfGroup, count)
    const all = disksOfSlots(previousLayout, partition, ofPrevious, this.previousDisks, disksOfGroup, count)
    return group.set(disksOfGroup, all)
  }
}

/** Appends the disks of a word's slots after the first `count`; returns the new count. */
function disksOfSlots(
  { table, width }: Layout,
  partition: number,
  word: number,
  disks: Uint16Array,
  target: Uint16Array,
  count: number,
): number {
  const start = partition * width
  let at = count
  for (let left = word; left !== 0; left &= left - 1) {
    target[at] = disks[table[start + lowestBit(left)] ?? 0] ?? 0
    at += 1
  }
  return at
}

function markLost(losses: Int8Array, marks: Uint8Array): void {
  for (let partition = losses.indexOf(-1); partition >= 0; partition = losses.indexOf(-1, partition + 1)) {
    marks[partition] = 1
  }
}

/** Adds the losses of a shape, by partition. */
function countLosses(losses: Int8Array, partitionsAt: Uint32Array, lowest: Uint8Array): void {
  for (let partition = 0; partition < losses.length; partition += 1) {
    const level = (losses[partition] ?? 0) + 1
    partitionsAt[level] = (partitionsAt[level] ?? 0) + 1
    if (level < (lowest[partition] ?? 0)) lowest[partition] = level
  }
}

/** The same store, as if each device were a separate disk. */
export const ownDisks = (places: BlockPlaces): BlockPlaces => ({
  ...places,
  devices: places.devices.map((device, number) => ({ ...device, disk: number })),
  disks: places.devices.length,
})

/** The same store, as if each domain of the level were one disk. */
export const domainsAsDisks = (places: BlockPlaces, { numbers, count }: DomainLevel): BlockPlaces => ({
  ...places,
  devices: places.devices.map((device, number) => ({ ...device, disk: numbers[number] ?? 0 })),
  disks: count,
})

function evaluateBlocks(places: BlockPlaces, shapes: readonly PlacementShape[], shared: Together): BlocksSafety {
  const widest = shapes.at(-1)?.slots ?? 0
  assert(widest <= SHARDS_MAX, "a word has a bit for each shard of a block")
  const { layout, previousLayout } = places
  const contents = new DeviceContents(places.devices)
  const slotWords: SlotWords =
    previousLayout === undefined
      ? { current: currentOf(layout, contents, widest), previous: undefined, isDouble: undefined }
      : whileMoving(layout, previousLayout, contents, widest)
  // Often disks, machines and zones are the same devices: one evaluation serves all of them.
  const known = new Map<string, Survival>()
  const survivalOn = (on: BlockPlaces): Survival => {
    const name = on.devices.map(({ disk }) => disk).join()
    const survival = known.get(name) ?? {
      ...new Walk(on, slotWords, shapes).now(),
      whenWhole: new Walk(on, slotWords, shapes).whenWhole(),
    }
    known.set(name, survival)
    return survival
  }
  const together = survivalOn(places)
  const apart = places.disks === places.devices.length ? together : survivalOn(ownDisks(places))
  const levels = places.levels.map(level => ({
    survival: survivalOn(domainsAsDisks(places, level)),
    mostTogether: shapes.map(({ slots }) => shared.most(places.devices, level.numbers, slots)),
  }))
  const lacks = new Uint8Array(partitionsOf(layout))
  for (let i = 0; i < lacks.length; i += 1) {
    if (((slotWords.current[i] ?? 0) | (slotWords.previous?.[i] ?? 0)) !== firstSlots(widest)) lacks[i] = 1
  }
  return { together, apart, levels, lacks }
}

/** Caches the last result: usually nothing has moved since, and only bytes have grown. */
export class BlocksEvaluator {
  private last:
    | { readonly places: BlockPlaces; readonly shapes: readonly PlacementShape[]; readonly result: BlocksSafety }
    | undefined
  private together: Together | undefined

  /** `shapes`: in ascending order of slots. */
  evaluate(places: BlockPlaces, shapes: readonly PlacementShape[]): BlocksSafety {
    const { last } = this
    if (last !== undefined && areSameShapes(last.shapes, shapes) && areSamePlaces(last.places, places)) {
      return last.result
    }
    if (this.together?.layout !== places.layout) this.together = new Together(places.layout)
    const result = evaluateBlocks(places, shapes, this.together)
    this.last = { places: { ...places, devices: places.devices.map(copyOf) }, shapes, result }
    return result
  }
}

/** The bytes of an incomplete device change while it is rebuilt. */
const copyOf = (device: PlacedDevice): PlacedDevice =>
  typeof device.lacks === "string" ? device : { ...device, lacks: device.lacks.slice() }

const areEqual = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a.length === b.length && a.every((each, i) => each === b[i])

const textOfShape = ({ slots, needed, isNew, isStaying }: PlacementShape): string =>
  `${slots} ${needed} ${isNew} ${isStaying}`

const areSameShapes = (a: readonly PlacementShape[], b: readonly PlacementShape[]): boolean =>
  areEqual(a.map(textOfShape), b.map(textOfShape))

/** Layouts are immutable: the same object is the same layout. */
function areSamePlaces(a: BlockPlaces, b: BlockPlaces): boolean {
  if (a.layout !== b.layout || a.previousLayout !== b.previousLayout || a.devices.length !== b.devices.length) {
    return false
  }
  return a.devices.every((device, i) => isSameDevice(device, b.devices[i])) && areSameLevels(a.levels, b.levels)
}

const areSameLevels = (a: readonly DomainLevel[], b: readonly DomainLevel[]): boolean =>
  a.length === b.length && a.every(({ numbers }, i) => numbers.join() === b[i]?.numbers.join())

function isSameDevice(a: PlacedDevice, b: PlacedDevice | undefined): boolean {
  if (b === undefined || a.id !== b.id || a.disk !== b.disk) return false
  if (a.isHere !== b.isHere || a.isKnown !== b.isKnown) return false
  if (typeof a.lacks === "string" || typeof b.lacks === "string") return a.lacks === b.lacks
  return equalBytes(a.lacks, b.lacks)
}
