/**
 * Session tokens: temporary credentials and the identity they belong to. A token crosses the wire sealed, and
 * is stored nowhere else. Version 1.
 */
import { fail } from "../base/failures.js"
import { parseAccessKeyId, parseAccountId } from "../base/ids.js"
import type { AccessKeyId, AccountId } from "../base/ids.js"
import type { Tags } from "./identity-records.js"
import { packRecord, RecordReader } from "./pack.js"

/** A session of GetSessionToken: temporary credentials of the key's owner. */
export interface KeySession {
  readonly kind: "key"
  readonly sourceKey: AccessKeyId
  /** The owner's id: if a key later belongs to another user, its old sessions are not valid. */
  readonly userId: string
}

/** A key, role or provider from which the session was created; the session ends with it. */
export type SessionRoot =
  | { readonly kind: "key"; readonly id: AccessKeyId }
  | { readonly kind: "role"; readonly accountId: AccountId; readonly name: string; readonly id: string }
  | { readonly kind: "provider"; readonly accountId: AccountId; readonly url: string }

export interface RoleSession {
  readonly kind: "role"
  readonly accountId: AccountId
  readonly roleName: string
  readonly roleId: string
  readonly sessionName: string
  /** The roots of the identity that assumed the role. */
  readonly roots: readonly SessionRoot[]
  /** Texts of session policies, and ARNs of managed ones. Undefined if the request had none. */
  readonly limits: { readonly texts: readonly string[]; readonly arns: readonly string[] } | undefined
  readonly tags: Tags
  readonly claims: Tags
}

export interface SessionToken {
  readonly accessKeyId: AccessKeyId
  readonly secret: string
  readonly issuedMs: number
  readonly expiresMs: number
  readonly session: KeySession | RoleSession
}

export function encodeSessionToken({ accessKeyId, secret, issuedMs, expiresMs, session }: SessionToken): Uint8Array {
  const head = [accessKeyId, secret, issuedMs, expiresMs]
  if (session.kind === "key") return packRecord(1, [...head, [session.sourceKey, session.userId]])
  const { accountId, roleName, roleId, sessionName, roots, limits, tags, claims } = session
  const packedLimits = limits ? [limits.texts, limits.arns] : null
  const role = [accountId, roleName, roleId, sessionName, roots.map(packRoot), packedLimits, tags, claims]
  return packRecord(1, [...head, null, role])
}

function packRoot(root: SessionRoot): readonly string[] {
  switch (root.kind) {
    case "key":
      return [root.kind, root.id]
    case "role":
      return [root.kind, root.accountId, root.name, root.id]
    case "provider":
      return [root.kind, root.accountId, root.url]
  }
}

function readRoot(row: RecordReader): SessionRoot {
  const kind = row.text()
  switch (kind) {
    case "key":
      return { kind, id: parseAccessKeyId(row.text()) }
    case "role":
      return { kind, accountId: parseAccountId(row.text()), name: row.text(), id: row.text() }
    case "provider":
      return { kind, accountId: parseAccountId(row.text()), url: row.text() }
    default:
      throw fail("corruptRecord", { what: "session token", field: "roots" })
  }
}

export function decodeSessionToken(bytes: Uint8Array): SessionToken {
  const row = RecordReader.open("session token", bytes, 1)
  const accessKeyId = parseAccessKeyId(row.text())
  const head = { accessKeyId, secret: row.text(), issuedMs: row.number(), expiresMs: row.number() }
  const ofKey = row.optional((): KeySession => {
    const key = row.row()
    return { kind: "key", sourceKey: parseAccessKeyId(key.text()), userId: key.text() }
  })
  return { ...head, session: ofKey ?? readRoleSession(row.row()) }
}

function readRoleSession(row: RecordReader): RoleSession {
  const pairs = (): Tags => row.rows(pair => [pair.text(), pair.text()])
  return {
    kind: "role",
    accountId: parseAccountId(row.text()),
    roleName: row.text(),
    roleId: row.text(),
    sessionName: row.text(),
    roots: row.rows(readRoot),
    limits: row.optional(() => {
      const limits = row.row()
      return { texts: limits.texts(), arns: limits.texts() }
    }),
    tags: pairs(),
    claims: pairs(),
  }
}
