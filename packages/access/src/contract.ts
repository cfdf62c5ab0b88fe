/**
 * Accounts, keys and identities: the owners of buckets, the principals of an account, and their permissions.
 *
 * Secrets are stored sealed under the store's master key; only `secretOf` unseals them, for signature checks. Lists
 * never contain a secret. A change here applies to the next request: no cached key outlives it.
 */
import type { AccessKeyId, AccountId, AccountNumber } from "@hayloft/base/ids.js"
import type {
  IdentityKind,
  IdentityProviderRecord,
  IdentityRecord,
  KeyUseRecord,
  ManagedPolicyRecord,
  RoleTerms,
  ServiceKeyRecord,
} from "@hayloft/engine/format/accounts/identity-records.js"
import type { RateLimits } from "@hayloft/engine/format/accounts/rate-limits.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { SessionRoot } from "@hayloft/engine/format/accounts/session-token.js"
import type { AccessPolicy, PrincipalPolicies, RequestContext } from "./policy/contract.js"
import type { KnownPrincipal, Principal } from "./principals/principal.js"
import type { Tags } from "@hayloft/base/tags.js"

export interface Account {
  readonly id: AccountId
  /** The unique number by which ARNs identify the account. */
  readonly number: AccountNumber
  readonly displayName: string
  readonly email: string
  readonly createdMs: number
  readonly limits?: RateLimits | undefined
}

/** The owner of a key: a user, or without a user the account's root. */
export interface KeyOwner {
  readonly accountId: AccountId
  readonly userName: string | undefined
}

export interface AccessKey extends KeyOwner {
  readonly id: AccessKeyId
  readonly createdMs: number
  /** False: requests with the key are refused until it is enabled. */
  readonly isActive: boolean
  /** Present for a service key, which has its own limits. */
  readonly service: ServiceKeyRecord | undefined
  readonly limits?: RateLimits | undefined
}

/** Limits of rates that apply to a request, and whose they are. */
export interface HeldLimits {
  readonly holder: "account" | "key"
  readonly id: AccountId | AccessKeyId
  readonly limits: RateLimits
}

/** A key that exists and is valid now, with its owner and the owner's permissions. */
export interface KnownAccessKey {
  readonly id: AccessKeyId
  readonly secret: string
  readonly account: Account
  readonly principal: KnownPrincipal
  readonly policies: PrincipalPolicies
  /** The account's root, with a key that has no limits of its own. */
  readonly isWholeRoot: boolean
  /** For temporary credentials their source: a key (GetSessionToken), a role, or a person of a directory. */
  readonly session: "key" | "role" | "person" | undefined
  /** The key is valid only while these are: itself, or for temporary credentials everything they were derived from. */
  readonly roots: readonly SessionRoot[]
  /** The expiry is undefined if the key never expires. */
  readonly expiresMs: number | undefined
  /** When what a directory says of its person holds; then it is asked again. Only for a session of a person. */
  readonly known?: FreshTime | undefined
  /**
   * Limits of requests that the key signs: its own, and its account's. They apply to temporary credentials that it has
   * made too, and to those of roles assumed with it, beside those of the role's account. Undefined if there are none.
   */
  readonly limited?: readonly HeldLimits[] | undefined
}

export interface NewKey extends KeyOwner {
  readonly service?: ServiceKeyRecord | undefined
}

export interface Accounts {
  /** Throws `accountExists`. Without an id, 64 hex digits are generated. */
  createAccount(request: { id?: AccountId; displayName: string; email: string }): Promise<Account>
  getAccount(id: AccountId): Soon<Account | undefined>
  accountOfNumber(number: AccountNumber): Promise<Account | undefined>
  listAccounts(): Promise<readonly Account[]>
  /** Returns the secret, which is never returned again. Throws `noSuchAccount`, `noSuchEntity`, `limitExceeded`, `malformedPolicy`. */
  createKey(key: NewKey): Promise<{ key: AccessKey; secret: string }>
  /** Also throws `accessKeyExists`. */
  importKey(key: NewKey & { id: AccessKeyId; secret: string }): Promise<AccessKey>
  getKey(id: AccessKeyId): Promise<AccessKey | undefined>
  listKeys(accountId?: AccountId): Promise<readonly AccessKey[]>
  /** All keys of this owner. */
  keysOf(owner: KeyOwner): Promise<readonly AccessKey[]>
  /** Throws `noSuchAccessKey`, also if this owner does not own it, or `invalidRequest` for the root key. */
  removeKey(id: AccessKeyId, owner?: KeyOwner): Promise<void>
  /** Enables or disables a key; throws like `removeKey`. */
  setKeyActive(id: AccessKeyId, isActive: boolean, owner?: KeyOwner): Promise<void>
  /**
   * Replaces the terms of a service key, and the secret of any key if there is a new one; requests signed with the former one are
   * refused from now on. Throws `noSuchAccessKey`, `malformedPolicy`, or `invalidRequest` for the root key, and for terms of a
   * key that is no service key.
   */
  changeKey(id: AccessKeyId, change: Pick<NewKey, "service"> & { secret?: string | undefined }): Promise<void>
  /** Replaces the limits of rates; undefined removes them. Throws `noSuchAccount`. */
  limitAccount(id: AccountId, limits: RateLimits | undefined): Promise<void>
  /** The same for a key. Throws `noSuchAccessKey`, or `invalidRequest` for the root key. */
  limitKey(id: AccessKeyId, limits: RateLimits | undefined): Promise<void>
  /** Returns undefined if no use is recorded. */
  lastUse(id: AccessKeyId): Promise<KeyUseRecord | undefined>
  /** The same of all keys, by id. */
  lastUses(): Promise<ReadonlyMap<string, KeyUseRecord>>
}

