/**
 * Rule: exports have names, sets of values are objects, literals are not packed into others, and the console builds its elements
 * by JSX only.
 */
import { pathOf } from "./paths.mjs"

const MARKUP = new Set(["innerHTML", "outerHTML", "insertAdjacentHTML"])
const BY_JSX = "text becomes elements by JSX only, so that no name of an object can become markup"

const LITERALS = new Set(["ObjectExpression", "ArrayExpression"])
const SPREAD_INTO = new Set([...LITERALS, "CallExpression", "NewExpression"])

/** `...{ a, b }` in another literal or a call, which only packs what belongs into it. */
function isPacked({ argument, parent }) {
  const spread = argument.type === "TSAsExpression" ? argument.expression : argument
  return LITERALS.has(spread.type) && SPREAD_INTO.has(parent.type)
}

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    const report = message => node => context.report({ node, message })
    const ofMarkup = nameOf => node => {
      if (nameOf(node)) report(BY_JSX)(node)
    }
    return {
      ExportDefaultDeclaration: report("export by name: a name that can be searched"),
      SpreadElement(node) {
        if (isPacked(node)) report("write the parts without a literal around them")(node)
      },
      TSEnumDeclaration: report("use an object `as const` and the union of its keys"),
      ...(pathOf(context.filename).startsWith("console/") && {
        JSXAttribute: ofMarkup(node => node.name.name === "dangerouslySetInnerHTML"),
        MemberExpression: ofMarkup(node => MARKUP.has(node.property.name ?? node.property.value)),
      }),
    }
  },
}
