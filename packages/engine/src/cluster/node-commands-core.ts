/**
 * The operator's commands for nodes, decided on the control record: each changes all devices of a node, in one change
 * of the layout. Pure; each returns the next record, or the same record if nothing changes (also for a node without
 * devices: the caller knows which nodes exist).
 *
 * Refuses   As the commands for single devices (`device-commands-core.ts`).
 */
import type { NodeName } from "@hayloft/base/ids.js"
import type { Policy } from "@hayloft/base/policy.js"
import type { ControlRecord } from "../format/device/control-record.js"
import { devicesOfNode } from "./claims-core.js"
import { forgetDevices } from "./device-commands-core.js"
import { markOffline } from "./device-states-core.js"
import { withLeaving } from "./staged-changes-core.js"

/**
 * Removes all devices of a dead node from the store. They must be offline, or decommissioning and empty (the caller has
 * checked that). Evaluates what would be lost with all of them together; with `acceptLoss` it proceeds nevertheless.
 * A node that had devices is leaving from then on, until its row is gone; of others the record knows nothing.
 */
export function forgetNode(
  record: ControlRecord,
  node: NodeName,
  policiesInUse: readonly Policy[],
  acceptLoss: boolean,
): ControlRecord {
  const ids = devicesOfNode(record, node).map(({ id }) => id)
  if (ids.length === 0) return record
  const forgotten = forgetDevices(record, { ids, name: `node ${node}` }, policiesInUse, acceptLoss)
  return withLeaving(forgotten, node, true)
}

/** The node is lost, which the operator has decided: its devices are offline from now on, however many there are. */
export const markNodeLost = (record: ControlRecord, node: NodeName, nowMs: number): ControlRecord =>
  markOffline(
    record,
    devicesOfNode(record, node).map(({ id }) => id),
    nowMs,
  )
