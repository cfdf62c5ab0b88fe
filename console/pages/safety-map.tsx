/**
 * A map of zones, machines and disks: a tile for each device, coloured by its state and filled as the device is. A few
 * devices have tiles with text; of many, a machine says in words what its tiles show.
 */
import type { Device } from "../api/shapes.js"
import { percentText, plural } from "../parts/format.js"
import { pathTo } from "../shell/router.js"
import { fullnessOf, kindOfState, shortNames } from "./safety-problems.js"

/** Up to this many devices, each tile has a text. */
const ROOMY_MAX = 24

export interface MapGroup {
  /** The zone is undefined on one machine. */
  readonly zone: string | undefined
  readonly machine: string | undefined
  readonly devices: readonly Device[]
}

const orderOf = (a: string | undefined, b: string | undefined): number =>
  (a ?? "").localeCompare(b ?? "", undefined, { numeric: true })

/** The devices by zone and machine, in their order. */
export function groupsOf(devices: readonly Device[]): readonly MapGroup[] {
  const groups = new Map<string, { zone: string | undefined; machine: string | undefined; devices: Device[] }>()
  for (const device of devices) {
    const { zone, machine = device.node } = device
    const key = JSON.stringify([zone ?? "", machine ?? ""])
    const group = groups.get(key) ?? { zone, machine, devices: [] }
    group.devices.push(device)
    groups.set(key, group)
  }
  return [...groups.values()]
    .toSorted((a, b) => orderOf(a.zone, b.zone) || orderOf(a.machine, b.machine))
    .map(group => ({ ...group, devices: group.devices.toSorted((a, b) => orderOf(a.path, b.path)) }))
}

/** `12 devices: 11 active, 1 offline; 63 % full`. */
export function summaryOf(devices: readonly Device[]): string {
  const counts = new Map<string, number>()
  for (const { state } of devices) counts.set(state, (counts.get(state) ?? 0) + 1)
  const states = [...counts].toSorted(([, a], [, b]) => b - a).map(([state, count]) => `${count} ${state}`)
  const known = devices.filter(({ totalBytes }) => totalBytes > 0)
  const total = known.reduce((sum, { totalBytes }) => sum + totalBytes, 0)
  const used = known.reduce((sum, device) => sum + (fullnessOf(device) ?? 0) * device.totalBytes, 0)
  const fullness = total === 0 ? "fullness unknown" : `${percentText(used / total)} full`
  return `${plural(devices.length, "device")}: ${states.join(", ")}; ${fullness}`
}

function fullnessText(device: Device): string {
  const share = fullnessOf(device)
  return share === undefined ? "size unknown" : `${percentText(share)} full`
}

function Tile(props: { readonly device: Device; readonly name: string; readonly isRoomy: boolean }) {
  const { device, name, isRoomy } = props
  const { id, path, state, reason } = device
  const text = `${path}: ${state}${reason && ` (${reason})`}, ${fullnessText(device)}`
  const share = fullnessOf(device) ?? 0
  return (
    <a
      class={`tile ${kindOfState(state)}`}
      href={pathTo(["devices", id])}
      title={text}
      {...(isRoomy ? {} : { tabIndex: -1 })}
    >
      <span class="tile-fill" style={{ blockSize: `${share * 100}%` }} aria-hidden="true" />
      {isRoomy && (
        <span class="tile-text">
          <strong>{name}</strong>
          <span>
            {state}, {fullnessText(device)}
          </span>
        </span>
      )}
    </a>
  )
}

function Machine(props: {
  readonly group: MapGroup
  readonly names: ReadonlyMap<string, string>
  readonly isRoomy: boolean
}) {
  const { group, names, isRoomy } = props
  const { machine, devices } = group
  return (
    <div class="machine">
      {machine !== undefined && <h4>{machine}</h4>}
      <p class="faint">{summaryOf(devices)}</p>
      <div class={isRoomy ? "tiles roomy" : "tiles"} aria-hidden={isRoomy ? undefined : "true"}>
        {devices.map(device => (
          <Tile key={device.id} device={device} name={names.get(device.id) ?? device.path} isRoomy={isRoomy} />
        ))}
      </div>
    </div>
  )
}

const LEGEND = [
  ["good", "active"],
  ["info", "rebuilding, draining or decommissioning"],
  ["warning", "full"],
  ["danger", "offline, missing or failed"],
] as const

export function DeviceMap({ devices }: { readonly devices: readonly Device[] }) {
  const groups = groupsOf(devices)
  const zones = [...new Set(groups.map(({ zone }) => zone))]
  const isRoomy = devices.length <= ROOMY_MAX
  const names = shortNames(devices)
  return (
    <div class="map">
      <ul class="legend">
        {LEGEND.map(([kind, text]) => (
          <li key={kind} class={`key ${kind}`}>
            {text}
          </li>
        ))}
        <li class="faint">The darker part of a tile shows how full it is.</li>
      </ul>
      {zones.map(zone => (
        <div key={zone ?? ""} class="zone">
          {(zone !== undefined || zones.length > 1) && <h3>{zone === undefined ? "No zone" : `Zone ${zone}`}</h3>}
          <div class="machines">
            {groups
              .filter(group => group.zone === zone)
              .map(group => (
                <Machine key={group.machine ?? ""} {...{ group, names, isRoomy }} />
              ))}
          </div>
        </div>
      ))}
    </div>
  )
}
