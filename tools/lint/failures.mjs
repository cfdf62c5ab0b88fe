/** Rule: code throws only failures from the closed list, or assertions. */
import { isCheck, isStandIn, pathOf } from "./paths.mjs"

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    if (isCheck(path) || isStandIn(path)) return {}
    return {
      ThrowStatement(node) {
        const thrown = node.argument
        if (thrown.type !== "NewExpression" || !/^(Type|Range|Syntax)?Error$/.test(thrown.callee.name ?? "")) return
        const message =
          'throw fail("kind", { details }) of packages/base/src/failures.ts, so that callers know the remedy; use assert for bugs'
        context.report({ node, message })
      },
    }
  },
}
