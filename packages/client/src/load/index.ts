/** Load: concurrent requests against an S3 server, with their latencies. */
export { runLoad } from "./raw-load.js"
export { RequestForge } from "./request-forge.js"
export { S3Work } from "./s3-work.js"
export { withScratchBucket } from "./scratch-bucket.js"
export { OPERATIONS, parseMix, type Mix } from "./work-mix.js"
