/**
 * Conditions made ready for being asked.
 *
 * What is absent: a positive operator fails, a negated one holds, `IfExists` holds, `ForAllValues:` holds and
 * `ForAnyValue:` fails. A key with several values under an operator that is not for sets: one that meets it is enough,
 * and for a negated operator none may match.
 * A variable without a value matches nothing. Since "not nothing" would be everybody, an Allow statement does not apply
 * where a negated comparison needed it; a Deny statement does.
 */
import { must } from "../../base/assert.js"
import { singleValueOf, valuesOf } from "./condition-keys.js"
import type { AccessRequest, Condition, Effect, PolicyVersion } from "./contract.js"
import { LOOK, type EvaluationBudget } from "./evaluation-budget.js"
import { NULL, OPERATORS, parseTruth, type Operator } from "./operators.js"
import { hasVariables, resolved, patternOf, type Matcher, type Pattern } from "./pattern.js"

/** Spends what it costs. */
export type Question = (request: AccessRequest, budget: EvaluationBudget) => boolean
/** The test for this request; undefined where a variable has no value. */
type Comparison = (request: AccessRequest, budget: EvaluationBudget) => Matcher | undefined

export const hasVariablesIn = (version: PolicyVersion): boolean => version === "2012-10-17"

/** A value as its operator takes it; undefined where it has a `${` that is no variable. */
export function valuePattern(operator: Operator, value: string, version: PolicyVersion): Pattern | undefined {
  if (operator.takes === "text") return [value]
  return patternOf(value, { variables: hasVariablesIn(version), wildcards: operator.takes === "template" })
}

function comparisonOf(operator: Operator, value: string, version: PolicyVersion): Comparison {
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

/** What reading a key's value costs: those of tags and claims are looked for among others. */
const READ = 10 * LOOK

function nullQuestion({ key, values }: Condition): Question {
  const wanted = new Set(values.map(parseTruth))
  return (request, budget) => {
    budget.spend(READ)
    const found = valuesOf(request, key)
    return wanted.has(found === undefined || (typeof found !== "string" && found.length === 0))
  }
}

export function questionOf(condition: Condition, effect: Effect, version: PolicyVersion): Question {
  const { key, over, ifExists, operator: name } = condition
  if (name === NULL) return nullQuestion(condition)
  const operator = must(OPERATORS.get(name), "operators were checked when they were parsed")
  const comparisons = condition.values.map(value => comparisonOf(operator, value, version))
  const meets = (actual: string, request: AccessRequest, budget: EvaluationBudget): boolean => {
    let isKnown = true
    for (const comparison of comparisons) {
      budget.spend(LOOK + actual.length)
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
