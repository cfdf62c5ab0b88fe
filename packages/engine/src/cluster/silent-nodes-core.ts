/**
 * Silent nodes, and nodes that the others cannot reach: which of their devices go offline without an operator, so that
 * their shards are rebuilt. Pure.
 *
 * A zone, or more than a third of all devices, is likelier to be cut off than lost, and rebuilding it would fill the
 * rest of the store. So the last devices of a zone are never taken offline, nor so many that more than a third of all
 * devices would be offline (those that are offline for another reason included). The operator decides about those.
 */
import type { DeviceId, NodeName } from "@hayloft/base/ids.js"
import type { ControlDevice, ControlRecord } from "../format/device/control-record.js"

/** Long enough to restart a machine, short against the time between two failures (as `LONG_OUT_MS`). */
export const SILENT_NODE_MS = 15 * 60_000
/**
 * Nodes silent for this long count as failing together with those that are due: nodes that were cut off in one moment
 * become due in different ones.
 */
export const SILENT_TOGETHER_MS = 60_000

interface HeldBack {
  /** The silent nodes, in the order of the record. */
  readonly nodes: readonly NodeName[]
  readonly devices: readonly DeviceId[]
  /** For `status`: which nodes, which limit, and what to do. */
  readonly reason: string
}

interface SilentNodes {
  /** To be marked offline in one change; their places may go to others immediately (`placeWithout`). */
  readonly offline: readonly DeviceId[]
  readonly heldBack: readonly HeldBack[]
}

/**
 * `silentMs`: by node, how long it has been silent or cut off by the caller's own clock; a node without an entry is
 * neither.
 */
export function silentNodes(record: ControlRecord, silentMs: ReadonlyMap<NodeName, number>): SilentNodes {
  const { devices } = record
  const silenceOf = ({ home }: ControlDevice): number => (home === undefined ? 0 : (silentMs.get(home.node) ?? 0))
  const due = devices.filter(device => isOnline(device) && silenceOf(device) >= SILENT_NODE_MS)
  const staying = devices.filter(device => isOnline(device) && silenceOf(device) < SILENT_TOGETHER_MS)
  const zonesLeft = new Set(staying.map(zoneOf))
  const lostZones = [...new Set(due.map(zoneOf))].filter(zone => !zonesLeft.has(zone))
  const heldBack = lostZones.map(zone => {
    const ofZone = due.filter(device => zoneOf(device) === zone)
    return held(ofZone, silentMs, `every device ${zone === undefined ? "" : `of zone ${zone} `}would be offline`)
  })
  const others = due.filter(device => zonesLeft.has(zoneOf(device)))
  if (others.length === 0) return { offline: [], heldBack }
  // Online devices of a lost zone stay in use, so they are not among those that would be offline.
  const offline = devices.filter(device => {
    return zonesLeft.has(zoneOf(device)) ? !staying.includes(device) : !isOnline(device)
  })
  if (3 * offline.length <= devices.length) return { offline: others.map(({ id }) => id), heldBack }
  const because = `${offline.length} of ${devices.length} devices would be offline, more than a third`
  return { offline: [], heldBack: [...heldBack, held(others, silentMs, because)] }
}

const isOnline = ({ state }: ControlDevice): boolean => state !== "offline"
const zoneOf = ({ home }: ControlDevice): string | undefined => home?.zone

function held(devices: readonly ControlDevice[], silentMs: ReadonlyMap<NodeName, number>, because: string): HeldBack {
  const nodes = [...new Set(devices.flatMap(({ home }) => (home === undefined ? [] : [home.node])))]
  const minutes = Math.floor(Math.min(...nodes.map(node => silentMs.get(node) ?? 0)) / 60_000)
  const isOne = nodes.length === 1
  const names = `${isOne ? "node" : "nodes"} ${nodes.join(", ")}`
  const kept = devices.length === 1 ? "1 device is" : `${devices.length} devices are`
  return {
    nodes,
    devices: devices.map(({ id }) => id),
    reason: `${names} ${isOne ? "has" : "have"} been silent or cut off for ${minutes} min, but ${isOne ? "its" : "their"} ${kept} not taken offline, because ${because}: bring the ${isOne ? "node" : "nodes"} back, or decide that ${isOne ? "it is" : "they are"} lost`,
  }
}
