/**
 * Planner of changes: the control record that a change of the store leads to, and how an operator sees that beforehand.
 *
 * Promises  Planning changes nothing.
 */
import { fail } from "@hayloft/base/failures.js"
import type { NodeName } from "@hayloft/base/ids.js"
import { lockedNamesOf, type LockedNames } from "@hayloft/base/locked-names.js"
import type { Policy } from "@hayloft/base/policy.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { deviceOf, previewChange, type NewDevice, type PreviewFacts } from "@hayloft/engine/cluster/index.js"
import type { ControlDevice, ControlRecord, DeviceHome } from "@hayloft/engine/format/device/control-record.js"
import type { Engine } from "../engine.js"
import { changePlanOf, NEW_ID } from "./change-plan-core.js"
import type { AppliedChange, StoreChange } from "./contract.js"
import { decideChange, lossesOf } from "./decide-change-core.js"
import { lockedAtRisk, type LockedRisks } from "./locked-at-risk-core.js"
import { outlookOf } from "./outlook-core.js"
import { notesOf, type NewDisk } from "./plan-warnings-core.js"
import { policyStepsOf, reencodingsOf } from "./policy-steps-core.js"

/** Properties that a folder would have as a device. */
export interface FolderMatch {
  readonly isMountPoint: boolean
  readonly capacityBytes: number
  /** Equal for folders that fail together. */
  readonly disk: string
  /** The disk of the operating system. */
  readonly systemDisk: string
}

/** The nodes of the store, as far as plans need them. */
export interface PlannedNodes {
  /** Reads what other nodes have changed of the control record until now. */
  refresh(): Promise<void>
  has(node: NodeName): boolean
  /** The home of a device on this disk of this node, claimed by this process. */
  homeOn(disk: string): DeviceHome
  /** Throws `conflict` while the node serves: it cannot be lost then. */
  checkLost(node: NodeName): void
}

export interface PlanSources {
  /** The contents of the store. */
  readonly facts: () => PreviewFacts
  /** It is undefined on one machine. */
  readonly nodes: PlannedNodes | undefined
}

interface InspectedFolders {
  /** See `FolderTaker`. */
  inspect(path: string): Promise<FolderMatch>
}

/** A change as it is planned. */
interface Planned {
  readonly plan: AppliedChange["plan"]
  readonly outlook: string
  /** The outlook with a later control record, without buckets with object lock. Throws what `change` would throw. */
  readonly outlookIn: (record: ControlRecord) => string
}

export class ChangePlanner {
  constructor(
    private readonly engine: Engine,
    private readonly folders: InspectedFolders,
    private readonly clock: Clock,
    private readonly sources: PlanSources,
  ) {}

  private get record(): ControlRecord {
    return this.engine.recordManager.record
  }

  /** Plans a change as the store is now. Changes nothing. Throws what would keep it from being made. */
  async plan(change: StoreChange): Promise<Planned> {
    await this.sources.nodes?.refresh()
    this.checkNodes(change)
    if (!("path" in change)) return this.planOf(change, undefined, undefined)
    const found = await this.folders.inspect(change.path)
    const { isMountPoint, capacityBytes } = found
    const device = { id: NEW_ID, pathHint: change.path, isMountPoint, capacityBytes }
    return this.planOf(change, { ...device, ...this.homeOn(found.disk) }, found)
  }

  /** The home of a device on the disk, if the store has nodes. */
  homeOn(disk: string): { readonly home?: DeviceHome } {
    const { nodes } = this.sources
    return nodes === undefined ? {} : { home: nodes.homeOn(disk) }
  }

  /** Throws `invalidArgument` for a node that does not exist, `conflict` for one that serves and is to be forgotten. */
  private checkNodes(change: StoreChange): void {
    const staged = change.kind === "changeLayout" ? change.changes : [change]
    for (const each of staged) {
      if (!("node" in each) || each.node === undefined) continue
      const { nodes } = this.sources
      const { node } = each
      if (nodes === undefined) {
        throw fail("invalidArgument", { message: "this store has no nodes: its devices are those of one machine" })
      }
      if (!nodes.has(node) && !this.record.devices.some(({ home }) => home?.node === node)) {
        throw fail("invalidArgument", { message: `no node ${node} belongs to this store`, node })
      }
    }
    if (change.kind === "forgetNode") this.sources.nodes?.checkLost(change.node)
  }

