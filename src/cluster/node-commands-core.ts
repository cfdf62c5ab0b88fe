/**
 * The operator's commands for nodes, decided on the control record: each changes all devices of a node, in one change
 * of the layout. Pure; each returns the next record, or the same record if nothing changes (also for a node without
 * devices: the caller knows which nodes exist).
 *
 * Refuses   As the commands for single devices (`device-commands-core.ts`).
 */
import type { NodeName } from "../base/ids.js"
import type { Policy } from "../base/policy.js"
import type { ControlDevice, ControlRecord } from "../format/control-record.js"
import { devicesOfNode } from "./claims-core.js"
import { emptyDevices, forgetDevices, useDevices, type Chosen } from "./device-commands-core.js"

const chosen = (node: NodeName, devices: readonly ControlDevice[]): Chosen => ({
  ids: devices.map(({ id }) => id),
  name: `node ${node}`,
})

/** Offline devices without a place need not be emptied; those with one make the command fail. */
function withContents(record: ControlRecord, node: NodeName): readonly ControlDevice[] {
  const placed = new Set([...record.layout.devices, ...(record.previousLayout?.devices ?? [])])
  return devicesOfNode(record, node).filter(({ id, state }) => state !== "offline" || placed.has(id))
}

/** Moves all shards of the node to other nodes; its devices stay in the store, without a place. */
export const drainNode = (
  record: ControlRecord,
  node: NodeName,
  bucketPolicies: readonly Policy[],
  nowMs: number,
): ControlRecord => emptyDevices(record, chosen(node, withContents(record, node)), "draining", bucketPolicies, nowMs)

/** Decommissions all devices of the node; each is forgotten once it is empty. */
export const removeNode = (
  record: ControlRecord,
  node: NodeName,
  bucketPolicies: readonly Policy[],
  nowMs: number,
): ControlRecord =>
  emptyDevices(record, chosen(node, withContents(record, node)), "decommissioning", bucketPolicies, nowMs)

/**
 * Takes the devices of a node back into use that are being emptied: after `drainNode`, or after it was offline and its
 * places were given to others.
 */
export const useNode = (
  record: ControlRecord,
  node: NodeName,
  bucketPolicies: readonly Policy[],
  nowMs: number,
): ControlRecord =>
  useDevices(
    record,
    devicesOfNode(record, node).map(({ id }) => id),
    bucketPolicies,
    nowMs,
  )

/**
 * Removes all devices of a dead node from the store. They must be offline, or decommissioning and empty (the caller has
 * checked that). Evaluates what would be lost with all of them together; with `acceptLoss` it proceeds nevertheless.
 */
export function forgetNode(
  record: ControlRecord,
  node: NodeName,
  policiesInUse: readonly Policy[],
  acceptLoss: boolean,
): ControlRecord {
  const devices = devicesOfNode(record, node)
  return devices.length === 0 ? record : forgetDevices(record, chosen(node, devices), policiesInUse, acceptLoss)
}
