/**
 * What blocks survive where the layouts put them: one walk over all partitions. Pure.
 *
 * A group is what shares one fate: the shards of a block, of which `needed` must stay. It is lost with r
 * disks if the r disks that hold most of its shards hold more than it can spare. A word holds a bit for
 * each device or disk: a walk looks at a million slots, and may take some milliseconds.
 */
import type { DeviceId } from "../base/ids.js"
import { DEVICES_MAX } from "../base/limits.js"
import type { Layout, SlotTable } from "../placement/index.js"

/** A device may have a shard by each of two layouts. */
const SHARDS_MAX = 2 * DEVICES_MAX

/** The shards of one group, by disk: how many disks it takes to lose it. */
export class Group {
  private readonly onDisk = new Uint8Array(DEVICES_MAX)
  /** By size: how many disks hold so many of its shards. */
  private readonly disksWith = new Uint8Array(SHARDS_MAX + 1)
  private most = 0
  shards = 0

  clear(): void {
    this.onDisk.fill(0)
    this.empty()
  }

  /** One more shard. */
  add(disk: number): void {
    const size = (this.onDisk[disk] ?? 0) + 1
    this.onDisk[disk] = size
    this.disksWith[size] = (this.disksWith[size] ?? 0) + 1
    if (size > 1) this.disksWith[size - 1] = (this.disksWith[size - 1] ?? 0) - 1
    if (size > this.most) this.most = size
    this.shards += 1
  }

  /** Takes the place of what was there: a shard on each of these devices, and a further one on some of them. */
  set(once: number, twice: number, devicesOn: Int32Array): void {
    this.empty()
    for (let disk = 0; disk < devicesOn.length; disk += 1) {
      const devices = devicesOn[disk] ?? 0
      const size = bitsIn(once & devices) + (twice === 0 ? 0 : bitsIn(twice & devices))
      this.onDisk[disk] = size
      this.disksWith[size] = (this.disksWith[size] ?? 0) + 1
      if (size > this.most) this.most = size
      this.shards += size
    }
  }

  private empty(): void {
    for (let size = 0; size <= this.most; size += 1) this.disksWith[size] = 0
    this.most = 0
    this.shards = 0
  }

  /** How many arbitrary disks may go while `needed` shards stay; -1: fewer are left already. */
  losses(needed: number): number {
    let spare = this.shards - needed
    if (spare < 0) return -1
    let disks = 0
    for (let size = this.most; size > 0; size -= 1) {
      for (let ofSize = this.disksWith[size] ?? 0; ofSize > 0; ofSize -= 1) {
        if (spare < size) return disks
        spare -= size
        disks += 1
      }
    }
    return disks
  }

  /** A bit for each disk that alone holds more than can be spared. */
  criticalDisks(needed: number): number {
    const spare = this.shards - needed
    if (spare < 0 || spare >= this.most) return 0
    return this.onDisk.reduce((word, size, disk) => (size > spare ? word | (1 << disk) : word), 0)
  }
}

function bitsIn(word: number): number {
  const pairs = word - ((word >>> 1) & 0x5555_5555)
  const fours = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333)
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24
}

/** What was found so far, over all groups. */
export class Findings {
  losses = DEVICES_MAX
  criticalDisks = 0

  /** Counts a group; gives how many disks it survives. */
  take(group: Group, needed: number): number {
    const losses = group.losses(needed)
    this.note(losses, losses === 0 ? group.criticalDisks(needed) : 0)
    return losses
  }

  note(losses: number, criticalDisks: number): void {
    if (losses < this.losses) this.losses = losses
    this.criticalDisks |= criticalDisks
  }
}

/** How the blocks of a policy lie. */
export interface Shape {
  readonly slots: number
  readonly needed: number
  /** All its blocks were written since the current layout. */
  readonly isNew: boolean
  /** Counts for what the store survives when whole. */
  readonly isStaying: boolean
}

/** Where blocks may lie; in words of devices bit i is the store's device i. */
export interface Places {
  readonly layout: Layout
  /** While shards move from it to `layout`. */
  readonly previousLayout: Layout | undefined
  readonly devices: readonly DeviceId[]
  /** By device, its disk: numbered in the order of the devices. */
  readonly diskOf: readonly number[]
  /** Devices that are not out. */
  readonly here: number
  /** Devices of which it is known what they have. */
  readonly known: number
  /** By partition, the devices that have what layouts give them in it. */
  readonly having: Int32Array
}

