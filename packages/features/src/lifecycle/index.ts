/** Lifecycle: rules of buckets, and when they act. */
export { LIFECYCLE, lifecycleOf } from "./feature.js"
export type { Lifecycle } from "./lifecycle-job.js"
export { abortDueOf, compileRules, expiryOf, type CompiledRules } from "./due-core.js"
export { LIFECYCLE_INSPECTION } from "./services.js"
export { mayMove } from "./transitions-core.js"
export {
  decodeLifecycleRules,
  encodeLifecycleRules,
  TRANSITION_MINIMUMS,
  type LifecycleExpiration,
  type LifecycleFilter,
  type LifecycleRule,
  type NoncurrentExpiration,
  type NoncurrentTransition,
  type Transition,
} from "@hayloft/engine/format/objects/lifecycle-rules.js"
