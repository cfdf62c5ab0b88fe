/** Rule: a fan-out over a caller's input has a limit. A literal array needs none. */
import { isCheck, pathOf } from "./paths.mjs"

const COMBINATORS = /^(all|allSettled|any|race)$/

const isLiteral = node =>
  node.type === "ArrayExpression"
    ? node.elements.every(element => element?.type !== "SpreadElement")
    : node.type === "TSAsExpression" && isLiteral(node.expression)

/** The items over which a call maps: `xs.map(f)`, `Array.from(xs, f)`; undefined for any other call. */
function mapped(node) {
  if (node?.type !== "CallExpression" || node.callee.type !== "MemberExpression") return undefined
  const method = node.callee.property.name
  if (method === "map" || method === "flatMap") return node.callee.object
  if (method === "from" && node.callee.object.name === "Array" && node.arguments.length > 1) return node.arguments[0]
  return undefined
}

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    if (isCheck(pathOf(context.filename))) return {}
    return {
      CallExpression(node) {
        const { callee } = node
        if (callee.type !== "MemberExpression" || callee.object.name !== "Promise") return
        if (!COMBINATORS.test(callee.property.name ?? "")) return
        const items = mapped(node.arguments[0])
        if (items === undefined || isLiteral(items)) return
        context.report({
          node,
          message: "a fan-out needs a limit: mapBounded(items, limit, fn) from packages/base/src/life/index.ts",
        })
      },
    }
  },
}
