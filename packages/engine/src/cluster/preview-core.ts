/**
 * Preview of a change to the control record: bytes for each device, hours, and how many failures the store
 * survives before, during and after the change. Pure.
 *
 * Bytes are those of the objects counted now, spread evenly over the partitions. Needle headers and padding
 * (a few percent at most) are left out.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import { shardCount, shardsNeeded, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { ControlDevice, ControlRecord, ControlTablet } from "../format/device/control-record.js"
import { movement, slotsPerDevice, usableBytes, type Layout } from "../placement/index.js"
import { domainsOfHome, hasPlace, layoutOf } from "./record-layout-core.js"
import { evaluateSafety, type StoragePolicyUse, type Safety, type SafetyInput } from "./safety-core.js"

/** The present state of the store. */
export interface PreviewFacts {
  readonly policies: readonly StoragePolicyUse[]
  readonly lacking: SafetyInput["lacking"]
  readonly misplacedGroups: SafetyInput["misplacedGroups"]
  /** Equal for devices that fail together; also called for a new device. Not called for devices with a home. */
  readonly diskOf: (id: DeviceId) => string
  /** Total write rate of moving and re-encoding. */
  readonly bytesPerSecond: number
}

/** Objects that the change causes to be re-encoded under another policy. */
export interface Reencoding {
  readonly from: Policy
  readonly to: Policy
  readonly bytes: number
}

interface DevicePreview {
  readonly id: DeviceId
  /** Bytes of shards that are written to it. */
  readonly bytesIn: number
  /** Bytes of shards that it gives up. */
  readonly bytesOut: number
}

/** How many arbitrary ones may fail without a loss; -1: something is not readable. */
interface Survives {
  readonly before: number
  readonly during: number
  readonly after: number
}

export interface Preview {
  readonly policyBefore: Policy
  readonly policyAfter: Policy
  /** Bytes of shards that are copied to, or rebuilt on, another device. */
  readonly movedBytes: number
  /** Bytes of shards that re-encoding writes. */
  readonly reencodedBytes: number
  /** Duration of the whole change. */
  readonly hours: number
  /** Every device before and after the change, new ones last. */
  readonly devices: readonly DevicePreview[]
  /** The disks that may fail without a loss. */
  readonly survives: Survives
  /** It is absent if the devices have no homes. */
  readonly survivesMachines?: Survives
  /** It is absent if no zone is named. */
  readonly survivesZones?: Survives
  /** Bytes of objects that fit, including the present ones; undefined if no capacity is known. */
  readonly usableBefore: number | undefined
  readonly usableAfter: number | undefined
}

/** The re-encoding that a policy change causes for these bytes of objects. */
export const reencodingOf = (from: Policy, to: Policy, bytes: number): readonly Reencoding[] =>
  textOfPolicy(from) === textOfPolicy(to) ? [] : [{ from, to, bytes }]

export function previewChange(
  before: ControlRecord,
  after: ControlRecord,
  facts: PreviewFacts,
  reencodings: readonly Reencoding[],
): Preview {
  const [from, to] = [layoutOf(before.layout), layoutOf(after.layout)]
  const moved = movedBytesOf(from, to, facts.policies)
  const reencoded = reencodedBytesOf(to, reencodings)
  const ids = [...new Set([...before.devices, ...after.devices].map(({ id }) => id))]
  const sum = (bytes: ReadonlyMap<DeviceId, number>) => [...bytes.values()].reduce((total, each) => total + each, 0)
  const [movedBytes, reencodedBytes] = [sum(moved.bytesIn), sum(reencoded)]
  return {
    policyBefore: before.policy,
    policyAfter: after.policy,
    movedBytes,
    reencodedBytes,
    hours: (movedBytes + reencodedBytes) / facts.bytesPerSecond / 3600,
    devices: ids.map(id => ({
      id,
      bytesIn: (moved.bytesIn.get(id) ?? 0) + (reencoded.get(id) ?? 0),
      bytesOut: moved.bytesOut.get(id) ?? 0,
    })),
    ...survivals(before, after, facts, reencodings),
    usableBefore: usableOf(before, facts),
    usableAfter: usableOf(after, facts),
  }
}

function movedBytesOf(from: Layout, to: Layout, policies: readonly StoragePolicyUse[]) {
  const bytesIn = new Map<DeviceId, number>()
  const bytesOut = new Map<DeviceId, number>()
  const add = (to: Map<DeviceId, number>, id: DeviceId, bytes: number) => to.set(id, (to.get(id) ?? 0) + bytes)
  for (const { policy, bytes } of policies) {
    const perSlot = bytesPerSlot(to, policy, bytes)
    for (const [id, { slotsIn, offlineSlots }] of movement(from, to, shardCount(policy)).devices) {
      add(bytesIn, id, slotsIn * perSlot)
      add(bytesOut, id, offlineSlots * perSlot)
    }
  }
  return { bytesIn, bytesOut }
}

/** By device, the bytes that re-encoding writes to it. */
function reencodedBytesOf(layout: Layout, reencodings: readonly Reencoding[]): ReadonlyMap<DeviceId, number> {
  const written = new Map<DeviceId, number>()
  for (const { to, bytes } of reencodings) {
    const slots = slotsPerDevice(layout, shardCount(to))
    const perSlot = bytesPerSlot(layout, to, bytes)
    layout.devices.forEach((id, i) => written.set(id, (written.get(id) ?? 0) + (slots[i] ?? 0) * perSlot))
  }
  return written
}

