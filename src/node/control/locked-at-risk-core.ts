/**
 * Locked buckets at risk: the buckets with object lock that a change of the store leaves less safe than they were
 * promised to be. An operator has to name them. Pure.
 *
 * A bucket is at risk if its policy, with the metadata, would survive fewer lost disks, machines or zones than before, and
 * if the change accepts a loss: nothing tells whose objects are lost. The policy of a storage class concerns all of them,
 * once there was a version of another class than STANDARD: nothing tells in which buckets they are.
 */
import { lockedNamesOf, type LockedNames } from "../../base/locked-names.js"
import { textOfPolicy, type Policy } from "../../base/policy.js"
import { survivesLess, type PreviewFacts } from "../../cluster/index.js"
import type { ControlRecord } from "../../format/control-record.js"
import type { LockedBucket } from "../../object/index.js"
import type { StoreChange } from "./contract.js"
import { chosen } from "./decide-change-core.js"

interface Records {
  readonly before: ControlRecord
  readonly after: ControlRecord
}

/** Of a stopped store, which does not know how many shards its devices lack. */
export const stoppedLocksAtRisk = (
  locked: readonly LockedBucket[],
  records: Records,
  acceptsLoss: boolean,
): LockedNames => namesAtRisk(locked, records, UNKNOWN_FACTS, acceptsLoss, ({ policy }) => policy)

const UNKNOWN_FACTS: PreviewFacts = {
  ...{ policies: [], lacking: new Map(), misplacedGroups: [], bytesPerSecond: 1 },
  diskOf: id => id,
}

export function lockedAtRisk(
  change: StoreChange,
  locked: readonly LockedBucket[],
  records: Records,
  facts: PreviewFacts,
): LockedNames {
  const acceptsLoss = "acceptLoss" in change && change.acceptLoss
  const policyAfter = ({ name, policy }: LockedBucket): Policy | undefined =>
    change.kind === "setRedundancy" && change.bucket === name ? chosen(change.policy) : policy
  if (change.kind !== "setClass") return namesAtRisk(locked, records, facts, acceptsLoss, policyAfter)
  const { classes } = records.before
  if (classes === undefined) return lockedNamesOf([])
  const before = classes.find(([storageClass]) => storageClass === change.storageClass)?.[1]
  const classed = locked.map(bucket => ({ ...bucket, policy: before ?? bucket.policy }))
  const ofBuckets = new Map(locked.map(({ name, policy }) => [name, policy]))
  return namesAtRisk(classed, records, facts, acceptsLoss, ({ name }) => change.policy ?? ofBuckets.get(name))
}

function namesAtRisk(
  locked: readonly LockedBucket[],
  { before, after }: Records,
  facts: PreviewFacts,
  acceptsLoss: boolean,
  /** The bucket's own policy. */
  policyAfter: (bucket: LockedBucket) => Policy | undefined,
): LockedNames {
  // Few policies, and maybe many buckets.
  const known = new Map<string, boolean>()
  const isLess = (from: Policy, to: Policy): boolean => {
    const name = `${textOfPolicy(from)} ${textOfPolicy(to)}`
    const less = known.get(name) ?? survivesLess(before, after, facts, { before: from, after: to })
    known.set(name, less)
    return less
  }
  const isAtRisk = (bucket: LockedBucket): boolean =>
    acceptsLoss || isLess(bucket.policy ?? before.policy, policyAfter(bucket) ?? after.policy)
  return lockedNamesOf(locked.filter(isAtRisk).map(({ name }) => name))
}
