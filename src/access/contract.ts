/**
 * Accounts, keys and identities: who owns buckets, who acts in an account, and what they may.
 *
 * Secrets rest sealed under the store's master key; `secretOf` unseals for signature checks and
 * nowhere else. Lists never show a secret. Whatever is changed here counts for the next request: nothing
 * that was known of keys before outlives a change.
 */
import type { AccessKeyId, AccountId, AccountNumber } from "../base/ids.js"
import type {
  IdentityKind,
  IdentityProviderRecord,
  IdentityRecord,
  KeyUseRecord,
  ManagedPolicyRecord,
  RoleTerms,
  ServiceKeyRecord,
  Tags,
} from "../format/identity-records.js"
import type { Soon } from "../base/soon.js"
import type { SessionRoot } from "../format/session-token.js"
import type { AccessPolicy, PrincipalPolicies, RequestContext } from "./policy/contract.js"
import type { KnownPrincipal } from "./principal.js"

export interface Account {
  readonly id: AccountId
  /** By which ARNs name it; nobody else's. */
  readonly number: AccountNumber
  readonly displayName: string
  readonly email: string
  readonly createdMs: number
}

/** Whose a key is; without a user, the account's root's. */
export interface KeyOwner {
  readonly accountId: AccountId
  readonly userName: string | undefined
}

export interface AccessKey extends KeyOwner {
  readonly id: AccessKeyId
  readonly createdMs: number
  /** False: refused until it is made active again. */
  readonly isActive: boolean
  /** A key for one purpose, with limits of its own. */
  readonly service: ServiceKeyRecord | undefined
}

/** A key that exists and counts now, whose it is, and what they may. */
export interface KnownKey {
  readonly id: AccessKeyId
  readonly secret: string
  readonly account: Account
  readonly principal: KnownPrincipal
  readonly policies: PrincipalPolicies
  /** The root with a key of its own that nothing limits. */
  readonly isWholeRoot: boolean
  /** Temporary credentials: of a key by GetSessionToken, or of a role. */
  readonly session: "key" | "role" | undefined
  /** What it ends with: itself, or for temporary credentials all that they came about by. */
  readonly roots: readonly SessionRoot[]
  /** Undefined: never. */
  readonly expiresMs: number | undefined
}

export interface NewKey extends KeyOwner {
  readonly service?: ServiceKeyRecord | undefined
}

export interface Accounts {
  /** Throws `accountExists`. Without an id, 64 hex digits are drawn. */
  createAccount(request: { id?: AccountId; displayName: string; email: string }): Promise<Account>
  getAccount(id: AccountId): Soon<Account | undefined>
  accountOfNumber(number: AccountNumber): Promise<Account | undefined>
  listAccounts(): Promise<readonly Account[]>
  /** The secret is returned here and never again. Throws `noSuchAccount`, `noSuchEntity`, `limitExceeded`, `malformedPolicy`. */
  createKey(key: NewKey): Promise<{ key: AccessKey; secret: string }>
  /** Throws `accessKeyExists` too. */
  importKey(key: NewKey & { id: AccessKeyId; secret: string }): Promise<AccessKey>
  getKey(id: AccessKeyId): Promise<AccessKey | undefined>
  listKeys(accountId?: AccountId): Promise<readonly AccessKey[]>
  /** All that are this owner's. */
  keysOf(owner: KeyOwner): Promise<readonly AccessKey[]>
  /** Throws `noSuchAccessKey`, also where it is not this owner's, or `invalidRequest` for the root key. */
  removeKey(id: AccessKeyId, owner?: KeyOwner): Promise<void>
  /** The same of a key that is to be refused, or to count again. */
  setKeyActive(id: AccessKeyId, isActive: boolean, owner?: KeyOwner): Promise<void>
  /** Undefined: never, as far as is known. */
  lastUse(id: AccessKeyId): Promise<KeyUseRecord | undefined>
}

/** The keys that sign requests. */
export interface Keyring {
  /**
   * For signature checks: undefined where the key does not exist, or does not count. `token` is the
   * session token that came with it. Throws `invalidToken`, `tokenExpired`.
   */
  secretOf(id: AccessKeyId, token: string | undefined, nowMs: number): Soon<KnownKey | undefined>
  /** The same of a key that is remembered; undefined also where `secretOf` would throw. For guesses, not for decisions. */
  knownSecret(id: AccessKeyId, token: string | undefined, nowMs: number): KnownKey | undefined
  /** The owner of a bucket or an object. */
  getAccount(id: AccountId): Soon<Account | undefined>
  /**
   * The text of a resource policy as it is stored: with unique ids in place of the ARNs of users, roles and sessions.
   * Throws `malformedPolicy` if it names an account, a user or a role that does not exist.
   */
  pinPrincipals(policy: AccessPolicy, text: string): Soon<string>
  /** The text of a stored policy as it is shown: with current ARNs in place of unique ids. */
  showPrincipals(text: string): Soon<string>
  /** Somebody has proved to have the key, and uses it for this service. Cheap: few notes are written. */
  noteUse(key: KnownKey, usedMs: number, service: string, region: string): void
}

/** Which user, group or role. */
export interface IdentityRef {
  readonly accountId: AccountId
  readonly kind: IdentityKind
  readonly name: string
}

export interface NewIdentity extends IdentityRef {
  readonly path: string
  readonly tags: Tags
  readonly boundary: string | undefined
  /** Of a role. */
  readonly role: IdentityRecord["role"]
}

/** How many identities have a managed policy: to act by, and as their boundary. */
export interface PolicyUse {
  readonly attachments: number
  readonly boundaries: number
}

export interface UsedPolicy {
  readonly record: ManagedPolicyRecord
  readonly use: PolicyUse
}

