/** Remote shards: the devices of other nodes as the block layer uses them, and the service of this node's devices. */
export { indexPage } from "./index-page.js"
export { REMOTE_LIMITS, type RemoteLimits } from "./limits.js"
export { RemoteNode } from "./remote-node.js"
export { serveShards } from "./shard-server.js"
