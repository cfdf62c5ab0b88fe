/** Rule: a source file opens with a comment that states its purpose. */
import { isTest, pathOf } from "./paths.mjs"

const HEADER = /^(#![^\n]*\n)?\/\*\*(?<text>[\s\S]*?)\*\//
const LETTERS_MIN = 20

export default {
  meta: { type: "suggestion", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    if (isTest(path)) return {}
    return {
      Program(node) {
        const text = HEADER.exec(context.sourceCode.text)?.groups?.text ?? ""
        if (text.replaceAll(/[^\p{L}]/gu, "").length >= LETTERS_MIN) return
        const loc = { line: 1, column: 0 }
        context.report({
          node,
          loc,
          message: "begin the file with a comment: /** its purpose, what it promises and refuses, its limits */",
        })
      },
    }
  },
}
