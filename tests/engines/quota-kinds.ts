/** Commands and queries of quotas. */
import { decodeAccount } from "@hayloft/engine/format/records.js"
import { bucketRowKey, suffixRange, uploadOfPartRowKey } from "@hayloft/engine/format/row-key.js"
import type { QuotaLimits, UsageOwner } from "@hayloft/engine/format/objects/usage.js"
import { freezeUpload } from "@hayloft/objects/commands/multipart-commands-core.js"
import {
  advanceAccountUsage,
  finishBucketUsage,
  forgetAccountUsage,
  setAccountQuota,
  setBucketQuota,
} from "@hayloft/features/quotas/quota-commands-core.js"
import { bucketOfRow } from "@hayloft/objects/commands/bucket-rows-core.js"
import { sizesOfBuckets } from "@hayloft/objects/buckets/bucket-service.js"
import { HOUR_MS, noteUsage, readUsageHistory } from "@hayloft/upkeep/usage/usage-history-core.js"
import { isUploadCounted, sumOfParts } from "@hayloft/objects/ended-upload.js"
import {
  compareUsage,
  endedAccountCounts,
  quotaState,
  quotaStates,
  walkUsage,
} from "@hayloft/features/quotas/usage-queries-core.js"
import { ownerForQuota } from "@hayloft/features/quotas/quotas.js"
import { ACCOUNTS, commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

/** Samples are dated after all decisions: earlier ones would be those of a clock that is behind, and not noted. */
const HOURS_FROM = 1_000_000

const settingOf = (scene: Scene) => ({
  limits: scene.oneIn(5)
    ? undefined
    : scene.pick<QuotaLimits>([{ hardBytes: 8_000 }, { hardObjects: 3 }, { warnBytes: 1 }]),
  restarts: scene.oneIn(6),
})

/** Returns the runs of counts that go on, if there are any. */
function runsOf(scene: Scene): readonly string[] {
  const ofBuckets = scene.buckets().flatMap(({ id }) => {
    const row = scene.model.committed.get("buckets", bucketRowKey(id))
    const own = row && bucketOfRow(row).usage?.own
    return own ? [own.run] : []
  })
  return [...ofBuckets, ...scene.rows("accounts").flatMap(([, { value }]) => decodeAccount(value).quota?.run ?? [])]
}
const runOf = (scene: Scene): string => scene.pickOr(runsOf(scene), () => "00")

/** Whose count has begun; otherwise any. */
function startedBucket(scene: Scene) {
  const started = scene.rows("buckets", suffixRange(bucketRowKey(scene.bucketId()))).flatMap(([, row]) => {
    const { id, usage } = bucketOfRow(row)
    return usage?.own ? [{ bucketId: id, run: usage.own.run }] : []
  })
  return scene.pickOr(started, () => ({ bucketId: scene.bucketId(), run: runOf(scene) }))
}

function startedAccount(scene: Scene) {
  const started = scene.rows("accounts").flatMap(([, { value }]) => {
    const { id, quota } = decodeAccount(value)
    return quota ? [{ accountId: id, run: quota.run }] : []
  })
  return scene.pickOr(started, () => ({ accountId: scene.pick(ACCOUNTS), run: runOf(scene) }))
}

const ownerOf = (scene: Scene): UsageOwner =>
  scene.oneIn(2) ? { kind: "bucket", bucketId: scene.bucketId() } : { kind: "account", accountId: scene.pick(ACCOUNTS) }

export const QUOTA_COMMANDS: readonly PlayKind[] = [
  commandKind("SetBucketQuota", 2, scene => setBucketQuota(scene.bucketId(), settingOf(scene))),
  commandKind("FinishBucketUsage", 2, scene => {
    const { bucketId, run } = startedBucket(scene)
    return finishBucketUsage(bucketId, run)
  }),
  commandKind("SetAccountQuota", 1, scene => setAccountQuota(scene.pick(ACCOUNTS), settingOf(scene))),
  commandKind("AdvanceAccountUsage", 2, scene => {
    const { accountId, run } = startedAccount(scene)
    return advanceAccountUsage(accountId, run)
  }),
  commandKind("ForgetAccountUsage", 1, scene => forgetAccountUsage(scene.pick(ACCOUNTS))),
  commandKind("NoteUsage", 2, scene => {
    const sizes = scene.pick([
      { objects: 1, bytes: 5 },
      { objects: 2, bytes: 9 },
    ])
    const atMs = (HOURS_FROM + scene.pick([1, 2, 30, 500])) * HOUR_MS
    const samples = [scene.bucketId(), scene.bucketId()].map(bucketId => ({ bucketId, atMs, ...sizes }))
    return noteUsage(samples, scene.pick([0, atMs]))
  }),
  commandKind("FreezeUpload", 2, scene => freezeUpload(scene.uploadAddress(), scene.actor.own, scene.oneIn(2))),
]

export const QUOTA_QUERIES: readonly PlayKind[] = [
  queryKind("ReadUsageHistory", scene => readUsageHistory(scene.bucketId())),
  queryKind("IsUploadCounted", scene => isUploadCounted(scene.uploadAddress())),
  queryKind("SumOfParts", scene => sumOfParts(scene.uploadAddress(), 0, 2)),
  queryKind("QuotaState", scene => quotaState(ownerOf(scene))),
  queryKind("QuotaStates", () => quotaStates()),
  queryKind("SizesOfBuckets", scene => sizesOfBuckets(scene.pick([1, 2, 100]))),
  queryKind("EndedAccountCounts", () => endedAccountCounts()),
  queryKind("CompareUsage", scene => compareUsage(ownerOf(scene))),
  queryKind("OwnerForQuota", scene =>
    ownerForQuota(
      scene.oneIn(2) ? { kind: "bucket", name: scene.bucketName() } : { kind: "account", id: scene.pick(ACCOUNTS) },
    ),
  ),
  queryKind("WalkUsage", scene => {
    const parts = scene.rows("parts").map(([key]) => uploadOfPartRowKey(key))
    const bucketId = scene.bucketId()
    const place = scene.pickOr(
      parts.map(from => ({ family: 2, from })),
      () => undefined,
    )
    return walkUsage(bucketId, place, runOf(scene), 3)
  }),
]
