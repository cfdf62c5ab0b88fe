/** Lifecycle: rules of buckets, and when they act. */
export {
  decodeLifecycleRules,
  encodeLifecycleRules,
  type LifecycleExpiration,
  type LifecycleFilter,
  type LifecycleRule,
  type NoncurrentExpiration,
} from "../../format/lifecycle-rules.js"