/** What blocks survive that lie where layouts put them. */
export interface Survival {
  readonly losses: number
  readonly criticalDisks: number
  /** By shape: partitions by how many losses + 1 its blocks in them survive. */
  readonly partitionsAt: readonly Uint32Array[]
  /** By partition, losses + 1 of what survives least in it; `UNTOUCHED` where nothing may lie. */
  readonly lowest: Uint8Array
  /** Losses once nothing is out, nothing lacks and nothing moves. */
  readonly whenWhole: number
}

export interface BlocksJudgement {
  readonly together: Survival
  /** The same, were each device a disk of its own. */
  readonly apart: Survival
  /** By partition, 1 where some shard is nowhere. */
  readonly lacks: Uint8Array
}

export const UNTOUCHED = DEVICES_MAX + 1

export const partitionsOf = ({ table, width }: Layout): number => table.length / width

/** No index of a table, which names some 64 devices at most. */
const NONE = 255

/** By index of a table, the bit of the store's device; 0 for one that is not the store's. */
function bitsOf(ids: readonly DeviceId[], devices: readonly DeviceId[]): Int32Array {
  const bits = new Int32Array(NONE + 1)
  ids.forEach((id, index) => (bits[index] = devices.includes(id) ? 1 << devices.indexOf(id) : 0))
  return bits
}

/** By partition, the devices of its first slots. */
function wordsOf({ table, width }: Layout, bits: Int32Array, slots: number): Int32Array {
  const words = new Int32Array(table.length / width)
  for (let partition = 0; partition < words.length; partition += 1) {
    const end = partition * width + slots
    let word = 0
    for (let at = partition * width; at < end; at += 1) word |= bits[table[at] ?? NONE] ?? 0
    words[partition] = word
  }
  return words
}

/** Where the blocks of a shape lie, by partition. */
interface Lying {
  readonly shape: Shape
  /** Devices that the current layout gives its shards to. */
  readonly given: Int32Array
  /** Devices that have a shard of a block that was written before the current layout. */
  readonly once: Int32Array
  /** Those that have a second one: what lost one slot may have gained another. */
  readonly twice: Int32Array | undefined
  /** 1 where some lie by the previous layout. */
  readonly isElsewhere: Uint8Array
}

function lyingOf(places: Places, shape: Shape): Lying {
  const { layout, previousLayout, devices, having } = places
  const given = wordsOf(layout, bitsOf(layout.devices, devices), shape.slots)
  if (previousLayout !== undefined) return { shape, given, ...whileMoving(places, previousLayout, shape.slots) }
  const once = new Int32Array(given.length)
  for (let i = 0; i < once.length; i += 1) once[i] = (given[i] ?? 0) & (having[i] ?? 0)
  return { shape, given, once, twice: undefined, isElsewhere: new Uint8Array(given.length) }
}

function whileMoving({ layout, devices, known, having }: Places, previous: Layout, slots: number) {
  const { table, width } = layout
  const ids = [...new Set([...layout.devices, ...previous.devices])]
  const bits = bitsOf(ids, devices)
  const previousTable = besideOf(layout, ids, previous)
  const once = new Int32Array(having.length)
  const twice = new Int32Array(having.length)
  const isElsewhere = new Uint8Array(having.length)
  for (let partition = 0; partition < having.length; partition += 1) {
    const has = having[partition] ?? 0
    const end = partition * width + slots
    let seen = 0
    let again = 0
    for (let at = partition * width; at < end; at += 1) {
      const to = table[at] ?? NONE
      const from = previousTable[at] ?? NONE
      let device = has & (bits[to] ?? 0)
      if (to !== from && (device & known) === 0) {
        device = has & (bits[from] ?? 0)
        if (device !== 0) isElsewhere[partition] = 1
      }
      again |= seen & device
      seen |= device
    }
    once[partition] = seen
    twice[partition] = again
  }
  return { once, twice, isElsewhere }
}

