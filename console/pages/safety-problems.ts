/**
 * A list of what a status says is not as it should be: faults first, then what will become one. Pure. A value that is
 * not reported is not taken as fine: an absent value gives no entry, and the page shows that value as unknown.
 */
import type { Device, Status } from "../api/shapes.js"
import { durationText, plural, sizeText } from "../parts/format.js"

export interface Problem {
  readonly kind: "danger" | "warning"
  readonly text: string
  /** Since when, if that is known. */
  readonly sinceMs?: number | undefined
  /** A page of the console that shows more: its segments, and its query. */
  readonly to?: readonly [segments: readonly string[], query?: Readonly<Record<string, string>>]
}

/** A device that becomes full within this time is reported. */
const FULL_SOON_SECONDS = 30 * 86_400
/** From this share of its size on, a device is nearly full. */
const NEARLY_FULL = 0.9

export const placeOfDevice = ({ node, path }: Pick<Device, "node" | "path">): string =>
  node === undefined ? path : `${node}:${path}`

/** So many segments of two paths are equal, from the start or from the end. */
function equalSegments(a: readonly string[], b: readonly string[], isFromEnd: boolean): number {
  const [one, other] = isFromEnd ? [a.toReversed(), b.toReversed()] : [a, b]
  const at = one.findIndex((segment, i) => segment !== other[i])
  return at < 0 ? one.length : at
}

/**
 * Short names of devices by their ids: the parts of their folders in which they differ, `disk1` of `/mnt/disk1/hayloft`. A
 * single one has the last part.
 */
export function shortNames(devices: readonly Pick<Device, "id" | "node" | "path">[]): ReadonlyMap<string, string> {
  const paths = devices.map(({ path }) => path.split("/").filter(segment => segment !== ""))
  const [first = []] = paths
  const start = Math.min(...paths.map(path => equalSegments(first, path, false)))
  const end = Math.min(...paths.map(path => equalSegments(first, path, true)))
  const names = paths.map(path => {
    const middle = path.slice(start, Math.max(start, path.length - end))
    return middle.length === 0 || paths.length === 1 ? (path.at(-1) ?? "/") : middle.join("/")
  })
  const isOnNodes = new Set(names).size < names.length
  return new Map(
    devices.map(({ id, node }, at) => {
      const name = names[at] ?? id
      return [id, isOnNodes && node !== undefined ? `${node}:${name}` : name] as const
    }),
  )
}

/** The used share of a device; undefined if its size is not known. */
export function fullnessOf({ totalBytes, freeBytes, usableBytes = freeBytes }: Device): number | undefined {
  return totalBytes > 0 ? Math.min(1, Math.max(0, 1 - usableBytes / totalBytes)) : undefined
}

type StateKind = "good" | "info" | "warning" | "danger"

const STATE_KINDS: Readonly<Record<Device["state"], StateKind>> = {
  active: "good",
  rebuilding: "info",
  draining: "info",
  decommissioning: "info",
  full: "warning",
  offline: "danger",
  missing: "danger",
  failed: "danger",
}

export const kindOfState = (state: Device["state"]): StateKind => STATE_KINDS[state]

function ofDevice(device: Device): readonly Problem[] {
  const { id, state, reason, sinceMs, fullInSeconds } = device
  const place = placeOfDevice(device)
  const to = [["devices", id]] as const
  const kind = kindOfState(state)
  if (kind === "danger") return [{ kind, text: `${place} is ${state}${reason && `: ${reason}`}`, sinceMs, to }]
  if (state === "full") return [{ kind: "warning", text: `${place} is full${reason && `: ${reason}`}`, sinceMs, to }]
  const share = fullnessOf(device) ?? 0
  const soon = fullInSeconds !== undefined && fullInSeconds < FULL_SOON_SECONDS
  if (!soon && share < NEARLY_FULL) return []
  const when = soon ? `will be full in about ${durationText(fullInSeconds)} at the present rate` : "is nearly full"
  return [{ kind: "warning", text: `${place} ${when}: ${sizeText(device.usableBytes ?? device.freeBytes)} left`, to }]
}

/** Folders on one disk fill together: that a disk is nearly full is said once, of the folder that is full first. */
function onePerDisk(devices: readonly Device[]): readonly Device[] {
  const fullest = new Map<string, Device>()
  for (const device of devices) {
    const { node = "", machine = "", disk, fullInSeconds = Infinity } = device
    if (disk === undefined || device.state !== "active") continue
    const key = `${node}\n${machine}\n${disk}`
    const before = fullest.get(key)
    if (before === undefined || fullInSeconds < (before.fullInSeconds ?? Infinity)) fullest.set(key, device)
  }
  const shown = new Set(fullest.values())
  return devices.filter(device => device.disk === undefined || device.state !== "active" || shown.has(device))
}

