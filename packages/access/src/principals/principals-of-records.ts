/** Principals as which accounts, users and sessions of roles act, from their records. Pure. */
import type { IdentityRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import type { AccountRecord } from "@hayloft/engine/format/records.js"
import type { PersonSession, RoleSession } from "@hayloft/engine/format/accounts/session-token.js"
import { identityArn, rootArn, sessionArn } from "../identities/names.js"
import type { RootPrincipal, SessionPrincipal, UserPrincipal } from "./principal.js"
import type { Tags } from "@hayloft/base/tags.js"

type Owner = Pick<AccountRecord, "id" | "number">
type Person = Pick<PersonSession, "dn" | "userName">
type Named = Pick<IdentityRecord, "kind" | "name" | "path" | "id" | "tags">

export const rootPrincipal = ({ id, number }: Owner): RootPrincipal => ({
  kind: "root",
  accountId: id,
  accountNumber: number,
  arn: rootArn(number),
  userId: number,
  tags: [],
  issuedMs: undefined,
})

export const userPrincipal = ({ id, number }: Owner, user: Named): UserPrincipal => ({
  kind: "user",
  accountId: id,
  accountNumber: number,
  arn: identityArn(number, user),
  userId: user.id,
  userName: user.name,
  tags: user.tags,
  issuedMs: undefined,
})

/** A session that has no time yet. */
export const sessionPrincipal = (
  { id, number }: Owner,
  role: Named,
  { sessionName, tags, claims }: Pick<RoleSession, "sessionName" | "tags" | "claims">,
): SessionPrincipal => ({
  kind: "session",
  accountId: id,
  accountNumber: number,
  arn: identityArn(number, role),
  sessionArn: sessionArn(number, role.name, sessionName),
  userId: `${role.id}:${sessionName}`,
  tags: mergeTags(role.tags, tags),
  claims,
  issuedMs: undefined,
})

/** A person of a directory: policies know the person by claims. */
export function personPrincipal(
  { id, number }: Owner,
  { dn, userName }: Person,
  groups: readonly string[],
): SessionPrincipal {
  const arn = identityArn(number, { kind: "entry", path: "/", name: dn })
  return {
    kind: "session",
    accountId: id,
    accountNumber: number,
    arn,
    sessionArn: arn,
    userId: `${PERSON}:${dn}`,
    tags: [],
    claims: [["ldap:username", userName], ["ldap:user", dn], ...groups.map(group => ["ldap:groups", group] as const)],
    issuedMs: undefined,
  }
}

/** In the place of the id of a role. */
const PERSON = "LDAP"

/** The session's tags take precedence. */
function mergeTags(own: Tags, further: Tags): Tags {
  const names = new Set(further.map(([name]) => name.toLowerCase()))
  return [...own.filter(([name]) => !names.has(name.toLowerCase())), ...further]
}
