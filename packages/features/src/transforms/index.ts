/** Transforms: representations of objects that are computed from their bytes. */
export * from "./contract.js"
export { TRANSFORMS_FEATURE } from "./feature.js"
export { TRANSFORM_LIMITS } from "./limits.js"
export { Modules, MODULES_PREFIX } from "./modules.js"
export { parsePipeline, withoutCoding } from "./pipeline-core.js"
export { Results, RESULTS_PREFIX } from "./results.js"
export { TRANSFORM_ADMIN } from "./services.js"
export type { Original } from "./bodies.js"
export {
  transformBudgets,
  Transforms,
  type ObjectTransforms,
  type SharedTransforms,
  type TransformBudgets,
} from "./transforms.js"
