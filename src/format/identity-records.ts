/**
 * Records of the identities of an account, one codec each: access keys, identities (users, groups, roles),
 * managed policies, identity providers. Policies are stored as the submitted text, which was checked before.
 */
import { fail } from "../base/failures.js"
import { parseAccessKeyId, parseAccountId } from "../base/ids.js"
import type { AccessKeyId, AccountId } from "../base/ids.js"
import { packRecord, RecordReader } from "./pack.js"
import { packRateLimits, readRateLimits, type RateLimits } from "./rate-limits.js"

export type Tags = readonly (readonly [key: string, value: string])[]

const readTags = (row: RecordReader): Tags => row.rows(pair => [pair.text(), pair.text()])

/** A key for one purpose: until it expires it has its owner's permissions, limited by its own policy. */
export interface ServiceKeyRecord {
  readonly description: string
  readonly expiresMs: number | undefined
  /** The policy is undefined if only its owner's permissions limit the key. */
  readonly policy: string | undefined
}

/** An access key (family `accessKeys`). */
export interface AccessKeyRecord {
  readonly accountId: AccountId
  readonly createdMs: number
  /** AES-256-GCM under the store's master key: nonce (12), ciphertext, tag (16). */
  readonly sealedSecret: Uint8Array
  readonly isActive: boolean
  /** The name is undefined for a key of the account's root. */
  readonly userName: string | undefined
  readonly service: ServiceKeyRecord | undefined
  readonly limits?: RateLimits | undefined
}

/** An active, unlimited root key is a record of format 1. Earlier releases refuse other keys, so none passes for a root key. */
export function encodeAccessKey({
  accountId,
  createdMs,
  sealedSecret,
  isActive,
  userName,
  service,
  limits,
}: AccessKeyRecord): Uint8Array {
  if (isActive && userName === undefined && service === undefined && limits === undefined)
    return packRecord(1, [accountId, createdMs, sealedSecret])
  const packedService = service && [service.description, service.expiresMs ?? null, service.policy ?? null]
  const members = [accountId, createdMs, sealedSecret, isActive ? 1 : 0, userName ?? null, packedService ?? null]
  return packRecord(2, limits === undefined ? members : [...members, packRateLimits(limits)])
}

export function decodeAccessKey(bytes: Uint8Array): AccessKeyRecord {
  const row = RecordReader.open("access key", bytes, 2)
  const key = { accountId: parseAccountId(row.text()), createdMs: row.number(), sealedSecret: row.bytes() }
  if (row.format === 1) return { ...key, isActive: true, userName: undefined, service: undefined }
  const limited = {
    ...key,
    isActive: row.number() === 1,
    userName: row.optional(() => row.text()),
    service: row.optional(() => {
      const service = row.row()
      return {
        description: service.text(),
        expiresMs: service.optional(() => service.number()),
        policy: service.optional(() => service.text()),
      }
    }),
  }
  const limits = readRateLimits(row)
  return limits === undefined ? limited : { ...limited, limits }
}

/** When and for which service a key was last used (family `keyUses`). */
export interface KeyUseRecord {
  readonly usedMs: number
  readonly service: string
  readonly region: string
}

export const encodeKeyUse = ({ usedMs, service, region }: KeyUseRecord): Uint8Array =>
  packRecord(1, [usedMs, service, region])

export function decodeKeyUse(bytes: Uint8Array): KeyUseRecord {
  const row = RecordReader.open("key use", bytes, 1)
  return { usedMs: row.number(), service: row.text(), region: row.text() }
}

/** Numbers are on disk: append only. */
const IDENTITY_KINDS = ["user", "group", "role"] as const
export type IdentityKind = (typeof IDENTITY_KINDS)[number]

export interface InlinePolicy {
  readonly name: string
  readonly text: string
}

/** Fields that only a role has. */
export interface RoleTerms {
  readonly description: string
  /** The access policy that controls who may assume it. */
  readonly trust: string
  readonly sessionSecondsMax: number
}

