/** Copies of buckets in other stores. */
export type * from "./contract.js"
export { COPIES_VALUE, parseCopiesSetting, type CopiesValue } from "./setting.js"
export { StoreCopies, type BucketLag } from "./store-copies.js"
