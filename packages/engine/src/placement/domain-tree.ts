/**
 * Failure domains as a tree: zones of machines of disks of devices. All devices in one domain may fail together.
 *
 * A domain with a single member adds nothing and is left out. So if no domains are named, or each
 * device is in a domain of its own, the devices are the children of the root. Pure.
 */
import { must } from "@hayloft/base/assert.js"
import type { LayoutDevice } from "./layout.js"

/** Widest first: devices without a named zone or machine share one; a device without a named disk has its own. */
const nameAt = [
  ({ domains }: LayoutDevice) => `zone ${domains?.zone ?? ""}`,
  ({ domains }: LayoutDevice) => `machine ${domains?.machine ?? ""}`,
  ({ id, domains }: LayoutDevice) => (domains?.disk === undefined ? `disk of ${id}` : `disk ${domains.disk}`),
] as const

export class DomainTree {
  /** Nodes: the devices by their numbers, then the domains, each after its members; the root is the last. */
  readonly nodes: number
  readonly root: number
  /** By node, its direct members; empty for a device. */
  readonly children: readonly (readonly number[])[]
  /** By node, the domain that contains it; -1 if none. */
  readonly parent: Int32Array
  /** By node, its devices. */
  readonly sizes: Int32Array
  /** The root is the only domain. */
  readonly isFlat: boolean
  /** By node, 1 if all its members are devices. */
  private readonly lowest: Uint8Array

  constructor(devices: readonly LayoutDevice[]) {
    const children: number[][] = devices.map(() => [])
    const all = devices.map((_, device) => device)
    const top = this.grow(devices, all, 0, children)
    // A single device needs a root as well.
    if (top < devices.length) children.push([top])
    this.children = children
    this.nodes = children.length
    this.root = this.nodes - 1
    this.isFlat = this.nodes === devices.length + 1
    this.parent = new Int32Array(this.nodes).fill(-1)
    this.sizes = new Int32Array(this.nodes).fill(1, 0, devices.length)
    children.forEach((members, node) => {
      for (const member of members) {
        this.parent[member] = node
        this.sizes[node] = (this.sizes[node] ?? 0) + (this.sizes[member] ?? 0)
      }
    })
    this.lowest = Uint8Array.from(children, (members, node) => (this.sizes[node] === members.length ? 1 : 0))
  }

  /** Returns true if all members of a domain are devices. */
  isLowest(node: number): boolean {
    return this.lowest[node] === 1
  }

  /** Creates the node of these devices, which share all domains above the level. */
  private grow(
    devices: readonly LayoutDevice[],
    among: readonly number[],
    level: number,
    children: number[][],
  ): number {
    const [first] = among
    if (first !== undefined && among.length === 1) return first
    const name = nameAt[level]
    if (name === undefined) return children.push([...among]) - 1
    const groups = new Map<string, number[]>()
    for (const device of among) {
      const key = name(must(devices[device], "devices are numbered"))
      const group = groups.get(key)
      if (group) group.push(device)
      else groups.set(key, [device])
    }
    if (groups.size === 1) return this.grow(devices, among, level + 1, children)
    const members = Array.from(groups.values(), group => this.grow(devices, group, level + 1, children))
    return children.push(members) - 1
  }
}
