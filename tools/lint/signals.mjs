/** Rule: nothing stays behind at a signal that lives as long as the process, as with `AbortSignal.any` in older Node. */
import { isCheck, isStandIn, pathOf } from "./paths.mjs"

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    if (isCheck(path) || isStandIn(path) || path.startsWith("console/")) return {}
    return {
      MemberExpression(node) {
        if (node.object.name !== "AbortSignal" || node.property.name !== "any") return
        context.report({ node, message: "it leaks: FirstAbort or limited from packages/base/src/life/index.ts" })
      },
    }
  },
}
