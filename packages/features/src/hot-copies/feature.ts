/** Hot copies: a node keeps copies of what is read often in its memory. See decision 94. */
import type { ProductFeature } from "../operator/index.js"
import { registerHotCopies } from "./hot-copy-metrics.js"
import { HOT_COPIES_JOB, HotCopiesOfNode } from "./hot-copies.js"
import { HOT_COPIES_OPERATOR } from "./operations.js"
import { HOT_COPIES_SERVICE } from "./services.js"

export const HOT_COPIES_FEATURE = {
  name: "hot-copies" as const,
  operator: HOT_COPIES_OPERATOR,
  jobs: [{ name: HOT_COPIES_JOB, usesNoRows: true }],
  start(core) {
    const { blocks, metadata, metrics } = core
    const { hotCopies } = blocks
    if (hotCopies === undefined) return {}
    registerHotCopies(metrics, hotCopies)
    const copies = new HotCopiesOfNode(hotCopies, blocks, metadata)
    HOT_COPIES_SERVICE.set(core, copies)
    return { jobs: [copies.job] }
  },
} satisfies ProductFeature
