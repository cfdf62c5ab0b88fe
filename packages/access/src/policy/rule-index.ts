/**
 * Finds the statements of several policies that may concern a request, by its action and the path of its resource.
 *
 * Policies are evaluated for few actions again and again. The rules for an action are found on its first use, indexed by
 * resource folder, and cached with the list of policies. A request therefore costs a few map lookups however many
 * policies there are, plus the evaluation of the statements that may concern it.
 */
import { RememberedByObject } from "@hayloft/base/remembered.js"
import type { NamedPolicy, Rule } from "./contract.js"
import { POLICY_LIMITS } from "./limits.js"

export interface NamedRule {
  /** The name of its policy. */
  readonly name: string
  readonly rule: Rule
}

interface MatchedRules {
  readonly denies: readonly NamedRule[]
  readonly allows: readonly NamedRule[]
}

interface RulesByFolder {
  readonly byFolder: ReadonlyMap<string, MatchedRules>
  /** The number of slashes in the deepest folder: deeper paths need no lookup. */
  readonly slashes: number
  /** Rules that are not bound to a folder. */
  readonly open: MatchedRules
}

type RuleIndex = Map<string, RulesByFolder>
type Policies = NamedPolicy | readonly NamedPolicy[]

function splitByEffect(rules: readonly NamedRule[]): MatchedRules {
  const having = (effect: string): readonly NamedRule[] => rules.filter(({ rule }) => rule.statement.effect === effect)
  return { denies: having("Deny"), allows: having("Allow") }
}

const slashesIn = (text: string): number => text.split("/").length - 1

function rulesByFolder(policies: Policies, action: string): RulesByFolder {
  const list = "policy" in policies ? [policies] : policies
  const rules = list.flatMap(({ name, policy }) =>
    policy.rules.filter(rule => rule.coversAction(action)).map(rule => ({ name, rule })),
  )
  const byFolder = new Map<string, NamedRule[]>()
  for (const named of rules) {
    for (const folder of new Set(named.rule.folders)) {
      const known = byFolder.get(folder)
      if (known === undefined) byFolder.set(folder, [named])
      else known.push(named)
    }
  }
  return {
    byFolder: new Map([...byFolder].map(([folder, some]) => [folder, splitByEffect(some)])),
    slashes: Math.max(0, ...[...byFolder.keys()].map(slashesIn)),
    open: splitByEffect(rules.filter(({ rule }) => rule.folders === undefined)),
  }
}

const indexes = new RememberedByObject<Policies, RuleIndex>(() => new Map())

function rulesOf(policies: Policies, action: string): RulesByFolder {
  const index = indexes.of(policies)
  let found = index.get(action)
  if (found === undefined) {
    found = rulesByFolder(policies, action)
    if (index.size < POLICY_LIMITS.cachedActionsMax) index.set(action, found)
  }
  return found
}

/** All rules that may concern the resource, in no particular order. */
export function findRules(policies: Policies, action: string, resource: string): readonly MatchedRules[] {
  const { byFolder, slashes, open } = rulesOf(policies, action)
  const found = [open]
  const add = (rules: MatchedRules | undefined): void => void (rules && found.push(rules))
  let slash = resource.indexOf("/")
  for (let depth = 0; slash >= 0 && depth <= slashes; depth += 1) {
    add(byFolder.get(resource.slice(0, slash)))
    slash = resource.indexOf("/", slash + 1)
  }
  add(byFolder.get(resource))
  return found
}
