/** The admin port: health, metrics, documents and the operator's API. */
export { AdminApi } from "./api.js"
export { AdminProtocol } from "./protocol.js"
export type { Documents } from "./contract.js"
export { ACCOUNT, ACCOUNTS, BUCKET, BUCKETS, DENIAL, KEY, KEY_WITH_SECRET, KEYS, LIMITS } from "./schemas.js"
export { KEY_USES, MASTER_KEY, NAMED_KEY, NAMED_KEYS } from "./key-schemas.js"
export { ERASURE_STATE } from "./schemas.js"
export { LIFECYCLE_EXPLANATION, LIFECYCLE_PREVIEW } from "./schemas.js"
export * as STORE_SCHEMAS from "./store-schemas.js"
