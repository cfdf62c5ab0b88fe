/**
 * The parts of a store of several nodes that a node has beside those of one machine: its duties, the jobs that it does for all
 * nodes or shares with them, and those by which devices and nodes become part of the store or leave it.
 */
import type { StoreOperations } from "@hayloft/node/control/contract.js"
import type { Failure } from "@hayloft/base/failures.js"
import { parseNodeName, type Incarnation, type NodeName } from "@hayloft/base/ids.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import type { Ownership } from "@hayloft/engine/device/index.js"
import { mapBounded, type Job } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { hurried } from "@hayloft/base/seams/clock/hurried.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import type { ServeConfig } from "@hayloft/node/config/config.js"
import type { ClusterView } from "@hayloft/node/cluster/cluster-view.js"
import { Leaving } from "@hayloft/node/cluster/leaving.js"
import { Duties } from "@hayloft/node/cluster/duties.js"
import { Reconciling } from "@hayloft/node/cluster/reconciling.js"
import type { Policy } from "@hayloft/base/policy.js"
import { Joining } from "@hayloft/node/cluster/joining.js"
import { LeftOut } from "@hayloft/node/cluster/left-out.js"
import { MovedDevices } from "@hayloft/node/cluster/moved-devices.js"
import { ClusterRepairWorkers } from "@hayloft/node/cluster/repair-workers.js"
import { domainsOf } from "@hayloft/node/cluster/open-node.js"
import type { OwnedFolder } from "@hayloft/node/devices/device-set.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { OpenedStore } from "@hayloft/node/open/contract.js"

/** The seams that a node runs over. */
export interface NodeSeams {
  readonly clock: Clock
  readonly random: Random
  readonly disk: Disk
  readonly telemetry: Telemetry
  /** The nodes of the store; undefined until this one has joined, and on one machine. */
  readonly nodes?: () => ClusterView | undefined
  /** This node is no longer one of the store, or has no key to it any more: the process must end. */
  readonly onExcluded?: (reason: Failure) => void
}

/** A store on one machine has none. */
export function reconcilingOf(
  { clock, telemetry }: NodeSeams,
  { node }: OpenedStore,
  { services: { reconciliation }, exchange }: Engine,
): readonly Reconciling[] {
  if (node === undefined || reconciliation === undefined) return []
  const { metadata, records } = node
  const seams = { clock, log: telemetry.log, metadata, records, reconciliation }
  return [new Reconciling({ ...seams, isReached: id => exchange.isReached(id) })]
}

/** Returns what this node may do for all nodes of the store. */
export function dutiesOf(
  { clock, random, telemetry, nodes = () => undefined }: NodeSeams,
  { node }: OpenedStore,
  config: ServeConfig,
  engine: Engine,
  { ownJobs, wake }: { readonly ownJobs: readonly string[]; readonly wake: (job: string) => void },
): Duties | undefined {
  if (node === undefined) return undefined
  const { services, recordManager } = engine
  const { repair } = services
  const { metadata } = node
  const nodeOf = (incarnation: Incarnation): NodeName | undefined => {
    const running = metadata.live.nodes.find(each => each.incarnation === incarnation)
    return running && parseNodeName(running.node)
  }
  const others = () => nodes()?.nodes ?? []
  const repairSeams = { clock, telemetry, record: () => recordManager.record, others, nodeOf }
  repair.shareVisits(new ClusterRepairWorkers(repairSeams, node.name, repair.own))
  return new Duties(
    { clock: hurried(clock, config.haste ?? 1), random, log: telemetry.log, nodes, ownJobs, ...node },
    () => engine.metadata.trouble === undefined && engine.outOfReach === undefined,
    wake,
  )
}

/** The policies that buckets have of their own. */
export const policiesOf =
  ({ services }: Engine) =>
  (): readonly Policy[] =>
    services.buckets.policies().map(({ policy }) => policy)

/** Returns what this node does for the one that repairs. */
const helpOf =
  ({ services }: Engine) =>
  (job: string): string | undefined => {
    const { writtenShards } = services.visitsForOthers
    if (job !== "repair" || writtenShards === 0) return undefined
    return `${writtenShards} shards written for other nodes`
  }

/** The jobs that work for the whole store: on several nodes each is done by one of them. */
export function jobsOfStore(
  { telemetry }: NodeSeams,
  { node }: OpenedStore,
  engine: Engine,
  shared: readonly Job[],
  duties: Duties | undefined,
): readonly Job[] {
  if (node === undefined || duties === undefined) return shared
  const moved = new MovedDevices(node.records, policiesOf(engine), telemetry.log)
  return duties.share([...shared, moved], helpOf(engine))
}

/** The jobs by which new devices of a node become part of the store, and nodes that were removed leave it. */
export async function joiningOf(
  { disk, clock, telemetry, nodes = () => undefined, onExcluded = () => undefined }: NodeSeams,
  { node }: OpenedStore,
  { cluster }: ServeConfig,
  engine: Engine,
  ownedOf: (device: Ownership) => OwnedFolder,
  operations: () => Pick<StoreOperations, "change">,
): Promise<readonly Job[]> {
  if (node === undefined || cluster === undefined) return []
  const { name, metadata, records } = node
  const waiting = await mapBounded(node.joining, DEVICES_MAX, async ({ ownership, isMountPoint, capacityBytes }) => {
    const { id, path: pathHint } = ownership.identity
    const home = { ...(await domainsOf(disk, pathHint, cluster)), node: name, incarnation: metadata.incarnations.own }
    return { folder: ownedOf(ownership), device: { id, pathHint, isMountPoint, capacityBytes, home } }
  })
  const isDevice = (path: string): boolean =>
    records.record.devices.some(({ home, pathHint }) => home?.node === name && pathHint === path)
  const add = (path: string) => operations().change({ kind: "addDevice", path, weight: undefined }, undefined)
  return [
    new Joining(waiting, folder => engine.bringIn(folder), records, policiesOf(engine), clock, telemetry.log),
    new LeftOut(node.leftOut, isDevice, add),
    new Leaving({ clock, log: telemetry.log, records, metadata }, { name, others: nodes, onLeaving: onExcluded }),
  ]
}
