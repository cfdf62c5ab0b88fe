/** Threads of one process: calls between them, and the rows and devices of the engine thread as other threads use them. */
export { LocalReads } from "./local-reads.js"
export { ChannelMetadata } from "./channel-metadata.js"
export { ChannelDevice } from "./channel-shards.js"
export { LastChanges } from "./last-changes.js"
export { ThreadLink, type ThreadMethod } from "./link.js"
export { serveMetadata } from "./metadata-host.js"
export { changing, reading, type DeviceHints } from "./methods.js"
export { hintsOf, serveShards } from "./shard-host.js"
