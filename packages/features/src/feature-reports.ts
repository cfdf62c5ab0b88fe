/** Reports of features in the status of a store, each under a name of its own. */
import { lifecycleStatusOf, type LifecycleStatus } from "./lifecycle/index.js"
import type { QuotaReport } from "./quotas/index.js"
import type { StoreServices } from "./store-services.js"
import type { UndeleteReport } from "./undelete/index.js"

export interface FeatureReports {
  /** The status is absent if this process does no such work. */
  readonly lifecycle?: LifecycleStatus
  /** Quotas of buckets and accounts; absent if there are none. */
  readonly quotas?: readonly QuotaReport[]
  /** The objects that undelete keeps; absent if it was never on. */
  readonly undelete?: readonly UndeleteReport[]
}

/** Reads no rows: jobs have read them. */
export function featureReportsOf(
  services: Pick<StoreServices, "lifecycle" | "quotaWatch" | "undelete">,
): FeatureReports {
  const [quotas, undelete] = [services.quotaWatch.report(), services.undelete.report()]
  return {
    lifecycle: lifecycleStatusOf(services.lifecycle.report()),
    ...(quotas.length > 0 && { quotas }),
    ...(undelete.length > 0 && { undelete }),
  }
}
