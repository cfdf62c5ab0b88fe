/**
 * Rule: `*-core.ts` decides and never waits: no async, no promise, no seam. Types of plain data in a seam's
 * contract may be imported; interfaces of seams may not.
 */
import { importedPath, pathOf, moduleOf } from "./paths.mjs"

const LIVE = new Set(
  "Clock Random Disk DiskFile Stores StoreReader StoreWriter Net Compute HashPipeline Slab SlabPool Telemetry Log Metrics Counter Histogram".split(
    " ",
  ),
)
const WAITS = "a core decides and never waits: return what should happen and let the *-loop.ts do it"

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    if (!/-core\.ts$/.test(path)) return {}
    const report = (node, message) => context.report({ node, message })
    const onFunction = node => node.async && report(node, WAITS)
    return {
      FunctionDeclaration: onFunction,
      FunctionExpression: onFunction,
      ArrowFunctionExpression: onFunction,
      AwaitExpression: node => report(node, WAITS),
      ForOfStatement: node => node.await && report(node, WAITS),
      Identifier: node => /^(Promise|PromiseLike)$/.test(node.name) && report(node, WAITS),
      ImportExpression: node => report(node, WAITS),
      ImportDeclaration(node) {
        const to = importedPath(path, node.source.value)
        if (to === undefined || moduleOf(to) !== "base/seams") return
        for (const specifier of node.specifiers) {
          const name = specifier.imported?.name ?? specifier.local.name
          const isType = node.importKind === "type" || specifier.importKind === "type"
          if (isType && !LIVE.has(name) && specifier.type === "ImportSpecifier") continue
          report(specifier, `a core uses no seam: pass the value of ${name} in with the event`)
        }
      },
    }
  },
}
