/**
 * The copies of a running store: which buckets have a target, the work on each, and what the admin API and the metrics see.
 *
 * Promises  Of the processes of a store the one with the lease `steward` sends. One that loses it ends its requests. The lease is no
 *           fence: a second sender finds that the state of the target has changed, and ends. Rows of buckets that are not
 *           copied any more are removed.
 */
import { AssertionError } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseBucketId, type AccountId, type BucketId, type BucketName } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import { mapBounded, Rest, type BackgroundService } from "@hayloft/base/life/index.js"
import type { Bucket, Buckets, Objects, BucketSettingName } from "@hayloft/objects/index.js"
import type { CopyLog, CopyState } from "./copy-log.js"
import { SenderTurn, type Origin } from "../remote-buckets/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Core } from "@hayloft/objects/door/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { CopiesAdmin, CopiesStatus } from "./contract.js"
import { BucketCopier, type CopyLag, type CopyTotals } from "./copier.js"
import { COPIES_LIMITS } from "./limits.js"
import { isSamePlace, parseCopiesSetting, type CopiesSetting, type CopiesValue } from "./setting.js"

/** A store of the operator's file, as this module needs it. */
interface NamedStore {
  readonly config: { readonly accounts?: readonly string[] | undefined }
  bucket(
    place: Pick<CopiesSetting, "bucket" | "prefix">,
    options: { readonly headers: readonly (readonly [string, string])[] },
  ): Origin
}

interface CopiesParts {
  readonly clock: Clock
  readonly storeClock: Pick<Core["storeClock"], "shownMs" | "isDoubtful">
  readonly random: Random
  readonly log: Log
  readonly copyLog: CopyLog
  readonly objects: Pick<Objects, "get" | "parts" | "list">
  readonly buckets: Pick<Buckets, "setting" | "setSetting"> & {
    withSetting(name: BucketSettingName): Promise<readonly Bucket[]>
  }
  readonly stores: ReadonlyMap<string, NamedStore>
  /** Returns true if buckets of an account may use a store. */
  readonly mayUse: (owner: AccountId, accounts: readonly string[] | undefined) => Promise<boolean>
  /** Resolves once the devices refuse releases that would not log changes. */
  readonly refuseEarlier: () => Promise<void>
  /** Returns true if this process sends. */
  readonly isSender: () => boolean
  /** The bucket of the audit log. */
  readonly auditBucket: BucketName | undefined
}

/** Sent with each request: the other store does not send it back. */
const COPY_HEADERS = [["x-hayloft-copy", "true"]] as const
/** Rows that a status counts, and parked objects that it shows. */
const STATUS_CHANGES_MAX = 100_000
const STATUS_PAGE = 10_000
const STATUS_PARKED_MAX = 100
const ID_BYTES = 8
const ALL_US = Number.MAX_SAFE_INTEGER - 1

export interface BucketLag extends CopyLag {
  readonly bucket: string
  readonly isFilling: boolean
  readonly parked: number
}

export class StoreCopies implements CopiesAdmin, BackgroundService {
  readonly name = "copies"
  readonly totals: CopyTotals = { objects: 0, removals: 0, bytes: 0 }
  private readonly copiers = new Map<BucketId, BucketCopier>()
  private bucketsAtMs = -Infinity
  private readonly betweenRounds: Rest
  private mayHaveLeft = false
  /** Its turn, while this process is the sender. */
  private sender: SenderTurn | undefined

  constructor(private readonly parts: CopiesParts) {
    this.betweenRounds = new Rest(parts.clock)
  }

  /** Returns the lags of the buckets that this process copies. */
  lags(): readonly BucketLag[] {
    return Array.from(this.copiers.values(), copier => ({
      bucket: copier.name,
      isFilling: copier.isFilling,
      parked: copier.parkedCount,
      ...copier.lag(),
    }))
  }

  async run(signal: AbortSignal): Promise<void> {
    const { log } = this.parts
    try {
      while (!signal.aborted) {
        let isBusy = false
        try {
          isBusy = await this.round(signal)
        } catch (error) {
          if (!isFailure(error)) throw error
          log.debug("copies_not_read", { reason: error.message })
        }
        await this.betweenRounds.until(isBusy ? 0 : COPIES_LIMITS.pollMs, signal)
      }
    } finally {
      await this.rest()
    }
  }

