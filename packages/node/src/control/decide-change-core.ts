/** The effect of an operator's change on the control record, and its summary in the plan. Pure. */
import { fail } from "@hayloft/base/failures.js"
import { textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import {
  addDevice,
  admitBucketPolicy,
  devicesOfNode,
  forgetDevice,
  forgetNode,
  lossesWithout,
  markNodeLost,
  replaceDevice,
  revertLayout,
  setClassPolicy,
  setPolicy,
  stageChanges,
  type NewDevice,
  type ShardLoss,
  type StagedChange,
} from "@hayloft/engine/cluster/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { StoreChange } from "./contract.js"

interface ChangeFacts {
  /** For a change that needs a folder. */
  readonly device: NewDevice | undefined
  /** Policies that buckets set for themselves. */
  readonly ofBuckets: readonly Policy[]
  /** These, and all policies that stored blocks have. */
  readonly inUse: readonly Policy[]
  readonly nowMs: number
}

export const chosen = (policy: Policy | "automatic"): Policy | undefined =>
  policy === "automatic" ? undefined : policy

/** Throws `invalidArgument` and `conflict` with the reason and the alternative. */
export function decideChange(
  record: ControlRecord,
  change: StoreChange,
  { device, ofBuckets, inUse, nowMs }: ChangeFacts,
): ControlRecord {
  switch (change.kind) {
    case "addDevice":
      return addDevice(record, needed(device), change.weight, ofBuckets, nowMs)
    case "forgetDevice":
      return forgetDevice(record, change.id, inUse, change.acceptLoss)
    case "forgetNode":
      return forgetNode(markNodeLost(record, change.node, nowMs), change.node, inUse, change.acceptLoss)
    case "replaceDevice":
      return replaceDevice(record, change.id, needed(device), inUse, change.acceptLoss, nowMs)
    case "setRedundancy":
      return change.bucket === undefined
        ? setPolicy(record, change.policy, ofBuckets)
        : admitBucketPolicy(record, chosen(change.policy), ofBuckets)
    case "setClass":
      return setClassPolicy(record, change.storageClass, change.policy, ofBuckets)
    case "revertLayout":
      return revertLayout(record, inUse, nowMs)
    case "changeLayout":
      return stageChanges(record, change.changes, ofBuckets, nowMs)
    default:
      return stageChanges(record, [change], ofBuckets, nowMs)
  }
}

/** The data that a change with `acceptLoss` gives up; a change without it is refused if there is any. */
export function lossesOf(record: ControlRecord, change: StoreChange, inUse: readonly Policy[]): readonly ShardLoss[] {
  if (!("acceptLoss" in change) || !change.acceptLoss) return []
  const ids = change.kind === "forgetNode" ? devicesOfNode(record, change.node).map(({ id }) => id) : [change.id]
  return lossesWithout(record, ids, inUse)
}

function needed(device: NewDevice | undefined): NewDevice {
  if (device === undefined) throw fail("invalidArgument", { message: "the change needs a folder" })
  return device
}

export function summaryOf(change: StoreChange): string {
  switch (change.kind) {
    case "addDevice":
      return `${change.path} is added to the store; shards move to it until it has its share`
    case "forgetDevice":
      return `device ${change.id} is permanently removed from the store; its shards are rebuilt on the others`
    case "forgetNode":
      return `node ${change.node} is permanently removed from the store with all its devices; their shards are rebuilt on the others`
    case "replaceDevice":
      return `${change.path} replaces device ${change.id}; the shards of that device are rebuilt on it`
    case "revertLayout":
      return "the layout becomes the previous one again; at most so many bytes move back"
    case "changeLayout":
      return change.changes.map(stagedSummary).join("; ")
    case "setRedundancy":
      if (change.bucket !== undefined) return bucketSummary(change.bucket, change.policy)
      return change.policy === "automatic"
        ? "the redundancy follows the number of devices"
        : `new objects are stored as ${textOfPolicy(change.policy)}, and existing ones are re-encoded`
    case "setClass":
      return change.policy === undefined
        ? `objects of class ${change.storageClass} follow the redundancy of their bucket or the store`
        : `objects of class ${change.storageClass} are stored as ${textOfPolicy(change.policy)}, and existing ones are re-encoded`
    default:
      return stagedSummary(change)
  }
}

function stagedSummary(change: StagedChange): string {
  switch (change.kind) {
    case "drainDevice":
      return `the shards of device ${change.id} move to the others; it stays part of the store`
    case "removeDevice":
      return `the shards of device ${change.id} move to the others; then it is removed from the store`
    case "useDevice":
      return `device ${change.id} is in use again; shards move to it until it has its share`
    case "setWeight":
      return `device ${change.id} gets a weight of ${change.weight}; shards move until every device has its share`
    case "drainNode":
      return `the shards of node ${change.node} move to other nodes; it stays part of the store`
    case "removeNode":
      return `the shards of node ${change.node} move to other nodes; then it is removed from the store`
    case "useNode":
      return `the devices of node ${change.node} are in use again; shards move to them until they have their share`
  }
}

const bucketSummary = (bucket: string, policy: Policy | "automatic"): string =>
  policy === "automatic"
    ? `bucket ${bucket} follows the redundancy of the store`
    : `objects of bucket ${bucket} are stored as ${textOfPolicy(policy)}, and existing ones are re-encoded`
