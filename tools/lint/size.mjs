/**
 * Rule: a function has about as many words as fit on a screen, a file as many as are read in one go; imports do not count. Longer
 * ones should be split by concept; justified exceptions are in ratchet.json and never grow.
 *
 * Tokens are counted instead of lines, so that the number shapes nothing: a list has the same size in one line and in ten, and
 * comments are free.
 *
 * Tests and the suites of seams are lists: their functions may be long, and their files longer.
 */
import { isCheck, pathOf } from "./paths.mjs"
import { ratchetFor, ratchetOfFile } from "./ratchet.mjs"

/** About 70 lines. */
export const FUNCTION_TOKENS_MAX = 900
/** About 600 lines. */
export const FILE_TOKENS_MAX = 5_200
export const CHECK_FILE_TOKENS_MAX = 14_000

function nameOf(node) {
  const { parent } = node
  return node.id?.name ?? parent?.id?.name ?? parent?.key?.name ?? parent?.left?.name ?? `line${node.loc.start.line}`
}

/** The number of tokens between two offsets; `starts`: where each token of the file starts. */
function countBetween(starts, from, to) {
  const below = offset => {
    let [low, high] = [0, starts.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (starts[middle] < offset) low = middle + 1
      else high = middle
    }
    return low
  }
  return below(to) - below(from)
}

export default {
  meta: { type: "suggestion", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    const isTestCode = isCheck(path)
    const seen = new Set()
    let starts
    const sizeOf = ({ range: [from, to] }) => {
      starts ??= context.sourceCode.ast.tokens.map(({ range }) => range[0])
      return countBetween(starts, from, to)
    }

    const checkSize = (kind, key, size, limit, node, advice) => {
      const allowed = ratchetFor(kind, key)?.number
      if (allowed !== undefined && size > limit) seen.add(key)
      if (size > (allowed ?? limit))
        context.report({ node, message: `${size} tokens, ${allowed ?? limit} at most: ${advice}` })
      else if (allowed !== undefined && size < allowed && size > limit) {
        context.report({
          node,
          message: `well done: only ${size} tokens remain; lower ${key} in tools/lint/ratchet.json`,
        })
      }
    }

    const onFunction = node => {
      // A short one needs no count.
      if (isTestCode || node.range[1] - node.range[0] < FUNCTION_TOKENS_MAX) return
      checkSize(
        "functionTokens",
        `${path}#${nameOf(node)}`,
        sizeOf(node),
        FUNCTION_TOKENS_MAX,
        node,
        "split the function by concept",
      )
    }

    return {
      FunctionDeclaration: onFunction,
      FunctionExpression: onFunction,
      ArrowFunctionExpression: onFunction,
      "Program:exit"(node) {
        const limit = isTestCode ? CHECK_FILE_TOKENS_MAX : FILE_TOKENS_MAX
        const imported = node.body
          .filter(({ type }) => type === "ImportDeclaration")
          .reduce((sum, each) => sum + sizeOf(each), 0)
        checkSize("fileTokens", path, sizeOf(node) - imported, limit, node, "split the file by topic")
        for (const kind of ["fileTokens", "functionTokens"]) {
          for (const [key] of ratchetOfFile(kind, path)) {
            if (!seen.has(key))
              context.report({ node, message: `well done: remove ${key} from tools/lint/ratchet.json` })
          }
        }
      },
    }
  },
}
