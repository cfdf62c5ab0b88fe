/**
 * Steps between policies: which policies a change of the store gives up for which others, and how many bytes it has
 * re-encoded. Pure.
 */
import type { BucketName } from "@hayloft/base/ids.js"
import { textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { reencodingOf, type PreviewFacts, type Reencoding } from "@hayloft/engine/cluster/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { StoreChange } from "./contract.js"
import { chosen } from "./decide-change-core.js"

export interface PolicyStep {
  readonly before: Policy
  readonly after: Policy
  /** Whose objects these are, if the bucket has a policy of its own. */
  readonly bucket?: BucketName
}

/** A control record before a change and after it. */
export interface ChangedRecord {
  readonly before: ControlRecord
  readonly after: ControlRecord
}

/** The size of a bucket, and the policy that it set. */
interface Holdings {
  readonly bytes: number
  readonly policy: Policy | undefined
}

interface OwnPolicy {
  readonly name: BucketName
  readonly policy: Policy
}

export const mappedTo = ({ classes = [] }: ControlRecord, storageClass: StorageClass): Policy | undefined =>
  classes.find(([each]) => each === storageClass)?.[1]

/**
 * The policy changes of the store, or of the class or the bucket that the change concerns. A class that is not mapped has
 * the policy of each bucket. `own`: all policies that buckets set for themselves.
 */
export function policyStepsOf(
  change: StoreChange,
  { before, after }: ChangedRecord,
  holdings: Pick<Holdings, "policy"> | undefined,
  own: readonly OwnPolicy[],
): readonly PolicyStep[] {
  if (change.kind === "setClass") {
    const [from, to] = [mappedTo(before, change.storageClass), change.policy]
    const ofStore = { before: from ?? before.policy, after: to ?? after.policy }
    if (from !== undefined && to !== undefined) return [ofStore]
    const ofBuckets = own.map(({ name, policy }) => ({ before: from ?? policy, after: to ?? policy, bucket: name }))
    return [ofStore, ...ofBuckets]
  }
  if (change.kind !== "setRedundancy" || holdings === undefined) return [{ before: before.policy, after: after.policy }]
  return [{ before: holdings.policy ?? before.policy, after: chosen(change.policy) ?? after.policy }]
}

export function reencodingsOf(
  { before, after }: ChangedRecord,
  change: StoreChange,
  { policies }: Pick<PreviewFacts, "policies">,
  holdings: Holdings | undefined,
  /** The bytes of buckets that set their own policies. */
  own: readonly { readonly bytes: number }[],
): readonly Reencoding[] {
  if (change.kind === "setRedundancy" && holdings !== undefined)
    return reencodingOf(holdings.policy ?? before.policy, chosen(change.policy) ?? after.policy, holdings.bytes)
  if (change.kind === "setClass") {
    const [from, to] = [before, after].map(record => mappedTo(record, change.storageClass) ?? record.policy)
    // Bytes are not counted by class: those that were stored as the class is are the most.
    const held = policies.filter(({ policy }) => from !== undefined && textOfPolicy(policy) === textOfPolicy(from))
    const bytes = before.classes === undefined ? 0 : held.reduce((sum, use) => sum + use.bytes, 0)
    return from && to ? reencodingOf(from, to, bytes) : []
  }
  const allBytes = policies.reduce((sum, { bytes }) => sum + bytes, 0)
  const ownBytes = own.reduce((sum, { bytes }) => sum + bytes, 0)
  return reencodingOf(before.policy, after.policy, Math.max(0, allBytes - ownBytes))
}
