/**
 * Rule: regular expressions take time in proportion to the length of the text, whatever the text is.
 *
 * One such as `/\/+$/` takes the square of the length of its text, since it is tried again from each character: a request
 * with a million slashes keeps the thread busy for an hour. Source: https://github.com/RunDevelopment/scslre, "Trade" and "Move".
 */
import scslre from "scslre"
import { isCheck, isStandIn, pathOf } from "./paths.mjs"

const WHY = {
  Self: "repeats a repetition",
  Trade: "has two repetitions that match the same characters",
  Move: "begins with a repetition, and is tried from each character",
}
const MENDS =
  "read it with withoutTrailing of packages/base/src/text/trailing.ts or indexOf, or let each repetition match other characters"

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    if (isCheck(path) || isStandIn(path)) return {}
    return {
      Literal(node) {
        if (node.regex === undefined) return
        const { pattern: source, flags } = node.regex
        if (!/[*+{]/.test(source)) return
        const reportTypes = { Self: true, Trade: true, Move: true }
        const [first] = scslre.analyse({ source, flags }, { reportTypes }).reports
        if (first === undefined) return
        context.report({ node, message: `a long text can make this hang: the pattern ${WHY[first.type]}; ${MENDS}` })
      },
    }
  },
}
