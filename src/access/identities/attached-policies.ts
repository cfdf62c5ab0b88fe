/**
 * What is attached to a user or role: its own policies, those of its groups, its boundary, each with the
 * name by which people are told of it.
 *
 * Limits  `PARSED_MAX` parsed policies are remembered, by their text.
 */
import { fail } from "../../base/failures.js"
import type { AccountId } from "../../base/ids.js"
import type { IdentityRecord } from "../../format/identity-records.js"
import type { TabletView } from "../../tablet/index.js"
import type { AccessPolicy, AccessPolicyKind, NamedPolicy, PrincipalPolicies } from "../policy/contract.js"
import { findIdentity } from "./identity-commands-core.js"
import { defaultText, findPolicy } from "./managed-policy-commands-core.js"

const PARSED_MAX = 1_000

/** Throws `malformedPolicy`. */
export type ParsePolicy = (text: string, kind: AccessPolicyKind) => AccessPolicy

/** Parses each text once. */
export function rememberPolicies(parse: ParsePolicy): ParsePolicy {
  const known = new Map<string, AccessPolicy>()
  return (text, kind) => {
    const name = `${kind} ${text}`
    const found = known.get(name)
    if (found !== undefined) return found
    const policy = parse(text, kind)
    if (known.size >= PARSED_MAX) known.clear()
    known.set(name, policy)
    return policy
  }
}

export class AttachedPolicies {
  constructor(
    private readonly view: TabletView,
    private readonly accountId: AccountId,
    private readonly parse: ParsePolicy,
  ) {}

  of(identity: IdentityRecord): PrincipalPolicies {
    const all = this.ownOf(identity)
    for (const name of identity.groups) {
      const group = findIdentity(this.view, { accountId: this.accountId, kind: "group", name })
      if (group === undefined) throw fail("corruptRecord", { what: "identity", member: "groups" })
      all.push(...this.ownOf(group))
    }
    const { boundary } = identity
    return { identity: all, boundary: boundary === undefined ? undefined : this.managed(boundary), session: undefined }
  }

  private ownOf({ kind, name, inline, attached }: IdentityRecord): NamedPolicy[] {
    const who = `${kind} ${name}`
    return [
      ...inline.map(policy => this.named(`${who}: inline ${policy.name}`, policy.text)),
      ...attached.map(arn => this.managed(arn, `${who}: `)),
    ]
  }

  /** A policy that is in use cannot be deleted, so it is there. */
  managed(arn: string, before = ""): NamedPolicy {
    const record = findPolicy(this.view, this.accountId, arn)
    if (record === undefined) throw fail("corruptRecord", { what: "identity", member: "policies" })
    return this.named(`${before}policy ${record.name}`, defaultText(record))
  }

  named(name: string, text: string): NamedPolicy {
    return { name, policy: this.parse(text, "identity") }
  }
}
