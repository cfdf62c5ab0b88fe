/** Quotas of buckets and accounts: limits of what they hold, in bytes and in objects. See decision 58. */
import { decodeAccount, type BucketRecord } from "@hayloft/engine/format/records.js"
import { textRowKey } from "@hayloft/engine/format/row-key.js"
import { usageRowKey, type QuotaLimits, type UsageOwner } from "@hayloft/engine/format/objects/usage.js"
import type { UsageChange } from "@hayloft/engine/metadata/index.js"
import { type Core, ServiceOf } from "@hayloft/objects/door/index.js"
import type { ProductFeature } from "../operator/index.js"
import { quotaChanges, runsOf } from "./counts-core.js"
import { QUOTA_OPERATOR } from "./operations.js"
import { registerQuotas } from "./quota-metrics.js"
import { QuotaWatch } from "./quota-watch.js"
import { Quotas } from "./quotas.js"
import { QUOTA_SERVICE } from "./services.js"
import { quotaStatus } from "./status.js"

interface QuotaServices {
  readonly quotas: Quotas
  readonly quotaWatch: QuotaWatch
}

const services = new ServiceOf<QuotaServices>()

export const quotasOf = (core: Core): QuotaServices => services.of(core)

/** The count of a bucket goes with it; that of its account stays. */
function droppedCounts({ id, usage }: Pick<BucketRecord, "id" | "usage">): readonly UsageChange[] {
  if (usage?.own === undefined) return []
  return [{ key: usageRowKey({ kind: "bucket", bucketId: id }, usage.own.run), change: "drop" }]
}

async function setRescued(core: Core, owner: UsageOwner, limits: QuotaLimits | undefined): Promise<void> {
  const { quotas } = quotasOf(core)
  if (limits === undefined) await quotas.clearOf(owner)
  else await quotas.setOf(owner, limits)
}

export const QUOTAS = {
  // The setting of buckets and the reports of rescues use this name, too.
  name: "quota" as const,
  operator: QUOTA_OPERATOR,
  status: quotaStatus(core => quotasOf(core).quotaWatch.report()),
  bucket: {
    created(view, owner) {
      const row = view.get("accounts", textRowKey(owner))
      const quota = row && decodeAccount(row.value).quota
      return quota === undefined ? {} : { usage: { accountRun: quota.run } }
    },
    dropped: droppedCounts,
  },
  usage: { counts: ({ usage }) => usage !== undefined, runsOf, changes: quotaChanges },
  start(core) {
    const quotas = new Quotas(core.metadata, core.prepare)
    const quotaWatch = new QuotaWatch(quotas, core.log)
    services.set(core, { quotas, quotaWatch })
    QUOTA_SERVICE.set(core, quotas)
    registerQuotas(core.metrics, () => quotaWatch.report())
    return { jobs: [quotaWatch] }
  },
  rescue: {
    has: ({ usage }) => usage?.own !== undefined,
    set: (core, bucketId, had) => setRescued(core, { kind: "bucket", bucketId }, had?.usage?.own?.limits),
    ofAccounts: {
      has: ({ quota }) => quota !== undefined,
      set: (core, accountId, { quota }) => setRescued(core, { kind: "account", accountId }, quota?.limits),
    },
    /** They would have what is written again refused. */
    async resume(core) {
      const { quotas } = quotasOf(core)
      for (const { owner } of await quotas.list()) await quotas.clearOf(owner)
    },
  },
} satisfies ProductFeature
