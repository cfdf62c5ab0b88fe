/** Says why a layout puts a shard on its device, and what is known of a shard, for people. Pure. */
import type { DeviceId } from "@hayloft/base/ids.js"
import type { SlotPlaces } from "@hayloft/upkeep/index.js"
import type { StoreOperations } from "@hayloft/node/index.js"

type PlacedDevice = Awaited<ReturnType<StoreOperations["layout"]>>["devices"][number]
export type DevicesById = ReadonlyMap<DeviceId, PlacedDevice>

/**
 * `zone east has 2 of 6 shards, as each zone has 2; machine m1 has 1 of these 2; device of weight 1`. Levels that do not
 * tell devices apart are left out.
 */
export function shardRuleOf(id: DeviceId | undefined, slots: readonly SlotPlaces[], devices: DevicesById): string {
  if (id === undefined) return "the layout has fewer slots than the policy has shards"
  const own = devices.get(id)
  if (own === undefined) return "the device is not one of the store any more"
  const holders = slots.flatMap(({ assigned }) => (assigned === undefined ? [] : (devices.get(assigned) ?? [])))
  const parts: string[] = []
  let among = holders
  let everywhere = [...devices.values()]
  for (const level of ["zone", "machine"] as const) {
    const names = [...new Set(everywhere.map(device => device[level] ?? ""))]
    const inside = among.filter(device => device[level] === own[level])
    if (names.length > 1) {
      const counts = names.map(name => among.filter(device => (device[level] ?? "") === name).length)
      const [least, most] = [Math.min(...counts), Math.max(...counts)]
      const others = least === most ? `each ${level} has ${least}` : `${level}s have ${least} to ${most}`
      parts.push(`${level} ${own[level] ?? "(none)"} has ${inside.length} of ${among.length} shards, ${others}`)
    }
    among = inside
    everywhere = everywhere.filter(device => device[level] === own[level])
  }
  return [...parts, `a device of weight ${own.weight}`].join("; ")
}

/** `silent`: devices that did not answer. */
export function stateOf({ found, assigned }: SlotPlaces, devices: DevicesById, silent: ReadonlySet<DeviceId>) {
  if (found === "assigned") return "inPlace"
  if (found === "former") return "moving"
  if (found !== "missing") return found
  if (assigned !== undefined && silent.has(assigned)) return "unknown"
  const state = assigned === undefined ? undefined : devices.get(assigned)?.state
  return state === "offline" || state === "rebuilding" ? state : "missing"
}
