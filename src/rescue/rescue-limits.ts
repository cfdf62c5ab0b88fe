/**
 * The settings that a rescue takes over for the whole store: the map of storage classes, which is in the control
 * record, and the quotas and undelete, which are in the rows of buckets and accounts.
 *
 * Promises  Quotas and undelete are set last, so that no quota refuses what is written before, and nothing of it is kept.
 */
import type { AccountId, BucketId, BucketName } from "../base/ids.js"
import type { ControlRecord } from "../format/control-record.js"
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

interface UndeleteFacts {
  readonly facts: Pick<SnapshotFacts, "buckets">
  /** In the new store; undefined if it has no such bucket, or one with versions. */
  readonly nameOf: (id: BucketId) => BucketName | undefined
  readonly list: RescueEntry["list"]
}

/** For deletions from then on: what the former store kept was deleted. */
export async function addUndelete(
  { facts, nameOf, list }: UndeleteFacts,
  target: Pick<RescueTarget, "setUndelete">,
  onEntry: OnEntry,
): Promise<void> {
  for (const { id, undeleteDays } of facts.buckets.values()) {
    const name = undeleteDays === undefined ? undefined : nameOf(id)
    if (undeleteDays === undefined || name === undefined) continue
    await target.setUndelete(name, undeleteDays)
    await onEntry({ list, kind: "undelete", name, isWritten: true, notes: [] })
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
