/** The most shards of a block that are in one domain: it depends on the layout alone, whatever devices have. Pure. */
import type { DeviceId } from "@hayloft/base/ids.js"
import { mostTogether, type Layout } from "../placement/index.js"

export class Together {
  private readonly known = new Map<string, number>()

  constructor(readonly layout: Layout) {}

  /**
   * Returns the most shards that one domain has of the first `slots` slots of any partition. `domains`: the domain of
   * each device.
   */
  most(devices: readonly { readonly id: DeviceId }[], domains: ArrayLike<number>, slots: number): number {
    const name = `${slots} ${devices.map(({ id }, number) => `${id} ${domains[number]}`).join()}`
    const known = this.known.get(name)
    if (known !== undefined) return known
    const byId = new Map(devices.map(({ id }, number) => [id, domains[number]]))
    const byPartition = mostTogether(this.layout, id => byId.get(id) ?? -1, slots)
    const most = byPartition.reduce((highest, shards) => Math.max(highest, shards), 0)
    this.known.set(name, most)
    return most
  }
}
