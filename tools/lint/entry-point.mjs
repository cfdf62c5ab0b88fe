/** Rule: a module's `index.ts` is its entry point: a header and at most 50 lines of exports, nothing of its own. */
import { pathOf } from "./paths.mjs"

const ENTRY_POINT_LINES_MAX = 50

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    if (!/^packages\/.*\/index\.ts$/.test(pathOf(context.filename))) return {}
    return {
      Program(node) {
        for (const statement of node.body) {
          const isExport = /^Export(Named|All)Declaration$/.test(statement.type) && statement.source !== null
          if (!isExport)
            context.report({ node: statement, message: "an entry point only exports from the files of its module" })
        }
        const lines = context.sourceCode.lines.length - 1
        if (lines > ENTRY_POINT_LINES_MAX)
          context.report({ node, message: `${lines} lines, ${ENTRY_POINT_LINES_MAX} at most: export less` })
      },
    }
  },
}
