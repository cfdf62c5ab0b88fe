/**
 * A directory in memory, for tests: entries that are found by whole filters, without an evaluation of filters. It counts what
 * is sent, and can be down, or slow.
 */
import { fail } from "@hayloft/base/failures.js"
import type {
  Ldap,
  LdapConnection,
  LdapEntry,
  LdapSearch,
  LdapServer,
  LdapSettings,
} from "@hayloft/base/seams/ldap/contract.js"
import { isAtOrBelow, normalDn } from "@hayloft/base/seams/ldap/dn-core.js"

interface FakeEntry {
  readonly dn: string
  /** The filters, filled in, that find it. */
  readonly found: readonly string[]
  readonly password?: string
  readonly attributes?: Readonly<Record<string, readonly string[]>>
}

/** Settings of a store for such a directory. */
export const FAKE_SETTINGS: LdapSettings = {
  servers: ["ldaps://first"],
  tls: "verified",
  caFile: undefined,
  timeoutMs: 1_000,
  lookup: undefined,
  userBases: ["ou=people,dc=example"],
  userFilter: "(uid=%s)",
  userAttribute: undefined,
  groupBases: ["ou=groups,dc=example"],
  groupFilter: "(member=%d)",
}

export class FakeDirectory implements Ldap {
  entries: readonly FakeEntry[] = []
  /** Addresses of servers that do not answer. */
  down: ReadonlySet<string> = new Set()
  /** Everything that was sent: `connect URL`, `bind DN`, `search BASE FILTER`, `close`. */
  readonly sent: string[] = []
  /** Answers wait for it. */
  held: Promise<void> = Promise.resolve()

  async connect({ url }: LdapServer): Promise<LdapConnection> {
    this.sent.push(`connect ${url}`)
    if (this.down.has(url)) throw fail("directoryUnavailable", { url, reason: "connection refused" })
    return {
      bind: (dn, password) => this.bind(dn, password),
      search: search => this.search(search),
      close: async () => void this.sent.push("close"),
    }
  }

  private async bind(dn: string, password: string): Promise<string | undefined> {
    this.sent.push(`bind ${dn}`)
    await this.held
    // Servers take a bind without a password for one of nobody, which succeeds.
    if (password === "") return undefined
    return this.entries.find(entry => entry.dn === dn)?.password === password ? undefined : "invalid credentials"
  }

  private async search({ base, scope, filter, entriesMax }: LdapSearch): Promise<readonly LdapEntry[] | undefined> {
    this.sent.push(`search ${base} ${filter}`)
    await this.held
    const top = normalDn(base)
    const below = this.entries.filter(({ dn }) => dn === "" || isAtOrBelow(normalDn(dn), top))
    if (!below.some(({ dn }) => dn !== "" && (scope === "below" || normalDn(dn) === top))) return undefined
    const found = below.filter(entry => entry.found.includes(filter))
    const here = scope === "below" ? found : found.filter(({ dn }) => normalDn(dn) === top)
    return here
      .slice(0, entriesMax + 1)
      .map(({ dn, attributes = {} }) => ({ dn, attributes: new Map(Object.entries(attributes)) }))
  }
}
