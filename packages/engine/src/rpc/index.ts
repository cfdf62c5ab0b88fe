/** Calls between nodes: the server, a peer to call, and their contract. */
export { bytesBody, lentBody } from "./body-source.js"
export type { RpcMethod } from "./contract.js"
export type { IncomingBody } from "./incoming-body.js"
export { RPC_LIMITS } from "./limits.js"
export { RpcMetrics } from "./metrics.js"
export { Peer } from "./peer.js"
export { RpcServer } from "./server.js"
