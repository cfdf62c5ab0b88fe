/**
 * Staged changes: which devices have a place in the layout and with which weight, changed together in one change of the
 * layout. A command for a single device or node is the case of one change. Pure; returns the next record, or the same
 * record if nothing changes (also for a node without devices: the caller knows which nodes exist).
 *
 * Refuses   Changes that are impossible, with `invalidArgument` and the alternative; all of them while shards move after
 *           an earlier change, with `conflict`.
 */
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId, NodeName } from "@hayloft/base/ids.js"
import type { Policy } from "@hayloft/base/policy.js"
import type { ControlDevice, ControlRecord } from "../format/device/control-record.js"
import { devicesOfNode } from "./claims-core.js"
import { deviceOf, withState } from "./device-states-core.js"
import { checkPlacesLeft, withFewerDevices, withMoreDevices } from "./policy-core.js"
import { checkStill, hasPlace, mayGain, widthFor, withNextLayout } from "./record-layout-core.js"

export type StagedChange =
  /** Its shards move to the others; it stays part of the store. */
  | { readonly kind: "drainDevice"; readonly id: DeviceId }
  /** The device is drained, then removed once it is empty. */
  | { readonly kind: "removeDevice"; readonly id: DeviceId }
  /** Takes a draining or decommissioning device back into use. */
  | { readonly kind: "useDevice"; readonly id: DeviceId }
  /** Also takes a draining or decommissioning device back into use. */
  | { readonly kind: "setWeight"; readonly id: DeviceId; readonly weight: number }
  /** The shards of all its devices move to other nodes; it stays part of the store. */
  | { readonly kind: "drainNode"; readonly node: NodeName }
  /** The node is drained, then removed once its devices are empty. */
  | { readonly kind: "removeNode"; readonly node: NodeName }
  /** Takes those of its devices back into use that are being emptied. */
  | { readonly kind: "useNode"; readonly node: NodeName }

const refusal = (message: string) => fail("invalidArgument", { message })

/** Returns the name of the subject of a change in errors: `device 00…01`, `node n1`. */
const nameOfChange = (change: StagedChange): string =>
  "node" in change ? `node ${change.node}` : `device ${change.id}`

export function checkWeight(weight: number): void {
  if (!Number.isFinite(weight) || weight <= 0 || weight > 1e9) {
    throw refusal("a weight is a number above 0; to empty a device, drain it")
  }
}

/** `bucketPolicies`: the policies that buckets set for themselves. */
export function stageChanges(
  record: ControlRecord,
  changes: readonly StagedChange[],
  bucketPolicies: readonly Policy[],
  nowMs: number,
): ControlRecord {
  checkOnce(record, changes)
  const staged = changes.reduce((next, change) => staging(next, change, nowMs), record)
  const before = new Map(record.devices.map(device => [device.id, device]))
  const isLeaving = staged.devices.some(device => !hasPlace(device) && hasPlace(before.get(device.id) ?? device))
  const isComing = staged.devices.some(device => {
    const was = before.get(device.id) ?? device
    return hasPlace(device) && (!hasPlace(was) || was.weight !== device.weight)
  })
  if (!isLeaving && !isComing) return staged
  checkStill(record)
  if (!staged.devices.some(mayGain)) {
    const names = changes.map(nameOfChange)
    throw refusal(
      names.length === 1
        ? `${names[0]} is the only one in use: add another before this one is emptied`
        : `${names.join(", ")} are the only ones in use: add others before these are emptied`,
    )
  }
  const fewer = isLeaving ? withFewerDevices(record, staged) : staged
  if (isLeaving) checkPlacesLeft(fewer, bucketPolicies)
  const next = isComing ? withMoreDevices(record, fewer) : fewer
  return withNextLayout(next, widthFor(next, bucketPolicies))
}

/** The devices that a change concerns. An offline device without a place need not be emptied. */
function subjectsOf(record: ControlRecord, change: StagedChange): readonly ControlDevice[] {
  if (!("node" in change)) return [deviceOf(record, change.id)]
  const placed = new Set([...record.layout.devices, ...(record.previousLayout?.devices ?? [])])
  return devicesOfNode(record, change.node).filter(({ id, state }) => state !== "offline" || placed.has(id))
}

function checkOnce(record: ControlRecord, changes: readonly StagedChange[]): void {
  const seen = new Set<DeviceId>()
  for (const change of changes) {
    for (const { id } of subjectsOf(record, change)) {
      if (seen.has(id)) throw refusal(`two of the changes concern device ${id}`)
      seen.add(id)
    }
  }
}

/** The record with the states and weights of a change, and the same layout. */
function staging(record: ControlRecord, change: StagedChange, nowMs: number): ControlRecord {
  const devices = subjectsOf(record, change)
  switch (change.kind) {
    case "drainDevice":
      return emptied(record, devices, "draining", nowMs)
    case "removeDevice":
      return emptied(record, devices, "decommissioning", nowMs)
    case "useDevice":
      return used(record, devices, nowMs)
    case "setWeight":
      return weighted(record, deviceOf(record, change.id), change.weight, nowMs)
    case "drainNode":
      return withLeaving(emptied(record, devices, "draining", nowMs), change.node, false)
    case "removeNode":
      return withLeaving(emptied(record, devices, "decommissioning", nowMs), change.node, true)
    case "useNode":
      return withLeaving(used(record, devices, nowMs), change.node, false)
  }
}

function emptied(
  record: ControlRecord,
  devices: readonly ControlDevice[],
  state: "draining" | "decommissioning",
  nowMs: number,
): ControlRecord {
  const offline = devices.find(device => device.state === "offline")
  if (offline !== undefined) {
    throw refusal(`device ${offline.id} is offline and cannot be read: replace or forget it`)
  }
  return devices.reduce((next, { id }) => withState(next, id, state, nowMs), record)
}

const isEmptying = (device: ControlDevice): boolean => !hasPlace(device)

const used = (record: ControlRecord, devices: readonly ControlDevice[], nowMs: number): ControlRecord =>
  devices.filter(isEmptying).reduce((next, { id }) => withState(next, id, "rebuilding", nowMs), record)

function weighted(record: ControlRecord, device: ControlDevice, weight: number, nowMs: number): ControlRecord {
  checkWeight(weight)
  const { id } = device
  if (device.state === "offline") throw refusal(`device ${id} is offline: set its weight once it is back`)
  const back = used(record, [device], nowMs)
  if (back === record && device.weight === weight) return record
  return { ...back, devices: back.devices.map(each => (each.id === id ? { ...each, weight } : each)) }
}

/** Records whether the node leaves the store once it has no devices. */
export function withLeaving(record: ControlRecord, node: NodeName, isLeaving: boolean): ControlRecord {
  const { leavingNodes = [], ...rest } = record
  if (leavingNodes.includes(node) === isLeaving) return record
  const leaving = isLeaving ? [...leavingNodes, node] : leavingNodes.filter(each => each !== node)
  return leaving.length === 0 ? rest : { ...rest, leavingNodes: leaving }
}

/** Nodes that were removed and have no devices any more. */
export const emptyLeavingNodes = (record: ControlRecord): readonly NodeName[] =>
  (record.leavingNodes ?? []).filter(node => devicesOfNode(record, node).length === 0)
