/**
 * Quotas: sets those of buckets and accounts, brings their counts up to what is there, and tells what is used. See decision 58.
 *
 * Promises  A limit holds from the moment at which `set` resolves. A count that a crash left unfinished is finished by
 *           `finish`, of any process. `check` compares a count with the rows themselves.
 */
import type { z } from "zod"
import type { ReadOnly } from "@hayloft/base/read-only.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { AccountId, BucketId, BucketName } from "@hayloft/base/ids.js"
import { textRowKey } from "@hayloft/engine/format/row-key.js"
import {
  addUsage,
  NO_USAGE,
  type QuotaLimits,
  type Usage,
  type UsageOwner,
} from "@hayloft/engine/format/objects/usage.js"
import { query, type Command, type Metadata } from "@hayloft/engine/metadata/index.js"
import { findBucket } from "@hayloft/objects/door/rows.js"
import {
  advanceAccountUsage,
  finishBucketUsage,
  forgetAccountUsage,
  setAccountQuota,
  setBucketQuota,
} from "./quota-commands-core.js"
import {
  compareUsage,
  endedAccountCounts,
  quotaState,
  quotaStates,
  walkUsage,
  type QuotaState,
  type UsagePlace,
  type WalkedSlice,
} from "./usage-queries-core.js"
import type { QUOTA_CHECK } from "./schemas.js"
import { walkPages } from "@hayloft/base/walk-pages.js"

/** Rows of one query of a walk: some milliseconds. */
const WALKED_ROWS = 2_000
/** Times that a step over the buckets of an account is repeated because others change buckets meanwhile. */
const CONFLICTS_MAX = 10

export type QuotaTarget =
  | { readonly kind: "bucket"; readonly name: BucketName }
  | { readonly kind: "account"; readonly id: AccountId }

type QuotaCheck = ReadOnly<z.output<typeof QUOTA_CHECK>>

/** Returns undefined if the target does not exist, or is being erased. */
export const ownerForQuota = query("OwnerForQuota", (view, target: QuotaTarget): UsageOwner | undefined => {
  if (target.kind === "account") {
    const account = view.get("accounts", textRowKey(target.id))
    return account && { kind: "account", accountId: target.id }
  }
  const bucket = findBucket(view, target.name)
  return bucket === undefined || bucket.state === "erasing" ? undefined : { kind: "bucket", bucketId: bucket.id }
})

export class Quotas {
  constructor(
    private readonly metadata: Pick<Metadata, "run" | "ask">,
    /** Called before the first row that an earlier release would not understand. */
    private readonly prepare: () => Promise<void>,
  ) {}

  /** Throws `noSuchBucket`, `noSuchAccount`, `invalidArgument`. */
  async set(target: QuotaTarget, limits: QuotaLimits): Promise<QuotaState> {
    checkLimits(limits)
    return this.setOf(await this.ownerOf(target), limits)
  }

  /** Does what `set` does for an owner whose id is known, with limits that were accepted before. */
  async setOf(owner: UsageOwner, limits: QuotaLimits): Promise<QuotaState> {
    await this.prepare()
    return this.begin(owner, limits, false)
  }

  /** Counts again from the rows as they are. Throws `noSuchBucket`, `noSuchAccount`; `invalidArgument` if there is no quota. */
  async restart(target: QuotaTarget): Promise<QuotaState> {
    const owner = await this.ownerOf(target)
    const state = await this.metadata.ask(quotaState(owner))
    if (state === undefined) throw fail("invalidArgument", { message: "there is no quota" })
    return this.begin(owner, state.quota.limits, true)
  }

  async clear(target: QuotaTarget): Promise<void> {
    return this.clearOf(await this.ownerOf(target))
  }

  /** Does what `clear` does for an owner whose id is known. */
  async clearOf(owner: UsageOwner): Promise<void> {
    const setting = { limits: undefined, restarts: false }
    if (owner.kind === "bucket") {
      await this.metadata.run(setBucketQuota(owner.bucketId, setting))
      return
    }
    await this.metadata.run(setAccountQuota(owner.accountId, setting))
    await this.forgetCount(owner.accountId)
  }

  /** Lets buckets forget counts of accounts that have no quota any more, which a crash kept. Throws `conflict`. */
  async forgetEnded(): Promise<void> {
    for (const accountId of await this.metadata.ask(endedAccountCounts())) await this.forgetCount(accountId)
  }

  /** Returns undefined if there is no quota. Throws `noSuchBucket`, `noSuchAccount`. */
  async show(target: QuotaTarget): Promise<QuotaState | undefined> {
    return this.metadata.ask(quotaState(await this.ownerOf(target)))
  }

  async list(): Promise<readonly QuotaState[]> {
    return this.metadata.ask(quotaStates())
  }