type NodeState = NonNullable<Status["nodes"]>["nodes"][number]["state"]

const isServing = (state: NodeState): boolean => state === "serving" || state === "removed"

/** A node that does not serve is told once, and not again for each of its devices. */
function ofServingNodes({ devices, nodes }: Status): readonly Device[] {
  const silent = new Set(nodes?.nodes.filter(({ state }) => !isServing(state)).map(({ name }) => name))
  return devices.filter(({ node, state }) => state !== "missing" || node === undefined || !silent.has(node))
}

function ofNodes({ nodes }: Status): readonly Problem[] {
  if (nodes === undefined) return []
  const to = [["devices"], { tab: "nodes" }] as const
  return [
    ...nodes.nodes.flatMap(({ name, state, reason, devices, cannotReach }): Problem[] => [
      ...(isServing(state)
        ? []
        : [
            {
              kind: "danger" as const,
              text: `node ${name} with ${plural(devices.length, "device")} is ${state}${reason && `: ${reason}`}`,
              to,
            },
          ]),
      ...(cannotReach.length === 0
        ? []
        : [{ kind: "warning" as const, text: `node ${name} cannot reach ${cannotReach.join(", ")}`, to }]),
    ]),
    ...nodes.heldBack.map(text => ({ kind: "warning" as const, text, to })),
    ...(nodes.steward === undefined
      ? [{ kind: "warning" as const, text: "no node watches over the others now", to }]
      : []),
  ]
}

function ofWork({ repair, jobs }: Status): readonly Problem[] {
  return [
    ...(repair !== undefined && repair.lostBlocks > 0
      ? [
          {
            kind: "danger" as const,
            text: `${plural(repair.lostBlocks, "block")} (${sizeText(repair.lostBytes)}) cannot be read`,
          },
        ]
      : []),
    ...(repair !== undefined && repair.singleCopyBlocks > 0
      ? [
          {
            kind: "warning" as const,
            text: `${plural(repair.singleCopyBlocks, "block")} in a single copy, whatever their redundancy`,
          },
        ]
      : []),
    ...(repair?.isPaused === true ? [{ kind: "warning" as const, text: "repair is paused" }] : []),
    ...jobs
      .filter(({ state }) => state === "failed")
      .map(({ name, lastError = "" }) => ({ kind: "warning" as const, text: `job ${name} fails: ${lastError}` })),
  ]
}

function ofServices({ database, keyServices = [], quotas = [], encrypting }: Status): readonly Problem[] {
  return [
    ...(database?.findings ?? []).map(({ sentence }) => ({ kind: "warning" as const, text: sentence })),
    ...keyServices
      .filter(({ state }) => state !== "reachable")
      .map(({ name, state, reason = "", sinceMs }) => ({
        kind: "danger" as const,
        sinceMs,
        text: `key service ${name}: ${state}${reason && `, ${reason}`}`,
      })),
    ...quotas
      .filter(({ isAboveWarning }) => isAboveWarning)
      .map(({ holder, name, percent }) => ({
        kind: "warning" as const,
        text: `${holder} ${name} is above the warning level of its quota${percent === undefined ? "" : `: ${percent} %`}`,
      })),
    ...(encrypting !== undefined && encrypting.troubleCount > 0
      ? [{ kind: "warning" as const, text: `${plural(encrypting.troubleCount, "object")} could not be encrypted yet` }]
      : []),
  ]
}

/** All that is not as it should be; faults first. */
export function problemsOf(status: Status): readonly Problem[] {
  const { devices, health } = status
  const problems = [
    ...ofWork(status),
    ...onePerDisk(ofServingNodes(status)).flatMap(ofDevice),
    ...ofNodes(status),
    ...ofServices(status),
  ]
  const named = problems.map(({ text }) => text)
  const paths = devices.filter(({ state }) => kindOfState(state) === "danger").map(({ id }) => id)
  // Reasons of health repeat what devices say of themselves.
  const others = health.reasons.filter(reason => !named.includes(reason) && !paths.some(id => reason.includes(id)))
  const all = [
    ...others.map(text => ({ kind: health.ready ? ("warning" as const) : ("danger" as const), text })),
    ...problems,
  ]
  return [...all.filter(({ kind }) => kind === "danger"), ...all.filter(({ kind }) => kind !== "danger")]
}
