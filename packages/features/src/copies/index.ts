/** Copies of buckets in other stores. */
export type * from "./contract.js"
export { COPIES } from "./feature.js"
export * from "./copy-log.js"
export { COPIES_ADMIN } from "./services.js"
export type { CopiesValue } from "./setting.js"
export { StoreCopies, type BucketLag } from "./store-copies.js"
