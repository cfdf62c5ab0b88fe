/**
 * Taking back moves that a plan turns out not to need.
 *
 * A plan fills, spreads and shifts slots step by step, and a later step may undo the work of an earlier one. As long as
 * each device holds the same number of slots, only a device that gets slots of some partitions and gives up its own of
 * others can do with fewer moves. It exchanges such slots with another device, in two partitions; rings of three or more
 * devices, which would save hardly more, are not looked for.
 */
import { VACANT, type LayoutDraft } from "./layout-draft.js"

/** By device, partitions. */
type Partitions = Map<number, number[]>

/** `before`: the table before this plan. Devices keep their numbers of slots, and partitions stay as even as they are. */
export function takeBack(draft: LayoutDraft, before: Uint16Array): void {
  const { got, gave } = changesOf(draft, before)
  for (const [device, partitions] of got) {
    const lost = gave.get(device)
    if (lost) new Exchange(draft, before, device, lost).forSlotsOf(partitions)
  }
  backInOwnSlots(draft, before)
}

/** The partitions of which a device got a slot, and of which it gave up its own. */
function changesOf(draft: LayoutDraft, before: Uint16Array): { readonly got: Partitions; readonly gave: Partitions } {
  const { table, width } = draft
  const [got, gave]: [Partitions, Partitions] = [new Map(), new Map()]
  for (let at = 0; at < table.length; at += 1) {
    const [old, now] = [before[at] ?? VACANT, table[at] ?? VACANT]
    if (old === now) continue
    const partition = Math.floor(at / width)
    if (!isOwn(draft, before, partition, now)) add(got, now, partition)
    if (old !== VACANT && draft.slotOf(partition, old) < 0) add(gave, old, partition)
  }
  return { got, gave }
}

/** Returns true if the device had a slot of the partition before. */
function isOwn({ width }: LayoutDraft, before: Uint16Array, partition: number, device: number): boolean {
  const end = (partition + 1) * width
  for (let at = end - width; at < end; at += 1) if (before[at] === device) return true
  return false
}

function add(to: Partitions, device: number, partition: number): void {
  const known = to.get(device)
  if (known) known.push(partition)
  else to.set(device, [partition])
}

/** Exchanges of one device: it gives a slot that it got to another device, which gives it back one that it lost. */
class Exchange {
  private readonly lost: Set<number>
  /** By the devices that can give a slot back, the partitions: those of which they had a slot before, and the others. */
  private readonly fromOwners: Partitions = new Map()
  private readonly fromOthers: Partitions = new Map()
  private readonly open: Int32Array

  constructor(
    private readonly draft: LayoutDraft,
    private readonly before: Uint16Array,
    private readonly device: number,
    lost: readonly number[],
  ) {
    this.lost = new Set(lost.filter(partition => draft.slotOf(partition, device) < 0))
    this.open = new Int32Array(draft.devices)
    const holders = new Int32Array(draft.width)
    for (const partition of this.lost) {
      const spread = draft.look(partition)
      draft.holdersOf(partition, holders)
      for (const holder of holders) {
        if (!spread.mayMove(holder, device)) continue
        add(isOwn(draft, before, partition, holder) ? this.fromOwners : this.fromOthers, holder, partition)
      }
    }
  }

  forSlotsOf(partitions: readonly number[]): void {
    const { draft, device, lost } = this
    for (const partition of partitions) {
      if (lost.size === 0) return
      if (draft.slotOf(partition, device) < 0) continue
      const [taker, back] = this.partnerIn(partition)
      if (back < 0) continue
      draft.move(partition, device, taker)
      draft.move(back, taker, device)
      lost.delete(back)
    }
  }

  /** Finds a device that may take the slot, and a partition in which it gives one back: -1 if no device does. */
  private partnerIn(partition: number): readonly [number, number] {
    const { draft, open, device } = this
    const spread = draft.look(partition)
    let [taker, back] = [-1, -1]
    spread.change(device, -1)
    const count = spread.openDevices(open)
    for (let i = 0; i < count && back < 0; i += 1) {
      taker = open[i] ?? 0
      const lists = [this.fromOwners.get(taker), this.fromOthers.get(taker)]
      if (lists.every(list => !list?.length) || !spread.isEvenWithout(device, taker)) continue
      back = this.backFrom(taker, isOwn(draft, this.before, partition, taker))
    }
    spread.change(device, 1)
    return [taker, back]
  }

  /** An owner gives its own slot only for another one of its own: otherwise it would move as much as it saves. */
  private backFrom(taker: number, takesOwn: boolean): number {
    for (const list of takesOwn ? [this.fromOwners, this.fromOthers] : [this.fromOthers]) {
      const partitions = list.get(taker) ?? []
      for (let last = partitions.pop(); last !== undefined; last = partitions.pop())
        if (this.lost.has(last)) return last
    }
    return -1
  }
}

/**
 * A device that gave up a slot for an even spread, and then took another one of the same partition for its share, has its own
 * slot again, and the other slot is exchanged for it.
 */
function backInOwnSlots({ partitions, width, table }: LayoutDraft, before: Uint16Array): void {
  for (let first = 0; first < partitions * width; first += width) {
    for (let slot = first; slot < first + width; slot += 1) {
      const own = before[slot] ?? VACANT
      if (own === VACANT || table[slot] === own) continue
      const at = table.subarray(first, first + width).indexOf(own)
      if (at < 0) continue
      table[first + at] = table[slot] ?? VACANT
      table[slot] = own
    }
  }
}
