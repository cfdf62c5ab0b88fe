/** Packing: small objects lie together in blocks. */
export { PACKING, packingOf } from "./feature.js"
export type { Packing } from "./packing.js"
