/** The side of copies that operators see, by the core of the store: none where they are switched off. */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { CopiesAdmin } from "./contract.js"

export const COPIES_ADMIN = new ServiceOf<CopiesAdmin>()
