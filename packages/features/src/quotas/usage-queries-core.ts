/** The usage that quotas count, for people and for the comparison with the rows themselves. Pure. */
import type { Family } from "@hayloft/base/rows/families.js"
import type { AccountId, BucketId, BucketName, RowKey } from "@hayloft/base/ids.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { decodeAccount, decodePart, decodeUpload, type BucketRecord } from "@hayloft/engine/format/records.js"
import { bucketRowKey, suffixRange, textRowKey, uploadOfPartRowKey } from "@hayloft/engine/format/row-key.js"
import { plainBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import {
  addUsage,
  decodeUsage,
  NO_USAGE,
  usageRowKey,
  type Quota,
  type Usage,
  type UsageOwner,
} from "@hayloft/engine/format/objects/usage.js"
import { decodeVersionHead } from "@hayloft/engine/format/objects/version-record.js"
import { query, type MetadataRow, type QueryView, type RowView } from "@hayloft/engine/metadata/index.js"
import { bucketContents } from "@hayloft/objects/door/index.js"
import { ALL_BUCKETS, allBuckets, bucketOfRow, countersIn } from "@hayloft/objects/door/rows.js"

/** A quota, and what is used of it. */
export interface QuotaState {
  readonly owner: UsageOwner
  /** The name of the bucket, or the account's display name. */
  readonly name: string
  readonly quota: Quota
  /** The usage is undefined if its row is lost. */
  readonly used: Usage | undefined
}

type Owned = Omit<QuotaState, "used">

function quotaOfBucket({ id: bucketId, name, state, usage }: BucketRecord): Owned | undefined {
  // Another bucket may have its name.
  if (usage?.own === undefined || state === "erasing") return undefined
  return { owner: { kind: "bucket", bucketId }, name, quota: usage.own }
}

function quotaOfAccount({ value }: MetadataRow): Owned | undefined {
  const { id: accountId, displayName: name, quota } = decodeAccount(value)
  return quota && { owner: { kind: "account", accountId }, name, quota }
}

function stateIn(view: RowView, owner: UsageOwner): QuotaState | undefined {
  const isBucket = owner.kind === "bucket"
  const row = isBucket
    ? view.get("buckets", bucketRowKey(owner.bucketId))
    : view.get("accounts", textRowKey(owner.accountId))
  const owned = row && (isBucket ? quotaOfBucket(bucketOfRow(row)) : quotaOfAccount(row))
  if (owned === undefined) return undefined
  const used = view.get("usage", usageRowKey(owner, owned.quota.run))
  return { ...owned, used: used && decodeUsage(used.value) }
}

/** Returns undefined if there is no quota. */
export const quotaState = query("QuotaState", stateIn)

/**
 * All quotas: those of buckets, then those of accounts. From the records, so that a quota whose row is lost is one of them;
 * on an engine over SQL three ranges are three round trips, however many quotas there are.
 */
export const quotaStates = query("QuotaStates", (view): readonly QuotaState[] => {
  const ofBuckets = allBuckets(view).map(quotaOfBucket)
  const ofAccounts = Array.from(view.range("accounts", ALL_ROWS), ([, row]) => quotaOfAccount(row))
  const all = [...ofBuckets, ...ofAccounts].filter(owned => owned !== undefined)
  if (all.length === 0) return []
  const rows = new Map(view.range("usage", ALL_ROWS))
  return all.map(owned => {
    const row = rows.get(usageRowKey(owned.owner, owned.quota.run))
    return { ...owned, used: row && decodeUsage(row.value) }
  })
})

/** Accounts without a quota, a count of which some bucket still names. */
export const endedAccountCounts = query("EndedAccountCounts", (view): readonly AccountId[] => {
  const buckets = allBuckets(view)
  const owners = new Set(buckets.filter(({ usage }) => usage?.accountRun !== undefined).map(({ owner }) => owner))
  if (owners.size === 0) return []
  const accounts = Array.from(view.range("accounts", ALL_ROWS), ([, { value }]) => decodeAccount(value))
  return accounts.filter(({ id, quota }) => quota === undefined && owners.has(id)).map(({ id }) => id)
})

const bucketsOf = (view: QueryView, owner: UsageOwner): readonly BucketRecord[] => {
  if (owner.kind === "bucket") {
    const row = view.get("buckets", bucketRowKey(owner.bucketId))
    return row === undefined ? [] : [bucketOfRow(row)]
  }
  const all = allBuckets(view)
  return all.filter(bucket => bucket.owner === owner.accountId)
}

/** The counters of its buckets, of the same moment as the state; they do not include parts. */
interface Comparison {
  /** There is such a bucket, or account. */
  readonly isThere: boolean
  readonly state: QuotaState | undefined
  readonly counted: Usage
  readonly buckets: readonly { readonly id: BucketId; readonly name: BucketName }[]
}

export const compareUsage = query("CompareUsage", (view, owner: UsageOwner): Comparison => {
  const buckets = bucketsOf(view, owner)
  const all = new Map(view.range("counters", ALL_BUCKETS))
  const counted = buckets.reduce((sum, { id }) => {
    const { bytes, versions: objects } = countersIn(all.get(bucketRowKey(id)))
    return addUsage(sum, { bytes, objects, partBytes: 0 })
  }, NO_USAGE)
  const isThere =
    owner.kind === "bucket" ? buckets.length > 0 : view.get("accounts", textRowKey(owner.accountId)) !== undefined
  return { isThere, state: stateIn(view, owner), counted, buckets: buckets.map(({ id, name }) => ({ id, name })) }
})

/** The families that a walk sums up, those of the contents of features among them. */
const walkedFamilies = (): readonly Family[] => [
  "current",
  "versions",
  ...bucketContents().map(({ counted }) => counted),
  "parts",
]

/** The place where a walk goes on. */
export interface UsagePlace {
  readonly family: number
  readonly from: RowKey
}

export interface WalkedSlice {
  readonly found: Usage
  /** It is undefined at the end. */
  readonly next: UsagePlace | undefined
}

/**
 * Returns what the rows of a bucket add up to, in a slice; parts only of uploads that the run counts, or without a run,
 * of all under way.
 */
export const walkUsage = query(
  "WalkUsage",
  (view, bucketId: BucketId, place: UsagePlace | undefined, run: string | undefined, rowsMax: number): WalkedSlice => {
    const { family: at, from } = place ?? { family: 0, from: bucketRowKey(bucketId) }
    const families = walkedFamilies()
    const family = families[at] ?? "parts"
    const contents = bucketContents().find(({ counted }) => counted === family)
    const range = { ...suffixRange(bucketRowKey(bucketId)), start: from, expectedRows: rowsMax + 1 }
    let [found, rows] = [NO_USAGE, 0]
    for (const [key, row] of view.range(family, range)) {
      if (rows === rowsMax) return { found, next: { family: at, from: key } }
      rows += 1
      if (contents !== undefined) {
        found = addUsage(found, { ...NO_USAGE, bytes: contents.held(row).bytes })
      } else if (family !== "parts") {
        found = addUsage(found, { bytes: decodeVersionHead(row.value).sizeBytes, objects: 1, partBytes: 0 })
      } else if (isCounted(view, uploadOfPartRowKey(key), run)) {
        found = addUsage(found, { ...NO_USAGE, partBytes: plainBytesOf(decodePart(row.value).extent) })
      }
    }
    const isLast = at + 1 === families.length
    return { found, next: isLast ? undefined : { family: at + 1, from: bucketRowKey(bucketId) } }
  },
)

/** Parts of an upload that has ended stay until the collector removes them. */
function isCounted(view: RowView, upload: RowKey, run: string | undefined): boolean {
  const row = view.get("uploads", upload)
  if (row === undefined || run === undefined) return row !== undefined
  return decodeUpload(row.value).countedBy?.includes(run) === true
}
