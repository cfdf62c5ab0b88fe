/** The admin port: health, metrics, documents and the operator's API. */
export { AdminApi } from "./api.js"
export { errorReplyOf, type CallerState, type ErrorReply } from "./failures.js"
export { AdminProtocol, headOf } from "./protocol.js"
export { S3_PREFIX, speaksS3 } from "./s3-path.js"
export { S3OfCallers } from "./s3-protocol.js"
export type { StaticFiles } from "./contract.js"
export {
  ACCOUNT,
  ACCOUNTS,
  BUCKET,
  BUCKETS,
  DENIAL,
  KEY,
  KEY_WITH_SECRET,
  KEYS,
  LIMITS,
  USAGE_HISTORY,
} from "./schemas.js"
export { DISPERSION, LAYOUT_FILE, LOCATED_OBJECT } from "./placement-schemas.js"
export { KEY_USES, MASTER_KEY, NAMED_KEY, NAMED_KEYS } from "./key-schemas.js"
export { BUCKET_SETTING, BUCKET_SETTINGS } from "./setting-schemas.js"
export { MESSAGES, QUEUE, QUEUES } from "./queue-schemas.js"
export { DEDUP, PACKING } from "./dedup-schemas.js"
export * from "./other-stores-schemas.js"
export { TRANSFORM_MODULE, TRANSFORMS } from "./transform-schemas.js"
export { QUOTA_CHECK, QUOTA_REPLY, type QUOTA, type QUOTA_LIMITS } from "./quota-schemas.js"
export { HOT_COPIES, TRACE_LINE, TRAFFIC, type LIVE_REQUEST } from "./live-schemas.js"
export { streamOf } from "./stream-schemas.js"
export {
  GROUP,
  GROUPS,
  INLINE_POLICY,
  MANAGED_POLICIES,
  MANAGED_POLICY,
  ROLE,
  ROLES,
  USER,
  USERS,
} from "./identity-schemas.js"
export { SIMULATED, VALIDATED } from "./simulate-schemas.js"
export { JOB, JOBS, PAUSED_JOB, STARTED_JOB } from "./job-schemas.js"
export { EVENT, EVENT_PAGE, FOLLOWED_EVENT } from "./event-schemas.js"
export { AUDIT_PAGE } from "./audit-schemas.js"
export { ADMIN_TOKENS, CREATED_ADMIN_TOKEN } from "./token-schemas.js"
export { DIFFERENCES, HISTORY } from "./history-schemas.js"
export { DELETED_OBJECTS, PURGED, RESTORED, RESTORED_PREFIX, UNDELETE } from "./undelete-schemas.js"
export { ERASURE_STATE, LIFECYCLE_EXPLANATION, LIFECYCLE_PREVIEW } from "./schemas.js"
export { SIMULATE, SIMULATION } from "./simulation-schemas.js"
export * as STORE_SCHEMAS from "./store-schemas.js"