/** The keys that sign requests. */
export interface Keyring {
  /**
   * For signature checks: undefined if the key does not exist or is not valid. `token` is the session token that was
   * sent with it. Throws `invalidToken`, `tokenExpired`.
   */
  secretOf(id: AccessKeyId, token: string | undefined, nowMs: number): Soon<KnownAccessKey | undefined>
  /** The same from the cache only; undefined also where `secretOf` would throw. For estimates, not for decisions. */
  knownSecret(id: AccessKeyId, token: string | undefined, nowMs: number): KnownAccessKey | undefined
  /** The owner of a bucket or an object. */
  getAccount(id: AccountId): Soon<Account | undefined>
  /**
   * The stored form of a resource policy: with unique ids in place of the ARNs of users, roles and sessions.
   * Throws `malformedPolicy` if it names an account, a user or a role that does not exist.
   */
  pinPrincipals(policy: AccessPolicy, text: string): Soon<string>
  /** The displayed form of a stored policy: with current ARNs in place of unique ids. */
  showPrincipals(text: string): Soon<string>
  /** Records a verified use of the key for this service. Cheap: few uses are written. */
  noteUse(key: KnownAccessKey, usedMs: number, service: string, region: string): void
}

/** Identifies a user, group or role. */
export interface IdentityRef {
  readonly accountId: AccountId
  readonly kind: IdentityKind
  readonly name: string
}

export interface NewIdentity extends IdentityRef {
  readonly path: string
  readonly tags: Tags
  readonly boundary: string | undefined
  /** For a role only. */
  readonly role: IdentityRecord["role"]
}

/** The number of identities that have a managed policy attached, and that have it as their boundary. */
export interface ManagedPolicyUse {
  readonly attachments: number
  readonly boundaries: number
}

export interface UsedPolicy {
  readonly record: ManagedPolicyRecord
  readonly use: ManagedPolicyUse
}

/** An identity that has a managed policy, attached or as its boundary; an entry of a directory is named by its DN. */
export interface PolicyHolder {
  readonly identity: { readonly kind: IdentityKind | "entry" } & Pick<IdentityRecord, "path" | "name" | "id">
  readonly isBoundary: boolean
}

/** A caller with its permissions, of whom no request has come. */
export type SimulatedCaller = Pick<KnownAccessKey, "policies" | "isWholeRoot"> & { readonly principal: Principal }

/**
 * Users, groups, roles, managed policies and providers of an account. Every method may throw `noSuchEntity`,
 * `invalidArgument` and `limitExceeded`; methods that store a policy also `malformedPolicy`.
 */
export interface Identities {
  /** Throws `entityExists`. */
  create(identity: NewIdentity): Promise<IdentityRecord>
  get(ref: IdentityRef): Promise<IdentityRecord>
  /** Returns a user, or a session of a role, as the caller that it is now: for simulations. Throws `noSuchAccount`. */
  asCaller(ref: IdentityRef, sessionName: string): Promise<SimulatedCaller>
  /** In the order of lower-case names, starting after `after`. Read in pages. */
  list(accountId: AccountId, kind: IdentityKind, after: string): AsyncIterable<IdentityRecord>
  /** The users in a group, in the same order. */
  members(group: IdentityRef, after: string): AsyncIterable<IdentityRecord>
  /** Throws `entityExists`; a group cannot be renamed. */
  update(
    ref: IdentityRef,
    change: { readonly name: string | undefined; readonly path: string | undefined },
  ): Promise<void>
  updateRole(ref: IdentityRef, change: Partial<RoleTerms>): Promise<void>
  /** Throws `deleteConflict`. */
  remove(ref: IdentityRef): Promise<void>
  /** Throws `invalidArgument` for tags that only the store may set. */
  setTags(ref: IdentityRef, tags: Tags, removed: readonly string[], by?: "caller" | "store"): Promise<void>
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
  /** The account's own policy of that name, compared without case. */
  findPolicyNamed(accountId: AccountId, name: string): Promise<ManagedPolicyRecord | undefined>
  /** The account's own policies, in the order of lower-case names, starting after `after`. Read in pages. */
  listPolicies(accountId: AccountId, after: string): AsyncIterable<UsedPolicy>
  /** The number of identities that have a policy. */
  policyUse(accountId: AccountId, arn: string): Promise<ManagedPolicyUse>
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

/** Temporary credentials; the server does not store them, and they expire. */
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
  /** The duration is undefined for the default of an hour. */
  readonly seconds: number | undefined
  /** Limits of the session in addition to the role's: a policy as text, ARNs of managed policies. */
  readonly policy: string | undefined
  readonly policyArns: readonly string[]
  readonly tags: Tags
  readonly context: RequestContext
  readonly nowMs: number
}

