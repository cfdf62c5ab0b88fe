/**
 * Bucket policies: S3's requirements beyond those for every resource policy. Each of its resources can be in its own
 * bucket, by name or by a pattern that the name fits. A bucket policy names only actions that S3 has for buckets and
 * objects, and no action that cannot apply to any of its resources.
 */
import { actionMatcherOf } from "./compile.js"
import type { AccessPolicy, PrincipalName, PolicyStatement } from "./contract.js"
import { parseAccessPolicy } from "./parse-access-policy.js"
import { hintOf } from "./nearest-action.js"
import { EvaluationBudget } from "./evaluation-budget.js"
import { INVALID_PRINCIPAL, malformedPolicy } from "./messages.js"
import { matcherOf, patternOf } from "./pattern.js"

/** The kind of resource that an action acts on. */
export type ActionScope = "bucket" | "object"

interface BucketPolicyRules {
  readonly bucket: string
  /** Every action that a bucket policy may name, in AWS's spelling: `s3:GetObject`. */
  readonly actions: ReadonlyMap<string, ActionScope>
}

const BOTH: readonly ActionScope[] = ["bucket", "object"]

const ARN_LEAD = "arn:aws:s3:::"

/** The kinds of resource that a policy's resource can match; empty if it is outside the bucket. */
function scopesOf(resource: string, bucket: string): readonly ActionScope[] {
  if (resource === "*") return BOTH
  if (!resource.startsWith(ARN_LEAD)) return []
  const text = resource.slice(ARN_LEAD.length)
  const slash = text.indexOf("/")
  const name = slash < 0 ? text : text.slice(0, slash)
  const fits = (pattern: string): boolean => {
    const parsed = patternOf(pattern, { variables: false, wildcards: true })
    return parsed !== undefined && matcherOf(parsed)(bucket, new EvaluationBudget())
  }
  // A wildcard can stand for the slash as well.
  const isBucketUpTo = (end: number): boolean =>
    name[end] === "*" ? fits(name.slice(0, end + 1)) : name[end] === "?" && fits(name.slice(0, end))
  const hasKeys = (slash >= 0 && fits(name)) || [...name].some((_, end) => isBucketUpTo(end))
  return [...(slash < 0 && fits(name) ? (["bucket"] as const) : []), ...(hasKeys ? (["object"] as const) : [])]
}

function checkStatement({ index, actions, resources }: PolicyStatement, rules: BucketPolicyRules): void {
  const where = `$.Statement[${index}]`
  const scopes = new Set<ActionScope>()
  for (const resource of resources?.patterns ?? []) {
    const matched = scopesOf(resource, rules.bucket)
    if (matched.length === 0) throw malformedPolicy("Policy has invalid resource", where)
    for (const scope of matched) scopes.add(scope)
  }
  const known = [...rules.actions]
  for (const pattern of actions.patterns) {
    const matches = actionMatcherOf({ negated: false, patterns: [pattern] })
    const named = known.filter(([action]) => matches(action))
    if (named.length === 0) {
      const wrong = `${pattern} is no action of buckets and objects${hintOf(pattern, rules.actions.keys())}`
      throw malformedPolicy(`Policy has invalid action: ${wrong}`, where)
    }
    const canApply = actions.negated || resources?.negated === true || named.some(([, scope]) => scopes.has(scope))
    if (!canApply) throw malformedPolicy("Action does not apply to any resource(s) in statement", where)
  }
}

/** The policy reduced to its Deny statements. */
export const denialsOf = (policy: AccessPolicy): AccessPolicy => ({
  ...policy,
  statements: policy.statements.filter(({ effect }) => effect === "Deny"),
  rules: policy.rules.filter(({ statement }) => statement.effect === "Deny"),
})

/** Throws `malformedPolicy`. */
export function parseBucketPolicy(text: string, rules: BucketPolicyRules): AccessPolicy {
  const policy = parseAccessPolicy(text, "resource")
  for (const statement of policy.statements) checkStatement(statement, rules)
  return policy
}

/** Throws `malformedPolicy` for the first statement that names a principal that does not exist. */
export function checkPrincipals({ statements }: AccessPolicy, exists: (named: PrincipalName) => boolean): void {
  for (const { index, principals } of statements) {
    if (principals === undefined || principals.named.every(exists)) continue
    throw malformedPolicy(
      INVALID_PRINCIPAL,
      `$.Statement[${index}].${principals.negated ? "NotPrincipal" : "Principal"}`,
    )
  }
}
