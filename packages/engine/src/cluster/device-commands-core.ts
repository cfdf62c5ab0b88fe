/**
 * The operator's device commands, decided on the control record: add, join, forget, replace; the others are staged
 * (`staged-changes-core.ts`). Several devices can be added or forgotten in one change of the layout. Pure; each returns the
 * next record, or the same record if nothing changes. The control-record manager sets the generation.
 *
 * Refuses   Changes that would lose objects or are impossible, with `invalidArgument` and the alternative;
 *           changes that must wait until shards have moved, with `conflict`.
 */
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { DEVICES_MAX, PARTITIONS, STORE_DEVICES_MAX } from "@hayloft/base/limits.js"
import { shardCount, shardsNeeded, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { ControlDevice, ControlRecord, DeviceHome } from "../format/device/control-record.js"
import { aliveSlots, replaceDevice as withDeviceReplaced } from "../placement/index.js"
import { deviceOf, withoutReplicas } from "./device-states-core.js"
import { withFewerDevices, withMoreDevices } from "./policy-core.js"
import {
  checkStill,
  controlLayoutOf,
  hasPlace,
  layoutOf,
  mayGain,
  policiesIn,
  widthFor,
  withNextLayout,
} from "./record-layout-core.js"
import { checkWeight } from "./staged-changes-core.js"

export interface NewDevice {
  readonly id: DeviceId
  readonly pathHint: string
  readonly isMountPoint: boolean
  /** Capacity of its file system; 0 if unknown. */
  readonly capacityBytes: number
  /** Given in a store of several nodes. */
  readonly home?: DeviceHome
}

interface JoiningDevice extends NewDevice {
  /** Default: the usual weight. */
  readonly weight?: number
}

const refusal = (message: string) => fail("invalidArgument", { message })

/** The average weight per byte of the others, times the capacity; their average weight if capacities are unknown. */
export function usualWeight(record: ControlRecord, capacityBytes: number): number {
  const known = record.devices.filter(device => hasPlace(device) && device.capacityBytes > 0)
  const basis = capacityBytes > 0 && known.length > 0 ? known : record.devices
  const weight = basis.reduce((sum, device) => sum + device.weight, 0)
  if (basis !== known) return weight / basis.length
  const perByte = weight / known.reduce((sum, device) => sum + device.capacityBytes, 0)
  return Math.max(0.01, Math.round(100 * perByte * capacityBytes) / 100)
}

function checkNew(record: ControlRecord, { id }: NewDevice): void {
  if (record.devices.some(device => device.id === id)) throw refusal(`device ${id} belongs to this store already`)
}

/** A store without homes has one process. */
function checkCounts(devices: readonly Pick<ControlDevice, "home">[]): void {
  if (devices.length > STORE_DEVICES_MAX) throw refusal(`a store has at most ${STORE_DEVICES_MAX} devices`)
  const counts = new Map<string | undefined, number>()
  for (const { home } of devices) counts.set(home?.node, 1 + (counts.get(home?.node) ?? 0))
  for (const [node, count] of counts) {
    if (count <= DEVICES_MAX) continue
    throw refusal(`${node === undefined ? "one process" : `node ${node}`} serves at most ${DEVICES_MAX} devices`)
  }
}

/** `weight` defaults to the usual weight. `bucketPolicies` are the policies that buckets set for themselves. */
export const addDevice = (
  record: ControlRecord,
  device: NewDevice,
  weight: number | undefined,
  bucketPolicies: readonly Policy[],
  nowMs: number,
): ControlRecord => joinDevices(record, [weight === undefined ? device : { ...device, weight }], bucketPolicies, nowMs)

/** Adds several devices in one change of the layout. Throws `conflict` while shards still move. */
export function joinDevices(
  record: ControlRecord,
  joining: readonly JoiningDevice[],
  bucketPolicies: readonly Policy[],
  nowMs: number,
): ControlRecord {
  if (joining.length === 0) return record
  for (const device of joining) {
    checkNew(record, device)
    if (device.weight !== undefined) checkWeight(device.weight)
  }
  if (new Set(joining.map(({ id }) => id)).size < joining.length) throw refusal("a device is named twice")
  checkCounts([...record.devices, ...joining])
  checkStill(record)
  const added = joining.map((device): ControlDevice => ({
    ...device,
    weight: device.weight ?? usualWeight(record, device.capacityBytes),
    state: "rebuilding",
    stateSinceMs: nowMs,
    more: [],
  }))
  const next = withMoreDevices(record, { ...record, devices: [...record.devices, ...added] })
  return withNextLayout(next, widthFor(next, bucketPolicies))
}

/** Devices that a command changes together. */
interface Chosen {
  readonly ids: readonly DeviceId[]
  /** The name of the devices in an error: `device 00…01`, `node n1`. */
  readonly name: string
}

const single = (id: DeviceId): Chosen => ({ ids: [id], name: `device ${id}` })

/**
 * Removes from the store a device that is offline, whose shards others rebuild, or one that is decommissioning and
 * empty (the caller has checked that). `policiesInUse`: all policies that stored blocks have or buckets chose.
 * With `acceptLoss` it proceeds even if objects are lost, but never if all metadata would be lost.
 */
export const forgetDevice = (
  record: ControlRecord,
  id: DeviceId,
  policiesInUse: readonly Policy[],
  acceptLoss: boolean,
): ControlRecord => forgetDevices(record, single(id), policiesInUse, acceptLoss)

/** Works like `forgetDevice`, for several in one change of the layout: evaluates what is lost with all of them. */
export function forgetDevices(
  record: ControlRecord,
  chosen: Chosen,
  policiesInUse: readonly Policy[],
  acceptLoss: boolean,
): ControlRecord {
  const { ids, name } = chosen
  const forgotten = ids.map(id => deviceOf(record, id))
  const inUse = forgotten.find(({ state }) => state !== "offline" && state !== "decommissioning")
  if (inUse !== undefined) {
    throw refusal(`device ${inUse.id} is in use: remove it, and it is forgotten once its data is on other devices`)
  }
  checkMetadataStays(record, chosen)
  const isPlaced = ids.some(id => record.layout.devices.includes(id))
  if (isPlaced || forgotten.some(({ state }) => state === "decommissioning")) checkStill(record)
  if (!acceptLoss && forgotten.some(({ state }) => state === "offline")) checkObjectsStay(record, chosen, policiesInUse)
  const devices = record.devices.filter(device => !ids.includes(device.id))
  if (!devices.some(mayGain)) throw refusal(`without ${name} no device would be in use`)
  const next = withFewerDevices(record, { ...record, devices, tablets: withoutReplicas(record.tablets, ids) })
  return isPlaced ? withNextLayout(next, widthFor(next, policiesInUse), "forced") : next
}

/**
 * Gives the slots of an offline device to an empty one; no other shard moves. Allowed while other shards move.
 * With `acceptLoss` it proceeds even if some objects cannot be rebuilt without the old device.
 */
export function replaceDevice(
  record: ControlRecord,
  oldId: DeviceId,
  device: NewDevice,
  policiesInUse: readonly Policy[],
  acceptLoss: boolean,
  nowMs: number,
): ControlRecord {
  const old = deviceOf(record, oldId)
  checkNew(record, device)
  if (old.state !== "offline") {
    throw refusal(`device ${oldId} is in use: add the new device, then remove this one`)
  }
  checkMetadataStays(record, single(oldId))
  if (!record.layout.devices.includes(oldId)) {
    throw refusal(`device ${oldId} held nothing: forget it, and add the new device`)
  }
  if (!acceptLoss) checkObjectsStay(record, single(oldId), policiesInUse)
  const taking: ControlDevice = { ...device, weight: old.weight, state: "rebuilding", stateSinceMs: nowMs, more: [] }
  const layout = layoutOf(record.layout)
  return {
    ...record,
    devices: record.devices.map(each => (each.id === oldId ? taking : each)),
    tablets: withoutReplicas(record.tablets, [oldId]),
    layout: controlLayoutOf(withDeviceReplaced(layout, oldId, device.id, layout.version + 1)),
  }
}

function checkMetadataStays(record: ControlRecord, { ids, name }: Chosen): void {
  if (!record.tablets.some(({ replicas }) => replicas.every(replica => ids.includes(replica.id)))) return
  throw refusal(`${name} is the only one that holds metadata, and without it no object can be found`)
}

/** Data of which too few shards are left. */
export interface ShardLoss {
  /** The redundancy that it is stored with. */
  readonly policy: string
  /** The partitions of the layout whose data it is. */
  readonly partitions: number
}

export function lossText({ policy, partitions }: ShardLoss): string {
  const share = ((100 * partitions) / PARTITIONS).toFixed(partitions === PARTITIONS ? 0 : 1)
  return `about ${share} % of the data stored as ${policy}`
}

/**
 * Returns the data that has fewer shards than a read needs without the devices. Only complete devices count; a shard that
 * is moving counts only if both its old and its new device do.
 */
export function lossesWithout(
  record: ControlRecord,
  ids: readonly DeviceId[],
  policiesInUse: readonly Policy[],
): readonly ShardLoss[] {
  const whole = record.devices.filter(
    device => !ids.includes(device.id) && device.state !== "offline" && device.state !== "rebuilding",
  )
  const counting = new Set(whole.map(device => device.id))
  const layout = layoutOf(record.layout)
  const previous = record.previousLayout && layoutOf(record.previousLayout)
  const policies = new Map([...policiesIn(record), ...policiesInUse].map(policy => [textOfPolicy(policy), policy]))
  return Array.from(policies, ([text, policy]) => {
    const alive = aliveSlots(layout, counting, shardCount(policy), previous)
    const lost = alive.reduce((sum, count) => sum + (count < shardsNeeded(policy) ? 1 : 0), 0)
    return { policy: text, partitions: lost }
  }).filter(({ partitions }) => partitions > 0)
}

/** Throws `invalidArgument` if some data would have fewer shards than a read needs without the devices. */
function checkObjectsStay(record: ControlRecord, { ids, name }: Chosen, policiesInUse: readonly Policy[]): void {
  const [loss] = lossesWithout(record, ids, policiesInUse)
  if (loss === undefined) return
  throw refusal(
    `without ${name} ${lossText(loss)} has too few shards on complete devices: wait until rebuilding devices are complete, bring it or others back, or accept the loss`,
  )
}
