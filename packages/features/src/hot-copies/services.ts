/** The hot-copies service of each core. A core whose store keeps no hot copies has none. */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { HotCopiesOfNode } from "./hot-copies.js"

export const HOT_COPIES_SERVICE = new ServiceOf<Pick<HotCopiesOfNode, "report">>()
