/**
 * Records of named keys (family `kmsKeys`) and of their aliases (`kmsAliases`). The materials of a built-in key are in
 * the control record (`keyring.ts`); those of others are at an external key service.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail, type Failure } from "../base/failures.js"
import { parseAccountId, parseKmsKeyId, type AccountId, type KmsKeyId } from "../base/ids.js"
import type { Tags } from "./identity-records.js"
import { packRecord, pick, RecordReader } from "./pack.js"

/** Numbers are on disk: append only. */
const STATES = ["enabled", "disabled", "pendingDeletion"] as const
export type KmsKeyState = (typeof STATES)[number]

const PROVIDERS = ["vault", "aws"] as const

/** Where the materials of a key are that this store does not have. */
interface ExternalKey {
  readonly kind: (typeof PROVIDERS)[number]
  /** The key's name in Vault, its ARN in AWS. */
  readonly name: string
}

/** The bytes of a key from one moment on. */
interface KmsKeyVersion {
  readonly createdMs: number
  /** Somebody asked for it; otherwise it was due. */
  readonly isOnDemand: boolean
}

export interface KmsKeyRecord {
  readonly id: KmsKeyId
  readonly accountId: AccountId
  readonly description: string
  readonly state: KmsKeyState
  /** While the state is `pendingDeletion`: from when on the key may be deleted. */
  readonly deletionMs: number | undefined
  /**
   * The rotation is undefined if the key is rotated on demand only. `sinceMs`: the last time that it was due, or when
   * this was set.
   */
  readonly rotation: { readonly days: number; readonly sinceMs: number } | undefined
  /** It is undefined if the key is built in. */
  readonly external: ExternalKey | undefined
  /** The original text. */
  readonly policy: string
  readonly tags: Tags
  /** From version 1 on; the last one seals. The first was made with the key. */
  readonly versions: readonly KmsKeyVersion[]
}

export const encodeKmsKey = (key: KmsKeyRecord): Uint8Array =>
  packRecord(1, [
    key.id,
    key.accountId,
    key.description,
    STATES.indexOf(key.state),
    key.deletionMs ?? null,
    key.rotation ? [key.rotation.days, key.rotation.sinceMs] : null,
    key.external ? [PROVIDERS.indexOf(key.external.kind), key.external.name] : null,
    key.policy,
    key.tags,
    key.versions.map(({ createdMs, isOnDemand }) => [createdMs, isOnDemand ? 1 : 0]),
  ])

export function decodeKmsKey(bytes: Uint8Array): KmsKeyRecord {
  const row = RecordReader.open("named key", bytes, 1)
  const key = {
    id: parseKmsKeyId(row.text()),
    accountId: parseAccountId(row.text()),
    description: row.text(),
    state: pick(STATES, row.number(), "state of a key"),
    deletionMs: row.optional(() => row.number()),
    rotation: row.optional(() => {
      const members = row.row()
      return { days: members.number(), sinceMs: members.number() }
    }),
    external: row.optional(() => {
      const members = row.row()
      return { kind: pick(PROVIDERS, members.number(), "provider of a key"), name: members.text() }
    }),
    policy: row.text(),
    tags: row.rows((pair): readonly [string, string] => [pair.text(), pair.text()]),
    versions: row.rows(version => ({ createdMs: version.number(), isOnDemand: version.number() === 1 })),
  }
  if (key.versions.length === 0) throw corrupt("versions")
  if ((key.state === "pendingDeletion") !== (key.deletionMs !== undefined)) throw corrupt("deletionMs")
  return key
}

export interface KmsAliasRecord {
  readonly keyId: KmsKeyId
  readonly createdMs: number
  readonly updatedMs: number
}

export const encodeKmsAlias = ({ keyId, createdMs, updatedMs }: KmsAliasRecord): Uint8Array =>
  packRecord(1, [keyId, createdMs, updatedMs])

export function decodeKmsAlias(bytes: Uint8Array): KmsAliasRecord {
  const row = RecordReader.open("alias of a key", bytes, 1)
  return { keyId: parseKmsKeyId(row.text()), createdMs: row.number(), updatedMs: row.number() }
}

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "named key", field })
