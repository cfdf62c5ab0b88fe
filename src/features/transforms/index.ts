/** Transforms: representations of objects that are computed from their bytes. */
export * from "./contract.js"
export { TRANSFORM_LIMITS } from "./limits.js"
export { Modules, MODULES_PREFIX } from "./modules.js"
export { parsePipeline, withoutCoding } from "./pipeline-core.js"
export { Results, RESULTS_PREFIX } from "./results.js"
export type { Original } from "./bodies.js"
export { Transforms, type ObjectTransforms } from "./transforms.js"
