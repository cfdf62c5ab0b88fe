/** The service that the operations of quotas use, by the core on which it was started. */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { Quotas } from "./quotas.js"

export const QUOTA_SERVICE = new ServiceOf<Pick<Quotas, "show" | "set" | "clear" | "check" | "restart">>()
