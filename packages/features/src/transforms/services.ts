/** The side of transforms that operators see, by the core of the store: none where they are switched off. */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { TransformAdmin } from "./contract.js"

export const TRANSFORM_ADMIN = new ServiceOf<TransformAdmin>()
