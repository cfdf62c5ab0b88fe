/**
 * Keys that sign requests: their unsealed secrets, their owners, and the owners' present permissions.
 *
 * Promises  No cached key outlives a change of the directory: the cache is dropped with the generation. A session ends
 *           with its user, role or provider, and with the key that it was derived from, or another secret of it. The records of a key or a
 *           session are read in one snapshot. A session that was issued while the clock was ahead ends once it is
 *           set right. The session of a person of a directory ends when the directory has the
 *           person no more: it is asked again at each use after some minutes.
 * Limits    `KEYS_MAX` keys and `SESSIONS_MAX` sessions are cached.
 */
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import type { AccessKeyId } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { AccessKeyRecord, IdentityRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import type { AccountRecord } from "@hayloft/engine/format/records.js"
import type {
  KeySession,
  PersonSession,
  RoleSession,
  SessionRoot,
  SessionToken,
} from "@hayloft/engine/format/accounts/session-token.js"
import type { HeldLimits, KnownAccessKey, People } from "../contract.js"
import type { Directory } from "../accounts/directory.js"
import { attachedPolicies, namedPolicy } from "../identities/attached-policies.js"
import { normalDn } from "@hayloft/base/seams/ldap/dn-core.js"
import { isFresh } from "../ldap/people.js"
import type { ParsePolicy } from "../policy/contract.js"
import { personPrincipal, rootPrincipal, sessionPrincipal, userPrincipal } from "./principals-of-records.js"
import {
  readKey,
  readPerson,
  readRoleSession,
  type KeyAnswer,
  type RoleSessionAnswer,
  type RootKeyRef,
  type RootState,
} from "../accounts/key-records-core.js"
import type { PrincipalPolicies } from "../policy/contract.js"
import { NO_POLICIES } from "../policy/decide.js"
import { DirectoryCache } from "../accounts/directory-cache.js"
import type { MasterKeys } from "../secrets/master-keys.js"
import { isSameMark, markOf } from "../secrets/secret-marks.js"
import { isIssuedAhead } from "../signing/skew.js"
import type { SessionTokens } from "./session-tokens.js"

const KEYS_MAX = 10_000
const SESSIONS_MAX = 2_000

/** The store's root key pair, which the operator configures; the control record stores it. */
export interface RootKey {
  readonly accountId: AccountRecord["id"]
  readonly accessKeyId: AccessKeyId
  readonly secret: string
  readonly createdMs: number
}

const refOf = ({ accessKeyId, accountId }: RootKey): RootKeyRef => ({ accessKeyId, accountId })

export const purposeOfKey = (id: AccessKeyId): string => `access key ${id}`

export class KnownKeys {
  private readonly keys: DirectoryCache<AccessKeyId, KnownAccessKey>
  /** By token. */
  private readonly sessions: DirectoryCache<string, KnownAccessKey>

  constructor(
    private readonly directory: Directory,
    private readonly masterKeys: MasterKeys,
    private readonly root: () => RootKey,
    private readonly tokens: SessionTokens,
    private readonly parse: ParsePolicy,
    private readonly people: () => Pick<People, "membershipOf"> | undefined,
  ) {
    this.keys = new DirectoryCache(directory, KEYS_MAX)
    this.sessions = new DirectoryCache(directory, SESSIONS_MAX)
  }

  /** A cached key that never expires, or a cached session whose token has not expired. */
  now(id: AccessKeyId, token: string | undefined, nowMs: number): KnownAccessKey | undefined {
    if (token === undefined) return this.keys.get(id)
    const known = this.sessionOf(token, nowMs)
    return known?.id === id && !isSessionOver(known, nowMs) ? known : undefined
  }

  /** Throws `invalidToken`, `tokenExpired`. */
  of(id: AccessKeyId, token: string | undefined, nowMs: number): Soon<KnownAccessKey | undefined> {
    return after(this.directory.confirm(), () =>
      token === undefined || token === "" ? this.ofKey(id, nowMs) : this.ofToken(id, token, nowMs),
    )
  }

  private ofKey(id: AccessKeyId, nowMs: number): Soon<KnownAccessKey | undefined> {
    const known = this.keys.get(id)
    if (known !== undefined) return known
    const { generation } = this.directory
    const root = this.root()
    return after(this.directory.ask(readKey(id, refOf(root))), answer => {
      const found = answer && this.keyOf(id, root, answer)
      if (found === undefined || isOver(found, nowMs)) return undefined
      if (found.expiresMs === undefined) this.keys.keep(id, found, generation)
      return found
    })
  }

  private keyOf(id: AccessKeyId, root: RootKey, { key, account, user, attached }: KeyAnswer): KnownAccessKey {
    const owner =
      user === undefined || attached === undefined
        ? ofRoot(account)
        : ofUser(account, user, attachedPolicies(this.parse, attached))
    const limited = heldLimits(account, id, key)
    const secret = this.secretOf(id, root, key)
    const roots = [{ kind: "key", id, mark: markOf("session", secret) }] as const
    const known = { ...owner, ...LONG_TERM, id, secret, roots, limited }
    return key === undefined ? known : limitedBy(key, known, this.parse)
  }

  /** `key` is undefined for the store's root key. */
  private secretOf(id: AccessKeyId, root: RootKey, key: AccessKeyRecord | undefined): string {
    return key === undefined ? root.secret : this.masterKeys.open(purposeOfKey(id), key.sealedSecret)
  }

  /** Returns true if a session that was derived from it counts: it is there, and has the secret that it had. */
  private isRootOfSession(root: SessionRoot, { exists, key, ...state }: RootState, nowMs: number): boolean {
    if (!exists || isOver(state, nowMs)) return false
    if (root.kind !== "key" || root.mark === undefined) return true
    return isSameMark(root.mark, markOf("session", this.secretOf(root.id, this.root(), key)))
  }

  private ofToken(id: AccessKeyId, text: string, nowMs: number): Soon<KnownAccessKey> {
    const cached = this.sessionOf(text, nowMs)
    if (cached !== undefined) return checkValid(cached, id, nowMs)
    const { generation } = this.directory
    return after(this.openSession(text, nowMs), known => {
      const valid = checkValid(known, id, nowMs)
      this.sessions.keep(text, valid, generation)
      return valid
    })
  }

  /** A cached session whose person need not be asked for again. */
  private sessionOf(text: string, nowMs: number): KnownAccessKey | undefined {
    const found = this.sessions.get(text)
    return found?.known === undefined || isFresh(found.known, nowMs) ? found : undefined
  }

  private openSession(text: string, nowMs: number): Soon<KnownAccessKey | undefined> {
    const token = this.tokens.open(text)
    if (token === undefined) return undefined
    if (isOver(token, nowMs) || isIssuedAhead(token.issuedMs, nowMs)) throw fail("tokenExpired")
    const { session } = token
    if (session.kind === "key") {
      return after(this.ofKey(session.sourceKey, nowMs), source => keySession(token, session, source, this.parse))
    }
    if (session.kind === "person") return this.openPerson(token, session, nowMs)
    const { accountId, roleName, roots, limits } = session
    const request = { accountId, roleName, roots, policyArns: limits?.arns ?? [], rootKey: refOf(this.root()) }
    return after(this.directory.ask(readRoleSession(request)), answer =>
      answer?.role.id === session.roleId ? this.roleSession(token, session, answer, nowMs) : undefined,
    )
  }

  /** Returns undefined if no directory is configured any more, it has the person no more, or no policy is left. */
  private openPerson(token: SessionToken, session: PersonSession, nowMs: number): Soon<KnownAccessKey | undefined> {
    return after(
      this.people()?.membershipOf(session, session.groups, nowMs),
      (membership): Soon<KnownAccessKey | undefined> => {
        if (membership === undefined) return undefined
        const { groups, fromMs, untilMs } = membership
        const dn = normalDn(session.dn)
        return after(
          this.directory.ask(readPerson(session.accountId, [dn, ...groups])),
          (answer): KnownAccessKey | undefined => {
            if (answer === undefined) return undefined
            const { account, attached } = answer
            const { policy: text } = session
            const limits = text === undefined ? undefined : [namedPolicy(this.parse, { name: "session policy", text })]
            return {
              id: token.accessKeyId,
              secret: token.secret,
              account,
              principal: { ...personPrincipal(account, { ...session, dn }, groups), issuedMs: token.issuedMs },
              policies: { ...attachedPolicies(this.parse, attached), session: limits },
              isWholeRoot: false,
              session: "person",
              roots: [],
              expiresMs: token.expiresMs,
              limited: someOf(limitsOfAccount(account)),
              known: { fromMs, untilMs },
            }
          },
        )
      },
    )
  }

  private roleSession(
    token: SessionToken,
    session: RoleSession,
    { account, role, attached, roots, limits }: RoleSessionAnswer,
    nowMs: number,
  ): KnownAccessKey | undefined {
    if (
      !roots.every((state, i) => this.isRootOfSession(must(session.roots[i], "each root has its state"), state, nowMs))
    )
      return undefined
    // A session whose session policy was deleted is no longer valid.
    if (limits.includes(undefined)) return undefined
    const texts = session.limits?.texts.map(text => ({ name: "session policy", text })) ?? []
    const ofSession =
      session.limits &&
      [...texts, ...limits.filter(limit => limit !== undefined)].map(limit => namedPolicy(this.parse, limit))
    const { issuedMs } = token
    const principal = { ...sessionPrincipal(account, role, session), issuedMs }
    const ends = roots.map(root => root.expiresMs).filter(endMs => endMs !== undefined)
    return {
      id: token.accessKeyId,
      secret: token.secret,
      account,
      principal,
      policies: { ...attachedPolicies(this.parse, attached), session: ofSession },
      isWholeRoot: false,
      session: "role",
      roots: [...session.roots, { kind: "role", accountId: account.id, name: role.name, id: role.id }],
      expiresMs: Math.min(token.expiresMs, ...ends),
      limited: limitsOfRole(account, session, roots),
    }
  }
}

function keySession(
  { accessKeyId, secret, issuedMs, expiresMs }: SessionToken,
  session: KeySession,
  source: KnownAccessKey | undefined,
  parse: ParsePolicy,
): KnownAccessKey | undefined {
  if (source?.principal.userId !== session.userId) return undefined
  const { mark, policy: text } = session
  if (mark !== undefined && !isSameMark(mark, markOf("session", source.secret))) return undefined
  const { policies } = source
  // A key that has limits of its own has no sessions with further ones: those from before it had them are over.
  if (text !== undefined && policies.session !== undefined) return undefined
  const limits = text === undefined ? policies.session : [namedPolicy(parse, { name: "session policy", text })]
  return {
    ...source,
    id: accessKeyId,
    secret,
    principal: { ...source.principal, issuedMs },
    policies: { ...policies, session: limits },
    isWholeRoot: false,
    session: "key",
    expiresMs: Math.min(expiresMs, source.expiresMs ?? expiresMs),
  }
}

/** Throws `invalidToken`, `tokenExpired`. */
function checkValid(known: KnownAccessKey | undefined, id: AccessKeyId, nowMs: number): KnownAccessKey {
  if (known === undefined || known.id !== id) throw fail("invalidToken")
  if (isSessionOver(known, nowMs)) throw fail("tokenExpired")
  return known
}

/** Returns the limits of the account and of the key; undefined if neither has any. */
function heldLimits(
  account: AccountRecord,
  keyId: AccessKeyId,
  key: AccessKeyRecord | undefined,
): readonly HeldLimits[] | undefined {
  return someOf([...limitsOfAccount(account), ...limitsOfKey(keyId, key)])
}

/**
 * Returns the limits of the role's account, and of all accounts and keys that led to it: assuming a role ends no limit.
 */
function limitsOfRole(
  account: AccountRecord,
  session: RoleSession,
  states: RoleSessionAnswer["roots"],
): readonly HeldLimits[] | undefined {
  const held = [account, ...states.map(state => state.account)].flatMap(limitsOfAccount)
  const unique = new Map(held.map(one => [one.id, one]))
  const ofKeys = session.roots.flatMap((root, i) => (root.kind === "key" ? limitsOfKey(root.id, states[i]?.key) : []))
  return someOf([...unique.values(), ...ofKeys])
}

const limitsOfAccount = (account: AccountRecord | undefined): readonly HeldLimits[] =>
  account?.limits === undefined ? [] : [{ holder: "account", id: account.id, limits: account.limits }]

const limitsOfKey = (id: AccessKeyId, key: AccessKeyRecord | undefined): readonly HeldLimits[] =>
  key?.limits === undefined ? [] : [{ holder: "key", id, limits: key.limits }]

const someOf = (held: readonly HeldLimits[]): readonly HeldLimits[] | undefined =>
  held.length === 0 ? undefined : held

type Owner = Pick<KnownAccessKey, "account" | "principal" | "policies" | "isWholeRoot">
const LONG_TERM = { session: undefined, expiresMs: undefined } as const

const ofRoot = (account: AccountRecord): Owner => ({
  account,
  principal: rootPrincipal(account),
  policies: NO_POLICIES,
  isWholeRoot: true,
})

const ofUser = (account: AccountRecord, user: IdentityRecord, policies: PrincipalPolicies): Owner => ({
  account,
  principal: userPrincipal(account, user),
  policies,
  isWholeRoot: false,
})

/** Adds the limits of a service key. */
function limitedBy({ service }: AccessKeyRecord, known: KnownAccessKey, parse: ParsePolicy): KnownAccessKey {
  if (service === undefined) return known
  const { policy, expiresMs } = service
  const session: PrincipalPolicies["session"] =
    policy === undefined ? undefined : [{ name: `policy of key ${known.id}`, policy: parse(policy, "identity") }]
  const isWholeRoot = known.isWholeRoot && policy === undefined && expiresMs === undefined
  return { ...known, policies: { ...known.policies, session }, isWholeRoot, expiresMs }
}

const isSessionOver = (known: KnownAccessKey, nowMs: number): boolean =>
  isOver(known, nowMs) || isIssuedAhead(known.principal.issuedMs ?? nowMs, nowMs)

const isOver = ({ expiresMs }: Pick<KnownAccessKey, "expiresMs">, nowMs: number): boolean =>
  expiresMs !== undefined && expiresMs <= nowMs
