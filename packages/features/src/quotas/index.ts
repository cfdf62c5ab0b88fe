/** Quotas of buckets and accounts. */
export { QUOTAS, quotasOf } from "./feature.js"
export { QUOTA_SERVICE } from "./services.js"
export type { Quotas, QuotaTarget } from "./quotas.js"