  /** Throws `noSuchBucket`, `noSuchAccount`. */
  async check(target: QuotaTarget): Promise<QuotaCheck> {
    const owner = await this.ownerOf(target)
    const first = await this.checkOnce(owner)
    if (first.agrees) return first
    // Changes during a walk may leave the sums as they were: a difference is what two walks agree on.
    const second = await this.checkOnce(owner)
    if (second.agrees || isSame(first.walked, second.walked)) return second
    return { ...second, isStill: false, agrees: !second.hasQuota || isCounted(second.used, second.counters) }
  }

  private async checkOnce(owner: UsageOwner): Promise<QuotaCheck> {
    const { isThere, state, counted, buckets } = await this.metadata.ask(compareUsage(owner))
    if (!isThere) throw fail(owner.kind === "bucket" ? "noSuchBucket" : "noSuchAccount")
    const walked = await this.walk(buckets, state?.quota.run)
    const after = await this.metadata.ask(compareUsage(owner))
    const found = { counters: { bytes: counted.bytes, objects: counted.objects }, walked }
    if (state === undefined) {
      const isStill = isSame(after.counted, counted)
      return { hasQuota: false, used: undefined, ...found, isStill, agrees: !isStill || isCounted(walked, counted) }
    }
    const { used } = state
    const isStill = after.state?.used !== undefined && used !== undefined && isSame(after.state.used, used)
    const agrees = isCounted(used, counted) && (!isStill || isSame(used, walked))
    return { hasQuota: true, used, ...found, isStill, agrees }
  }

  private async walk(buckets: readonly { readonly id: BucketId }[], run: string | undefined): Promise<Usage> {
    let walked = NO_USAGE
    for (const { id } of buckets) {
      const slices = walkPages<UsagePlace | undefined, WalkedSlice>(undefined, place =>
        this.metadata.ask(walkUsage(id, place, run, WALKED_ROWS)),
      )
      for await (const { found } of slices) walked = addUsage(walked, found)
    }
    return walked
  }

  /** Finishes a count that a crash left unfinished. Throws `corruptRow`, `conflict`; if it is gone, `noSuchBucket`, `noSuchAccount`. */
  async finish({ owner, quota }: QuotaState): Promise<void> {
    if (!quota.isExact) await this.bringUp(owner, quota.run)
  }

  /** Throws `noSuchBucket`, `noSuchAccount`. */
  private async ownerOf(target: QuotaTarget): Promise<UsageOwner> {
    const owner = await this.metadata.ask(ownerForQuota(target))
    if (owner !== undefined) return owner
    throw target.kind === "bucket"
      ? fail("noSuchBucket", { bucket: target.name })
      : fail("noSuchAccount", { account: target.id })
  }

  private async begin(owner: UsageOwner, limits: QuotaLimits, restarts: boolean): Promise<QuotaState> {
    const setting = { limits, restarts }
    const quota = await (owner.kind === "bucket"
      ? this.metadata.run(setBucketQuota(owner.bucketId, setting))
      : this.metadata.run(setAccountQuota(owner.accountId, setting)))
    if (quota !== undefined && !quota.isExact) await this.bringUp(owner, quota.run)
    const state = await this.metadata.ask(quotaState(owner))
    if (state === undefined) throw fail("conflict", { message: "the quota was removed meanwhile" })
    return state
  }

  private async bringUp(owner: UsageOwner, run: string): Promise<void> {
    if (owner.kind === "bucket") return this.metadata.run(finishBucketUsage(owner.bucketId, run))
    await this.untilDone(() => advanceAccountUsage(owner.accountId, run))
  }

  private forgetCount(accountId: AccountId): Promise<void> {
    return this.untilDone(() => forgetAccountUsage(accountId))
  }

  private async untilDone(step: () => Command<boolean>): Promise<void> {
    for (let conflicts = 0; ;) {
      try {
        if (await this.metadata.run(step())) return
      } catch (error) {
        if (!isFailure(error, "conflict") || (conflicts += 1) > CONFLICTS_MAX) throw error
      }
    }
  }
}

const isCounted = (used: Usage | undefined, { bytes, objects }: QuotaCheck["counters"]): boolean =>
  used?.bytes === bytes && used.objects === objects

const isSame = (a: Usage, b: Usage): boolean =>
  a.bytes === b.bytes && a.objects === b.objects && a.partBytes === b.partBytes

/** Throws `invalidArgument`. */
function checkLimits(limits: QuotaLimits): void {
  const { hardBytes, warnBytes, hardObjects, warnObjects } = limits
  const all = [hardBytes, warnBytes, hardObjects, warnObjects].filter(limit => limit !== undefined)
  const isLevel = (warn = 0, hard = Infinity) => warn <= hard
  const message =
    all.length === 0
      ? "state at least one limit"
      : !all.every(limit => Number.isSafeInteger(limit) && limit >= 0)
        ? "limits are whole numbers from 0"
        : !isLevel(warnBytes, hardBytes) || !isLevel(warnObjects, hardObjects)
          ? "a warning level is at most the limit"
          : undefined
  if (message !== undefined) throw fail("invalidArgument", { message })
}
