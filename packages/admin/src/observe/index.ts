/** Activity at the ports: live requests, and traffic by bucket and account; and the events of all nodes. */
export { AccessLog } from "./access-log.js"
export type { EventLine } from "./event-buffer-core.js"
export { eventLog, Events } from "./events.js"
export { RequestBatches, type RequestBatch } from "./request-batch.js"
export { LiveRequests } from "./requests.js"
export { StoreLive } from "./store-live.js"
export { Traffic } from "./traffic.js"
