/**
 * Tokens of the admin API (family `adminTokens`). The secret is not stored, only its SHA-256: it has 40 random letters, so
 * that no guess finds it.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { packRecord, pick, RecordReader } from "./pack.js"

/** Numbers are on disk: append only. */
export const TOKEN_SCOPES = ["read", "buckets", "identities", "devices", "all"] as const
/** Checked where a token is made. */
export const TOKEN_NAME_CHARACTERS_MAX = 128
export type TokenScope = (typeof TOKEN_SCOPES)[number]

export interface AdminTokenRecord {
  readonly name: string
  readonly secretHash: Uint8Array
  readonly scopes: readonly TokenScope[]
  readonly createdMs: number
  /** From when on it is refused; undefined: never. */
  readonly expiresMs: number | undefined
}

export const encodeAdminToken = ({ name, secretHash, scopes, createdMs, expiresMs }: AdminTokenRecord): Uint8Array =>
  packRecord(1, [name, secretHash, scopes.map(scope => TOKEN_SCOPES.indexOf(scope)), createdMs, expiresMs ?? null])

export function decodeAdminToken(bytes: Uint8Array): AdminTokenRecord {
  const row = RecordReader.open("admin token", bytes, 1)
  return {
    name: row.text(),
    secretHash: Uint8Array.from(row.bytes()),
    scopes: row.row().all(scopes => pick(TOKEN_SCOPES, scopes.number(), "scope")),
    createdMs: row.number(),
    expiresMs: row.optional(() => row.number()),
  }
}