  /** One turn of each bucket, while this process is the sender. Returns whether there is more to do at once. */
  async round(signal: AbortSignal): Promise<boolean> {
    const { clock, isSender } = this.parts
    const sender = (this.sender ??= isSender() ? new SenderTurn(clock, signal, isSender) : undefined)
    if (sender === undefined || sender.isOver) return this.rest()
    return this.roundOf(sender)
  }

  private async roundOf(sender: SenderTurn): Promise<boolean> {
    if (this.parts.clock.monotonicMs() - this.bucketsAtMs >= COPIES_LIMITS.bucketsEveryMs)
      await this.readBuckets(sender)
    const turns = await mapBounded(this.copiers.values(), COPIES_LIMITS.bucketsConcurrent, copier =>
      this.turnOf(copier),
    )
    return (await this.dropLeft()) || turns.some(Boolean)
  }

  private async turnOf(copier: BucketCopier): Promise<boolean> {
    try {
      return await copier.turn()
    } catch (error) {
      if (error instanceof AssertionError || !isFailure(error)) throw error
      this.parts.log.debug("copies_not_read", { bucket: copier.name, reason: error.message })
      return false
    }
  }

  /** Another process sends: this one forgets what it knew. */
  private async rest(): Promise<false> {
    this.sender?.end()
    this.sender = undefined
    for (const [id, copier] of this.copiers) {
      this.copiers.delete(id)
      await copier.close()
    }
    this.bucketsAtMs = -Infinity
    return false
  }

  private async readBuckets(sender: SenderTurn): Promise<void> {
    const { buckets, clock } = this.parts
    const found = (await buckets.withSetting("copies")).slice(0, COPIES_LIMITS.bucketsMax)
    const ids = new Set(found.map(({ id }) => id))
    for (const [id, copier] of this.copiers)
      if (!ids.has(id)) {
        this.copiers.delete(id)
        await copier.close()
      }
    for (const bucket of found) {
      const setting = await this.settingOf(bucket)
      if (setting === undefined) continue
      const copier = this.copiers.get(bucket.id)
      if (copier !== undefined) await copier.use(bucket, setting)
      else this.copiers.set(bucket.id, this.copierOf(bucket, setting, sender))
    }
    this.mayHaveLeft = true
    this.bucketsAtMs = clock.monotonicMs()
  }

  /** Removes some rows of buckets that are not copied any more. Returns whether there may be others. */
  private async dropLeft(): Promise<boolean> {
    const { copyLog } = this.parts
    for (let drops = 0; this.mayHaveLeft && drops < COPIES_LIMITS.dropsPerRound; drops += 1) {
      const left = await copyLog.left(NO_BUCKET)
      if (left === undefined) this.mayHaveLeft = false
      else await copyLog.drop(left)
    }
    return this.mayHaveLeft
  }

  private copierOf(bucket: Bucket, setting: CopiesSetting, sender: SenderTurn): BucketCopier {
    const { clock, storeClock, log, copyLog, objects } = this.parts
    const originOf = (of: CopiesSetting) => this.originOf(of)
    const wake = (): void => this.betweenRounds.wake()
    return new BucketCopier(
      { clock, storeClock, log, copyLog, objects, sender, originOf, wake },
      bucket,
      setting,
      this.totals,
    )
  }

  /** Throws `remoteUnavailable` if the operator's file does not name the store. */
  private originOf({ store, bucket, prefix }: CopiesSetting | CopiesValue): Origin {
    const found = this.parts.stores.get(store)
    if (found !== undefined) return found.bucket({ bucket, prefix }, { headers: COPY_HEADERS })
    throw fail("remoteUnavailable", { message: `The file of --remotes does not name the store ${store}.` })
  }

  async settingOf(bucket: Bucket): Promise<CopiesSetting | undefined> {
    if (!bucket.settings.includes("copies")) return undefined
    const record = await asPromise(() => this.parts.buckets.setting(bucket, "copies"))
    return record && parseCopiesSetting(record.document)
  }

