/**
 * Spread: how the shards of one partition are placed in the tree of failure domains. Pure.
 *
 * One rule at each level: of the domains with capacity for another shard, one with the fewest of the partition's shards
 * gets it. Shards placed by this rule are as even as the domains allow: in as many zones as possible, and no
 * domain has two more than another that has capacity.
 */
import type { DomainTree } from "./domain-tree.js"

export class Spread {
  /** By node, its shards; 1 or 0 for a device. */
  readonly shards: Int32Array
  /** By node, the devices without a shard: all of them (`free`), and those that may gain one (`gaining`). */
  private readonly free: Int32Array
  private readonly gaining: Int32Array

  constructor(
    private readonly tree: DomainTree,
    private readonly mayGain: readonly boolean[],
  ) {
    this.shards = new Int32Array(tree.nodes)
    this.free = tree.sizes.slice()
    this.gaining = new Int32Array(tree.nodes)
    mayGain.forEach((may, device) => {
      if (may) this.countGaining(device)
    })
  }

  private countGaining(device: number): void {
    const { parent } = this.tree
    for (let node = device; node >= 0; node = parent[node] ?? -1) this.gaining[node] = (this.gaining[node] ?? 0) + 1
  }

  /** A device gets a shard, or loses the one that it has. */
  change(device: number, by: 1 | -1): void {
    const { shards, free, gaining } = this
    const { parent } = this.tree
    const gained = this.mayGain[device] === true ? by : 0
    for (let node = device; node >= 0; node = parent[node] ?? -1) {
      shards[node] = (shards[node] ?? 0) + by
      free[node] = (free[node] ?? 0) - by
      gaining[node] = (gaining[node] ?? 0) - gained
    }
  }

  /** Writes the devices that may get a shard to `open`; returns their number. Others only if none may gain. */
  openDevices(open: Int32Array): number {
    const { root } = this.tree
    return this.collect(root, (this.gaining[root] ?? 0) > 0 ? this.gaining : this.free, open, 0)
  }

  /** The highest-ranking device that may get a shard; devices that have one must rank at -Infinity. */
  highest(ranks: Float64Array): number {
    const { root } = this.tree
    return this.highestIn(root, (this.gaining[root] ?? 0) > 0 ? this.gaining : this.free, ranks)
  }

  /** Returns true if a shard may move from one device to the other without making the partition less even. */
  mayMove(from: number, to: number): boolean {
    if (this.tree.isFlat) return true
    this.change(from, -1)
    const isEven = this.isOpen(to) && this.isEvenWithout(from, to)
    this.change(from, 1)
    return isEven
  }

  /**
   * Returns true if the domains that a shard has left for another domain are still even: none of their members has two
   * more than the one that it has left. `left`: the device, whose shard has been removed.
   */
  isEvenWithout(left: number, to: number): boolean {
    const { parent, children } = this.tree
    let member = left
    for (let domain = parent[member] ?? -1; !this.contains(domain, to); domain = parent[domain] ?? -1) {
      const most = (this.shards[member] ?? 0) + 1
      if ((this.gaining[member] ?? 0) > 0 && (children[domain] ?? []).some(each => (this.shards[each] ?? 0) > most))
        return false
      member = domain
    }
    return true
  }

  private contains(domain: number, device: number): boolean {
    const { parent } = this.tree
    for (let node = device; node >= 0; node = parent[node] ?? -1) if (node === domain) return true
    return false
  }

  /** A domain with a member that has two shards more than another with capacity, widest first; -1 if there is none. */
  unevenDomain(node = this.tree.root): number {
    if ((this.shards[node] ?? 0) < 2) return -1
    const members = this.tree.children[node] ?? []
    let [most, least] = [0, Infinity]
    for (const member of members) {
      const shards = this.shards[member] ?? 0
      if (shards > most) most = shards
      if (shards < least && (this.gaining[member] ?? 0) > 0) least = shards
    }
    if (most >= least + 2) return node
    for (const member of members) {
      const uneven = this.unevenDomain(member)
      if (uneven >= 0) return uneven
    }
    return -1
  }

  /** Writes the devices with a shard in the fullest members of a domain to `found`, and returns their number. */
  fullestDevices(domain: number, found: Int32Array, count = 0): number {
    const members = this.tree.children[domain] ?? []
    if (members.length === 0) {
      found[count] = domain
      return count + 1
    }
    let most = 0
    for (const member of members) most = Math.max(most, this.shards[member] ?? 0)
    for (const member of members) {
      if (this.shards[member] === most) count = this.fullestDevices(member, found, count)
    }
    return count
  }

  private highestIn(node: number, capacity: Int32Array, ranks: Float64Array): number {
    const members = this.tree.children[node] ?? []
    if (this.tree.isLowest(node)) return highestOf(members, ranks)
    const least = this.fewest(members, capacity)
    let best = -1
    let most = -Infinity
    for (const member of members) {
      if (this.shards[member] !== least || (capacity[member] ?? 0) <= 0) continue
      const device = member < ranks.length ? member : this.highestIn(member, capacity, ranks)
      const rank = ranks[device] ?? 0
      if (rank <= most) continue
      best = device
      most = rank
    }
    return best
  }

  /** The fewest shards of any member with capacity. */
  private fewest(members: readonly number[], capacity: Int32Array): number {
    let least = Infinity
    for (const member of members) {
      if ((this.shards[member] ?? 0) < least && (capacity[member] ?? 0) > 0) least = this.shards[member] ?? 0
    }
    return least
  }

  private isOpen(device: number): boolean {
    const { tree, shards } = this
    const capacity = (this.gaining[tree.root] ?? 0) > 0 ? this.gaining : this.free
    // A device without a shard has the fewest among its siblings.
    for (let node = tree.parent[device] ?? -1; node !== tree.root; node = tree.parent[node] ?? -1) {
      for (const sibling of tree.children[tree.parent[node] ?? -1] ?? []) {
        if ((shards[sibling] ?? 0) < (shards[node] ?? 0) && (capacity[sibling] ?? 0) > 0) return false
      }
    }
    return true
  }

  private collect(node: number, capacity: Int32Array, open: Int32Array, count: number): number {
    const members = this.tree.children[node] ?? []
    if (members.length === 0) {
      open[count] = node
      return count + 1
    }
    const least = this.fewest(members, capacity)
    for (const member of members) {
      if (this.shards[member] === least && (capacity[member] ?? 0) > 0)
        count = this.collect(member, capacity, open, count)
    }
    return count
  }
}

function highestOf(devices: readonly number[], ranks: Float64Array): number {
  let best = -1
  let most = -Infinity
  for (const device of devices) {
    const rank = ranks[device] ?? 0
    if (rank <= most) continue
    best = device
    most = rank
  }
  return best
}
