/**
 * Bucket policies: what S3 asks of them besides what every resource policy must keep. They speak of their own bucket, of
 * actions that S3 has for buckets and objects, and of no action that none of their resources can have.
 */
import { actionMatcherOf } from "./compile.js"
import type { AccessPolicy, PrincipalName, Statement } from "./contract.js"
import { parseAccessPolicy } from "./parse-access-policy.js"
import { INVALID_PRINCIPAL, malformed } from "./messages.js"

/** What an action acts on. */
export type ActionScope = "bucket" | "object"

export interface BucketPolicyRules {
  readonly bucket: string
  /** Every action that a bucket policy may name, as AWS spells it: `s3:GetObject`. */
  readonly actions: ReadonlyMap<string, ActionScope>
}

const BOTH: readonly ActionScope[] = ["bucket", "object"]

/** What a resource of a policy can be; empty where it is not of the bucket. */
function scopesOf(resource: string, bucket: string): readonly ActionScope[] {
  if (resource === "*") return BOTH
  const own = `arn:aws:s3:::${bucket}`
  if (!resource.startsWith(own)) return []
  const rest = resource.slice(own.length)
  if (rest === "") return ["bucket"]
  if (rest.startsWith("/")) return ["object"]
  return rest.startsWith("*") || rest.startsWith("?") ? BOTH : []
}

function checkStatement({ index, actions, resources }: Statement, rules: BucketPolicyRules): void {
  const where = `$.Statement[${index}]`
  const scopes = new Set<ActionScope>()
  for (const resource of resources?.patterns ?? []) {
    const found = scopesOf(resource, rules.bucket)
    if (found.length === 0) throw malformed("Policy has invalid resource", where)
    for (const scope of found) scopes.add(scope)
  }
  const known = [...rules.actions]
  for (const pattern of actions.patterns) {
    const matches = actionMatcherOf({ negated: false, patterns: [pattern] })
    const named = known.filter(([action]) => matches(action))
    if (named.length === 0) throw malformed("Policy has invalid action", where)
    const canApply = actions.negated || resources?.negated === true || named.some(([, scope]) => scopes.has(scope))
    if (!canApply) throw malformed("Action does not apply to any resource(s) in statement", where)
  }
}

/** What is left of a policy whose word counts only against somebody. */
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

/** Throws `malformedPolicy` for the first whom it names that is not there. */
export function checkPrincipals({ statements }: AccessPolicy, exists: (named: PrincipalName) => boolean): void {
  for (const { index, principals } of statements) {
    if (principals === undefined || principals.named.every(exists)) continue
    throw malformed(INVALID_PRINCIPAL, `$.Statement[${index}].${principals.negated ? "NotPrincipal" : "Principal"}`)
  }
}
