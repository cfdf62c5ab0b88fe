/** Remote buckets: buckets whose objects are in a bucket of another S3 store. */
export type * from "./contract.js"
export { REMOTE_WRITES } from "./contract.js"
export { REMOTE_BUCKETS } from "./feature.js"
export { checkHops, HOPS_HEADER } from "./hops.js"
export { noConditions, readOnly, StoreRemotes } from "./remote-buckets.js"
export { REMOTE_ADMIN } from "./services.js"
export { parseRemoteStores, RemoteStore, type RemoteStoreConfig } from "./stores.js"
export { checkEtag, keepsEtag, uploadOf } from "./uploads.js"
