/** The buckets of a rescue: those that the snapshot names, and those that only needles speak of. */
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

  /** Makes all that the snapshot names, also empty ones. */
  async addKnown({ buckets, settingsOf }: SnapshotFacts, list: RescueEntry["list"]): Promise<void> {
    for (const bucket of buckets.values()) {
      const { id, name, owner, location, versioning } = bucket
      const plan = { name, owner: this.ownerOf(owner), location, versioning, settings: settingsOf(bucket) }
      this.plans.set(id, plan)
      this.named.add(name)
      await this.make(id, plan, list, [])
    }
  }

  /** Where an object is to go; a bucket that nobody names gets a name by its number. */
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

  /** Whether the snapshot tells how versions are kept. */
  versioningOf(id: BucketId): BucketPlan["versioning"] | undefined {
    return this.made.has(id) ? this.plans.get(id)?.versioning : undefined
  }

  /** Makes a bucket that only needles speak of, when something is to be put there. */
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
