/** Lifecycle: rules of buckets, and when they act. */
export type { LifecycleInspection } from "./inspection.js"
export { abortDueOf, compileRules, expiryOf, REAL_DAYS, type CompiledRules, type LifecycleDays } from "./due-core.js"
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
} from "../../format/lifecycle-rules.js"
