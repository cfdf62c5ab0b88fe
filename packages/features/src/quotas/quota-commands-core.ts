/**
 * Commands that set quotas, and begin what they count. Pure.
 *
 * A count of rows that are there already becomes exact in two steps. The first names it in the records of its buckets: that
 * raises the generation, so whatever was decided before does not commit any more, and from then on each change of counters
 * also changes the count. Counters and count then differ by a number that stays, in any moment of which both are read. The
 * second step adds it; limits hold from then on. See decision 58.
 */
import { fail } from "@hayloft/base/failures.js"
import { bytesOfByteString } from "@hayloft/base/ids.js"
import type { AccountId, BucketId, RowKey } from "@hayloft/base/ids.js"
import { hexOf } from "@hayloft/base/bytes.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import {
  decodeAccount,
  encodeAccount,
  encodeBucket,
  NO_COUNTS,
  type AccountRecord,
  type BucketRecord,
  type Counters,
} from "@hayloft/engine/format/records.js"
import { bucketRowKey, textRowKey } from "@hayloft/engine/format/row-key.js"
import {
  decodeUsage,
  NO_USAGE,
  usageRowKey,
  type Quota,
  type QuotaLimits,
  type UsageOwner,
} from "@hayloft/engine/format/objects/usage.js"
import { command, type DecisionTime, type RowView, type UsageChange } from "@hayloft/engine/metadata/index.js"
import { ALL_BUCKETS, allBuckets, bucketOfRow, countersIn, readCounters } from "@hayloft/objects/door/rows.js"

/** Buckets that one command lets an account count. */
const JOINED_MAX = 100

/** Throws `noSuchBucket`. */
function bucketIn(view: RowView, bucketId: BucketId): BucketRecord {
  const row = view.get("buckets", bucketRowKey(bucketId))
  const bucket = row && bucketOfRow(row)
  if (bucket === undefined || bucket.state === "erasing") throw fail("noSuchBucket")
  return bucket
}

/** Throws `noSuchAccount`. */
function accountIn(view: RowView, id: AccountId): AccountRecord {
  const row = view.get("accounts", textRowKey(id))
  if (row === undefined) throw fail("noSuchAccount", { account: id })
  return decodeAccount(row.value)
}

const runOf = ({ id }: DecisionTime): string => hexOf(bytesOfByteString(id))

/** A setting with undefined limits ends the quota. `restarts`: what is used is counted again. */
interface QuotaSetting {
  readonly limits: QuotaLimits | undefined
  readonly restarts: boolean
}

interface Change {
  readonly quota: Quota | undefined
  readonly usage: readonly UsageChange[]
}

/** Limits of a count that goes on change alone. */
function changeOf(
  before: Quota | undefined,
  { limits, restarts }: QuotaSetting,
  run: string,
  owner: UsageOwner,
): Change {
  if (limits !== undefined && before !== undefined && !restarts) return { quota: { ...before, limits }, usage: [] }
  const dropped: UsageChange[] = before === undefined ? [] : [{ key: usageRowKey(owner, before.run), change: "drop" }]
  if (limits === undefined) return { quota: undefined, usage: dropped }
  const begun: UsageChange = { key: usageRowKey(owner, run), change: NO_USAGE, isNew: true }
  return { quota: { run, isExact: false, limits }, usage: [...dropped, begun] }
}

function bucketWrite({ usage: _usage, ...bucket }: BucketRecord, own?: Quota, accountRun?: string): EntryWrite {
  const usage = { ...(own && { own }), ...(accountRun !== undefined && { accountRun }) }
  const isCounted = own !== undefined || accountRun !== undefined
  const value = encodeBucket(isCounted ? { ...bucket, usage } : bucket)
  return { family: "buckets", key: bucketRowKey(bucket.id), value }
}

/** Returns the quota as it is now; it may end what fills the store. Throws `noSuchBucket`. */
export const setBucketQuota = command<[bucketId: BucketId, setting: QuotaSetting], Quota | undefined>({
  name: "SetBucketQuota",
  grows: false,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
  decide(view, time, bucketId, setting) {
    const bucket = bucketIn(view, bucketId)
    const { own, accountRun } = bucket.usage ?? {}
    const { quota, usage } = changeOf(own, setting, runOf(time), { kind: "bucket", bucketId })
    if (quota === undefined && own === undefined) return { writes: [], result: undefined }
    return { writes: [bucketWrite(bucket, quota, accountRun)], usage, result: quota }
  },
})

