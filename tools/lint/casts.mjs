/**
 * Rule: a cast belongs next to the check that justifies it, in a function named `parse…`.
 *
 * `as const` and `satisfies` assert nothing and are allowed; tests may cast. Files in ratchet.json have as many
 * casts as listed there; the number must be lowered with each removed cast.
 */
import { isCheck, pathOf } from "./paths.mjs"
import { ratchetFor } from "./ratchet.mjs"

const nameOf = node =>
  node.id?.name ??
  node.parent?.id?.name ??
  node.parent?.key?.name ??
  (node.parent?.type === "AssignmentExpression" ? node.parent.left.name : undefined)

function insideParse(node) {
  for (let at = node; at != null; at = at.parent) {
    if (/Function/.test(at.type) && /^#?parse/.test(nameOf(at) ?? "")) return true
  }
  return false
}

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    if (isCheck(path)) return {}
    const found = []
    const onCast = node => {
      const isConst = node.typeAnnotation.type === "TSTypeReference" && node.typeAnnotation.typeName.name === "const"
      if (!isConst && !insideParse(node)) found.push(node)
    }
    return {
      TSAsExpression: onCast,
      TSTypeAssertion: onCast,
      "Program:exit"(program) {
        const allowed = ratchetFor("casts", path)
        if (found.length > (allowed?.number ?? 0)) {
          const message = "no cast outside a parse… function: check the value there, or let the compiler follow"
          for (const node of found) context.report({ node, message })
        } else if (allowed !== undefined && found.length < allowed.number) {
          context.report({
            node: program,
            message: `well done: only ${found.length} casts remain; lower tools/lint/ratchet.json`,
          })
        }
      },
    }
  },
}
