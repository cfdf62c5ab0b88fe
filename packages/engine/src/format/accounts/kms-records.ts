/**
 * Records of named keys (family `kmsKeys`) and of their aliases (`kmsAliases`). The materials of a built-in key are in
 * the control record (`keyring.ts`); those of others are at an external key service.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { FLAG, NUMBER, oneOf, optional, PAIRS, record, row, rowsOf, TEXT, type ValueOf } from "../encoding/fields.js"
import { ACCOUNT_ID, KMS_KEY_ID } from "../encoding/id-fields.js"

/** Numbers are on disk: append only. */
const STATES = ["enabled", "disabled", "pendingDeletion"] as const
export type KmsKeyState = (typeof STATES)[number]

const PROVIDERS = ["vault", "aws"] as const

/** The place where the materials of a key are that this store does not have. */
const EXTERNAL_KEY = row({
  kind: oneOf(PROVIDERS),
  /** The key's name in Vault, its ARN in AWS. */
  name: TEXT,
})

/** The bytes of a key from one moment on. */
const VERSIONS = rowsOf({
  createdMs: NUMBER,
  /** Somebody asked for it; otherwise it was due. */
  isOnDemand: FLAG,
})

const KMS_KEY = record(
  "named key",
  {
    id: KMS_KEY_ID,
    accountId: ACCOUNT_ID,
    description: TEXT,
    state: oneOf(STATES),
    /** While the state is `pendingDeletion`: from when on the key may be deleted. */
    deletionMs: optional(NUMBER),
    /**
     * The rotation is undefined if the key is rotated on demand only. `sinceMs`: the last time that it was due, or when
     * this was set.
     */
    rotation: optional(row({ days: NUMBER, sinceMs: NUMBER })),
    /** It is undefined if the key is built in. */
    external: optional(EXTERNAL_KEY),
    /** The original text. */
    policy: TEXT,
    tags: PAIRS,
    /** From version 1 on; the last one seals. The first was made with the key. */
    versions: VERSIONS,
  },
  {
    check: ({ versions, state, deletionMs }) => {
      if (versions.length === 0) throw corrupt("versions")
      if ((state === "pendingDeletion") !== (deletionMs !== undefined)) throw corrupt("deletionMs")
    },
  },
)
export type KmsKeyRecord = ValueOf<typeof KMS_KEY>
export const { encode: encodeKmsKey, decode: decodeKmsKey } = KMS_KEY

const KMS_ALIAS = record("alias of a key", { keyId: KMS_KEY_ID, createdMs: NUMBER, updatedMs: NUMBER })
export type KmsAliasRecord = ValueOf<typeof KMS_ALIAS>
export const { encode: encodeKmsAlias, decode: decodeKmsAlias } = KMS_ALIAS

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "named key", field })
