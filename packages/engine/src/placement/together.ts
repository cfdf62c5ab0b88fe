/** How many shards of a partition fail together. Pure. */
import type { DeviceId } from "@hayloft/base/ids.js"
import type { Layout } from "./layout.js"

/** By partition: of its first `slots` slots, the most that are in one domain. */
export function mostTogether(
  layout: Layout,
  domainOf: (id: DeviceId) => string | number,
  slots = layout.width,
): Uint8Array {
  const { table, width, devices } = layout
  const names = new Map<string | number, number>()
  const domains = Uint16Array.from(devices, id => {
    const name = domainOf(id)
    const number = names.get(name) ?? names.size
    names.set(name, number)
    return number
  })
  const counts = new Uint8Array(names.size)
  const most = new Uint8Array(table.length / width)
  for (let partition = 0; partition < most.length; partition += 1) {
    const first = partition * width
    const last = first + Math.min(slots, width)
    for (let at = first; at < last; at += 1) {
      const domain = domains[table[at] ?? 0] ?? 0
      const count = (counts[domain] ?? 0) + 1
      counts[domain] = count
      if (count > (most[partition] ?? 0)) most[partition] = count
    }
    for (let at = first; at < last; at += 1) counts[domains[table[at] ?? 0] ?? 0] = 0
  }
  return most
}
