/** Compiles statements into rules: everything that does not depend on a request is computed here, once. */
import type { AccessRequest, Patterns, PolicyLanguageVersion, Rule, PolicyStatement } from "./contract.js"
import { must } from "@hayloft/base/assert.js"
import { singleValueOf } from "./condition-keys.js"
import { hasVariablesIn, predicateOf, type Predicate } from "./conditions.js"
import { EvaluationBudget, STEP } from "./evaluation-budget.js"
import { arnMatcherOf } from "./operators.js"
import { namedCallersOf } from "./principals.js"
import { hasVariables, matcherOf, resolved, patternOf, type Matcher, type Pattern } from "./pattern.js"

const PARSED = "patterns were checked when they were parsed"

/** Action names are case-insensitive and have no variables. They are short: no pattern costs much. */
export function actionMatcherOf({ negated, patterns }: Patterns): (action: string) => boolean {
  const matchers = patterns.map(pattern =>
    matcherOf(must(patternOf(pattern.toLowerCase(), { variables: false, wildcards: true }), PARSED)),
  )
  return action => matchers.some(matches => matches(action.toLowerCase(), new EvaluationBudget())) !== negated
}

const resourceMatcherOf = (compiled: Pattern): Matcher =>
  must(arnMatcherOf(compiled), "a resource has its six components")

/** Tests one pattern; the test returns undefined if a variable has no value. */
function resourcePredicate(
  pattern: string,
  version: PolicyLanguageVersion,
): (request: AccessRequest, budget: EvaluationBudget) => boolean | undefined {
  if (pattern === "*") return () => true
  const compiled = must(patternOf(pattern, { variables: hasVariablesIn(version), wildcards: true }), PARSED)
  if (!hasVariables(compiled)) {
    const matches = resourceMatcherOf(compiled)
    return (request, budget) => matches(request.resource, budget)
  }
  return (request, budget) => {
    const resolvedPattern = resolved(compiled, key => singleValueOf(request, key), budget)
    return resolvedPattern && resourceMatcherOf(resolvedPattern)(request.resource, budget)
  }
}

/** A variable without a value behaves as in conditions: it matches nothing, and never widens an Allow statement. */
function resourcesPredicate({ effect, resources }: PolicyStatement, version: PolicyLanguageVersion): Predicate {
  if (resources === undefined) return () => true
  const predicates = resources.patterns.map(pattern => resourcePredicate(pattern, version))
  const [only] = predicates
  if (only !== undefined && predicates.length === 1 && !resources.negated)
    return (request, budget) => only(request, budget) === true
  return (request, budget) => {
    let isKnown = true
    for (const predicate of predicates) {
      budget.spend(STEP)
      const isMatch = predicate(request, budget)
      if (isMatch === true) return !resources.negated
      isKnown &&= isMatch !== undefined
    }
    return resources.negated && (isKnown || effect === "Deny")
  }
}

/** For each pattern, its text up to the last slash before any wildcard or variable; the whole text if it has none. */
function foldersOf({ resources }: PolicyStatement, version: PolicyLanguageVersion): readonly string[] | undefined {
  if (resources === undefined || resources.negated) return undefined
  const folders: string[] = []
  for (const pattern of resources.patterns) {
    const compiled = must(patternOf(pattern, { variables: hasVariablesIn(version), wildcards: true }), PARSED)
    const [first] = compiled
    const slash = typeof first === "string" ? first.lastIndexOf("/") : -1
    if (typeof first === "string" && compiled.length === 1) folders.push(first)
    else if (typeof first === "string" && slash >= 0) folders.push(first.slice(0, slash))
    else return undefined
  }
  return folders
}

export function ruleOf(statement: PolicyStatement, version: PolicyLanguageVersion): Rule {
  const concernsResource = resourcesPredicate(statement, version)
  const isDeny = statement.effect === "Deny"
  const predicates = statement.conditions.map(condition => predicateOf(condition, statement.effect, version))
  return {
    statement,
    callers: statement.principals && namedCallersOf(statement.principals),
    coversAction: actionMatcherOf(statement.actions),
    folders: foldersOf(statement, version),
    appliesTo: (request, budget) =>
      budget.within(
        () => concernsResource(request, budget) && predicates.every(predicate => predicate(request, budget)),
        isDeny,
      ),
  }
}
