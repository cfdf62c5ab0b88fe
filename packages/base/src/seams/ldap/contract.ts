/** LDAP: the entries of a directory server, and whether a password is that of an entry. */

export interface LdapServer {
  /** `ldaps://HOST[:PORT]`, or `ldap://HOST[:PORT]`. */
  readonly url: string
  /**
   * How a connection is protected: `ldap://` begins TLS by StartTLS before anything else is sent. "unverified" accepts any
   * certificate; "off" sends passwords in plain text.
   */
  readonly tls: "verified" | "unverified" | "off"
  /** A file with certificates in PEM, one of which must have signed the server's; undefined: those that Node.js trusts. */
  readonly caFile: string | undefined
  /** For the connection, and for each answer. */
  readonly timeoutMs: number
}

/** A directory whose people may sign in. */
export interface LdapSettings extends Omit<LdapServer, "url"> {
  /** The first that answers is asked. */
  readonly servers: readonly string[]
  /** The account that searches; undefined: nobody does. */
  readonly lookup: { readonly dn: string; readonly password: string } | undefined
  /** DNs below which people are. */
  readonly userBases: readonly string[]
  /** `%s` is the name that a user types. */
  readonly userFilter: string
  /** The attribute that is the name of a person for policies; undefined: the one that the filter compares with the name. */
  readonly userAttribute: string | undefined
  /** DNs below which groups are; none: people have no groups. */
  readonly groupBases: readonly string[]
  /** `%d` is the DN of the person, `%s` the name that was typed. */
  readonly groupFilter: string
}

export interface LdapSearch {
  readonly base: string
  /** "below": the base and everything below it. */
  readonly scope: "itself" | "below"
  readonly filter: string
  readonly attributes: readonly string[]
  /** A search that finds more returns one more than that. */
  readonly entriesMax: number
}

export interface LdapEntry {
  /** The server's spelling. */
  readonly dn: string
  /** Texts by the names of their attributes in lower case; only those that were asked for. */
  readonly attributes: ReadonlyMap<string, readonly string[]>
}

/** Every method throws `directoryUnavailable` if the server does not answer, or not as it should. */
export interface LdapConnection {
  /** Proves a password. Returns undefined if it is the right one, or else the reason in the server's words. */
  bind(dn: string, password: string): Promise<string | undefined>
  /** Returns undefined if the base does not exist. Referrals are not followed. */
  search(search: LdapSearch): Promise<readonly LdapEntry[] | undefined>
  /** Never throws. */
  close(): Promise<void>
}

export interface Ldap {
  /** Throws `directoryUnavailable`. */
  connect(server: LdapServer): Promise<LdapConnection>
}
