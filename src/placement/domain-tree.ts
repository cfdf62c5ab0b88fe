/**
 * Failure domains as a tree: zones of machines of disks of devices. What is in one domain may fail together.
 *
 * A domain with a single member stands for nothing of its own and is left out; so with no domains named, or with each
 * device in a domain of its own, the devices are the children of the root. Pure.
 */
import { must } from "../base/assert.js"
import type { LayoutDevice } from "./layout.js"

/** From the widest to the narrowest: devices whose zone or machine is not named share one; a disk not named is their own. */
const nameAt = [
  ({ domains }: LayoutDevice) => `zone ${domains?.zone ?? ""}`,
  ({ domains }: LayoutDevice) => `machine ${domains?.machine ?? ""}`,
  ({ id, domains }: LayoutDevice) => (domains?.disk === undefined ? `disk of ${id}` : `disk ${domains.disk}`),
] as const

export class DomainTree {
  /** Nodes: the devices by their numbers, then the domains, each after what is in it; the root is the last. */
  readonly nodes: number
  readonly root: number
  /** By node, what is directly in it; of a device nothing. */
  readonly children: readonly (readonly number[])[]
  /** By node, the domain that it is in; -1: none. */
  readonly parent: Int32Array
  /** By node, its devices. */
  readonly sizes: Int32Array
  /** Devices are in no domain but the root. */
  readonly isFlat: boolean
  /** By node, 1 where all that is in it is devices. */
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

  /** Whether all that is in a domain is devices. */
  isLowest(node: number): boolean {
    return this.lowest[node] === 1
  }

  /** The node of these devices, which are together in all domains above the level. */
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