  async set(bucket: Bucket, value: CopiesValue): Promise<void> {
    const { stores, mayUse, refuseEarlier, auditBucket, buckets, random } = this.parts
    const refuse = (message: string) => fail("invalidRequest", { message })
    if (bucket.settings.includes("remote"))
      throw refuse("The objects of a remote bucket are in another store already: it is not copied.")
    if (bucket.name === auditBucket)
      throw refuse("The bucket of the audit log is not copied: name a second sink for the log.")
    const store = stores.get(value.store)
    if (store === undefined) throw refuse(`The file of --remotes names no store ${value.store}.`)
    if (!(await mayUse(bucket.owner, store.config.accounts)))
      throw fail("accessDenied", { message: `The owner of the bucket may not use the store ${value.store}.` })
    await this.originOf(value).list({ prefix: "", delimiter: "", after: "", max: 1 }, new AbortController().signal)
    await refuseEarlier()
    const before = await this.settingOf(bucket)
    if (before === undefined && (await buckets.withSetting("copies")).length >= COPIES_LIMITS.bucketsMax)
      throw refuse(`${COPIES_LIMITS.bucketsMax} buckets are copied already: remove the copies of another one first.`)
    const isSame = before !== undefined && isSamePlace(before, value)
    const id = isSame ? before.id : Buffer.from(random.bytes(ID_BYTES)).toString("hex")
    await buckets.setSetting(bucket, "copies", JSON.stringify({ ...value, id }))
    this.look()
  }

  /** Reads the buckets again soon. */
  private look(): void {
    this.bucketsAtMs = -Infinity
    this.betweenRounds.wake()
  }

  async status(bucket: Bucket): Promise<CopiesStatus | undefined> {
    const setting = await this.settingOf(bucket)
    if (setting === undefined) return undefined
    const { copyLog } = this.parts
    const stored = await copyLog.state(bucket.id)
    const state = stored?.target === setting.id ? stored : undefined
    const parked = await copyLog.parked(bucket.id, "", STATUS_PARKED_MAX + 1)
    const lag = await this.lagOf(bucket, state)
    const isFollowing = state?.phase === "following"
    const isWhole = isFollowing && lag.objects === 0
    return {
      setting,
      phase: state?.phase ?? "waiting",
      sinceMs: state?.sinceMs,
      fills: state?.fills ?? 0,
      place: state?.phase === "filling" && state.place !== "" ? state.place : undefined,
      isPaused: state?.isPaused ?? false,
      lag,
      copiedToUs: isWhole ? lag.nowUs : isFollowing ? state.token.us : undefined,
      ...(state !== undefined && state.error !== "" ? { error: state.error, errorMs: state.errorMs } : NO_ERROR),
      parked: parked.slice(0, STATUS_PARKED_MAX).map(({ isFinal, nextMs, ...one }) => ({
        ...one,
        nextMs: isFinal ? undefined : nextMs,
      })),
      hasMoreParked: parked.length > STATUS_PARKED_MAX,
    }
  }

  private async lagOf(bucket: Bucket, state: CopyState | undefined) {
    const { copyLog, clock } = this.parts
    const nowUs = await copyLog.close()
    let [objects, bytes, isCut] = [0, 0, false]
    let sinceMs = clock.wallMs()
    const nowMs = sinceMs
    for (let after = state?.token ?? { us: 0, key: "" }; ;) {
      const page = await copyLog.count(bucket.id, after, ALL_US, STATUS_PAGE)
      objects += page.changes
      bytes += page.bytes
      if (page.oldestUs !== undefined) sinceMs = Math.min(sinceMs, page.oldestUs / 1_000)
      isCut = page.hasMore && objects >= STATUS_CHANGES_MAX
      if (!page.hasMore || isCut || page.last === undefined) break
      after = page.last
    }
    const { parkedMax } = COPIES_LIMITS
    for (const { isFinal, sizeBytes, sinceMs: parkedMs } of await copyLog.parked(bucket.id, "", parkedMax)) {
      if (isFinal) continue
      objects += 1
      bytes += sizeBytes
      sinceMs = Math.min(sinceMs, parkedMs)
    }
    return { objects, bytes, seconds: Math.max(0, nowMs - sinceMs) / 1_000, isCut, nowUs }
  }

  async pause(bucket: Bucket, isPaused: boolean): Promise<void> {
    if (!(await this.parts.copyLog.pause(bucket.id, isPaused))) throw nothingYet(bucket)
    this.look()
  }

  async fillAgain(bucket: Bucket, removesOthers: boolean): Promise<void> {
    if (removesOthers && (await this.settingOf(bucket))?.deletes === false)
      throw fail("invalidRequest", {
        message: `Removals of the bucket ${bucket.name} are not copied: set its copies without --no-deletes, or fill without removing.`,
      })
    if (!(await this.parts.copyLog.restart(bucket.id, removesOthers))) throw nothingYet(bucket)
    this.look()
  }
}

const NO_BUCKET = parseBucketId(0)
const NO_ERROR = { error: undefined, errorMs: undefined }

const nothingYet = ({ name }: Bucket) => fail("conflict", { reason: `nothing of the bucket ${name} was copied yet` })
