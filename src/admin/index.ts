/** The admin port: health, metrics, documents and the operator's API. */
export { AdminApi, BODY_BYTES_MAX } from "./api.js"
export type { AdminReply, AdminRequest } from "./api.js"
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
