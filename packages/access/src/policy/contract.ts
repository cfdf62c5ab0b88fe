/**
 * Access policies: documents that state who may do what, and the decisions made from them. Everything here is pure.
 *
 * The terms are AWS's. An *identity* policy is attached to a user, group, role, key or session and names no principal;
 * a *resource* policy is attached to a bucket and names principals; a *trust* policy is attached to a role and names
 * principals but no resource; a *key* policy is attached to a named key and names principals. Do not confuse these with `Policy`, the redundancy of stored bytes.
 *
 *   parse-access-policy.ts   text to AccessPolicy, or the failure `malformedPolicy` with `message` and `where`
 *   decide.ts                a request and all policies that concern it to a Decision
 *   explain.ts               a denial to the smallest grant that would have helped
 *   policy-status.ts         whether a resource policy is public, by Amazon's rule
 */
import type { AccountId } from "@hayloft/base/ids.js"
import type { AccountNumber } from "@hayloft/base/ids.js"
import type { Principal } from "../principals/principal.js"
import type { EvaluationBudget } from "./evaluation-budget.js"

/** The principals of a statement, grouped by the caller attribute they are compared with. */
export interface NamedCallers {
  readonly negated: boolean
  readonly everybody: boolean
  readonly accounts: ReadonlySet<string>
  readonly canonicalIds: ReadonlySet<string>
  readonly arnsAndIds: ReadonlySet<string>
  readonly providers: ReadonlySet<string>
}

export type AccessPolicyKind = "identity" | "resource" | "trust" | "key"
export type PolicyLanguageVersion = "2008-10-17" | "2012-10-17"
export type Effect = "Allow" | "Deny"

/** Text patterns, one of which must match; with `negated` (NotAction, NotResource) none may match. */
export interface Patterns {
  readonly negated: boolean
  readonly patterns: readonly string[]
}

export type PrincipalType = "AWS" | "Service" | "Federated" | "CanonicalUser"

/** One entry of `Principal` or `NotPrincipal`. `"*"` is stored as `{ type: "AWS", value: "*" }`, which means the same. */
export interface PrincipalName {
  readonly type: PrincipalType
  readonly value: string
}

export interface Principals {
  readonly negated: boolean
  readonly named: readonly PrincipalName[]
}

/** `aws:PrincipalTag/Team` is `{ name: "aws:principaltag", suffix: "Team" }`; names are compared without case. */
export interface ConditionKey {
  readonly name: string
  readonly suffix: string | undefined
}

export interface Condition {
  /** In AWS's spelling, without the suffix and prefix that the next two fields hold: `StringEquals`. */
  readonly operator: string
  readonly ifExists: boolean
  readonly over: "all" | "any" | undefined
  readonly key: ConditionKey
  readonly values: readonly string[]
}

export interface PolicyStatement {
  /** From 0. */
  readonly index: number
  readonly sid: string | undefined
  readonly effect: Effect
  /** The principals are undefined in identity policies. */
  readonly principals: Principals | undefined
  readonly actions: Patterns
  /** The resources are undefined in trust policies, which apply to their role. */
  readonly resources: Patterns | undefined
  readonly conditions: readonly Condition[]
}

/** A compiled statement. */
export interface Rule {
  readonly statement: PolicyStatement
  /** The callers are undefined in identity policies. */
  readonly callers: NamedCallers | undefined
  /** Returns true if the statement's actions include this one. */
  readonly coversAction: (action: string) => boolean
  /** Every matching resource equals one of these or is below it, after a `/`; undefined if there is no such bound. */
  readonly folders: readonly string[] | undefined
  /**
   * Evaluates resource and conditions; the caller is matched separately, since it matters how it is named. If the
   * evaluation budget does not suffice, a Deny applies and an Allow does not.
   */
  readonly appliesTo: (request: AccessRequest, budget: EvaluationBudget) => boolean
}