/** The previous table, each slot where the layout's own has it, with indexes into these ids: most often as it is. */
function besideOf({ table, width }: Layout, ids: readonly DeviceId[], previous: Layout): SlotTable {
  if (previous.width === width && previous.devices.every((id, index) => ids[index] === id)) return previous.table
  const indexes = Uint8Array.from(previous.devices, id => ids.indexOf(id))
  const beside = new Uint8Array(table.length).fill(NONE)
  const inBoth = Math.min(width, previous.width)
  for (let partition = 0; partition * width < table.length; partition += 1) {
    for (let slot = 0; slot < inBoth; slot += 1) {
      beside[partition * width + slot] = indexes[previous.table[partition * previous.width + slot] ?? NONE] ?? NONE
    }
  }
  return beside
}

/** By partition, a group. */
interface Groups {
  /** Devices with a shard; those not of interest are left out. */
  readonly once: Int32Array
  readonly among: number
  /** Devices with a second shard. */
  readonly twice: Int32Array
  /** 0: there is no such group. */
  readonly exists: Uint8Array
}

/** Groups of blocks on disks, one partition after the other. */
class Walk {
  private readonly group = new Group()
  private readonly found = new Findings()
  /** By disk, its devices. */
  private readonly devicesOn: Int32Array
  private readonly isApart: boolean
  private readonly none: Int32Array

  constructor(
    private readonly places: Places,
    diskOf: readonly number[],
  ) {
    const on = (disk: number) => diskOf.reduce((word, each, device) => (each === disk ? word | (1 << device) : word), 0)
    this.devicesOn = Int32Array.from(new Set(diskOf), on)
    this.isApart = this.devicesOn.length === diskOf.length
    this.none = new Int32Array(places.having.length)
  }

  now(lyings: readonly Lying[]): Omit<Survival, "whenWhole"> {
    const { previousLayout, having } = this.places
    const losses = lyings.map(() => new Int8Array(having.length).fill(DEVICES_MAX))
    this.takeBefore(lyings, losses)
    if (previousLayout !== undefined) this.takeSince(lyings, losses)
    const partitionsAt = losses.map(() => new Uint32Array(DEVICES_MAX + 2))
    const lowest = new Uint8Array(having.length).fill(UNTOUCHED)
    losses.forEach((ofShape, i) => countLosses(ofShape, partitionsAt[i] ?? new Uint32Array(), lowest))
    return { losses: this.found.losses, criticalDisks: this.found.criticalDisks, partitionsAt, lowest }
  }

  whenWhole(lyings: readonly Lying[]): number {
    const { layout, devices } = this.places
    // Where each device is a disk of its own, all partitions are like the first.
    const isUniform = this.isApart && layout.devices.every(id => devices.includes(id))
    const exists = new Uint8Array(this.none.length).fill(1, 0, isUniform ? 1 : undefined)
    for (const { shape, given } of lyings) {
      const groups = { once: given, among: ~0, twice: this.none, exists }
      if (shape.isStaying) this.take(groups, shape.needed, new Int8Array(exists.length))
    }
    return this.found.losses
  }

  /** What blocks survive that were written before the current layout. */
  private takeBefore(lyings: readonly Lying[], losses: readonly Int8Array[]): void {
    const exists = new Uint8Array(this.none.length).fill(1)
    lyings.forEach(({ shape, once, twice = this.none }, i) => {
      const ofShape = losses[i]
      if (!shape.isNew && ofShape !== undefined) this.take({ once, among: ~0, twice, exists }, shape.needed, ofShape)
    })
  }

  /** What those survive that were written since: they all lie where the current layout wants them. */
  private takeSince(lyings: readonly Lying[], losses: readonly Int8Array[]): void {
    // Where nothing lies by the previous layout, what was written since has what was there before, or more.
    const exists = lyings.at(-1)?.isElsewhere.slice() ?? new Uint8Array()
    if (lyings.some(({ shape }) => shape.isNew)) exists.fill(1)
    for (const before of losses) markLost(before, exists)
    lyings.forEach(({ shape, given }, i) => {
      const ofShape = losses[i]
      const groups = { once: given, among: this.places.here, twice: this.none, exists }
      if (ofShape !== undefined) this.take(groups, shape.needed, ofShape)
    })
  }

