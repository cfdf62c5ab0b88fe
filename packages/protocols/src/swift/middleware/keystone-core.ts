/**
 * Reads what Keystone says of a token, and what that means here. Pure.
 *
 * A project is the account with its id; an operator role makes the user the account's root user, a reader role lets it read, and
 * any other user has what access lists give. Source  "Identity API v3", OpenStack: "Validate and show information for token".
 */
import { NO_POLICIES } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseAccountId, type AccessKeyId, type AccountId } from "@hayloft/base/ids.js"
import { READER_POLICIES, type ResellerRole } from "./reseller-core.js"
import { jsonMember } from "@hayloft/base/json.js"

/** The domain that Keystone makes at its start. Swift takes names in access lists for those of its users only. */
const DEFAULT_DOMAIN = "default"

export interface KeystoneUser {
  /** The project, as an account. */
  readonly accountId: AccountId
  /** The user's name if it is in the default domain, else its id: users of several domains may have one name. */
  readonly userName: string
  /** The id in Keystone, by which access lists may name the user. */
  readonly userId: string
  /** It takes the place of a key's id in logs, and names the user in access lists, too. */
  readonly id: AccessKeyId
  readonly roles: readonly string[]
  readonly expiresMs: number
}

const malformed = (what: string) => fail("invalidToken", { message: `Keystone's answer has no ${what}` })

function textOf(value: unknown, name: string, what: string): string {
  const text = jsonMember(value, name)
  if (typeof text !== "string" || text === "") throw malformed(what)
  return text
}

function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString("utf8"))
  } catch {
    throw malformed("JSON")
  }
}

/** Throws `invalidToken` for a token without a project, or an answer that is none. */
export function keystoneUserOf(body: Uint8Array): KeystoneUser {
  const token = jsonMember(jsonOf(body), "token")
  const user = jsonMember(token, "user")
  const expiresMs = Date.parse(textOf(token, "expires_at", "time at which the token ends"))
  if (Number.isNaN(expiresMs)) throw malformed("time at which the token ends")
  const roles = jsonMember(token, "roles")
  const userId = textOf(user, "id", "id of the user")
  const userName = textOf(user, "name", "name of the user")
  return {
    accountId: parseAccountId(textOf(jsonMember(token, "project"), "id", "project: ask for a token of a project")),
    userName: jsonMember(jsonMember(user, "domain"), "id") === DEFAULT_DOMAIN ? userName : userId,
    userId,
    id: parseAccessKeyId(`keystone-${userId}`),
    roles: (Array.isArray(roles) ? roles : []).flatMap((role: unknown) => {
      const name = jsonMember(role, "name")
      return typeof name === "string" ? [name.toLowerCase()] : []
    }),
    expiresMs,
  }
}

/** Names of roles, by what they give. */
export interface KeystoneRoles {
  readonly operators: readonly string[]
  readonly readers: readonly string[]
  readonly resellerAdmins: readonly string[]
  readonly resellerReaders: readonly string[]
  /** The roles of services, whose tokens open accounts of services. */
  readonly services: readonly string[]
}

const hasRole = ({ roles }: Pick<KeystoneUser, "roles">, names: readonly string[]): boolean =>
  names.some(name => roles.includes(name.toLowerCase()))

export const isServiceUser = (user: Pick<KeystoneUser, "roles">, { services }: KeystoneRoles): boolean =>
  hasRole(user, services)

/**
 * Returns whether the user acts as its account's root user, and its policies if not; and what it is in other accounts.
 */
export function rightsOf(user: Pick<KeystoneUser, "roles">, names: KeystoneRoles) {
  const has = (kind: keyof KeystoneRoles): boolean => hasRole(user, names[kind])
  const reseller: ResellerRole | undefined = has("resellerAdmins")
    ? "admin"
    : has("resellerReaders")
      ? "reader"
      : undefined
  return { isRoot: has("operators"), policies: has("readers") ? READER_POLICIES : NO_POLICIES, reseller }
}
