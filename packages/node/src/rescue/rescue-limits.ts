/**
 * The settings that a rescue takes over for the whole store: the map of storage classes, which is in the control
 * record, and features, which are in the rows of buckets and accounts.
 *
 * Promises  Features are set last: none refuses what is written before, or takes part in it.
 */
import type { AccountId, BucketId, BucketName } from "@hayloft/base/ids.js"
import { installedFeatures, type FormerVersion, type RescuedFeature } from "@hayloft/features/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Versioning } from "@hayloft/engine/format/records.js"
import type { Bucket, CoreServices, ObjectTarget } from "@hayloft/objects/index.js"
import type { RescueEntry } from "./report.js"
import type { SnapshotFacts } from "./snapshot.js"
import type { RescueTarget } from "./target.js"

interface Rescued {
  readonly name: string
  readonly rescue: RescuedFeature
}

const rescuedFeatures = (): readonly Rescued[] =>
  installedFeatures().flatMap(({ name, rescue }) => (rescue === undefined ? [] : [{ name, rescue }]))

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
      kind: "class",
      name: storageClass,
      isWritten: problem === undefined,
      notes: problem === undefined ? [] : [`it has no redundancy of its own: ${problem}`],
    })
  }
}

interface FeatureFacts {
  readonly facts: Pick<SnapshotFacts, "accounts" | "buckets">
  /** In the new store; undefined if it has no such bucket. */
  readonly nameOf: (id: BucketId) => BucketName | undefined
  readonly versioningOf: (id: BucketId) => Versioning | undefined
  /** For an account that is not in the new store, returns its root. */
  readonly accountOf: (id: AccountId) => AccountId
  readonly list: RescueEntry["list"]
}

/** Sets the features that buckets and accounts had. */
export async function addFeatures(
  { facts, nameOf, versioningOf, accountOf, list }: FeatureFacts,
  target: Pick<RescueTarget, "setFeature" | "setFeatureOfAccount">,
  onEntry: OnEntry,
): Promise<void> {
  for (const { name: kind, rescue } of rescuedFeatures()) {
    const told = (name: string) => onEntry({ list, kind, name, isWritten: true, notes: [] })
    for (const [id, bucket] of facts.buckets) {
      const name = rescue.has(bucket, versioningOf(id)) ? nameOf(id) : undefined
      if (name === undefined) continue
      await target.setFeature(name, rescue, bucket)
      await told(name)
    }
    for (const account of facts.accounts.values()) {
      if (rescue.ofAccounts?.has(account) !== true) continue
      await target.setFeatureOfAccount(accountOf(account.id), rescue.ofAccounts, account)
      await told(account.id)
    }
  }
}

/** Tells features of a version that is written again. */
export async function rescuedByFeatures(
  core: CoreServices["core"],
  target: ObjectTarget,
  former: FormerVersion,
): Promise<void> {
  for (const feature of installedFeatures()) await feature.rescued?.(core, target, former)
}

/** Prepares a store that an interrupted rescue has left for what is written to it again. */
export async function resumeFeatures(core: CoreServices["core"]): Promise<void> {
  for (const { rescue } of rescuedFeatures()) await rescue.resume?.(core)
}

/** Takes its features from a bucket that an interrupted rescue has left: they would act on what is written again. */
export async function endFeatures(core: CoreServices["core"], bucket: Bucket): Promise<void> {
  for (const { rescue } of rescuedFeatures()) {
    if (rescue.has(bucket, bucket.versioning)) await rescue.set(core, bucket.id, undefined)
  }
}
