/** Transforms take no part in decisions: operators see their modules, processes and results. */
import type { ProductFeature } from "../operator/index.js"
import { TRANSFORM_OPERATIONS } from "./operations.js"

export const TRANSFORMS_FEATURE = {
  name: "transforms" as const,
  operator: {
    operations: TRANSFORM_OPERATIONS,
    commandGroups: {
      transform: "what a store can make of objects when they are read, and the rules of buckets for it",
    },
  },
} satisfies ProductFeature
