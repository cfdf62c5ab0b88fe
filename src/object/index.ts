/** Objects: buckets, objects, versions, multipart uploads, listings; commands and the services that run them. */
export type * from "./contract.js"
export { createServices, type Services } from "./services.js"
export { policyOfBucket } from "./bucket-commands-core.js"
export { BODY_BYTES_MAX, type StorePolicy } from "./ingest.js"
export type * from "./repair-contract.js"
export type { RecodeReport } from "./recode-contract.js"
export { chunkOfKey, SYSTEM_BUCKET_ID } from "./metadata-backup-bucket.js"
export { headersOf, packDetails } from "./object-info-core.js"
