/**
 * Replaces users and roles in policies with their unique ids. Policies are stored in that form because an ARN would
 * admit any later holder of the name.
 *
 * Promises  A policy is stored with the unique id of every user, role and session of a role that it names, read in one
 *           snapshot, and displayed with their current ARNs. A deleted identity is displayed by its id, which is never
 *           used again.
 * Limits    One entry for each user and role of the store, read again when a policy is displayed after identities
 *           changed. If they change during the read, it is repeated up to `WALKS_MAX` times. Where other processes change
 *           them too, they are read for each policy, and again only if one that the policy names was not found.
 * Source    "AWS JSON policy elements: Principal", IAM User Guide.
 */
import { after, type Soon } from "@hayloft/base/soon.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import type { Directory } from "../accounts/directory.js"
import { checkPrincipals } from "../policy/bucket-policy.js"
import type { AccessPolicy, PrincipalName } from "../policy/contract.js"
import { textsIn } from "../policy/read-json.js"
import { DirectoryCache } from "../accounts/directory-cache.js"
import { identityArn, sessionArn } from "./names.js"
import {
  readNamedIdentities,
  readPrincipals,
  type MatchedPrincipal,
  type NamedIdentity,
} from "./named-principals-core.js"

const UNIQUE_ID = /^((?:AIDA|AROA)[A-Z0-9]+)(?::(.+))?$/
/** The place where `textsIn` finds users, roles and sessions in the text of a policy. */
const PRINCIPAL = /^\$\.Statement(?:\[\d+\])?\.(?:Not)?Principal\.AWS(?:\[\d+\])?$/
const WALKS_MAX = 3

type IdentitiesById = ReadonlyMap<string, NamedIdentity>

const textOf = ({ type, value }: PrincipalName): string => `${type} ${value}`

export class PolicyPrincipals {
  private readonly known: DirectoryCache<"all", IdentitiesById>

  constructor(private readonly directory: Directory) {
    this.known = new DirectoryCache(directory, 1)
  }

  /** The stored form of a policy. Throws `malformedPolicy` if it names a principal that does not exist. */
  pin(policy: AccessPolicy, text: string): Soon<string> {
    const named = policy.statements.flatMap(({ principals }) => principals?.named ?? [])
    return after(this.directory.ask(readPrincipals(named)), results => {
      const found = new Map<string, MatchedPrincipal | undefined>(named.map((name, i) => [textOf(name), results[i]]))
      checkPrincipals(policy, name => found.get(textOf(name))?.exists === true)
      return mapPrincipals(text, value => found.get(textOf({ type: "AWS", value }))?.uniqueId ?? value)
    })
  }

  /** The displayed form of a stored policy. */
  shown(text: string): Soon<string> {
    const ids = principalsIn(text).flatMap(name => UNIQUE_ID.exec(name)?.[1] ?? [])
    if (ids.length === 0) return text
    return after(this.known.get("all") ?? this.readIdentities(), identities =>
      mapPrincipals(text, name => arnOf(identities, name) ?? name),
    )
  }

  /** An identity that is renamed while the pages are read may be missing from all of them. */
  private async readIdentities(): Promise<IdentitiesById> {
    for (let walk = 1; ; walk += 1) {
      const { generation } = this.directory
      const found = new Map<string, NamedIdentity>()
      for await (const page of this.directory.pages(ALL_ROWS.start, readNamedIdentities)) {
        for (const identity of page) found.set(identity.id, identity)
      }
      this.known.keep("all", found, generation)
      if (generation === this.directory.generation || walk === WALKS_MAX) return found
    }
  }
}

function arnOf(identities: IdentitiesById, text: string): string | undefined {
  const [, id = "", sessionName] = UNIQUE_ID.exec(text) ?? []
  const found = identities.get(id)
  if (found === undefined) return undefined
  const { accountNumber, name } = found
  return sessionName === undefined ? identityArn(accountNumber, found) : sessionArn(accountNumber, name, sessionName)
}

/**
 * Replaces the users, roles and sessions that a policy names, in its text: the rest of the text stays as written. The
 * text must have passed `parseAccessPolicy`.
 */
function mapPrincipals(text: string, change: (name: string) => string): string {
  let [mapped, from] = ["", 0]
  for (const { where, value, start, end } of textsIn(text)) {
    const changed = PRINCIPAL.test(where) ? change(value) : value
    if (changed === value) continue
    mapped += text.slice(from, start) + JSON.stringify(changed)
    from = end
  }
  return mapped + text.slice(from)
}

/** The principals that `mapPrincipals` would replace. */
function principalsIn(text: string): readonly string[] {
  return Array.from(textsIn(text))
    .filter(({ where }) => PRINCIPAL.test(where))
    .map(({ value }) => value)
}
