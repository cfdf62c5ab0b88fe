/** Staged changes of one device, or of one node, each made by itself. */
import type { DeviceId, NodeName } from "@hayloft/base/ids.js"
import type { Policy } from "@hayloft/base/policy.js"
import type { ControlRecord } from "../format/device/control-record.js"
import { stageChanges } from "./staged-changes-core.js"

export const drainDevice = (
  record: ControlRecord,
  id: DeviceId,
  bucketPolicies: readonly Policy[],
  nowMs: number,
): ControlRecord => stageChanges(record, [{ kind: "drainDevice", id }], bucketPolicies, nowMs)

/** Decommissions the device; `forgetDevice` forgets it once it is empty. */
export const removeDevice = (
  record: ControlRecord,
  id: DeviceId,
  bucketPolicies: readonly Policy[],
  nowMs: number,
): ControlRecord => stageChanges(record, [{ kind: "removeDevice", id }], bucketPolicies, nowMs)

/** Also takes a draining or decommissioning device back into use. */
export const setWeight = (
  record: ControlRecord,
  id: DeviceId,
  weight: number,
  bucketPolicies: readonly Policy[],
  nowMs: number,
): ControlRecord => stageChanges(record, [{ kind: "setWeight", id, weight }], bucketPolicies, nowMs)

/** Moves all shards of the node to other nodes; its devices stay in the store, without a place. */
export const drainNode = (
  record: ControlRecord,
  node: NodeName,
  bucketPolicies: readonly Policy[],
  nowMs: number,
): ControlRecord => stageChanges(record, [{ kind: "drainNode", node }], bucketPolicies, nowMs)

/** Decommissions all devices of the node; each is forgotten once it is empty, and the node leaves after the last one. */
export const removeNode = (
  record: ControlRecord,
  node: NodeName,
  bucketPolicies: readonly Policy[],
  nowMs: number,
): ControlRecord => stageChanges(record, [{ kind: "removeNode", node }], bucketPolicies, nowMs)

/**
 * Takes the devices of a node back into use that are being emptied: after `drainNode`, or after it was offline and its
 * places were given to others.
 */
export const useNode = (
  record: ControlRecord,
  node: NodeName,
  bucketPolicies: readonly Policy[],
  nowMs: number,
): ControlRecord => stageChanges(record, [{ kind: "useNode", node }], bucketPolicies, nowMs)
