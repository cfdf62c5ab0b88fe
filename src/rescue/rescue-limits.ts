/**
 * The settings that a rescue takes over for the whole store: the map of storage classes, which is in the control
 * record, and the quotas and features of buckets, which are in the rows of buckets and accounts.
 *
 * Promises  Quotas and features are set last: no quota refuses what is written before, and no feature takes part in it.
 */
import type { AccountId, BucketId, BucketName } from "../base/ids.js"
import { FEATURES, type Services } from "../features/index.js"
import type { ControlRecord } from "../format/control-record.js"
import type { Versioning } from "../format/records.js"
import type { Bucket } from "../object/index.js"
import type { RescueEntry } from "./report.js"
import type { SnapshotFacts } from "./snapshot.js"
import type { RescueTarget } from "./target.js"

type OnEntry = (entry: RescueEntry) => Promise<void>

/** A class whose redundancy the new store cannot have is listed as incomplete; its objects are written all the same. */
export async function addClasses(
  record: ControlRecord | undefined,
  target: Pick<RescueTarget, "addClass">,
  onEntry: OnEntry,
): Promise<void> {
  for (const [storageClass, policy] of record?.classes ?? []) {
    const problem = await target.addClass(storageClass, policy)
    await onEntry({
      list: problem === undefined ? "certain" : "incomplete",
      ...{ kind: "class", name: storageClass, isWritten: problem === undefined },
      notes: problem === undefined ? [] : [`it has no redundancy of its own: ${problem}`],
    })
  }
}

interface QuotaFacts {
  readonly facts: Pick<SnapshotFacts, "accounts" | "buckets">
  readonly nameOf: (id: BucketId) => BucketName | undefined
  /** For an account that is not in the new store, returns its root. */
  readonly accountOf: (id: AccountId) => AccountId
  readonly list: RescueEntry["list"]
}

interface FeatureFacts {
  readonly facts: Pick<SnapshotFacts, "buckets">
  /** In the new store; undefined if it has no such bucket. */
  readonly nameOf: (id: BucketId) => BucketName | undefined
  readonly versioningOf: (id: BucketId) => Versioning | undefined
  readonly list: RescueEntry["list"]
}

/** Sets the features that buckets had. */
export async function addFeatures(
  { facts, nameOf, versioningOf, list }: FeatureFacts,
  target: Pick<RescueTarget, "setFeature">,
  onEntry: OnEntry,
): Promise<void> {
  for (const feature of FEATURES) {
    if (!("rescue" in feature)) continue
    for (const [id, bucket] of facts.buckets) {
      const name = feature.rescue.has(bucket, versioningOf(id)) ? nameOf(id) : undefined
      if (name === undefined) continue
      await target.setFeature(name, feature.rescue, bucket)
      await onEntry({ list, kind: feature.name, name, isWritten: true, notes: [] })
    }
  }
}

/** Takes its features from a bucket that an interrupted rescue has left: they would act on what is written again. */
export async function endFeatures(core: Services["core"], bucket: Bucket): Promise<void> {
  for (const feature of FEATURES) {
    if (!("rescue" in feature) || !feature.rescue.has(bucket, bucket.versioning)) continue
    await feature.rescue.set(core, bucket.id, undefined)
  }
}

/** Once everything that they count is written. */
export async function addQuotas(
  { facts, nameOf, accountOf, list }: QuotaFacts,
  target: Pick<RescueTarget, "setQuota">,
  onEntry: OnEntry,
): Promise<void> {
  const told = (name: string) => onEntry({ list, kind: "quota", name, isWritten: true, notes: [] })
  for (const { id, usage } of facts.buckets.values()) {
    const name = nameOf(id)
    if (usage?.own === undefined || name === undefined) continue
    await target.setQuota({ kind: "bucket", name }, usage.own.limits)
    await told(name)
  }
  for (const { id, quota } of facts.accounts.values()) {
    if (quota === undefined) continue
    await target.setQuota({ kind: "account", id: accountOf(id) }, quota.limits)
    await told(id)
  }
}
