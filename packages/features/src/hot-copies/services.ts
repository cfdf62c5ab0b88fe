/** The service that the operation of hot copies uses, by the core on which it was started; there is none if no copies are kept. */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { HotCopiesOfNode } from "./hot-copies.js"

export const HOT_COPIES_SERVICE = new ServiceOf<Pick<HotCopiesOfNode, "report">>()