  /** Lowers the losses, by partition, to what the groups survive. */
  private take({ once, among, twice, exists }: Groups, needed: number, losses: Int8Array): void {
    const { isApart, found, group } = this
    let last = UNTOUCHED
    let lastSingle = 0
    let lastDouble = 0
    for (let partition = 0; partition < exists.length; partition += 1) {
      if (exists[partition] === 0) continue
      const single = (once[partition] ?? 0) & among
      const double = twice[partition] ?? 0
      let survived = last
      if (isApart && double === 0) {
        // Each disk holds one shard, and so takes one of what can be spared.
        survived = Math.max(-1, bitsIn(single) - needed)
        found.note(survived, survived === 0 ? single : 0)
      } else if (last === UNTOUCHED || lastSingle !== single || lastDouble !== double) {
        // In a small store all partitions lie on all devices.
        group.set(single, double, this.devicesOn)
        survived = found.take(group, needed)
        last = survived
        lastSingle = single
        lastDouble = double
      }
      if (survived < (losses[partition] ?? 0)) losses[partition] = survived
    }
  }
}

function markLost(losses: Int8Array, marks: Uint8Array): void {
  for (let partition = losses.indexOf(-1); partition >= 0; partition = losses.indexOf(-1, partition + 1)) {
    marks[partition] = 1
  }
}

/** By partition the losses of a shape. */
function countLosses(losses: Int8Array, partitionsAt: Uint32Array, lowest: Uint8Array): void {
  for (let partition = 0; partition < losses.length; partition += 1) {
    const level = (losses[partition] ?? 0) + 1
    partitionsAt[level] = (partitionsAt[level] ?? 0) + 1
    if (level < (lowest[partition] ?? 0)) lowest[partition] = level
  }
}

function judgeBlocks(places: Places, shapes: readonly Shape[]): BlocksJudgement {
  const lyings = shapes.map(shape => lyingOf(places, shape))
  const { diskOf, having } = places
  const onDisks = (disks: readonly number[]): Survival => ({
    ...new Walk(places, disks).now(lyings),
    whenWhole: new Walk(places, disks).whenWhole(lyings),
  })
  const together = onDisks(diskOf)
  const apart = new Set(diskOf).size === diskOf.length ? together : onDisks(diskOf.map((_, device) => device))
  const widest = lyings.at(-1)
  const lacks = new Uint8Array(having.length)
  for (let i = 0; widest !== undefined && i < lacks.length; i += 1) {
    const shards = bitsIn(widest.once[i] ?? 0) + bitsIn(widest.twice?.[i] ?? 0)
    if (shards < widest.shape.slots) lacks[i] = 1
  }
  return { together, apart, lacks }
}

/** Remembers what it found last: most often nothing has moved since, only bytes have grown. */
export class BlocksJudge {
  private last:
    { readonly places: Places; readonly shapes: readonly Shape[]; readonly judgement: BlocksJudgement } | undefined

  /** `shapes`: those with few slots first. What is handed in is remembered, and must not be changed. */
  judge(places: Places, shapes: readonly Shape[]): BlocksJudgement {
    const { last } = this
    if (last !== undefined && areSameShapes(last.shapes, shapes) && areSamePlaces(last.places, places)) {
      return last.judgement
    }
    const judgement = judgeBlocks(places, shapes)
    this.last = { places, shapes, judgement }
    return judgement
  }
}

const areEqual = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a.length === b.length && a.every((each, i) => each === b[i])

const textOfShape = ({ slots, needed, isNew, isStaying }: Shape): string => `${slots} ${needed} ${isNew} ${isStaying}`

const areSameShapes = (a: readonly Shape[], b: readonly Shape[]): boolean =>
  areEqual(a.map(textOfShape), b.map(textOfShape))

/** Layouts are never changed: the same object is the same layout. */
function areSamePlaces(a: Places, b: Places): boolean {
  if (a.layout !== b.layout || a.previousLayout !== b.previousLayout) return false
  if (a.here !== b.here || a.known !== b.known) return false
  return areEqual(a.devices, b.devices) && areEqual(a.diskOf, b.diskOf) && areSameWords(a.having, b.having)
}

function areSameWords(a: Int32Array, b: Int32Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false
  return true
}
