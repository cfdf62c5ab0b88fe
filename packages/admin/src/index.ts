/** The admin port: health, metrics, documents and the operator's API. */
export { AdminApi, parseJson, type ForeignCall } from "./api.js"
export {
  CommandProblem,
  itemsOf,
  pagesOf,
  type Calls,
  type OperatorCommand,
  type CommandInput,
  type Shown,
  type Values,
} from "@hayloft/features/operator/index.js"
export { openApiText } from "./open-api.js"
export { FEATURE_COMMAND_GROUPS } from "@hayloft/features/index.js"
export { COMMAND_GROUPS } from "@hayloft/features/operator/index.js"
export { healthOf, ioOf, nameIn, sysFolderOf, type DiskHealth } from "./store/disk-facts-core.js"
export type { AdminOperation, FreeDisk } from "./operation.js"
export { arnOfPolicy } from "./identities/identity-targets.js"
export { adminActions, OPERATIONS } from "./operations.js"
export { requestOf } from "./request-core.js"
export { AdminProtocol, headOf } from "./protocol.js"
export { S3_PREFIX, speaksS3 } from "./s3-path.js"
export { S3OfCallers } from "./s3-protocol.js"
export type { LdapDoor, StaticFiles } from "./contract.js"
export * as IDENTITY_SCHEMAS from "./identities/identity-schemas.js"
export { BUCKET, KEY, KEY_WITH_SECRET, USAGE_HISTORY } from "./schemas.js"
export { LAYOUT_FILE } from "./store/placement-schemas.js"
export { MASTER_KEY } from "./identities/key-schemas.js"
export { BUCKET_SETTINGS } from "@hayloft/features/operator/index.js"
export { HOT_COPIES } from "@hayloft/features/hot-copies/index.js"
export { TRACE_LINE, TRAFFIC, type LIVE_REQUEST } from "./store/live-schemas.js"
export { streamOf } from "./stream-schemas.js"
export { JOB, JOBS, STARTED_JOB } from "@hayloft/features/operator/index.js"
export { erasureText } from "./buckets/erasure-text.js"
export { devicesTable, planText, workText, type Device, type Status } from "./store/store-text.js"
export { amountsText, jobText, type StartedJobAnswer } from "./store/job-text.js"
export { AUDIT_PAGE } from "./store/audit-schemas.js"
export { EVENT, EVENT_PAGE, FOLLOWED_EVENT } from "./store/event-schemas.js"
export { DELETED_OBJECTS, keptPlace, keptText, PURGED } from "@hayloft/features/undelete/index.js"
export { ERASURE_STATE } from "./schemas.js"
export { SIMULATE, SIMULATION } from "./store/simulation-schemas.js"
export * as STORE_SCHEMAS from "./store/store-schemas.js"