  /** The control record with the change. Throws if it must not be made. */
  decide(record: ControlRecord, change: StoreChange, device: NewDevice | undefined): ControlRecord {
    const policy = "policy" in change && change.policy !== "automatic" ? change.policy : undefined
    if (policy !== undefined) this.engine.checkPolicy(policy)
    return decideChange(record, change, { device, ...this.policies(), nowMs: this.clock.wallMs() })
  }

  /** The policies that buckets set for themselves, and with them those that stored blocks have. */
  private policies(): { readonly ofBuckets: readonly Policy[]; readonly inUse: readonly Policy[] } {
    // Blocks that are still stored under another policy will be re-encoded; they need no space in a future layout.
    const ofBuckets = this.engine.services.buckets.policies().map(({ policy }) => policy)
    return { ofBuckets, inUse: [...this.sources.facts().policies.map(({ policy }) => policy), ...ofBuckets] }
  }

  /** `device`: the one that the change adds. `found`: its folder, if that is not taken yet. */
  async planOf(change: StoreChange, device: NewDevice | undefined, found: FolderMatch | undefined): Promise<Planned> {
    const { buckets, classes } = this.engine.services
    const isMapped = change.kind === "setClass" && change.policy !== undefined
    const ofClass = isMapped ? classes.warningsOfPolicy(change.storageClass) : []
    const isOfBucket = change.kind === "setRedundancy" && change.bucket !== undefined
    const holdings = isOfBucket ? await buckets.holdings(change.bucket) : undefined
    const own = await buckets.policiesWithBytes()
    const effectOn = (before: ControlRecord) => {
      const after = this.decide(before, change, device)
      const facts = this.sources.facts()
      const reencodings = reencodingsOf({ before, after }, change, facts, holdings, own)
      const losses = lossesOf(before, change, this.policies().inUse)
      return { before, after, facts, losses, preview: previewChange(before, after, facts, reencodings) }
    }
    const { before, after, facts, losses, preview } = effectOn(this.record)
    const newDisk =
      found && device && isAtNewPath(before, change) ? newDiskOf(before, after, device, found, facts) : undefined
    const notes = notesOf(change, preview, policyStepsOf(change, { before, after }, holdings, own), newDisk)
    const locked = await this.lockedOf(lockedAtRisk(change, await buckets.locked(), { before, after }, facts))
    const devices = [...before.devices, ...after.devices]
    return {
      plan: changePlanOf({ change, preview, losses, devices, notes, ofClass, locked }),
      outlook: outlookOf(preview, losses, locked),
      outlookIn: record => {
        const then = effectOn(record)
        return outlookOf(then.preview, then.losses, undefined)
      },
    }
  }

  /** Looks for versions of the classes that become less safe, as far as the limit of such a look allows. */
  private async lockedOf({ certain, byClass }: LockedRisks): Promise<LockedNames> {
    const names = new Set(certain)
    const doubtful = byClass.filter(({ bucket }) => !names.has(bucket.name))
    const { classes } = this.engine.services
    for (const bucket of await classes.bucketsWith(doubtful)) names.add(bucket.name)
    return lockedNamesOf([...names].sort())
  }
}

/** A folder in the place of a device, such as a new disk at the same mount point, is no new choice of the operator. */
const isAtNewPath = (before: ControlRecord, change: StoreChange): boolean =>
  change.kind === "addDevice" ||
  (change.kind === "replaceDevice" && deviceOf(before, change.id).pathHint !== change.path)

function newDiskOf(
  before: ControlRecord,
  after: ControlRecord,
  { id, pathHint: path, home }: NewDevice,
  { disk, systemDisk }: FolderMatch,
  { diskOf }: PreviewFacts,
): NewDisk {
  // Names of disks are unique on one machine only.
  const isBeside = (device: ControlDevice): boolean =>
    device.home?.machine === home?.machine && device.home?.zone === home?.zone
  return {
    path,
    disk,
    systemDisk,
    weight: deviceOf(after, id).weight,
    isReplacement: before.devices.some(device => !after.devices.some(each => each.id === device.id)),
    otherDisks: before.devices.filter(isBeside).map(device => device.home?.disk ?? diskOf(device.id)),
    otherWeights: before.devices.map(({ weight }) => weight),
  }
}
