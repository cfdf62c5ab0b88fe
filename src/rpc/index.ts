/** Calls between nodes: the server, a peer to call, and their contract. */
export { bytesBody } from "./body-source.js"
export type { Method } from "./contract.js"
export { RPC_LIMITS } from "./limits.js"
export { RpcMetrics } from "./metrics.js"
export { Peer } from "./peer.js"
export { RpcServer } from "./server.js"
