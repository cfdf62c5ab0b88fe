/** Questions about the rules of lifecycle, by the core on which it was started. */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { LifecycleInspection } from "./inspection.js"

export const LIFECYCLE_INSPECTION = new ServiceOf<Pick<LifecycleInspection, "explain" | "preview" | "tryRules">>()
