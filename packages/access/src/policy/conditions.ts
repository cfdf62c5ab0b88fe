/**
 * Compiles conditions into predicates.
 *
 * If a key is absent: a positive operator fails, a negated one holds, `IfExists` holds, `ForAllValues:` holds and
 * `ForAnyValue:` fails. If a key has several values and the operator has no set prefix: a positive operator holds if
 * one value matches, a negated one if none does.
 * A variable without a value matches nothing. Because its negation would match everything, an Allow statement does not
 * apply if a negated comparison depends on it; a Deny statement does.
 */
import { must } from "@hayloft/base/assert.js"
import { singleValueOf, valuesOf } from "./condition-keys.js"
import type { AccessRequest, Condition, Effect, PolicyLanguageVersion } from "./contract.js"
import { STEP, type EvaluationBudget } from "./evaluation-budget.js"
import { NULL, OPERATORS, parseTruth, type Operator } from "./operators.js"
import { hasVariables, resolved, patternOf, type Matcher, type Pattern } from "./pattern.js"

/** Spends its cost from the budget. */
export type Predicate = (request: AccessRequest, budget: EvaluationBudget) => boolean
/** The test for this request; undefined if a variable has no value. */
type Comparison = (request: AccessRequest, budget: EvaluationBudget) => Matcher | undefined

export const hasVariablesIn = (version: PolicyLanguageVersion): boolean => version === "2012-10-17"

/** The pattern of a value for its operator; undefined if it has a `${` that is not a variable. */
export function valuePattern(operator: Operator, value: string, version: PolicyLanguageVersion): Pattern | undefined {
  if (operator.valueKind === "text") return [value]
  return patternOf(value, { variables: hasVariablesIn(version), wildcards: operator.valueKind === "pattern" })
}

function comparisonOf(operator: Operator, value: string, version: PolicyLanguageVersion): Comparison {
  const pattern = must(valuePattern(operator, value, version), "values were checked when they were parsed")
  if (!hasVariables(pattern)) {
    const test = must(operator.testOf(value, pattern), "values were checked when they were parsed")
    return () => test
  }
  return (request, budget) => {
    const known = resolved(pattern, key => singleValueOf(request, key), budget)
    return known && operator.testOf(value, known)
  }
}

/** The cost of reading a key's value: tags and claims are found by searching a list. */
const READ = 10 * STEP

function nullPredicate({ key, values }: Condition): Predicate {
  const wanted = new Set(values.map(parseTruth))
  return (request, budget) => {
    budget.spend(READ)
    const found = valuesOf(request, key)
    return wanted.has(found === undefined || (typeof found !== "string" && found.length === 0))
  }
}

export function predicateOf(condition: Condition, effect: Effect, version: PolicyLanguageVersion): Predicate {
  const { key, over, ifExists, operator: name } = condition
  if (name === NULL) return nullPredicate(condition)
  const operator = must(OPERATORS.get(name), "operators were checked when they were parsed")
  const comparisons = condition.values.map(value => comparisonOf(operator, value, version))
  const meets = (actual: string, request: AccessRequest, budget: EvaluationBudget): boolean => {
    let isKnown = true
    for (const comparison of comparisons) {
      budget.spend(STEP + actual.length)
      const test = comparison(request, budget)
      if (test?.(actual, budget) === true) return !operator.negated
      isKnown &&= test !== undefined
    }
    return operator.negated && (isKnown || effect === "Deny")
  }
  return (request, budget) => {
    budget.spend(READ)
    const found = valuesOf(request, key)
    if (found === undefined) return ifExists || over === "all" || (over === undefined && operator.negated)
    if (typeof found === "string" && (over === undefined || found !== "")) return meets(found, request, budget)
    const actuals = typeof found === "string" ? [] : found
    const isForEach = over === undefined ? operator.negated : over === "all"
    return isForEach
      ? actuals.every(actual => meets(actual, request, budget))
      : actuals.some(actual => meets(actual, request, budget))
  }
}
