/** The admin port: health, metrics, documents and the operator's API. */
export { AdminApi } from "./api.js"
export { AdminProtocol } from "./protocol.js"
export { checkConfirmed } from "./confirmed-core.js"
export type {
  AppliedChange,
  ChangePlan,
  JobReport,
  DeviceCheck,
  DeviceReport,
  DeviceState,
  Documents,
  HealthReport,
  LostObject,
  MetadataReport,
  ProgressReport,
  QueueReport,
  RedundancyReport,
  RepairReport,
  SafetyReport,
  StoreChange,
  StoreOperations,
  ScrubReport,
  StoreReport,
  StoreStatus,
} from "./contract.js"
export { ACCOUNT, ACCOUNTS, BUCKET, BUCKETS, DENIAL, KEY, KEY_WITH_SECRET, KEYS } from "./schemas.js"
export * as STORE_SCHEMAS from "./store-schemas.js"
