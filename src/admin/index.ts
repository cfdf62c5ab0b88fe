/** The admin port: health, metrics, documents and the operator's API. */
export { AdminApi, BODY_BYTES_MAX } from "./api.js"
export { AdminProtocol } from "./protocol.js"
export { checkConfirmed } from "./confirmed-core.js"
export type { AdminRequest } from "./api.js"
export type { AdminReply } from "./replies.js"
export type {
  AdminOptions,
  AppliedChange,
  ChangePlan,
  ChoreReport,
  DeviceCheck,
  DeviceReport,
  DeviceState,
  Documents,
  HealthReport,
  LayoutReport,
  LostObject,
  NamesReport,
  PlannedDevice,
  ProgressReport,
  QueueReport,
  RedundancyReport,
  RepairReport,
  SafetyReport,
  ScrubReport,
  StoreChange,
  StoreOperations,
  StoreReport,
  StoreStatus,
} from "./contract.js"
export { ACCOUNT, ACCOUNTS, BUCKET, BUCKETS, DENIAL, KEY, KEY_WITH_SECRET, KEYS } from "./schemas.js"
export * as STORE_SCHEMAS from "./store-schemas.js"
