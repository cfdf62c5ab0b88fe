/**
 * The account reaper: removes what deleted accounts have, their containers and all versions of their objects. A job.
 *
 * Promises  Nothing goes before `ACCOUNT_DELAY_DAYS` after the deletion, by both the store's clock and the wall clock. A PUT that brings
 *           the account back later saves all but the page of versions that is being removed. Locked versions stay, and with
 *           them their containers, as do containers with K2V items. Once nothing is left, the account is an empty one.
 * Limits    REAPER_LIMITS.
 */
import type { SwiftAccounts } from "@hayloft/access/index.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { AccountId } from "@hayloft/base/ids.js"
import { mapBounded, type Job, type StepOutcome } from "@hayloft/base/life/index.js"
import type { Bucket, ObjectServices, VersionEntry } from "@hayloft/objects/contract.js"
import { dueTimeMs, versionPages } from "@hayloft/objects/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { walkPages } from "@hayloft/base/walk-pages.js"

/** For as long a deletion can be undone. */
const ACCOUNT_DELAY_DAYS = 7
const DELAY_MS = ACCOUNT_DELAY_DAYS * 86_400_000

const REAPER_LIMITS = {
  /** A pass begins so long after the last one has ended. */
  restMs: 3_600_000,
  bucketsPerPage: 100,
  versionsPerPage: 256,
  removalsConcurrent: 8,
} as const

interface ReaperSeams {
  readonly clock: Clock
  readonly storeClock: { nowMs(): number; readonly isDoubtful: boolean }
  readonly accounts: SwiftAccounts
  readonly services: Pick<ObjectServices, "buckets" | "objects">
  readonly log: Log
}

type Version = Exclude<VersionEntry, { kind: "prefix" }>

export class AccountReaper implements Job {
  readonly name = "account-reaper"
  private pass: AsyncGenerator<void> | undefined
  private nextPassAtMs = -Infinity
  private removed = 0
  private left = 0

  constructor(private readonly seams: ReaperSeams) {}

  progress(): string {
    const waiting = this.left === 0 ? "" : `; ${this.left} containers with locked versions or K2V items wait`
    return `${this.removed} versions of deleted accounts were removed${waiting}`
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    const { clock } = this.seams
    if (this.pass === undefined && clock.monotonicMs() < this.nextPassAtMs) return "idle"
    const nowMs = dueTimeMs(this.seams)
    if (nowMs === undefined) return "idle"
    this.pass ??= this.reap(nowMs - DELAY_MS)
    const { done } = await this.pass.next()
    if (done !== true && !signal.aborted) return "busy"
    this.pass = undefined
    this.nextPassAtMs = clock.monotonicMs() + REAPER_LIMITS.restMs
    return "idle"
  }

  /** Each step is a page of versions. */
  private async *reap(untilMs: number): AsyncGenerator<void> {
    let left = 0
    for await (const id of this.seams.accounts.deletedBy(untilMs)) {
      let leftOfAccount = 0
      for await (const bucket of this.bucketsOf(id)) {
        yield* this.empty(id, bucket, untilMs)
        if (!(await this.isStillDeleted(id, untilMs))) break
        if (!(await this.removeBucket(bucket))) leftOfAccount += 1
      }
      left += leftOfAccount
      if (leftOfAccount === 0) await this.end(id, untilMs)
    }
    this.left = left
  }

  private async *bucketsOf(owner: AccountId): AsyncGenerator<Bucket> {
    const { buckets } = this.seams.services
    const pages = walkPages("", after =>
      buckets.list({
        owner,
        after,
        max: REAPER_LIMITS.bucketsPerPage,
      }),
    )
    for await (const page of pages) {
      yield* page.buckets
    }
  }

  private async isStillDeleted(id: AccountId, untilMs: number): Promise<boolean> {
    const { deletedMs } = await this.seams.accounts.of(id)
    return deletedMs !== undefined && deletedMs <= untilMs
  }

  private async *empty(id: AccountId, bucket: Bucket, untilMs: number): AsyncGenerator<void> {
    const { objects } = this.seams.services
    const request = { bucket, prefix: "", delimiter: "", max: REAPER_LIMITS.versionsPerPage }
    for await (const page of versionPages(objects, request)) {
      if (!(await this.isStillDeleted(id, untilMs))) return
      const versions = page.entries.filter((entry): entry is Version => entry.kind !== "prefix")
      await mapBounded(versions, REAPER_LIMITS.removalsConcurrent, version => this.remove(bucket, version))
      yield
    }
  }

  private async remove(bucket: Bucket, entry: Version): Promise<void> {
    const key = entry.kind === "marker" ? entry.key : entry.object.key
    try {
      await this.seams.services.objects.remove({ bucket, key, versionId: entry.versionId, conditions: {} })
      this.removed += 1
    } catch (error) {
      if (!isFailure(error, "objectLocked", "noSuchBucket")) throw error
    }
  }

  /** Returns whether the bucket is gone. */
  private async removeBucket(bucket: Bucket): Promise<boolean> {
    try {
      await this.seams.services.buckets.remove(bucket)
      return true
    } catch (error) {
      if (isFailure(error, "noSuchBucket")) return true
      if (isFailure(error, "bucketNotEmpty", "bucketClosing")) return false
      throw error
    }
  }

  private async end(id: AccountId, untilMs: number): Promise<void> {
    if (!(await this.isStillDeleted(id, untilMs))) return
    await this.seams.accounts.change(id, ({ deletedMs, ...former }) =>
      deletedMs !== undefined && deletedMs <= untilMs ? { metadata: [], access: "" } : { ...former, deletedMs },
    )
    this.seams.log.info("account_reaped", { account: id })
  }
}