/** An access policy document, parsed and compiled. */
export interface AccessPolicy {
  readonly kind: AccessPolicyKind
  readonly version: PolicyLanguageVersion
  readonly id: string | undefined
  readonly statements: readonly PolicyStatement[]
  /** One for each statement. */
  readonly rules: readonly Rule[]
}

/**
 * Reuse these objects, and lists of them, until something changes: derived data is cached by object identity.
 */
export interface NamedPolicy {
  /** For operators: `user bob: inline readOnly`. */
  readonly name: string
  readonly policy: AccessPolicy
}

/** The policies attached to a principal. */
export interface PrincipalPolicies {
  /** The policies of a user and its groups, or of a role; empty for root, which may do everything in its account. */
  readonly identity: readonly NamedPolicy[]
  /** The policy is undefined if there is no boundary. */
  readonly boundary: NamedPolicy | undefined
  /** Session policies, or a service account's; undefined if there are none: no limit. Empty allows nothing. */
  readonly session: readonly NamedPolicy[] | undefined
}

/** A web identity that requests a role: it belongs to no account, and only the trust policy decides. */
export interface FederatedCaller {
  readonly kind: "federated"
  /** `arn:aws:iam::NUMBER:oidc-provider/HOST/PATH`. */
  readonly providerArn: string
  /** The claims, by the names of their condition keys: `issuer:sub`, `issuer:aud` … */
  readonly claims: readonly (readonly [key: string, value: string])[]
}

/** Values of condition keys that come from the request, read only if a policy refers to them. */
export interface RequestContext {
  /** `name` is in lower case. Undefined if the request lacks the key. A list is a multi-valued key; it may be empty. */
  valuesOf(key: ConditionKey): string | readonly string[] | undefined
}

export interface AccessRequest {
  readonly principal: Principal | FederatedCaller
  /** In AWS's spelling: `s3:GetObject`. */
  readonly action: string
  /** ARN of the resource; `arn:aws:s3:::*`, as in AWS, for actions that concern no specific bucket. */
  readonly resource: string
  readonly owner: ResourceOwner
  readonly nowMs: number
  /** The engine derives the keys of principals, owners and time itself and does not read them from here. */
  readonly context: RequestContext
}

/** The part of a request that explanations show. */
export type DecidedRequest = Pick<AccessRequest, "principal" | "action" | "resource">

/** The owner of the resource; the caller's account if the resource does not exist yet. */
export interface ResourceOwner {
  readonly accountId: AccountId
  readonly accountNumber: AccountNumber
}

/**
 * How precisely a resource's policy names the caller; each step grants more within the owner's own account.
 *
 *   account   the caller's account, whose own policies must also allow the action
 *   role      the role behind the caller: boundary and session policies limit it
 *   caller    the caller itself, or everybody
 */
export type PrincipalMatch = "account" | "role" | "caller"

/** The policies attached to the resource. */
export interface ResourcePolicies {
  readonly policy: NamedPolicy | undefined
  /** The match that an access control list grants the caller for this action. */
  readonly acl: PrincipalMatch | undefined
}

export type PolicySide = "identity" | "boundary" | "session" | "resource"

/** The deciding statement. */
export interface DecidedBy {
  readonly side: PolicySide
  /** Name of the policy. */
  readonly policy: string
  readonly sid: string | undefined
  /** From 0. */
  readonly index: number
}

interface Allowed {
  readonly outcome: "allow"
  readonly by: DecidedBy | "root" | "acl"
}

export type Denied = (
  | { readonly outcome: "explicitDeny"; readonly by: DecidedBy }
  /** The sides on which an Allow statement is missing; every one is required. */
  | { readonly outcome: "implicitDeny"; readonly lacking: readonly PolicySide[] }
) & {
  /** Some statements were not evaluated to the end: the evaluation budget was spent. */
  readonly isCutShort?: boolean
}

export type Decision = Allowed | Denied

/** Throws `malformedPolicy`. */
export type ParsePolicy = (text: string, kind: AccessPolicyKind) => AccessPolicy