/** Who has a managed policy; as what limits them, or to act by. */
export interface PolicyHolder {
  readonly identity: IdentityRecord
  readonly isBoundary: boolean
}

/**
 * Users, groups, roles, managed policies and providers of an account. Everything may throw
 * `noSuchEntity`, `invalidArgument`, `limitExceeded`; what is put in as a policy, `malformedPolicy`.
 */
export interface Identities {
  /** Throws `entityExists`. */
  create(identity: NewIdentity): Promise<IdentityRecord>
  get(ref: IdentityRef): Promise<IdentityRecord>
  /** In the order of names in lower case, from behind `after`. Read in pages. */
  list(accountId: AccountId, kind: IdentityKind, after: string): AsyncIterable<IdentityRecord>
  /** The users in a group, in the same order. */
  members(group: IdentityRef, after: string): AsyncIterable<IdentityRecord>
  /** Throws `entityExists`; a group is not renamed. */
  update(
    ref: IdentityRef,
    change: { readonly name: string | undefined; readonly path: string | undefined },
  ): Promise<void>
  updateRole(ref: IdentityRef, change: Partial<RoleTerms>): Promise<void>
  /** Throws `deleteConflict`. */
  remove(ref: IdentityRef): Promise<void>
  setTags(ref: IdentityRef, tags: Tags, removed: readonly string[]): Promise<void>
  putInline(ref: IdentityRef, policyName: string, text: string): Promise<void>
  removeInline(ref: IdentityRef, policyName: string): Promise<void>
  attach(ref: IdentityRef, arn: string): Promise<void>
  detach(ref: IdentityRef, arn: string): Promise<void>
  setBoundary(ref: IdentityRef, arn: string | undefined): Promise<void>
  joinGroup(user: IdentityRef, groupName: string): Promise<void>
  leaveGroup(user: IdentityRef, groupName: string): Promise<void>

  /** Throws `entityExists`. */
  createPolicy(accountId: AccountId, policy: NewPolicy): Promise<ManagedPolicyRecord>
  getPolicy(accountId: AccountId, arn: string): Promise<ManagedPolicyRecord>
  /** The account's own policies, in the order of names in lower case, from behind `after`. Read in pages. */
  listPolicies(accountId: AccountId, after: string): AsyncIterable<UsedPolicy>
  /** How many identities have a policy. */
  policyUse(accountId: AccountId, arn: string): Promise<PolicyUse>
  addPolicyVersion(accountId: AccountId, arn: string, text: string, isDefault: boolean): Promise<ManagedPolicyRecord>
  removePolicyVersion(accountId: AccountId, arn: string, number: number): Promise<void>
  setDefaultPolicyVersion(accountId: AccountId, arn: string, number: number): Promise<void>
  /** Throws `deleteConflict`. */
  removePolicy(accountId: AccountId, arn: string): Promise<void>
  setPolicyTags(accountId: AccountId, arn: string, tags: Tags, removed: readonly string[]): Promise<void>
  policyHolders(accountId: AccountId, arn: string): AsyncIterable<PolicyHolder>

  /** Throws `entityExists`. */
  createProvider(
    accountId: AccountId,
    provider: Omit<IdentityProviderRecord, "createdMs">,
  ): Promise<IdentityProviderRecord>
  getProvider(accountId: AccountId, url: string): Promise<IdentityProviderRecord>
  listProviders(accountId: AccountId): Promise<readonly IdentityProviderRecord[]>
  updateProvider(accountId: AccountId, url: string, change: ProviderChange): Promise<void>
  removeProvider(accountId: AccountId, url: string): Promise<void>
}

export interface NewPolicy {
  readonly name: string
  readonly path: string
  readonly description: string
  readonly tags: Tags
  readonly text: string
}

export interface ProviderChange {
  readonly addClientId?: string
  readonly removeClientId?: string
  readonly thumbprints?: readonly string[]
  readonly tags?: Tags
  readonly removeTags?: readonly string[]
}

/** Temporary credentials; they are kept nowhere, and end by themselves. */
export interface IssuedSession {
  readonly accessKeyId: AccessKeyId
  readonly secret: string
  readonly token: string
  readonly expiresMs: number
}

export interface AssumedRole extends IssuedSession {
  /** `AROA…:session`. */
  readonly userId: string
  /** `arn:aws:sts::…:assumed-role/role/session`. */
  readonly arn: string
}

export interface AssumeRequest {
  readonly roleArn: string
  readonly sessionName: string
  /** Undefined: an hour. */
  readonly seconds: number | undefined
  /** What limits the session beside the role: a policy as text, ARNs of managed policies. */
  readonly policy: string | undefined
  readonly policyArns: readonly string[]
  readonly tags: Tags
  readonly context: RequestContext
  readonly nowMs: number
}

/** Who somebody is, as a provider has vouched for. */
export interface WebIdentity {
  /** Whose provider it is; only this account's roles are open to it. */
  readonly account: Account
  readonly provider: IdentityProviderRecord
  readonly audience: string
  readonly subject: string
  /** As condition keys: `issuer:sub` … */
  readonly claims: Tags
}

/** Everything may throw `invalidArgument`. */
export interface Sessions {
  /** For whom the key is. Throws `accessDenied` for a session. */
  ofKey(caller: KnownKey, seconds: number | undefined, nowMs: number): IssuedSession
  /** Throws `accessDenied` where its trust policy or the caller's own policies do not allow it, or there is no such role; `malformedPolicy`, `limitExceeded`. */
  assume(caller: KnownKey, request: AssumeRequest): Promise<AssumedRole>
  /** The same for a web identity of the role's account. */
  assumeByWeb(identity: WebIdentity, request: AssumeRequest): Promise<AssumedRole>
}
