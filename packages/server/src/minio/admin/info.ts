/** The state of the store, as `mc admin info` and the commands on healing and pools show it: one pool with one set of all disks. */
import type { z } from "zod"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { BUCKETS } from "@hayloft/admin/schemas.js"
import { parsePolicy, shardCount, shardsNeeded } from "@hayloft/base/policy.js"
import type { MinioContext } from "./call-context.js"

const { STATUS } = STORE_SCHEMAS
type Status = z.output<typeof STATUS>
type Device = Status["devices"][number]

const NANOSECONDS = 1e9
/** A time that is none, as MinIO writes it. */
const NEVER = "0001-01-01T00:00:00Z"

const GOOD: ReadonlySet<Device["state"]> = new Set(["active", "rebuilding", "draining", "decommissioning", "full"])
const isOnline = ({ state }: Device): boolean => GOOD.has(state)

function driveOf(device: Device, at: number) {
  const { id, path, node, state, totalBytes, freeBytes } = device
  return {
    endpoint: node === undefined ? path : `${node}:${path}`,
    path,
    healing: state === "rebuilding",
    state: isOnline(device) ? "ok" : "offline",
    uuid: id,
    major: 0,
    minor: 0,
    totalspace: totalBytes,
    usedspace: totalBytes - freeBytes,
    availspace: freeBytes,
    used_inodes: 0,
    local: node === undefined,
    pool_index: 0,
    set_index: 0,
    disk_index: at,
  }
}

interface Server {
  readonly endpoint: string
  readonly name: string | undefined
  readonly state: "online" | "offline"
  readonly version: string
}

function serversOf({ nodes, version }: Status, host: string): readonly Server[] {
  if (nodes === undefined) return [{ endpoint: host, name: undefined, state: "online", version }]
  return nodes.nodes.map(({ name, state, version: own }) => ({
    endpoint: name,
    name,
    state: state === "serving" ? "online" : "offline",
    version: own,
  }))
}

const sum = <T>(items: readonly T[], of: (item: T) => number): number => items.reduce((all, item) => all + of(item), 0)

export async function info(call: MinioContext) {
  const status = await call.get("getStatus", STATUS)
  const buckets = await call.pages("listBuckets", BUCKETS, page => page.buckets)
  const drives = status.devices.map((device, at) => ({ device, drive: driveOf(device, at) }))
  const servers = serversOf(status, call.host)
  const network = Object.fromEntries(servers.map(({ endpoint, state }) => [endpoint, state]))
  const policy = parsePolicy(status.policy)
  const [width, parity] = [shardCount(policy), shardCount(policy) - shardsNeeded(policy)]
  const online = status.devices.filter(isOnline)
  const [objects, versions] = [sum(buckets, ({ usage }) => usage.objects), sum(buckets, ({ usage }) => usage.versions)]
  const size = sum(buckets, ({ usage }) => usage.bytes)
  const rawCapacity = sum(online, ({ totalBytes }) => totalBytes)
  const set = {
    id: 0,
    rawUsage: rawCapacity - sum(online, ({ freeBytes }) => freeBytes),
    rawCapacity,
    usage: size,
    objectsCount: objects,
    versionsCount: versions,
    deleteMarkersCount: 0,
    healDisks: status.devices.filter(({ state }) => state === "rebuilding").length,
  }
  return {
    mode: status.health.ready ? "online" : "initializing",
    region: status.region,
    deploymentID: status.storeId,
    buckets: { count: buckets.length },
    objects: { count: objects },
    versions: { count: versions },
    deletemarkers: { count: 0 },
    usage: { size },
    services: { kms: {}, ldap: {} },
    backend: {
      backendType: "Erasure",
      onlineDisks: online.length,
      offlineDisks: status.devices.length - online.length,
      standardSCParity: parity,
      rrSCParity: parity,
      totalSets: [1],
      totalDrivesPerSet: [width],
    },
    servers: servers.map(({ endpoint, name, state, version }) => ({
      state,
      endpoint,
      uptime: Math.floor(status.uptimeSeconds),
      version,
      network,
      drives: drives.filter(({ device }) => device.node === name).map(({ drive }) => drive),
      poolNumber: 1,
      poolNumbers: [1],
      mem_stats: { Alloc: 0, TotalAlloc: 0, Mallocs: 0, Frees: 0, HeapAlloc: 0 },
      edition: "",
    })),
    pools: { 0: { 0: set } },
  }
}

/** `mc admin heal`: what repair does, which begins by itself. */
export async function healStatus(call: MinioContext) {
  const status = await call.get("getStatus", STATUS)
  const { repair } = status
  const policy = parsePolicy(status.policy)
  const devices = status.devices.map(driveOf)
  const healing = devices.filter(({ healing: isHealing }) => isHealing)
  return {
    offline_nodes: serversOf(status, call.host).flatMap(({ endpoint, state }) =>
      state === "online" ? [] : [endpoint],
    ),
    ScannedItemsCount: repair?.partitionsScanned ?? 0,
    HealDisks: healing.map(({ endpoint }) => endpoint),
    sets: [
      {
        id: "",
        pool_index: 0,
        set_index: 0,
        heal_status: (repair?.partitionsRemaining ?? 0) > 0 ? "healing" : "",
        heal_priority: "",
        total_objects: 0,
        disks: devices,
      },
    ],
    mrf: {},
    sc_parity: { STANDARD: shardCount(policy) - shardsNeeded(policy) },
  }
}

/** `mc admin decommission status`: the one pool, which is never decommissioned as a whole. */
export async function pools(call: MinioContext) {
  const status = await call.get("getStatus", STATUS)
  const cmdline = status.devices.map(({ path }) => path).join(" ")
  const [totalSize, currentSize] = [
    sum(status.devices, ({ totalBytes }) => totalBytes),
    sum(status.devices, ({ freeBytes }) => freeBytes),
  ]
  const ended = { complete: false, failed: false, canceled: false }
  const decommissionInfo = { startTime: NEVER, startSize: currentSize, totalSize, currentSize, ...ended }
  return [{ id: 0, cmdline, lastUpdate: new Date(call.nowMs).toISOString(), decommissionInfo }]
}

const usedShare = (devices: readonly Device[]): number => {
  const total = sum(devices, ({ totalBytes }) => totalBytes)
  return total === 0 ? 0 : (total - sum(devices, ({ freeBytes }) => freeBytes)) / total
}

/** Shards move by themselves as soon as the layout has changed: this is their move. */
export async function rebalanceStatus(call: MinioContext) {
  const { devices, layout } = await call.get("getStatus", STATUS)
  const { transition } = layout
  const progress = {
    bytes: transition?.progress?.doneBytes ?? 0,
    elapsed: 0,
    eta: Math.round((transition?.progress?.endsInSeconds ?? 0) * NANOSECONDS),
  }
  return {
    ID: `layout-${layout.version}`,
    pools: [{ id: 0, status: transition === undefined ? "None" : "Started", used: usedShare(devices), progress }],
  }
}
