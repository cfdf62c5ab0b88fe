/** Activity at the ports: live requests, and traffic by bucket and account; and the events of all nodes. */
export { AccessLog } from "./access-log.js"
export { Events } from "./events.js"
export { LiveRequests } from "./requests.js"
export { StoreLive } from "./store-live.js"
export { Traffic } from "./traffic.js"
