/**
 * Rule: about a screen for a function, about 600 lines for a file. A longer one probably lacks an
 * idea; justified exceptions are in ratchet.json and never grow.
 *
 * Tests are lists: their functions may be long, their files longer. So are seams' suites.
 */
import { isCheck, pathOf } from "./paths.mjs"
import { ratchetFor, ratchetOfFile } from "./ratchet.mjs"

export const FUNCTION_LINES_MAX = 70
export const FILE_LINES_MAX = 600
export const CHECK_FILE_LINES_MAX = 1_000

function nameOf(node) {
  const { parent } = node
  return node.id?.name ?? parent?.id?.name ?? parent?.key?.name ?? parent?.left?.name ?? `line${node.loc.start.line}`
}

export default {
  meta: { type: "suggestion", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    const check = isCheck(path)
    const seen = new Set()

    const judge = (kind, key, lines, limit, node, advice) => {
      const allowed = ratchetFor(kind, key)?.number
      if (allowed !== undefined && lines > limit) seen.add(key)
      if (lines > (allowed ?? limit))
        context.report({ node, message: `${lines} lines, ${allowed ?? limit} at most: ${advice}` })
      else if (allowed !== undefined && lines < allowed && lines > limit) {
        context.report({ node, message: `well done: ${lines} lines are left; lower ${key} in tools/lint/ratchet.json` })
      }
    }

    const onFunction = node => {
      if (check) return
      const lines = node.loc.end.line - node.loc.start.line + 1
      const key = `${path}#${nameOf(node)}`
      judge("functionLines", key, lines, FUNCTION_LINES_MAX, node, "find the idea this function is missing")
    }

    return {
      FunctionDeclaration: onFunction,
      FunctionExpression: onFunction,
      ArrowFunctionExpression: onFunction,
      "Program:exit"(node) {
        const limit = check ? CHECK_FILE_LINES_MAX : FILE_LINES_MAX
        const lines = context.sourceCode.lines.length - (context.sourceCode.text.endsWith("\n") ? 1 : 0)
        judge("fileLines", path, lines, limit, node, "find the second thing this file is about")
        for (const kind of ["fileLines", "functionLines"]) {
          for (const [key] of ratchetOfFile(kind, path)) {
            if (!seen.has(key))
              context.report({ node, message: `well done: remove ${key} from tools/lint/ratchet.json` })
          }
        }
      },
    }
  },
}
