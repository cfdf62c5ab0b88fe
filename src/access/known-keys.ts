/**
 * Keys that sign requests: their secrets unsealed, whose they are, and what those may, as the rows say now.
 *
 * Promises  Nothing outlives a change of the directory: all that is remembered is dropped with the
 *           generation. A session ends with its user, role or provider, and with the key that it stems from.
 * Limits    `KEYS_MAX` keys and `SESSIONS_MAX` sessions are remembered.
 */
import { fail } from "../base/failures.js"
import type { AccessKeyId } from "../base/ids.js"
import type { AccessKeyRecord, Tags } from "../format/identity-records.js"
import type { AccountRecord } from "../format/records.js"
import type { KeySession, RoleSession, SessionRoot, SessionToken } from "../format/session-token.js"
import { findAccessKey } from "./account-commands-core.js"
import { findAccount } from "./find-account-core.js"
import type { KnownKey } from "./contract.js"
import type { Directory } from "./directory.js"
import { AttachedPolicies, type ParsePolicy } from "./identities/attached-policies.js"
import { findIdentity } from "./identities/identity-commands-core.js"
import { findPolicy } from "./identities/managed-policy-commands-core.js"
import { identityArn, rootArn, sessionArn } from "./identities/names.js"
import { findProvider } from "./identities/provider-commands-core.js"
import type { PrincipalPolicies } from "./policy/contract.js"
import { NO_POLICIES } from "./policy/decide.js"
import type { RootPrincipal, SessionPrincipal, UserPrincipal } from "./principal.js"
import { openSecret } from "./seal.js"
import type { SessionTokens } from "./session-tokens.js"

const KEYS_MAX = 10_000
const SESSIONS_MAX = 2_000

/** The key pair that the operator starts with; it rests in the control record. */
export interface RootKey {
  readonly accountId: AccountRecord["id"]
  readonly accessKeyId: AccessKeyId
  readonly secret: string
  readonly createdMs: number
}

export const purposeOfKey = (id: AccessKeyId): string => `access key ${id}`

export class KnownKeys {
  private readonly lasting = new Map<AccessKeyId, KnownKey>()
  private readonly sessions = new Map<string, KnownKey>()
  private generation = 0

  constructor(
    private readonly directory: Directory,
    private readonly masterKey: Uint8Array,
    private readonly root: RootKey,
    private readonly tokens: SessionTokens,
    private readonly parse: ParsePolicy,
  ) {}

  /** A key that is remembered: one that never expires, or whose token has not expired. */
  now(id: AccessKeyId, token: string | undefined, nowMs: number): KnownKey | undefined {
    this.refresh()
    if (token === undefined) return this.lasting.get(id)
    const known = this.sessions.get(token)
    return known?.id === id && !isOver(known, nowMs) ? known : undefined
  }

  /** Throws `invalidToken`, `tokenExpired`. */
  of(id: AccessKeyId, token: string | undefined, nowMs: number): KnownKey | undefined {
    this.refresh()
    return token === undefined || token === "" ? this.ofKey(id, nowMs) : this.ofToken(id, token, nowMs)
  }

  private refresh(): void {
    if (this.generation === this.directory.generation) return
    this.generation = this.directory.generation
    this.lasting.clear()
    this.sessions.clear()
  }

  private ofKey(id: AccessKeyId, nowMs: number): KnownKey | undefined {
    const known = this.lasting.get(id)
    if (known !== undefined) return known
    const found = id === this.root.accessKeyId ? this.readRoot() : this.read(id)
    if (found === undefined || isOver(found, nowMs)) return undefined
    if (found.expiresMs === undefined && this.lasting.size < KEYS_MAX) this.lasting.set(id, found)
    return found
  }

  private readRoot(): KnownKey | undefined {
    const account = findAccount(this.directory.rows, this.root.accountId)
    return account && { ...ofRoot(this.root.accessKeyId, account), secret: this.root.secret }
  }

  private read(id: AccessKeyId): KnownKey | undefined {
    const key = findAccessKey(this.directory.rows, id)
    const account = key?.isActive === true ? findAccount(this.directory.rows, key.accountId) : undefined
    if (key === undefined || account === undefined) return undefined
    const owner = key.userName === undefined ? ofRoot(id, account) : this.ofUser(id, account, key.userName)
    return (
      owner &&
      limitedBy(key, { ...owner, secret: openSecret(this.masterKey, purposeOfKey(id), key.sealedSecret) }, this.parse)
    )
  }

  private ofUser(id: AccessKeyId, account: AccountRecord, userName: string): Unsigned | undefined {
    const view = this.directory.rows
    const user = findIdentity(view, { accountId: account.id, kind: "user", name: userName })
    if (user === undefined) return undefined
    const principal: UserPrincipal = {
      kind: "user",
      accountId: account.id,
      accountNumber: account.number,
      arn: identityArn(account.number, user),
      userId: user.id,
      userName: user.name,
      tags: user.tags,
      issuedMs: undefined,
    }
    const policies = new AttachedPolicies(view, account.id, this.parse).of(user)
    return { ...LONG_TERM, id, account, principal, policies, isWholeRoot: false, roots: [{ kind: "key", id }] }
  }