const bytesPerSlot = (layout: Layout, policy: Policy, bytes: number): number =>
  bytes / shardsNeeded(policy) / (layout.table.length / layout.width)

function usableOf(record: ControlRecord, { diskOf }: PreviewFacts): number | undefined {
  const known = record.devices.filter(device => hasPlace(device) && device.capacityBytes > 0)
  const diskNameOf = ({ id, home }: ControlDevice): string =>
    home === undefined ? diskOf(id) : [home.zone, home.machine, home.disk ?? `of ${id}`].join("/")
  // Folders on one file system share its capacity.
  const sharing = new Map<string, number>()
  for (const device of known) sharing.set(diskNameOf(device), 1 + (sharing.get(diskNameOf(device)) ?? 0))
  const capacities = new Map(
    known.map(device => [device.id, device.capacityBytes / (sharing.get(diskNameOf(device)) ?? 1)]),
  )
  const usable = usableBytes(layoutOf(record.layout), capacities, record.policy)
  return usable === Infinity ? undefined : usable
}

function survivals(
  before: ControlRecord,
  after: ControlRecord,
  facts: PreviewFacts,
  reencodings: readonly Reencoding[],
): Pick<Preview, "survives" | "survivesMachines" | "survivesZones"> {
  const givenUpBytes = ({ policy }: StoragePolicyUse): number =>
    reencodings
      .filter(({ from }) => textOfPolicy(from) === textOfPolicy(policy))
      .reduce((sum, { bytes }) => sum + bytes, 0)
  const isThere = (policy: Policy) => facts.policies.some(use => textOfPolicy(use.policy) === textOfPolicy(policy))
  const coming = reencodings.map(({ to, bytes }): StoragePolicyUse => {
    return { policy: to, bytes, isDecommissioning: false, isNew: !isThere(to) }
  })
  const staying = facts.policies.flatMap(use => {
    const bytes = use.bytes - givenUpBytes(use)
    return use.isDecommissioning || (bytes <= 0 && bytes < use.bytes) ? [] : [{ ...use, bytes }]
  })
  const written: StoragePolicyUse = {
    policy: after.policy,
    bytes: 0,
    isDecommissioning: false,
    isNew: !isThere(after.policy),
  }
  const safetyOf = (record: ControlRecord, policies: readonly StoragePolicyUse[], isDone: boolean): Safety =>
    evaluateSafety(safetyInputOf(record, policies, facts, isDone))
  const safeties = {
    before: safetyOf(before, facts.policies, false),
    during: safetyOf(after, [...facts.policies, ...coming, written], false),
    after: safetyOf(settled(after), [...staying, ...coming, written], true),
  }
  const [machines, zones] = [survivesOf(safeties, "machines"), survivesOf(safeties, "zones")]
  const disks = ({ now }: Safety): number => now.disks
  return {
    survives: { before: disks(safeties.before), during: disks(safeties.during), after: disks(safeties.after) },
    ...(machines && { survivesMachines: machines }),
    ...(zones && { survivesZones: zones }),
  }
}

function survivesOf(
  safeties: Readonly<Record<keyof Survives, Safety>>,
  level: "machines" | "zones",
): Survives | undefined {
  const [before, during, after] = [safeties.before[level], safeties.during[level], safeties.after[level]]
  return before && during && after && { before: before.now, during: during.now, after: after.now }
}

export function safetyInputOf(
  record: ControlRecord,
  policies: readonly StoragePolicyUse[],
  facts: PreviewFacts,
  isDone: boolean,
): SafetyInput {
  const metadata = fewestHolders(record.tablets)
  return {
    devices: record.devices.map(({ id, state, home }) => ({
      id,
      state: state === "decommissioning" ? "draining" : state,
      disk: home === undefined ? facts.diskOf(id) : undefined,
      ...(home && domainsOfHome(home)),
    })),
    layout: layoutOf(record.layout),
    previousLayout: record.previousLayout && layoutOf(record.previousLayout),
    policies,
    metadata: metadata && {
      replicas: metadata.replicas.map(({ id }) => id),
      learners: metadata.learners.map(({ id }) => id),
      copiesWanted: record.metaCopies,
    },
    lacking: isDone ? new Map() : facts.lacking,
    misplacedGroups: isDone ? [] : facts.misplacedGroups,
  }
}

function fewestHolders(tablets: readonly ControlTablet[]): ControlTablet | undefined {
  return [...tablets].sort((a, b) => a.replicas.length - b.replicas.length)[0]
}

/** The record once all work is done; offline devices are still offline. */
export function settled(record: ControlRecord): ControlRecord {
  const devices = record.devices
    .filter(({ state }) => state !== "decommissioning")
    .map((device): ControlDevice => (device.state === "rebuilding" ? { ...device, state: "active" } : device))
  const usable = devices.filter(({ state }) => state === "active").map(({ id }) => id)
  const tablets = record.tablets.map(tablet => {
    const holders = [...tablet.replicas, ...tablet.learners].filter(({ id }) => usable.includes(id))
    const others = usable
      .filter(id => !holders.some(holder => holder.id === id))
      .map(id => ({ id, since: tablet.epoch }))
    return { ...tablet, replicas: [...holders, ...others].slice(0, record.metaCopies), learners: [] }
  })
  return { ...record, devices, tablets, previousLayout: undefined }
}
