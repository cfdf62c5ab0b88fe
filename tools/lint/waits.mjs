/** Rule: a loop of a test that only sleeps has no end if it waits in vain; `until` ends, and says what it waited for. */
import { isCheck, isStandIn, pathOf } from "./paths.mjs"

const TIMERS = /^(node:)?timers\/promises$/
/** Its `pause` sleeps. */
const LISTENER = /\/testing-listener\.js$/
const REAL_CLOCK = /\/seams\/clock\/real\.js$|^\.\/real\.js$/
const BY_TIMER = /\b(setTimeout|setImmediate)\b/

/** The only statement of a body, if it is an expression. */
function onlyExpression(body) {
  const statements = body.type === "BlockStatement" ? body.body : [body]
  return statements.length === 1 && statements[0].type === "ExpressionStatement" ? statements[0].expression : undefined
}

const isEmpty = body => body.type === "EmptyStatement" || (body.type === "BlockStatement" && body.body.length === 0)

/** A loop that counts ends by its count. */
const isCounted = ({ update }) =>
  update?.type === "UpdateExpression" ||
  (update?.type === "AssignmentExpression" && ["+=", "-="].includes(update.operator))

export default {
  meta: { type: "problem", schema: [] },
  create(context) {
    const path = pathOf(context.filename)
    if (!isCheck(path) && !isStandIn(path) && !path.startsWith("sim/")) return {}
    const sleeps = new Set()
    let hasRealClock = false

    const isSleep = node => {
      if (node?.type !== "AwaitExpression") return false
      const { argument } = node
      if (argument.type === "NewExpression")
        return argument.callee.name === "Promise" && BY_TIMER.test(context.sourceCode.getText(argument))
      if (argument.type !== "CallExpression") return false
      const { callee } = argument
      return callee.type === "MemberExpression"
        ? hasRealClock && callee.property.name === "sleep"
        : sleeps.has(callee.name)
    }
    const check = node => {
      const { body } = node
      const onlySleeps = isSleep(onlyExpression(body)) || (isEmpty(body) && isSleep(node.update))
      // Without a condition, it waits for nothing.
      if (!onlySleeps || node.test === null || isCounted(node)) return
      context.report({
        node,
        message:
          "this loop never ends if it waits in vain: until(what, isSo) from packages/base/src/seams/clock/testing-until.ts",
      })
    }
    return {
      ImportDeclaration({ source, specifiers }) {
        for (const { local, imported } of specifiers)
          if (TIMERS.test(source.value) || (LISTENER.test(source.value) && imported?.name === "pause"))
            sleeps.add(local.name)
        if (REAL_CLOCK.test(source.value)) hasRealClock = true
      },
      WhileStatement: check,
      DoWhileStatement: check,
      ForStatement: check,
    }
  },
}
