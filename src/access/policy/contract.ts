/**
 * Access policies: documents that say who may do what, and what is decided from them. All of it is pure.
 *
 * The words are AWS's. An *identity* policy hangs on a user, group, role, key or session and names no principal; a
 * *resource* policy hangs on a bucket and names who; a *trust* policy hangs on a role, names who, and no resource.
 * Not to be mixed up with `Policy`, the redundancy of stored bytes.
 *
 *   parse-access-policy.ts   text to AccessPolicy, or the failure `malformedPolicy` with `message` and `where`
 *   decide.ts                a request and all policies that concern it to a Decision
 *   explain.ts               a denial to the smallest grant that would have helped
 *   policy-status.ts         whether a resource policy is public, by Amazon's rule
 */
import type { AccountId } from "../../base/ids.js"
import type { AccountNumber } from "../../base/ids.js"
import type { Principal } from "../principal.js"
import type { EvaluationBudget } from "./evaluation-budget.js"

/** The principals of a statement, by what they are compared with. */
export interface NamedCallers {
  readonly negated: boolean
  readonly everybody: boolean
  readonly accounts: ReadonlySet<string>
  readonly canonicalIds: ReadonlySet<string>
  readonly arnsAndIds: ReadonlySet<string>
  readonly providers: ReadonlySet<string>
}

export type AccessPolicyKind = "identity" | "resource" | "trust"
export type PolicyVersion = "2008-10-17" | "2012-10-17"
export type Effect = "Allow" | "Deny"

/** Text patterns of which one must match; `negated` for NotAction and NotResource: none may. */
export interface Patterns {
  readonly negated: boolean
  readonly patterns: readonly string[]
}

export type PrincipalType = "AWS" | "Service" | "Federated" | "CanonicalUser"

/** `Principal`, or `NotPrincipal` where negated. `"*"` is kept as `{ type: "AWS", value: "*" }`, which means the same. */
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
  /** As AWS spells it, without what the next two say: `StringEquals`. */
  readonly operator: string
  readonly ifExists: boolean
  readonly over: "all" | "any" | undefined
  readonly key: ConditionKey
  readonly values: readonly string[]
}

export interface Statement {
  /** From 0. */
  readonly index: number
  readonly sid: string | undefined
  readonly effect: Effect
  /** Undefined in identity policies. */
  readonly principals: Principals | undefined
  readonly actions: Patterns
  /** Undefined in trust policies: they speak of their role. */
  readonly resources: Patterns | undefined
  readonly conditions: readonly Condition[]
}

/** A statement made ready for being asked. */
export interface Rule {
  readonly statement: Statement
  /** Undefined in identity policies. */
  readonly callers: NamedCallers | undefined
  /** Whether its actions have this one among them. */
  readonly speaksOf: (action: string) => boolean
  /** What the resources that it speaks of are, or lie below, with a `/` between; undefined where that is open. */
  readonly folders: readonly string[] | undefined
  /**
   * Resource and conditions; the caller is judged apart, since it matters how it is named. Where the effort does not
   * suffice, a Deny applies and an Allow does not.
   */
  readonly appliesTo: (request: AccessRequest, budget: EvaluationBudget) => boolean
}

/** A document of permissions, parsed and made ready. */
export interface AccessPolicy {
  readonly kind: AccessPolicyKind
  readonly version: PolicyVersion
  readonly id: string | undefined
  readonly statements: readonly Statement[]
  /** One for each statement. */
  readonly rules: readonly Rule[]
}

/**
 * Keep these, and lists of them, as long as nothing changes: what is worked out from one is remembered with it, and
 * works only once for the same object.
 */
export interface NamedPolicy {
  /** For people: `user bob: inline readOnly`. */
  readonly name: string
  readonly policy: AccessPolicy
}

/** What is attached to a principal. */
export interface PrincipalPolicies {
  /** A user's and its groups', or a role's; empty for root, which may do everything in its account. */
  readonly identity: readonly NamedPolicy[]
  /** Undefined: no limit. */
  readonly boundary: NamedPolicy | undefined
  /** Session policies, or a service account's; undefined: none was given, no limit. Empty: nothing is allowed. */
  readonly session: readonly NamedPolicy[] | undefined
}

/** Someone with a web identity who asks to assume a role: known to no account, judged by the trust policy alone. */
export interface FederatedCaller {
  readonly kind: "federated"
  /** `arn:aws:iam::NUMBER:oidc-provider/HOST/PATH`. */
  readonly providerArn: string
  /** As condition keys: `issuer:sub`, `issuer:aud` … */
  readonly claims: readonly (readonly [key: string, value: string])[]
}

/** Values of condition keys that come from the request, asked only where a policy needs them. */
export interface RequestContext {
  /** `name` is in lower case. Undefined: the request has no such key. A list is a multi-valued key; it may be empty. */
  valuesOf(key: ConditionKey): string | readonly string[] | undefined
}

export interface AccessRequest {
  readonly principal: Principal | FederatedCaller
  /** `s3:GetObject`, as AWS spells it. */
  readonly action: string
  /** ARN of what is acted on; `arn:aws:s3:::*` for what acts on no bucket in particular, as AWS has it. */
  readonly resource: string
  readonly owner: ResourceOwner
  readonly nowMs: number
  /** Keys of principals, owners and time are made by the engine and not asked here. */
  readonly context: RequestContext
}

/** The part of a request that people are told of. */
export type DecidedRequest = Pick<AccessRequest, "principal" | "action" | "resource">

/** Whose the resource is; of what does not exist yet, the caller's account. */
export interface ResourceOwner {
  readonly accountId: AccountId
  readonly accountNumber: AccountNumber
}

/**
 * How closely a resource names who it lets in; each reaches further in the owner's own account.
 *
 *   account   the caller's account, which still has to say itself that the caller may
 *   role      the role behind the caller: boundary and session policies limit it
 *   caller    the caller itself, or everybody
 */
export type PrincipalMatch = "account" | "role" | "caller"

/** What hangs on the resource. */
export interface ResourcePolicies {
  readonly policy: NamedPolicy | undefined
  /** What an access control list grants the caller for this action. */
  readonly acl: PrincipalMatch | undefined
}

export type PolicySide = "identity" | "boundary" | "session" | "resource"

/** Which statement decided. */
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
  /** Where a statement that allows is lacking; each of them is needed. */
  | { readonly outcome: "implicitDeny"; readonly lacking: readonly PolicySide[] }
) & {
  /** Some statements were not judged to the end: that would have cost too much. */
  readonly isCutShort?: boolean
}

export type Decision = Allowed | Denied

/** Throws `malformedPolicy`. */
export type ParsePolicy = (text: string, kind: AccessPolicyKind) => AccessPolicy
