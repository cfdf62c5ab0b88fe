/** The admin port: health, metrics, documents and the operator's API. */
export { AdminApi, BODY_BYTES_MAX } from "./api.js"
export { AdminProtocol } from "./protocol.js"
export type { AdminRequest } from "./api.js"
export type { AdminReply } from "./replies.js"
export type {
  AdminOptions,
  DeviceReport,
  DeviceState,
  Documents,
  HealthReport,
  QueueReport,
  StoreReport,
  StoreStatus,
} from "./contract.js"
export { ACCOUNT, ACCOUNTS, BUCKET, BUCKETS, DEVICES, KEY_WITH_SECRET, KEYS, STATUS } from "./schemas.js"
