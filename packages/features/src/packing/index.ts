/** Packing: small objects lie together in blocks. */
export { PACKING } from "./feature.js"
export { PACKING_SERVICE } from "./services.js"
