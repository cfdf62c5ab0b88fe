/**
 * Principals of resource and trust policies: whether a statement names the caller, and how precisely.
 *
 * An account's number, its root ARN and its canonical id name every principal of the account, but only as its members:
 * the account still decides. A role's ARN names its sessions; a session's ARN, a user's ARN and `*` name the caller.
 * `NotPrincipal` (only in Deny statements) exempts only principals that it names directly: the account's ARN
 * exempts the root user, and a role's ARN exempts no session. AWS requires both to be listed next to the session or
 * user, so policies written for AWS mean the same here.
 * Sources  "Principal" and "NotPrincipal", IAM User Guide.
 */
import type { AccessRequest, NamedCallers, Principals, PrincipalMatch } from "./contract.js"

type Caller = AccessRequest["principal"]

const ACCOUNT = /^(?:arn:aws:iam::)?(\d{12})(?::root)?$/

export function namedCallersOf({ negated, named }: Principals): NamedCallers {
  const valuesOf = (type: string): string[] => named.filter(one => one.type === type).map(one => one.value)
  const aws = valuesOf("AWS")
  return {
    negated,
    everybody: aws.includes("*"),
    accounts: new Set(aws.flatMap(value => ACCOUNT.exec(value)?.[1] ?? [])),
    canonicalIds: new Set(valuesOf("CanonicalUser")),
    arnsAndIds: new Set(aws),
    providers: new Set(valuesOf("Federated")),
  }
}

function isNamedAsAccount({ accounts, canonicalIds }: NamedCallers, caller: Caller): boolean {
  return "arn" in caller && (accounts.has(caller.accountNumber) || canonicalIds.has(caller.accountId))
}

/** Returns true if the caller is named directly: user, session or provider; for the root user, its account. */
function isNamedItself(callers: NamedCallers, caller: Caller): boolean {
  const { arnsAndIds, providers } = callers
  switch (caller.kind) {
    case "anonymous":
      return false
    case "federated":
      return providers.has(caller.providerArn)
    case "root":
      return isNamedAsAccount(callers, caller)
    case "user":
      return arnsAndIds.has(caller.arn) || arnsAndIds.has(caller.userId)
    case "session":
      return arnsAndIds.has(caller.sessionArn) || arnsAndIds.has(caller.userId)
  }
}

function isNamedAsRole({ arnsAndIds }: NamedCallers, caller: Caller): boolean {
  if (caller.kind !== "session") return false
  const [roleId = ""] = caller.userId.split(":")
  return arnsAndIds.has(caller.arn) || arnsAndIds.has(roleId)
}

/** Returns true if a Deny statement concerns the caller. */
export function concerns(callers: NamedCallers, caller: Caller): boolean {
  const isNamed = callers.everybody || isNamedItself(callers, caller)
  if (callers.negated) return !isNamed
  return isNamed || isNamedAsRole(callers, caller) || isNamedAsAccount(callers, caller)
}

/**
 * How closely an Allow statement's principals match the caller. With a session policy, a user matches only as the role
 * behind its session would. `*` does not admit web identities: a trust policy must name the provider it trusts.
 */
export function matchOf(callers: NamedCallers, caller: Caller, hasSessionPolicy: boolean): PrincipalMatch | undefined {
  if (callers.everybody && caller.kind !== "federated") return "caller"
  if (caller.kind !== "root" && isNamedItself(callers, caller)) {
    return caller.kind === "user" && hasSessionPolicy ? "role" : "caller"
  }
  if (isNamedAsRole(callers, caller)) return "role"
  return isNamedAsAccount(callers, caller) ? "account" : undefined
}
