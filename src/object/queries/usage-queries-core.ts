/** What quotas count, for people and for the comparison with the rows themselves. Pure. */
import { parseBucketId, rowKeyOf } from "../../base/ids.js"
import type { AccountId, BucketId, BucketName, RowKey } from "../../base/ids.js"
import { decodeAccount, decodePart, decodeUpload, type BucketRecord } from "../../format/records.js"
import { bucketRowKey, suffixRange, textRowKey, uploadOfPartRowKey } from "../../format/row-key.js"
import { plainBytesOf } from "../../format/sealing.js"
import {
  addUsage,
  decodeUsage,
  NO_USAGE,
  parseUsageRowKey,
  usageRowKey,
  type Quota,
  type Usage,
  type UsageOwner,
} from "../../format/usage.js"
import { decodeVersionHead } from "../../format/version-record.js"
import { query, type RowView } from "../../metadata/index.js"
import { bucketOfRow, countersIn } from "../commands/row-editor-core.js"

/** A quota, and what is used of it. */
export interface QuotaState {
  readonly owner: UsageOwner
  /** Of the bucket, or the account's display name. */
  readonly name: string
  readonly quota: Quota
  /** Undefined: its row is lost. */
  readonly used: Usage | undefined
}

const ALL_ROWS = { start: rowKeyOf(""), end: rowKeyOf("\xff") }
const ALL_BUCKETS = { start: bucketRowKey(parseBucketId(1)), end: rowKeyOf("\xff") }

function bucketState(view: RowView, bucketId: BucketId): QuotaState | undefined {
  const row = view.get("buckets", bucketRowKey(bucketId))
  const bucket = row && bucketOfRow(row)
  const quota = bucket?.usage?.own
  if (bucket === undefined || quota === undefined) return undefined
  const owner = { kind: "bucket", bucketId } as const
  return { owner, name: bucket.name, quota, used: usedIn(view, usageRowKey(owner, quota.run)) }
}

function accountState(view: RowView, accountId: AccountId): QuotaState | undefined {
  const row = view.get("accounts", textRowKey(accountId))
  const account = row && decodeAccount(row.value)
  if (account?.quota === undefined) return undefined
  const owner = { kind: "account", accountId } as const
  const { quota, displayName: name } = account
  return { owner, name, quota, used: usedIn(view, usageRowKey(owner, quota.run)) }
}

function usedIn(view: RowView, key: RowKey): Usage | undefined {
  const row = view.get("usage", key)
  return row && decodeUsage(row.value)
}

const stateIn = (view: RowView, owner: UsageOwner): QuotaState | undefined =>
  owner.kind === "bucket" ? bucketState(view, owner.bucketId) : accountState(view, owner.accountId)

/** Undefined: there is none. */
export const quotaState = query("QuotaState", stateIn)

/** All quotas, in the order of their rows. */
export const quotaStates = query("QuotaStates", (view): readonly QuotaState[] =>
  Array.from(view.range("usage", ALL_ROWS), ([key]) => {
    const { owner, run } = parseUsageRowKey(key)
    const state = stateIn(view, owner)
    return state?.quota.run === run ? state : undefined
  }).filter(state => state !== undefined),
)

const bucketsOf = (view: RowView, owner: UsageOwner): readonly BucketRecord[] => {
  if (owner.kind === "bucket") {
    const row = view.get("buckets", bucketRowKey(owner.bucketId))
    return row === undefined ? [] : [bucketOfRow(row)]
  }
  const all = Array.from(view.range("buckets", ALL_BUCKETS), ([, row]) => bucketOfRow(row))
  return all.filter(bucket => bucket.owner === owner.accountId)
}

/** What the counters of its buckets say, of the same moment as the state; counters do not include parts. */
interface Comparison {
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
  return { state: stateIn(view, owner), counted, buckets: buckets.map(({ id, name }) => ({ id, name })) }
})

const WALKED_FAMILIES = ["current", "versions", "parts"] as const

/** Where a walk goes on. */
export interface UsagePlace {
  readonly family: number
  readonly from: RowKey
}

interface WalkedSlice {
  readonly found: Usage
  /** Undefined at the end. */
  readonly next: UsagePlace | undefined
}

/** What the rows of a bucket add up to, in a slice; parts only of uploads that the run counts. */
export const walkUsage = query(
  "WalkUsage",
  (view, bucketId: BucketId, place: UsagePlace | undefined, run: string, rowsMax: number): WalkedSlice => {
    const { family: at, from } = place ?? { family: 0, from: bucketRowKey(bucketId) }
    const family = WALKED_FAMILIES[at] ?? "parts"
    const range = { ...suffixRange(bucketRowKey(bucketId)), start: from, expectedRows: rowsMax + 1 }
    let [found, rows] = [NO_USAGE, 0]
    for (const [key, row] of view.range(family, range)) {
      if (rows === rowsMax) return { found, next: { family: at, from: key } }
      rows += 1
      if (family !== "parts") {
        found = addUsage(found, { bytes: decodeVersionHead(row.value).sizeBytes, objects: 1, partBytes: 0 })
      } else if (isCounted(view, uploadOfPartRowKey(key), run)) {
        found = addUsage(found, { ...NO_USAGE, partBytes: plainBytesOf(decodePart(row.value).extent) })
      }
    }
    const isLast = at + 1 === WALKED_FAMILIES.length
    return { found, next: isLast ? undefined : { family: at + 1, from: bucketRowKey(bucketId) } }
  },
)

/** Parts of an upload that has ended stay until the collector removes them. */
function isCounted(view: RowView, upload: RowKey, run: string): boolean {
  const row = view.get("uploads", upload)
  return row !== undefined && decodeUpload(row.value).countedBy?.includes(run) === true
}
