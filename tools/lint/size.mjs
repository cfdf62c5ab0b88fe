/**
 * Rule: a function has at most about a screen of lines, a file about 600 besides its imports. Longer ones should be split by
 * concept; justified exceptions are in ratchet.json and never grow.
 *
 * Tests and the suites of seams are lists: their functions may be long, and their files longer.
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
    const isTestCode = isCheck(path)
    const seen = new Set()

    const checkSize = (kind, key, lines, limit, node, advice) => {
      const allowed = ratchetFor(kind, key)?.number
      if (allowed !== undefined && lines > limit) seen.add(key)
      if (lines > (allowed ?? limit))
        context.report({ node, message: `${lines} lines, ${allowed ?? limit} at most: ${advice}` })
      else if (allowed !== undefined && lines < allowed && lines > limit) {
        context.report({
          node,
          message: `well done: only ${lines} lines remain; lower ${key} in tools/lint/ratchet.json`,
        })
      }
    }

    const onFunction = node => {
      if (isTestCode) return
      const lines = node.loc.end.line - node.loc.start.line + 1
      const key = `${path}#${nameOf(node)}`
      checkSize("functionLines", key, lines, FUNCTION_LINES_MAX, node, "split the function by concept")
    }

    return {
      FunctionDeclaration: onFunction,
      FunctionExpression: onFunction,
      ArrowFunctionExpression: onFunction,
      "Program:exit"(node) {
        const limit = isTestCode ? CHECK_FILE_LINES_MAX : FILE_LINES_MAX
        const imported = node.body
          .filter(({ type }) => type === "ImportDeclaration")
          .reduce((sum, { loc }) => sum + loc.end.line - loc.start.line + 1, 0)
        const lines = context.sourceCode.lines.length - (context.sourceCode.text.endsWith("\n") ? 1 : 0) - imported
        checkSize("fileLines", path, lines, limit, node, "split the file by topic")
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
