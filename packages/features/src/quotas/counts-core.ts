/**
 * The counting and the refusals of quotas: the counts that a bucket belongs to, and a decision's change of them. Pure.
 *
 * Promises  What would grow beyond a hard limit is refused with `quotaExceeded`, which names the quota. What shrinks or
 *           stays is not, also above a limit that was lowered. A delete marker counts and is never refused.
 */
import { fail } from "@hayloft/base/failures.js"
import type { RowKey } from "@hayloft/base/ids.js"
import { countText, sizeText } from "@hayloft/base/text/quantity-text.js"
import { decodeAccount, type BucketRecord } from "@hayloft/engine/format/records.js"
import { textRowKey } from "@hayloft/engine/format/row-key.js"
import { addUsage, decodeUsage, usageRowKey, type Quota, type Usage } from "@hayloft/engine/format/objects/usage.js"
import type { RowView, UsageChange } from "@hayloft/engine/metadata/index.js"
import type { Growth } from "@hayloft/objects/door/index.js"
import { decideEach } from "@hayloft/objects/door/rows.js"

/** A count that a bucket belongs to. */
interface Count {
  readonly key: RowKey
  readonly quota: Quota
  /** For people. */
  readonly name: string
  readonly ofBucket: boolean
}

/** The counts that include the bucket: its own and its account's. */
function countsOf(view: RowView, { id, name, owner, usage }: BucketRecord): readonly Count[] {
  if (usage === undefined) return NO_COUNTS_AT_ALL
  const counts: Count[] = []
  const { own, accountRun } = usage
  if (own !== undefined) {
    const key = usageRowKey({ kind: "bucket", bucketId: id }, own.run)
    counts.push({ key, quota: own, name: `bucket ${name}`, ofBucket: true })
  }
  const row = accountRun === undefined ? undefined : view.get("accounts", textRowKey(owner))
  const account = row && decodeAccount(row.value)
  if (account?.quota !== undefined && account.quota.run === accountRun) {
    const key = usageRowKey({ kind: "account", accountId: owner }, account.quota.run)
    counts.push({ key, quota: account.quota, name: `account of the bucket ${name}`, ofBucket: false })
  }
  return counts
}

const NO_COUNTS_AT_ALL: readonly Count[] = []

/** The runs that count the parts of an upload which begins now. */
export const runsOf = (view: RowView, bucket: BucketRecord): readonly string[] =>
  countsOf(view, bucket).map(({ quota }) => quota.run)

/** The change that a whole decision makes to one count. */
interface Sum extends Pick<Growth, "addsObject" | "isRestoring"> {
  readonly count: Count
  readonly add: Usage
  readonly bytesNeeded: number
}

/** The changes of all counts, each once: quotas allow or refuse the sum. Throws `quotaExceeded`. */
export function quotaChanges(view: RowView, growths: readonly Growth[]): readonly UsageChange[] {
  const sums = new Map<RowKey, Sum>()
  const found = decideEach(growths, growth => ({ growth, counts: countsOf(view, growth.bucket) }))
  for (const { growth, counts } of found)
    for (const count of counts) sums.set(count.key, sumOf(sums.get(count.key), count, growth))
  return decideEach([...sums.values()].filter(changesCount), sum => changeOf(view, sum))
}

function sumOf(before: Sum | undefined, count: Count, growth: Growth): Sum {
  const { bytes, versions: objects, parts, addsObject, isRestoring } = growth
  const isCounted = parts.countedBy?.includes(count.quota.run) === true
  const add: Usage = { bytes, objects, partBytes: isCounted ? parts.bytes : 0 }
  const addedBytes = add.bytes + add.partBytes
  // A part that no count includes is refused too if it leaves no room for the version.
  const bytesNeeded = isCounted || parts.bytes <= 0 ? addedBytes : Math.max(addedBytes, parts.bytes)
  if (before === undefined) return { count, add, bytesNeeded, addsObject, isRestoring }
  return {
    count,
    add: addUsage(before.add, add),
    bytesNeeded: before.bytesNeeded + bytesNeeded,
    addsObject: before.addsObject || addsObject,
    isRestoring: before.isRestoring || isRestoring,
  }
}

const changesCount = ({ add, bytesNeeded }: Sum): boolean =>
  add.bytes !== 0 || add.objects !== 0 || add.partBytes !== 0 || bytesNeeded > 0

function changeOf(view: RowView, { count, add, bytesNeeded, addsObject, isRestoring }: Sum): UsageChange {
  const { objects } = add
  if (!count.quota.isExact || isRestoring) return { key: count.key, change: add }
  const { hardBytes, hardObjects } = count.quota.limits
  const bytesMax = bytesNeeded > 0 ? hardBytes : undefined
  const objectsMax = addsObject && objects > 0 ? hardObjects : undefined
  if (bytesMax === undefined && objectsMax === undefined) return { key: count.key, change: add }
  checkRoom(count, usageOf(view, count), { bytesNeeded, objects, bytesMax, objectsMax })
  const limits = { ...(bytesMax !== undefined && { bytesMax }), ...(objectsMax !== undefined && { objectsMax }) }
  return { key: count.key, change: add, ...limits }
}

interface Needed {
  readonly bytesNeeded: number
  readonly objects: number
  readonly bytesMax: number | undefined
  readonly objectsMax: number | undefined
}

function checkRoom({ name, ofBucket }: Count, before: Usage, needed: Needed): void {
  const { bytesNeeded, objects, bytesMax, objectsMax } = needed
  const usedBytes = before.bytes + before.partBytes
  const refused = (limit: string, used: string) => {
    // Clients that may write to one bucket need not know what its account uses.
    const shown = ofBucket ? ` (${used} used)` : ""
    const holder = ofBucket ? "bucket" : "account"
    return fail("quotaExceeded", { message: `The ${name} would exceed its quota of ${limit}${shown}.`, holder })
  }
  if (bytesMax !== undefined && usedBytes + bytesNeeded > bytesMax)
    throw refused(sizeText(bytesMax), sizeText(usedBytes))
  if (objectsMax !== undefined && before.objects + objects > objectsMax) {
    throw refused(`${countText(objectsMax)} objects`, countText(before.objects))
  }
}

/** Throws `corruptRow`: `quota check --repair` counts again. */
function usageOf(view: RowView, { key, name }: Count): Usage {
  const row = view.get("usage", key)
  if (row === undefined) throw fail("corruptRow", { message: `what the ${name} uses is lost; count it again` })
  return decodeUsage(row.value)
}
