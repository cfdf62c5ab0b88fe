/** The side of remote buckets that operators see, by the core of the store: none where they are switched off. */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { RemoteAdmin } from "./contract.js"

export const REMOTE_ADMIN = new ServiceOf<RemoteAdmin>()
