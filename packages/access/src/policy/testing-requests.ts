/** Fixtures for tests of access policies: two accounts, their principals, and their requests. */
import { parseAccountId, parseAccountNumber } from "@hayloft/base/ids.js"
import type { RootPrincipal, SessionPrincipal, UserPrincipal } from "../principals/principal.js"
import type { AccessRequest, AccessPolicyKind, NamedPolicy, PrincipalPolicies, ResourceOwner } from "./contract.js"
import { NO_POLICIES } from "./decide.js"
import { parseAccessPolicy } from "./parse-access-policy.js"

export const OWNER = "111111111111"
export const OTHER = "222222222222"

export const ownerOf = (number: string): ResourceOwner => ({
  accountId: parseAccountId(number === OWNER ? "owner" : "other"),
  accountNumber: parseAccountNumber(number),
})

export function rootOf(number: string): RootPrincipal {
  const arn = `arn:aws:iam::${number}:root`
  return { ...ownerOf(number), kind: "root", arn, userId: number, tags: [], issuedMs: undefined }
}

export function userOf(number: string, userName: string): UserPrincipal {
  const arn = `arn:aws:iam::${number}:user/${userName}`
  const userId = `AIDA${userName.toUpperCase()}${number}`
  return { ...ownerOf(number), kind: "user", arn, userId, userName, tags: [], issuedMs: undefined }
}

export function sessionOf(number: string, role: string, name: string): SessionPrincipal {
  return {
    ...ownerOf(number),
    kind: "session",
    arn: `arn:aws:iam::${number}:role/${role}`,
    sessionArn: `arn:aws:sts::${number}:assumed-role/${role}/${name}`,
    userId: `AROA${role.toUpperCase()}${number}:${name}`,
    tags: [],
    issuedMs: Date.UTC(2026, 4, 1, 11),
    claims: [],
  }
}

/** Values by the key's full name, in lower case except for a tag's key. */
export type Keys = Readonly<Record<string, string | readonly string[]>>

export function requestOf(fields: Partial<Omit<AccessRequest, "context">> & { readonly keys?: Keys }): AccessRequest {
  const { keys = {}, ...rest } = fields
  return {
    principal: userOf(OWNER, "bob"),
    action: "s3:GetObject",
    resource: "arn:aws:s3:::photos/2026/a.jpg",
    owner: ownerOf(OWNER),
    nowMs: Date.UTC(2026, 4, 1, 12),
    ...rest,
    context: { valuesOf: ({ name, suffix }) => keys[suffix === undefined ? name : `${name}/${suffix}`] },
  }
}

/** A policy of these statements, in the current policy version. */
export const policyOf = (kind: AccessPolicyKind, ...statements: readonly object[]): NamedPolicy => ({
  name: `the ${kind} policy`,
  policy: parseAccessPolicy(JSON.stringify({ Version: "2012-10-17", Statement: statements }), kind),
})

export const ALLOW = { Effect: "Allow", Action: "s3:*", Resource: "*" }

export const identityOf = (...statements: readonly object[]): PrincipalPolicies => ({
  ...NO_POLICIES,
  identity: [policyOf("identity", ...statements)],
})
