/** The services that the operations of histories use, by the core on which they were started. */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { Histories } from "./histories.js"
import type { MomentService } from "./moments.js"

export const HISTORY_SERVICES = new ServiceOf<{
  readonly histories: Pick<Histories, "begin" | "end" | "since">
  readonly moments: Pick<MomentService, "now" | "differences">
}>()
