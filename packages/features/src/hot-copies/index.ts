/** Hot copies: what is read often is served from the memory of a node. */
export { HOT_COPIES_FEATURE } from "./feature.js"
export type { HotCopiesReport } from "./hot-copies.js"
export { HOT_COPIES } from "./schemas.js"
export { HOT_COPIES_SERVICE } from "./services.js"