  private ofToken(id: AccessKeyId, text: string, nowMs: number): KnownKey {
    const remembered = this.sessions.get(text)
    const known = remembered ?? this.openSession(text, nowMs)
    if (known === undefined || known.id !== id) throw fail("invalidToken")
    if (isOver(known, nowMs)) throw fail("tokenExpired")
    if (remembered === undefined && this.sessions.size < SESSIONS_MAX) this.sessions.set(text, known)
    return known
  }

  private openSession(text: string, nowMs: number): KnownKey | undefined {
    const token = this.tokens.open(text)
    if (token === undefined) return undefined
    if (token.expiresMs <= nowMs) throw fail("tokenExpired")
    const { session } = token
    return session.kind === "key" ? this.ofKeySession(token, session, nowMs) : this.ofRoleSession(token, session, nowMs)
  }

  private ofKeySession({ accessKeyId, secret, issuedMs, expiresMs }: SessionToken, session: KeySession, nowMs: number) {
    const source = this.ofKey(session.sourceKey, nowMs)
    if (source?.principal.userId !== session.userId) return undefined
    return {
      ...source,
      id: accessKeyId,
      secret,
      principal: { ...source.principal, issuedMs },
      isWholeRoot: false,
      session: "key",
      expiresMs: Math.min(expiresMs, source.expiresMs ?? expiresMs),
    } satisfies KnownKey
  }

  private ofRoleSession(token: SessionToken, session: RoleSession, nowMs: number): KnownKey | undefined {
    const { accountId, roleName, roleId, limits, sessionName } = session
    const view = this.directory.rows
    const account = findAccount(view, accountId)
    const role = findIdentity(view, { accountId, kind: "role", name: roleName })
    if (account === undefined || role?.id !== roleId) return undefined
    if (!session.roots.every(root => this.counts(root, nowMs))) return undefined
    const ends = session.roots.map(root => (root.kind === "key" ? this.ofKey(root.id, nowMs)?.expiresMs : undefined))
    const attached = new AttachedPolicies(view, accountId, this.parse)
    // One that was deleted meanwhile allows nothing any more.
    if (limits?.arns.some(arn => findPolicy(view, accountId, arn) === undefined) === true) return undefined
    const ofSession = limits && [
      ...limits.texts.map(text => attached.named("session policy", text)),
      ...limits.arns.map(arn => attached.managed(arn, "session: ")),
    ]
    const principal: SessionPrincipal = {
      kind: "session",
      accountId,
      accountNumber: account.number,
      arn: identityArn(account.number, role),
      sessionArn: sessionArn(account.number, role.name, sessionName),
      userId: `${role.id}:${sessionName}`,
      tags: mergeTags(role.tags, session.tags),
      issuedMs: token.issuedMs,
      claims: session.claims,
    }
    return {
      id: token.accessKeyId,
      secret: token.secret,
      account,
      principal,
      policies: { ...attached.of(role), session: ofSession },
      isWholeRoot: false,
      session: "role",
      roots: [...session.roots, { kind: "role", accountId, name: role.name, id: role.id }],
      expiresMs: Math.min(token.expiresMs, ...ends.filter(endMs => endMs !== undefined)),
    }
  }

  private counts(root: SessionRoot, nowMs: number): boolean {
    const view = this.directory.rows
    switch (root.kind) {
      case "key":
        return this.ofKey(root.id, nowMs) !== undefined
      case "role":
        return findIdentity(view, { accountId: root.accountId, kind: "role", name: root.name })?.id === root.id
      case "provider":
        return findProvider(view, root.accountId, root.url) !== undefined
    }
  }
}

type Unsigned = Omit<KnownKey, "secret">
const LONG_TERM = { session: undefined, expiresMs: undefined } as const

function ofRoot(id: AccessKeyId, account: AccountRecord): Unsigned {
  const principal: RootPrincipal = {
    kind: "root",
    accountId: account.id,
    accountNumber: account.number,
    arn: rootArn(account.number),
    userId: account.number,
    tags: [],
    issuedMs: undefined,
  }
  return {
    ...LONG_TERM,
    id,
    account,
    principal,
    policies: NO_POLICIES,
    isWholeRoot: true,
    roots: [{ kind: "key", id }],
  }
}

/** A key for one purpose, within its own limits too. */
function limitedBy({ service }: AccessKeyRecord, known: KnownKey, parse: ParsePolicy): KnownKey {
  if (service === undefined) return known
  const { policy, expiresMs } = service
  const session: PrincipalPolicies["session"] =
    policy === undefined ? undefined : [{ name: `policy of key ${known.id}`, policy: parse(policy, "identity") }]
  const isWholeRoot = known.isWholeRoot && policy === undefined && expiresMs === undefined
  return { ...known, policies: { ...known.policies, session }, isWholeRoot, expiresMs }
}

const isOver = ({ expiresMs }: KnownKey, nowMs: number): boolean => expiresMs !== undefined && expiresMs <= nowMs

/** Those of the session win. */
export function mergeTags(own: Tags, further: Tags): Tags {
  const names = new Set(further.map(([name]) => name.toLowerCase()))
  return [...own.filter(([name]) => !names.has(name.toLowerCase())), ...further]
}
