/**
 * Statements made ready for being asked.
 *
 * A policy is asked about few actions again and again, so which statements speak of an action is found once and
 * remembered: a request costs one look into a map for each policy, and then only the statements that concern it.
 */
import type { AccessRequest, ActionRules, Patterns, PolicyVersion, Rule, Statement } from "./contract.js"
import { must } from "../../base/assert.js"
import { singleValueOf } from "./condition-keys.js"
import { hasVariablesIn, questionOf, type Question } from "./conditions.js"
import { POLICY_LIMITS } from "./limits.js"
import { arnMatcherOf } from "./operators.js"
import { namedCallersOf } from "./principals.js"
import { hasVariables, matcherOf, resolved, templateOf, type Matcher, type Template } from "./template.js"

const PARSED = "patterns were checked when they were parsed"
const NO_RULES: ActionRules = { denies: [], allows: [] }

/** Actions are the same in either case, and have no variables. */
export function actionMatcherOf({ negated, patterns }: Patterns): Matcher {
  const matchers = patterns.map(pattern =>
    matcherOf(must(templateOf(pattern.toLowerCase(), { variables: false, wildcards: true }), PARSED)),
  )
  return action => matchers.some(matches => matches(action.toLowerCase())) !== negated
}

const resourceMatcherOf = (template: Template): Matcher =>
  must(arnMatcherOf(template), "a resource has its six components")

/** One pattern; what it gives is undefined where a variable has no value. */
function resourceQuestion(pattern: string, version: PolicyVersion): (request: AccessRequest) => boolean | undefined {
  if (pattern === "*") return () => true
  const template = must(templateOf(pattern, { variables: hasVariablesIn(version), wildcards: true }), PARSED)
  if (!hasVariables(template)) {
    const matches = resourceMatcherOf(template)
    return request => matches(request.resource)
  }
  return request => {
    const known = resolved(template, key => singleValueOf(request, key))
    return known && resourceMatcherOf(known)(request.resource)
  }
}

/** Variables without a value are judged as in conditions: they match nothing, and never widen an Allow statement. */
function resourcesQuestion({ effect, resources }: Statement, version: PolicyVersion): Question {
  if (resources === undefined) return () => true
  const questions = resources.patterns.map(pattern => resourceQuestion(pattern, version))
  const [only] = questions
  if (only !== undefined && questions.length === 1 && !resources.negated) return request => only(request) === true
  return request => {
    let isKnown = true
    for (const question of questions) {
      const isMatch = question(request)
      if (isMatch === true) return !resources.negated
      isKnown &&= isMatch !== undefined
    }
    return resources.negated && (isKnown || effect === "Deny")
  }
}

function ruleOf(statement: Statement, version: PolicyVersion): Rule {
  const concernsResource = resourcesQuestion(statement, version)
  const questions = statement.conditions.map(condition => questionOf(condition, statement.effect, version))
  return {
    statement,
    callers: statement.principals && namedCallersOf(statement.principals),
    appliesTo: request => concernsResource(request) && questions.every(question => question(request)),
  }
}

/** Finds the rules of a policy by action, and remembers them. */
export function rulesByAction(
  statements: readonly Statement[],
  version: PolicyVersion,
): (action: string) => ActionRules {
  const rules = statements.map(statement => ({
    rule: ruleOf(statement, version),
    speaksOf: actionMatcherOf(statement.actions),
  }))
  const remembered = new Map<string, ActionRules>()
  const find = (action: string): ActionRules => {
    const found = rules.filter(({ speaksOf }) => speaksOf(action)).map(({ rule }) => rule)
    if (found.length === 0) return NO_RULES
    return {
      denies: found.filter(({ statement }) => statement.effect === "Deny"),
      allows: found.filter(({ statement }) => statement.effect === "Allow"),
    }
  }
  return action => {
    const known = remembered.get(action)
    if (known !== undefined) return known
    const found = find(action)
    if (remembered.size < POLICY_LIMITS.rememberedActionsMax) remembered.set(action, found)
    return found
  }
}
