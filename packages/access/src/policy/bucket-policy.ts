/**
 * Bucket policies: S3's requirements beyond those for every resource policy. A bucket policy names only its own bucket,
 * only actions that S3 has for buckets and objects, and no action that cannot apply to any of its resources.
 */
import { actionMatcherOf } from "./compile.js"
import type { AccessPolicy, PrincipalName, PolicyStatement } from "./contract.js"
import { parseAccessPolicy } from "./parse-access-policy.js"
import { hintOf } from "./nearest-action.js"
import { INVALID_PRINCIPAL, malformedPolicy } from "./messages.js"

/** The kind of resource that an action acts on. */
export type ActionScope = "bucket" | "object"

interface BucketPolicyRules {
  readonly bucket: string
  /** Every action that a bucket policy may name, in AWS's spelling: `s3:GetObject`. */
  readonly actions: ReadonlyMap<string, ActionScope>
}

const BOTH: readonly ActionScope[] = ["bucket", "object"]

/** The kinds of resource that a policy's resource can match; empty if it is outside the bucket. */
function scopesOf(resource: string, bucket: string): readonly ActionScope[] {
  if (resource === "*") return BOTH
  const own = `arn:aws:s3:::${bucket}`
  if (!resource.startsWith(own)) return []
  const rest = resource.slice(own.length)
  if (rest === "") return ["bucket"]
  if (rest.startsWith("/")) return ["object"]
  return rest.startsWith("*") || rest.startsWith("?") ? BOTH : []
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
