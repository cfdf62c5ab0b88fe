/**
 * Locked buckets at risk: the buckets with object lock that a change of the store leaves less safe than they were
 * promised to be. An operator has to name them. Pure.
 *
 * A bucket is at risk if its policy or that of a storage class, with the metadata, would survive fewer lost disks, machines
 * or zones than before, and if the change accepts a loss: nothing tells whose objects are lost. Whether the bucket holds
 * versions of a class that becomes less safe is to be looked up.
 */
import { lockedNamesOf, type LockedNames } from "@hayloft/base/locked-names.js"
import type { BucketName } from "@hayloft/base/ids.js"
import { textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { survivesLess, type PreviewFacts } from "@hayloft/engine/cluster/index.js"
import type { LockedBucket } from "@hayloft/objects/index.js"
import type { StoreChange } from "./contract.js"
import { chosen } from "./decide-change-core.js"
import { mappedTo, type ChangedRecord } from "./policy-steps-core.js"

/** In the order of the buckets' names. */
export interface LockedRisks {
  /** Less safe whatever they hold. */
  readonly certain: readonly BucketName[]
  /** Less safe if they hold versions of one of these classes. */
  readonly byClass: readonly { readonly bucket: LockedBucket; readonly classes: readonly StorageClass[] }[]
}

const UNKNOWN_FACTS: PreviewFacts = {
  policies: [],
  lacking: new Map(),
  misplacedGroups: [],
  bytesPerSecond: 1,
  diskOf: id => id,
}

/**
 * Returns the locked buckets at risk in a stopped store, which does not know how many shards its devices lack, nor
 * which classes its buckets hold.
 */
export function stoppedLocksAtRisk(
  locked: readonly LockedBucket[],
  records: ChangedRecord,
  acceptsLoss: boolean,
): LockedNames {
  const { certain, byClass } = risksOf(locked, records, UNKNOWN_FACTS, acceptsLoss, ({ policy }) => policy)
  return lockedNamesOf([...certain, ...byClass.map(({ bucket }) => bucket.name)].sort())
}

export function lockedAtRisk(
  change: StoreChange,
  locked: readonly LockedBucket[],
  records: ChangedRecord,
  facts: PreviewFacts,
): LockedRisks {
  const acceptsLoss = "acceptLoss" in change && change.acceptLoss
  const policyAfter = ({ name, policy }: LockedBucket): Policy | undefined =>
    change.kind === "setRedundancy" && change.bucket === name ? chosen(change.policy) : policy
  return risksOf(locked, records, facts, acceptsLoss, policyAfter)
}

function risksOf(
  locked: readonly LockedBucket[],
  { before, after }: ChangedRecord,
  facts: PreviewFacts,
  acceptsLoss: boolean,
  /** The bucket's own policy. */
  policyAfter: (bucket: LockedBucket) => Policy | undefined,
): LockedRisks {
  // Few policies, and maybe many buckets.
  const known = new Map<string, boolean>()
  const isLess = (from: Policy, to: Policy): boolean => {
    const name = `${textOfPolicy(from)} ${textOfPolicy(to)}`
    const less = known.get(name) ?? survivesLess(before, after, facts, { before: from, after: to })
    known.set(name, less)
    return less
  }
  // Without `classes` there has never been a version of another class than STANDARD.
  const mapped = before.classes === undefined ? [] : [...before.classes, ...(after.classes ?? [])]
  const classes = [...new Set(mapped.map(([storageClass]) => storageClass))]
  const certain: BucketName[] = []
  const byClass: { bucket: LockedBucket; classes: readonly StorageClass[] }[] = []
  for (const bucket of locked) {
    const [from, to] = [bucket.policy ?? before.policy, policyAfter(bucket) ?? after.policy]
    const less = classes.filter(each => isLess(mappedTo(before, each) ?? from, mappedTo(after, each) ?? to))
    if (acceptsLoss || isLess(from, to)) certain.push(bucket.name)
    else if (less.length > 0) byClass.push({ bucket, classes: less })
  }
  return { certain, byClass }
}
