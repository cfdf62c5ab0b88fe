/**
 * Moves through third devices, for what is left when every partition of a device that holds too much
 * has the one that holds too little already: one gives to another, which gives elsewhere.
 */
import type { LayoutDraft } from "./layout-draft.js"
import { slotOf } from "./layout-draft.js"

/** Each round brings one device to its target, or uses up a way between two. */
const ROUNDS_MAX = 128

/** `before`: the table before this plan; slots that it changed anyway are moved first. */
export function shiftAlongChains(
  draft: LayoutDraft,
  targets: readonly number[],
  mayGain: readonly boolean[],
  order: Uint32Array,
  before: Uint8Array,
): void {
  const over = (device: number): number => (draft.held[device] ?? 0) - (targets[device] ?? 0)
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    if (!targets.some((_, device) => over(device) > 0)) return
    const ways = waysOf(draft, mayGain)
    const chain = shortestChain(draft.devices, ways, over)
    const [first, last] = [chain[0], chain[chain.length - 1]]
    if (first === undefined || last === undefined) return
    const steps = chain.slice(1).map((to, i) => ({ from: chain[i] ?? to, to }))
    const widest = Math.min(...steps.map(({ from, to }) => ways[from * draft.devices + to] ?? 0))
    const amount = Math.min(over(first), -over(last), widest)
    for (const { from, to } of steps.reverse()) shift(draft, from, to, amount, order, before)
  }
}

/** From × to: partitions that hold `from` and not `to`. */
function waysOf(draft: LayoutDraft, mayGain: readonly boolean[]): Int32Array {
  const { devices, partitions, width, held } = draft
  const ways = Int32Array.from({ length: devices * devices }, (_, at) =>
    mayGain[at % devices] === true ? (held[Math.floor(at / devices)] ?? 0) : 0,
  )
  for (let partition = 0; partition < partitions; partition += 1) {
    for (let i = 0; i < width; i += 1) {
      const from = draft.at(partition, i) * devices
      for (let j = 0; j < width; j += 1) {
        const at = from + draft.at(partition, j)
        ways[at] = (ways[at] ?? 0) - 1
      }
    }
  }
  return ways
}

/** From a device above its target to one below, over as few as can be; empty if there is none. */
function shortestChain(devices: number, ways: Int32Array, over: (device: number) => number): readonly number[] {
  const all = Array.from({ length: devices }, (_, device) => device)
  const queue = all.filter(device => over(device) > 0).map(device => [device])
  const seen = new Set(queue.flat())
  for (const chain of queue) {
    const from = chain[chain.length - 1] ?? 0
    for (const to of all) {
      if (seen.has(to) || (ways[from * devices + to] ?? 0) <= 0) continue
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
  before: Uint8Array,
): void {
  let left = amount
  for (const onlyChanged of [true, false]) {
    for (const partition of order) {
      if (left <= 0) return
      const holders = draft.holdersOf(partition)
      if (((holders >>> from) & 1) === 0 || ((holders >>> to) & 1) === 1) continue
      const slot = slotOf(draft, partition, from)
      if (onlyChanged && before[partition * draft.width + slot] === from) continue
      draft.put(partition, slot, to)
      left -= 1
    }
  }
}