/** A user, group or role (family `identities`). */
export interface IdentityRecord {
  readonly kind: IdentityKind
  readonly name: string
  /** `/`, or `/division/team/`. */
  readonly path: string
  /** Never used again: `AIDA…`, `AGPA…`, `AROA…`. */
  readonly id: string
  readonly createdMs: number
  readonly tags: Tags
  readonly inline: readonly InlinePolicy[]
  /** ARNs of managed policies. */
  readonly attached: readonly string[]
  /** ARN of a managed policy. */
  readonly boundary: string | undefined
  /** Names of groups, if it is a user. */
  readonly groups: readonly string[]
  /** Access keys, if it is a user. */
  readonly keys: readonly AccessKeyId[]
  /** Set if it is a role. */
  readonly role: RoleTerms | undefined
}

export const encodeIdentity = (identity: IdentityRecord): Uint8Array =>
  packRecord(1, [
    IDENTITY_KINDS.indexOf(identity.kind),
    identity.name,
    identity.path,
    identity.id,
    identity.createdMs,
    identity.tags,
    identity.inline.map(({ name, text }) => [name, text]),
    identity.attached,
    identity.boundary ?? null,
    identity.groups,
    identity.keys,
    identity.role ? [identity.role.description, identity.role.trust, identity.role.sessionSecondsMax] : null,
  ])

export function decodeIdentity(bytes: Uint8Array): IdentityRecord {
  const row = RecordReader.open("identity", bytes, 1)
  const kind = IDENTITY_KINDS[row.number()]
  if (kind === undefined) throw fail("corruptRecord", { what: "identity", field: "kind" })
  return {
    kind,
    name: row.text(),
    path: row.text(),
    id: row.text(),
    createdMs: row.number(),
    tags: readTags(row),
    inline: row.rows(policy => ({ name: policy.text(), text: policy.text() })),
    attached: row.texts(),
    boundary: row.optional(() => row.text()),
    groups: row.texts(),
    keys: row.texts().map(parseAccessKeyId),
    role: row.optional(() => {
      const role = row.row()
      return { description: role.text(), trust: role.text(), sessionSecondsMax: role.number() }
    }),
  }
}

export interface PolicyVersion {
  /** 1, 2, 3 …: shown as `v1`. */
  readonly number: number
  readonly createdMs: number
  readonly text: string
}

/** A managed policy (family `managedPolicies`). */
export interface ManagedPolicyRecord {
  readonly name: string
  readonly path: string
  /** Never used again: `ANPA…`. */
  readonly id: string
  readonly createdMs: number
  readonly updatedMs: number
  readonly description: string
  readonly tags: Tags
  readonly defaultVersion: number
  /** The highest number ever assigned. */
  readonly lastVersion: number
  readonly versions: readonly PolicyVersion[]
}

export const encodeManagedPolicy = (policy: ManagedPolicyRecord): Uint8Array =>
  packRecord(1, [
    policy.name,
    policy.path,
    policy.id,
    policy.createdMs,
    policy.updatedMs,
    policy.description,
    policy.tags,
    policy.defaultVersion,
    policy.lastVersion,
    policy.versions.map(({ number, createdMs, text }) => [number, createdMs, text]),
  ])

export function decodeManagedPolicy(bytes: Uint8Array): ManagedPolicyRecord {
  const row = RecordReader.open("managed policy", bytes, 1)
  return {
    name: row.text(),
    path: row.text(),
    id: row.text(),
    createdMs: row.number(),
    updatedMs: row.number(),
    description: row.text(),
    tags: readTags(row),
    defaultVersion: row.number(),
    lastVersion: row.number(),
    versions: row.rows(version => ({ number: version.number(), createdMs: version.number(), text: version.text() })),
  }
}

/** An OpenID Connect provider (family `identityProviders`). */
export interface IdentityProviderRecord {
  /** The issuer, as its tokens name it. */
  readonly url: string
  readonly createdMs: number
  /** Audiences that are accepted. */
  readonly clientIds: readonly string[]
  readonly thumbprints: readonly string[]
  readonly tags: Tags
}

export const encodeIdentityProvider = (provider: IdentityProviderRecord): Uint8Array =>
  packRecord(1, [provider.url, provider.createdMs, provider.clientIds, provider.thumbprints, provider.tags])

export function decodeIdentityProvider(bytes: Uint8Array): IdentityProviderRecord {
  const row = RecordReader.open("identity provider", bytes, 1)
  return {
    url: row.text(),
    createdMs: row.number(),
    clientIds: row.texts(),
    thumbprints: row.texts(),
    tags: readTags(row),
  }
}
