/**
 * Moves through third devices: device A gives a slot to B, and B another to C. They are needed if a device that holds
 * too much shares every partition with the one that holds too little, or the spread forbids the direct move.
 */
import type { LayoutDraft } from "./layout-draft.js"

/** Each round brings one device to its target, or exhausts a way between two. */
const ROUNDS_MAX = 128

/** `before`: the table before this plan; slots that this plan has already changed are moved first. */
export function shiftAlongChains(
  draft: LayoutDraft,
  targets: readonly number[],
  order: Uint32Array,
  before: Uint16Array,
): void {
  const over = (device: number): number => (draft.held[device] ?? 0) - (targets[device] ?? 0)
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    if (!targets.some((_, device) => over(device) > 0)) return
    const ways = new Ways(draft)
    const chain = shortestChain(draft.devices, ways, over)
    const [first, last] = [chain[0], chain[chain.length - 1]]
    if (first === undefined || last === undefined) return
    const steps = chain.slice(1).map((to, i) => ({ from: chain[i] ?? to, to }))
    const widest = Math.min(...steps.map(({ from, to }) => ways.from(from)[to] ?? 0))
    const amount = Math.min(over(first), -over(last), widest)
    for (const { from, to } of steps.reverse()) shift(draft, from, to, amount, order, before)
  }
}

/** For two devices, the number of partitions in which one can give its slot to the other. */
class Ways {
  private readonly counted = new Map<number, Int32Array>()
  private readonly open: Int32Array

  constructor(private readonly draft: LayoutDraft) {
    this.open = new Int32Array(draft.devices)
  }

  from(device: number): Int32Array {
    const known = this.counted.get(device)
    if (known) return known
    const ways = this.draft.tree.isFlat ? this.amongAll(device) : this.byTheSpread(device)
    this.counted.set(device, ways)
    return ways
  }

  /** Partitions that hold `from` and not the other device. */
  private amongAll(from: number): Int32Array {
    const { width, table, held, mayGain } = this.draft
    const ways = Int32Array.from(mayGain, may => (may ? (held[from] ?? 0) : 0))
    for (let at = table.indexOf(from); at >= 0; at = table.indexOf(from, at + 1)) {
      const start = at - (at % width)
      for (let slot = start; slot < start + width; slot += 1) {
        const other = table[slot] ?? 0
        ways[other] = (ways[other] ?? 0) - 1
      }
    }
    return ways
  }

  private byTheSpread(from: number): Int32Array {
    const { width, table, mayGain } = this.draft
    const ways = new Int32Array(this.draft.devices)
    for (let at = table.indexOf(from); at >= 0; at = table.indexOf(from, at + 1)) {
      const spread = this.draft.look(Math.floor(at / width))
      spread.change(from, -1)
      const count = spread.openDevices(this.open)
      for (let i = 0; i < count; i += 1) {
        const to = this.open[i] ?? 0
        if (to !== from && mayGain[to] === true && spread.isEvenWithout(from, to)) ways[to] = (ways[to] ?? 0) + 1
      }
      spread.change(from, 1)
    }
    return ways
  }
}

/** The shortest chain from a device above its target to one below; empty if there is none. */
function shortestChain(devices: number, ways: Ways, over: (device: number) => number): readonly number[] {
  const all = Array.from({ length: devices }, (_, device) => device)
  const queue = all.filter(device => over(device) > 0).map(device => [device])
  const seen = new Set(queue.flat())
  for (const chain of queue) {
    const from = chain[chain.length - 1] ?? 0
    const waysFrom = ways.from(from)
    for (const to of all) {
      if (seen.has(to) || (waysFrom[to] ?? 0) <= 0) continue
      if (over(to) < 0) return [...chain, to]
      seen.add(to)
      queue.push([...chain, to])
    }
  }
  return []
}

function shift(
  draft: LayoutDraft,
  from: number,
  to: number,
  amount: number,
  order: Uint32Array,
  before: Uint16Array,
): void {
  let left = amount
  for (const onlyChanged of [true, false]) {
    for (const partition of order) {
      if (left <= 0) return
      const slot = draft.slotOf(partition, from)
      if (slot < 0 || draft.slotOf(partition, to) >= 0) continue
      if (onlyChanged && before[partition * draft.width + slot] === from) continue
      if (!draft.tree.isFlat && !draft.look(partition).mayMove(from, to)) continue
      draft.put(partition, slot, to)
      left -= 1
    }
  }
}
