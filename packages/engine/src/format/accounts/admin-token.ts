/**
 * Tokens of the admin API (family `adminTokens`). The secret is not stored, only its SHA-256: it has 40 random letters, so
 * that no guess finds it.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { listOf, NUMBER, oneOf, optional, OWN_BYTES, record, TEXT, type ValueOf } from "../encoding/fields.js"

/** Numbers are on disk: append only. */
export const TOKEN_SCOPES = ["read", "buckets", "identities", "devices", "all"] as const
/** Checked where a token is made. */
export const TOKEN_NAME_CHARACTERS_MAX = 128
export type TokenScope = (typeof TOKEN_SCOPES)[number]

const ADMIN_TOKEN = record("admin token", {
  name: TEXT,
  secretHash: OWN_BYTES,
  scopes: listOf(oneOf(TOKEN_SCOPES)),
  createdMs: NUMBER,
  /** From when on it is refused; undefined: never. */
  expiresMs: optional(NUMBER),
})
export type AdminTokenRecord = ValueOf<typeof ADMIN_TOKEN>
export const { encode: encodeAdminToken, decode: decodeAdminToken } = ADMIN_TOKEN
