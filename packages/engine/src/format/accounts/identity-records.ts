/**
 * Records of the identities of an account: access keys, identities (users, groups, roles), managed policies, identity
 * providers. Policies are stored as the submitted text, which was checked before.
 */
import {
  appended,
  byFormat,
  BYTES,
  FLAG,
  group,
  listOf,
  mapped,
  NUMBER,
  oneOf,
  optional,
  PAIRS,
} from "../encoding/fields.js"
import { record, recordOf, row, rowsOf, TEXT, type ValueOf } from "../encoding/fields.js"
import { ACCESS_KEY_ID, ACCOUNT_ID } from "../encoding/id-fields.js"
import { RATE_LIMITS } from "./rate-limits.js"

/** A key for one purpose: until it expires it has its owner's permissions, limited by its own policy. */
const SERVICE_KEY = row({
  description: TEXT,
  expiresMs: optional(NUMBER),
  /** The policy is undefined if only its owner's permissions limit the key. */
  policy: optional(TEXT),
})
export type ServiceKeyRecord = ValueOf<typeof SERVICE_KEY>

const ROOT_KEY_FIELDS = {
  accountId: ACCOUNT_ID,
  createdMs: NUMBER,
  /** AES-256-GCM under the store's master key: nonce (12), ciphertext, tag (16). */
  sealedSecret: BYTES,
}

/** An access key (family `accessKeys`). */
const ACCESS_KEY = group({
  ...ROOT_KEY_FIELDS,
  isActive: FLAG,
  /** The name is undefined for a key of the account's root. */
  userName: optional(TEXT),
  service: optional(SERVICE_KEY),
  limits: appended(optional(RATE_LIMITS)),
})
export type AccessKeyRecord = ValueOf<typeof ACCESS_KEY>

const ROOT_KEY = mapped(
  group(ROOT_KEY_FIELDS),
  (key): AccessKeyRecord => ({ ...key, isActive: true, userName: undefined, service: undefined }),
  key => key,
)

const isPlain = ({ isActive, userName, service, limits }: AccessKeyRecord): boolean =>
  isActive && userName === undefined && service === undefined && limits === undefined

/** An active, unlimited root key is a record of format 1. Earlier releases refuse other keys, so none passes for a root key. */
export const { encode: encodeAccessKey, decode: decodeAccessKey } = recordOf(
  "access key",
  byFormat<AccessKeyRecord>([ROOT_KEY, ACCESS_KEY], key => (isPlain(key) ? 1 : 2)),
)

/** When and for which service a key was last used (family `keyUses`). */
const KEY_USE = record("key use", { usedMs: NUMBER, service: TEXT, region: TEXT })
export type KeyUseRecord = ValueOf<typeof KEY_USE>
export const { encode: encodeKeyUse, decode: decodeKeyUse } = KEY_USE

/** Numbers are on disk: append only. */
const IDENTITY_KINDS = ["user", "group", "role"] as const
export type IdentityKind = (typeof IDENTITY_KINDS)[number]

const INLINE_POLICIES = rowsOf({ name: TEXT, text: TEXT })
export type InlinePolicy = ValueOf<typeof INLINE_POLICIES>[number]

/** Fields that only a role has. */
const ROLE_TERMS = row({
  description: TEXT,
  /** The access policy that controls who may assume it. */
  trust: TEXT,
  sessionSecondsMax: NUMBER,
})
export type RoleTerms = ValueOf<typeof ROLE_TERMS>

/** A user, group or role (family `identities`). */
const IDENTITY = record("identity", {
  kind: oneOf(IDENTITY_KINDS),
  name: TEXT,
  /** `/`, or `/division/team/`. */
  path: TEXT,
  /** Never used again: `AIDA…`, `AGPA…`, `AROA…`. */
  id: TEXT,
  createdMs: NUMBER,
  tags: PAIRS,
  inline: INLINE_POLICIES,
  /** ARNs of managed policies. */
  attached: listOf(TEXT),
  /** ARN of a managed policy. */
  boundary: optional(TEXT),
  /** Names of groups, if it is a user. */
  groups: listOf(TEXT),
  /** Access keys, if it is a user. */
  keys: listOf(ACCESS_KEY_ID),
  /** Set if it is a role. */
  role: optional(ROLE_TERMS),
})
export type IdentityRecord = ValueOf<typeof IDENTITY>
export const { encode: encodeIdentity, decode: decodeIdentity } = IDENTITY

/** The policies of an entry of an LDAP directory, a person or a group (family `directoryEntries`). */
const DIRECTORY_ENTRY = record("directory entry", {
  /** The normal form of its DN. */
  dn: TEXT,
  createdMs: NUMBER,
  /** ARNs of managed policies; never empty. */
  attached: listOf(TEXT),
})
export type DirectoryEntryRecord = ValueOf<typeof DIRECTORY_ENTRY>
export const { encode: encodeDirectoryEntry, decode: decodeDirectoryEntry } = DIRECTORY_ENTRY

const POLICY_VERSIONS = rowsOf({
  /** 1, 2, 3 …: shown as `v1`. */
  number: NUMBER,
  createdMs: NUMBER,
  text: TEXT,
})
export type PolicyVersion = ValueOf<typeof POLICY_VERSIONS>[number]

/** A managed policy (family `managedPolicies`). */
const MANAGED_POLICY = record("managed policy", {
  name: TEXT,
  path: TEXT,
  /** Never used again: `ANPA…`. */
  id: TEXT,
  createdMs: NUMBER,
  updatedMs: NUMBER,
  description: TEXT,
  tags: PAIRS,
  defaultVersion: NUMBER,
  /** The highest number ever assigned. */
  lastVersion: NUMBER,
  versions: POLICY_VERSIONS,
})
export type ManagedPolicyRecord = ValueOf<typeof MANAGED_POLICY>
export const { encode: encodeManagedPolicy, decode: decodeManagedPolicy } = MANAGED_POLICY

/** An OpenID Connect provider (family `identityProviders`). */
const IDENTITY_PROVIDER = record("identity provider", {
  /** The issuer, as its tokens name it. */
  url: TEXT,
  createdMs: NUMBER,
  /** Audiences that are accepted. */
  clientIds: listOf(TEXT),
  thumbprints: listOf(TEXT),
  tags: PAIRS,
})
export type IdentityProviderRecord = ValueOf<typeof IDENTITY_PROVIDER>
export const { encode: encodeIdentityProvider, decode: decodeIdentityProvider } = IDENTITY_PROVIDER
