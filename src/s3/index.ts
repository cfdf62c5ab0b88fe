/** S3: the protocol of Amazon's object store over this store's services. */
export { compatibilityTables } from "./compatibility.js"
export { createS3Handler } from "./handler.js"
export type { S3Settings } from "./parts.js"
export { createWebsiteHandler } from "./website/handler.js"
export { settingsOfNewBucket } from "./settings/new-bucket.js"
