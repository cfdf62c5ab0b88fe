/** Rule: a room's `index.ts` is a door: a header and at most 50 lines of exports, nothing of its own. */
import { pathOf } from "./paths.mjs"

const DOOR_LINES_MAX = 50

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    if (!/^src\/.*\/index\.ts$/.test(pathOf(context.filename))) return {}
    return {
      Program(node) {
        for (const statement of node.body) {
          const isExport = /^Export(Named|All)Declaration$/.test(statement.type) && statement.source !== null
          if (!isExport) context.report({ node: statement, message: "a door only exports from its room's files" })
        }
        const lines = context.sourceCode.lines.length - 1
        if (lines > DOOR_LINES_MAX)
          context.report({ node, message: `${lines} lines, ${DOOR_LINES_MAX} at most: show less` })
      },
    }
  },
}
