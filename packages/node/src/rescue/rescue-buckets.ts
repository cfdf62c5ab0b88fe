/** The buckets of a rescue: those in the snapshot, and those that only needles attest. */
import type { AccountId, BucketId, BucketName } from "@hayloft/base/ids.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import type { RescueEntry } from "./report.js"
import type { SnapshotFacts } from "./snapshot.js"
import type { BucketPlan, RescueTarget } from "./target.js"

const LOCK_IS_NEWER = "object lock is newer than the snapshot: its default retention is lost"

const unnamed = (id: BucketId): BucketName => parseBucketName(`rescued-${id}`)

/** With object lock there is always versioning. */
const withLock = (plan: BucketPlan): BucketPlan => ({
  ...plan,
  versioning: "enabled",
  lock: plan.lock ?? { defaultRetention: undefined },
})

export class RescueBuckets {
  private readonly plans = new Map<BucketId, BucketPlan>()
  private readonly named = new Set<BucketName>()
  private readonly made = new Set<BucketId>()
  private readonly locked = new Set<BucketId>()

  constructor(
    private readonly target: RescueTarget,
    private readonly ownerOf: (owner: AccountId) => AccountId,
    private readonly secretOf: (id: BucketId) => Uint8Array | undefined,
    private readonly onEntry: (entry: RescueEntry) => Promise<void>,
  ) {}

  /** Creates all buckets of the snapshot, also empty ones. */
  async addKnown({ buckets, settingsOf }: SnapshotFacts, list: RescueEntry["list"]): Promise<void> {
    for (const bucket of buckets.values()) {
      const { id, name, owner, location, versioning, lock } = bucket
      const { documents: settings, lost } = settingsOf(bucket)
      const known = { name, owner: this.ownerOf(owner), location, versioning, settings, lock }
      const plan = this.locked.has(id) ? withLock(known) : known
      this.plans.set(id, plan)
      this.named.add(name)
      await this.make(id, plan, list, [
        ...(plan.lock === lock ? [] : [LOCK_IS_NEWER]),
        ...(lost.length === 0 ? [] : [`settings are lost: ${lost.join(", ")}`]),
      ])
    }
  }

  /** The names of buckets with object lock, as far as they are known: of the snapshot, and those that needles attest. */
  lockedNames(
    facts: Pick<SnapshotFacts, "buckets"> | undefined,
    attested: ReadonlySet<BucketId>,
    names: ReadonlyMap<BucketId, BucketName>,
  ): readonly BucketName[] {
    const known = [...(facts?.buckets.values() ?? [])].filter(({ id, lock }) => lock !== undefined && !attested.has(id))
    const nameOf = (id: BucketId): BucketName =>
      this.plans.get(id)?.name ?? facts?.buckets.get(id)?.name ?? names.get(id) ?? unnamed(id)
    return [...new Set([...known.map(({ name }) => name), ...Array.from(attested, nameOf)])].sort()
  }

  /** Needles attest that these buckets have object lock, which is never turned off. */
  async attestLocks(ids: ReadonlySet<BucketId>): Promise<void> {
    for (const id of ids) {
      this.locked.add(id)
      const plan = this.plans.get(id)
      if (plan === undefined || plan.lock !== undefined) continue
      this.plans.set(id, withLock(plan))
      if (this.made.has(id)) await this.target.addBucket(withLock(plan))
    }
  }

  /** Returns the bucket for an object; a bucket without a known name is named by its number. */
  planOf(id: BucketId, spokenOf: BucketName | undefined): BucketPlan {
    const known = this.plans.get(id)
    if (known) return known
    const isFree = spokenOf !== undefined && !this.named.has(spokenOf)
    const name = isFree ? spokenOf : unnamed(id)
    const unknown: BucketPlan = {
      name,
      owner: this.target.rootAccount,
      location: "",
      versioning: "never",
      settings: new Map(),
      lock: undefined,
    }
    const plan = this.locked.has(id) ? withLock(unknown) : unknown
    this.plans.set(id, plan)
    this.named.add(name)
    return plan
  }

  /** In the new store; undefined if it has no such bucket. */
  nameOf(id: BucketId): BucketName | undefined {
    return this.made.has(id) ? this.plans.get(id)?.name : undefined
  }

  /** The versioning state in the snapshot; undefined if unknown. */
  versioningOf(id: BucketId): BucketPlan["versioning"] | undefined {
    if (this.locked.has(id)) return "enabled"
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
    const secret = this.secretOf(id)
    const problem = secret && (await this.target.addBucketSecret(plan.name, secret))
    const all = problem === undefined ? notes : [...notes, problem]
    await this.onEntry({ list, kind: "bucket", name: plan.name, isWritten: true, notes: all })
  }
}