/** Makes the count of a bucket exact, unless it is, or another has begun. */
export const finishBucketUsage = command<[bucketId: BucketId, run: string], void>({
  name: "FinishBucketUsage",
  grows: false,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
  decide(view, _time, bucketId, run) {
    const bucket = bucketIn(view, bucketId)
    const { own, accountRun } = bucket.usage ?? {}
    if (own === undefined || own.run !== run || own.isExact) return { writes: [], result: undefined }
    const key = usageRowKey({ kind: "bucket", bucketId }, run)
    const usage = [missingIn(view, key, readCounters(view, bucketId))]
    return { writes: [bucketWrite(bucket, { ...own, isExact: true }, accountRun)], usage, result: undefined }
  },
})

/** Returns what a count lacks. Throws `corruptRow`. */
function missingIn(view: RowView, key: RowKey, { bytes, versions }: Counters): UsageChange {
  const row = view.get("usage", key)
  if (row === undefined) throw fail("corruptRow", { message: "the row of a quota is lost; count again" })
  const used = decodeUsage(row.value)
  return { key, change: { bytes: bytes - used.bytes, objects: versions - used.objects, partBytes: 0 } }
}

const accountWrite = ({ quota: _quota, ...account }: AccountRecord, quota: Quota | undefined): EntryWrite => ({
  family: "accounts",
  key: textRowKey(account.id),
  value: encodeAccount(quota === undefined ? account : { ...account, quota }),
})

/** Returns the quota as it is now; it may end what fills the store. Throws `noSuchAccount`. */
export const setAccountQuota = command<[accountId: AccountId, setting: QuotaSetting], Quota | undefined>({
  name: "SetAccountQuota",
  grows: false,
  touches: accountId => [["accounts", textRowKey(accountId)]],
  decide(view, time, accountId, setting) {
    const account = accountIn(view, accountId)
    const { quota, usage } = changeOf(account.quota, setting, runOf(time), { kind: "account", accountId })
    if (quota === undefined && account.quota === undefined) return { writes: [], result: undefined }
    return { writes: [accountWrite(account, quota)], usage, result: quota }
  },
})

/** All buckets of an account, also those that are being erased: their versions are still counted. */
const bucketsOf = (view: RowView, accountId: AccountId): readonly BucketRecord[] =>
  allBuckets(view).filter(({ owner }) => owner === accountId)

/**
 * Lets the count of an account include its buckets, some in each call; once it includes all it becomes exact. Returns
 * whether there is nothing left to do.
 */
export const advanceAccountUsage = command<[accountId: AccountId, run: string], boolean>({
  name: "AdvanceAccountUsage",
  grows: false,
  touches: accountId => [["accounts", textRowKey(accountId)]],
  decide(view, _time, accountId, run) {
    const account = accountIn(view, accountId)
    const { quota } = account
    if (quota === undefined || quota.run !== run || quota.isExact) return { writes: [], result: true }
    const buckets = bucketsOf(view, accountId)
    const others = buckets.filter(({ usage }) => usage?.accountRun !== run).slice(0, JOINED_MAX)
    if (others.length > 0) {
      return { writes: others.map(bucket => bucketWrite(bucket, bucket.usage?.own, run)), result: false }
    }
    const usage = [missingIn(view, usageRowKey({ kind: "account", accountId }, run), sumOf(view, buckets))]
    return { writes: [accountWrite(account, { ...quota, isExact: true })], usage, result: true }
  },
})

/**
 * Lets buckets forget the count of their account, which has no quota any more, some in each call: each of their changes would
 * look for it. Returns whether there is nothing left to do.
 */
export const forgetAccountUsage = command<[accountId: AccountId], boolean>({
  name: "ForgetAccountUsage",
  grows: false,
  touches: accountId => [["accounts", textRowKey(accountId)]],
  decide(view, _time, accountId) {
    if (accountIn(view, accountId).quota !== undefined) return { writes: [], result: true }
    const named = bucketsOf(view, accountId).filter(({ usage }) => usage?.accountRun !== undefined)
    const some = named.slice(0, JOINED_MAX)
    return { writes: some.map(bucket => bucketWrite(bucket, bucket.usage?.own)), result: some.length === named.length }
  },
})

function sumOf(view: RowView, buckets: readonly BucketRecord[]): Counters {
  // One range: an engine fetches the counters of all buckets together.
  const all = new Map(view.range("counters", ALL_BUCKETS))
  return buckets.reduce((sum, { id }) => {
    const { objects, versions, bytes, uploads } = countersIn(all.get(bucketRowKey(id)))
    return {
      objects: sum.objects + objects,
      versions: sum.versions + versions,
      bytes: sum.bytes + bytes,
      uploads: sum.uploads + uploads,
    }
  }, NO_COUNTS)
}
