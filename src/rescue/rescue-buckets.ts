/** The buckets of a rescue: those in the snapshot, and those that only needles attest. */
import type { AccountId, BucketId, BucketName } from "../base/ids.js"
import { parseBucketName } from "../base/ids.js"
import type { RescueEntry } from "./report.js"
import type { SnapshotFacts } from "./snapshot.js"
import type { BucketPlan, RescueTarget } from "./target.js"

export class RescueBuckets {
  private readonly plans = new Map<BucketId, BucketPlan>()
  private readonly named = new Set<BucketName>()
  private readonly made = new Set<BucketId>()

  constructor(
    private readonly target: RescueTarget,
    private readonly ownerOf: (owner: AccountId) => AccountId,
    private readonly onEntry: (entry: RescueEntry) => Promise<void>,
  ) {}

  /** Creates all buckets of the snapshot, also empty ones. */
  async addKnown({ buckets, settingsOf }: SnapshotFacts, list: RescueEntry["list"]): Promise<void> {
    for (const bucket of buckets.values()) {
      const { id, name, owner, location, versioning } = bucket
      const plan = { name, owner: this.ownerOf(owner), location, versioning, settings: settingsOf(bucket) }
      this.plans.set(id, plan)
      this.named.add(name)
      await this.make(id, plan, list, [])
    }
  }

  /** Returns the bucket for an object; a bucket without a known name is named by its number. */
  planOf(id: BucketId, spokenOf: BucketName | undefined): BucketPlan {
    const known = this.plans.get(id)
    if (known) return known
    const isFree = spokenOf !== undefined && !this.named.has(spokenOf)
    const name = isFree ? spokenOf : parseBucketName(`rescued-${id}`)
    const plan: BucketPlan = {
      name,
      owner: this.target.rootAccount,
      location: "",
      versioning: "never",
      settings: new Map(),
    }
    this.plans.set(id, plan)
    this.named.add(name)
    return plan
  }

  /** The versioning state in the snapshot; undefined if unknown. */
  versioningOf(id: BucketId): BucketPlan["versioning"] | undefined {
    return this.made.has(id) ? this.plans.get(id)?.versioning : undefined
  }

  /** Creates a bucket that only needles attest, before the first write to it. */
  async need(id: BucketId, plan: BucketPlan): Promise<void> {
    if (this.made.has(id)) return
    const isNamed = !plan.name.startsWith("rescued-")
    await this.make(id, plan, "probable", [
      isNamed ? "its owner and settings are lost" : "its name, owner and settings are lost",
    ])
  }

  private async make(
    id: BucketId,
    plan: BucketPlan,
    list: RescueEntry["list"],
    notes: readonly string[],
  ): Promise<void> {
    await this.target.addBucket(plan)
    this.made.add(id)
    await this.onEntry({ list, kind: "bucket", name: plan.name, isWritten: true, notes })
  }
}