/** An identity that a provider has confirmed. */
export interface WebIdentity {
  /** The provider's account; the identity may assume roles of this account only. */
  readonly account: Account
  readonly provider: IdentityProviderRecord
  readonly audience: string
  readonly subject: string
  /** The claims, by the names of their condition keys: `issuer:sub` … */
  readonly claims: Tags
}

/** Milliseconds since 1970: from the first, until before the second. */
export interface FreshTime {
  readonly fromMs: number
  readonly untilMs: number
}

/** By which a directory finds a person again. */
export interface PersonRef {
  /** The directory's spelling. */
  readonly dn: string
  /** The name that was typed. */
  readonly login: string
}

export interface Person extends PersonRef {
  /** The name for policies (`ldap:username`). */
  readonly userName: string
  /** The DNs of the person's groups in their normal form. */
  readonly groups: readonly string[]
}

export interface PersonGroups extends FreshTime {
  /** The DNs of a person's groups in their normal form. */
  readonly groups: readonly string[]
}

/** The people of an LDAP directory. */
export interface People {
  /**
   * Throws `accessDenied` if the name or the password is wrong, for whatever reason; `directoryUnavailable`,
   * `tooManyInFlight`.
   */
  signIn(login: string, password: string): Promise<Person>
  /** The person without a proof, for an operator. Throws like `signIn`, with the reason. */
  find(login: string): Promise<Person>
  /**
   * The groups of a person who has signed in; undefined if the directory has the person no more. `groups` are those to
   * use while the directory does not answer and nothing newer is known.
   */
  membershipOf(ref: PersonRef, groups: readonly string[], nowMs: number): Soon<PersonGroups | undefined>
}

/** Limits of a session of a key or of a person. */
export interface SessionRequest {
  /** The duration is undefined for the default: of a person an hour, of a key twelve, of a root user's one. */
  readonly seconds: number | undefined
  /** The text of a policy that limits the session in addition to those of its owner. */
  readonly policy?: string | undefined
  readonly nowMs: number
}

export interface PersonCredentials extends IssuedSession {
  /** `arn:aws:iam::…:entry/uid=…`. */
  readonly arn: string
}

/** The policies of an entry of a directory. */
export interface DirectoryEntry {
  /** In its normal form. */
  readonly dn: string
  /** ARNs of managed policies. */
  readonly attached: readonly string[]
}

/** The policies of people and groups of a directory: they are people of the root account. */
export interface DirectoryEntries {
  /** Throws `noSuchEntity`, `invalidArgument`, `limitExceeded`. */
  attach(dn: string, arn: string): Promise<DirectoryEntry>
  /** Throws `noSuchEntity`, `invalidArgument`. */
  detach(dn: string, arn: string): Promise<void>
  /** In the order of DNs, starting after `after`. Read in pages. */
  list(after: string): AsyncIterable<DirectoryEntry>
  /** Returns those of the DNs, in their normal form, that have policies. */
  among(dns: readonly string[]): Promise<readonly DirectoryEntry[]>
}

/** Every method may throw `invalidArgument`. */
export interface Sessions {
  /** A session with the key owner's permissions, at most. Throws `accessDenied` if the caller is a session; `malformedPolicy`, `limitExceeded`. */
  ofKey(caller: KnownAccessKey, request: SessionRequest): IssuedSession
  /** Throws `accessDenied` if the trust policy or the caller's own policies do not allow it, or there is no such role; `malformedPolicy`, `limitExceeded`. */
  assume(caller: KnownAccessKey, request: AssumeRequest): Promise<AssumedRole>
  /** The same for a web identity of the role's account. */
  assumeByWeb(identity: WebIdentity, request: AssumeRequest): Promise<AssumedRole>
  /** Throws `accessDenied` if neither the person nor a group of the person has a policy; `malformedPolicy`. */
  ofPerson(person: Person, request: SessionRequest): Promise<PersonCredentials>
}
