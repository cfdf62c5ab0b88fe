/**
 * Shares: how many slots each device should hold. Shares follow the weights, but a device holds at most one slot of
 * each partition, and a domain's share stays within the bounds of an even spread. The other devices take the excess of
 * a heavy one, by their weights.
 */
import { assert } from "@hayloft/base/assert.js"
import type { DomainTree } from "./domain-tree.js"
import type { LayoutDraft } from "./layout-draft.js"
import type { LayoutDevice } from "./layout.js"

/** Sums to `total`; no member is above its cap, or below its floor (default 0). Caps and floors must allow it. */
export function sharesOf(
  weights: readonly number[],
  caps: readonly number[],
  total: number,
  floors: readonly number[] = [],
): readonly number[] {
  const shares = weights.map(() => 0)
  let open = weights.map((_, index) => index)
  let left = total
  while (left > 0) {
    const weight = open.reduce((sum, index) => sum + (weights[index] ?? 0), 0)
    assert(weight > 0, "the devices can hold the layout")
    const due = (index: number) => (left * (weights[index] ?? 0)) / weight
    const bounds = boundsToKeep(open, due, caps, floors)
    if (bounds.size === 0) {
      for (const index of open) shares[index] = due(index)
      break
    }
    for (const [index, bound] of bounds) shares[index] = bound
    left -= [...bounds.values()].reduce((sum, bound) => sum + bound, 0)
    open = open.filter(index => !bounds.has(index))
  }
  return shares
}

/** Members fixed at their bound, since they are due more, or less: those on the side with the larger sum. */
function boundsToKeep(
  open: readonly number[],
  due: (index: number) => number,
  caps: readonly number[],
  floors: readonly number[],
): ReadonlyMap<number, number> {
  const over = new Map<number, number>()
  const under = new Map<number, number>()
  let excess = 0
  for (const index of open) {
    const [amount, cap, floor] = [due(index), caps[index] ?? 0, floors[index] ?? 0]
    if (amount >= cap) over.set(index, cap)
    else if (amount < floor) under.set(index, floor)
    excess += amount >= cap ? amount - cap : amount < floor ? amount - floor : 0
  }
  if (under.size === 0 || excess > 0) return over
  return excess < 0 ? under : new Map([...over, ...under])
}

/** The same in whole slots: the remainder of rounding down goes to the largest fractions. */
function wholeSharesOf(
  weights: readonly number[],
  caps: readonly number[],
  total: number,
  floors: readonly number[] = [],
): readonly number[] {
  const exact = sharesOf(weights, caps, total, floors)
  const whole = exact.map(share => Math.floor(share + 1e-6))
  const left = total - whole.reduce((sum, share) => sum + share, 0)
  const fraction = (index: number) => (exact[index] ?? 0) - (whole[index] ?? 0)
  const byFraction = whole
    .map((_, index) => index)
    .filter(index => (whole[index] ?? 0) < (caps[index] ?? 0))
    .sort((a, b) => fraction(b) - fraction(a) || a - b)
  for (const index of byFraction.slice(0, left)) whole[index] = (whole[index] ?? 0) + 1
  return whole
}

/** By device, the slots that it should hold, divided domain by domain from the root. */
export function targetsOf(draft: LayoutDraft, devices: readonly LayoutDevice[]): readonly number[] {
  const { partitions, width, held, tree, mayGain } = draft
  const caps = mayGain.map((may, device) => (may ? partitions : (held[device] ?? 0)))
  const isEnough = caps.reduce((sum, cap) => sum + cap, 0) >= partitions * width
  const weightOf = summed(
    tree,
    devices.map(({ weight }) => weight),
  )
  const capOf = summed(tree, isEnough ? caps : caps.map(() => partitions))
  const totals = new Array<number>(tree.nodes).fill(0)
  totals[tree.root] = partitions * width
  // Domains come after their members.
  for (let node = tree.root; node >= devices.length; node -= 1) {
    const members = tree.children[node] ?? []
    const total = totals[node] ?? 0
    const { caps, floors } = boundsIn(tree, node, total, partitions, capOf)
    const weights = members.map(member => weightOf[member] ?? 0)
    wholeSharesOf(weights, caps, total, floors).forEach((share, i) => (totals[members[i] ?? 0] = share))
  }
  return totals.slice(0, devices.length)
}

/** By node, the sum over its devices. */
function summed({ nodes, parent }: DomainTree, ofDevices: readonly number[]): readonly number[] {
  const sums = Array.from({ length: nodes }, (_, node) => ofDevices[node] ?? 0)
  for (let node = 0; node < nodes; node += 1) {
    const domain = parent[node] ?? -1
    if (domain >= 0) sums[domain] = (sums[domain] ?? 0) + (sums[node] ?? 0)
  }
  return sums
}

/** The most and fewest slots of each member of a domain, if the domain's slots are spread evenly. */
function boundsIn(tree: DomainTree, node: number, total: number, partitions: number, capOf: readonly number[]) {
  const members = tree.children[node] ?? []
  const sizes = members.map(member => tree.sizes[member] ?? 0)
  // Some partitions have one shard more here than the others.
  const shards = Math.floor(total / partitions)
  const withMore = total - shards * partitions
  const [few, many] = [evenly(sizes, shards), evenly(sizes, shards + 1)]
  const slots = (ofFew: number, ofMany: number) => (partitions - withMore) * ofFew + withMore * ofMany
  const own = members.map(member => capOf[member] ?? 0)
  const most = own.map((cap, i) => Math.min(cap, slots(few.most[i] ?? 0, many.most[i] ?? 0)))
  // Devices that may not gain make an even spread impossible.
  const caps = most.reduce((sum, cap) => sum + cap, 0) >= total ? most : own
  const floors = caps.map((cap, i) => Math.min(cap, slots(few.least[i] ?? 0, many.least[i] ?? 0)))
  return { caps, floors }
}

/** Spreads shards, each on a separate device, over domains of these sizes: the fewest and most of each domain. */
function evenly(sizes: readonly number[], shards: number) {
  const upTo = (level: number) => sizes.map(size => Math.min(size, level))
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0)
  const all = sum(sizes)
  let level = 0
  while (sum(upTo(level)) < Math.min(shards, all)) level += 1
  const most = upTo(level)
  return { most, least: sum(most) <= shards ? most : upTo(level - 1) }
}
