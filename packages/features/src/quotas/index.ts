/** Quotas of buckets and accounts. */
export { QUOTAS, quotasOf } from "./feature.js"
export type { QuotaWatch } from "./quota-watch.js"
export type { QuotaReport } from "./quota-report-core.js"
export { QUOTA_SERVICE } from "./services.js"
export type { Quotas, QuotaTarget } from "./quotas.js"
