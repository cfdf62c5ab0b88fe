/** Statements made ready for being asked: what can be worked out before there is a request, is. */
import type { AccessRequest, Patterns, PolicyVersion, Rule, Statement } from "./contract.js"
import { must } from "../../base/assert.js"
import { singleValueOf } from "./condition-keys.js"
import { hasVariablesIn, questionOf, type Question } from "./conditions.js"
import { EvaluationBudget, LOOK } from "./evaluation-budget.js"
import { arnMatcherOf } from "./operators.js"
import { namedCallersOf } from "./principals.js"
import { hasVariables, matcherOf, resolved, patternOf, type Matcher, type Pattern } from "./pattern.js"

const PARSED = "patterns were checked when they were parsed"

/** Actions are the same in either case, and have no variables. They are short: no pattern costs much. */
export function actionMatcherOf({ negated, patterns }: Patterns): (action: string) => boolean {
  const matchers = patterns.map(pattern =>
    matcherOf(must(patternOf(pattern.toLowerCase(), { variables: false, wildcards: true }), PARSED)),
  )
  return action => matchers.some(matches => matches(action.toLowerCase(), new EvaluationBudget())) !== negated
}

const resourceMatcherOf = (compiled: Pattern): Matcher =>
  must(arnMatcherOf(compiled), "a resource has its six components")

/** One pattern; what it gives is undefined where a variable has no value. */
function resourceQuestion(
  pattern: string,
  version: PolicyVersion,
): (request: AccessRequest, budget: EvaluationBudget) => boolean | undefined {
  if (pattern === "*") return () => true
  const compiled = must(patternOf(pattern, { variables: hasVariablesIn(version), wildcards: true }), PARSED)
  if (!hasVariables(compiled)) {
    const matches = resourceMatcherOf(compiled)
    return (request, budget) => matches(request.resource, budget)
  }
  return (request, budget) => {
    const known = resolved(compiled, key => singleValueOf(request, key), budget)
    return known && resourceMatcherOf(known)(request.resource, budget)
  }
}

/** Variables without a value are judged as in conditions: they match nothing, and never widen an Allow statement. */
function resourcesQuestion({ effect, resources }: Statement, version: PolicyVersion): Question {
  if (resources === undefined) return () => true
  const questions = resources.patterns.map(pattern => resourceQuestion(pattern, version))
  const [only] = questions
  if (only !== undefined && questions.length === 1 && !resources.negated)
    return (request, budget) => only(request, budget) === true
  return (request, budget) => {
    let isKnown = true
    for (const question of questions) {
      budget.spend(LOOK)
      const isMatch = question(request, budget)
      if (isMatch === true) return !resources.negated
      isKnown &&= isMatch !== undefined
    }
    return resources.negated && (isKnown || effect === "Deny")
  }
}

/** The text of a pattern up to the last slash ahead of its wildcards and variables; of one without any the whole. */
function foldersOf({ resources }: Statement, version: PolicyVersion): readonly string[] | undefined {
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

export function ruleOf(statement: Statement, version: PolicyVersion): Rule {
  const concernsResource = resourcesQuestion(statement, version)
  const isDeny = statement.effect === "Deny"
  const questions = statement.conditions.map(condition => questionOf(condition, statement.effect, version))
  return {
    statement,
    callers: statement.principals && namedCallersOf(statement.principals),
    speaksOf: actionMatcherOf(statement.actions),
    folders: foldersOf(statement, version),
    appliesTo: (request, budget) =>
      budget.within(
        () => concernsResource(request, budget) && questions.every(question => question(request, budget)),
        isDeny,
      ),
  }
}
