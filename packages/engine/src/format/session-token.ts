/**
 * Session tokens: temporary credentials and the identity they belong to. A token crosses the wire sealed, and
 * is stored nowhere else. Version 1.
 */
import {
  listOf,
  NUMBER,
  optional,
  PAIRS,
  record,
  row,
  TEXT,
  textUnion,
  type RecordField,
  type ValueOf,
} from "./fields.js"
import { ACCESS_KEY_ID, ACCOUNT_ID } from "./id-fields.js"

/** A session of GetSessionToken: temporary credentials of the key's owner. */
const KEY_SESSION = row({
  sourceKey: ACCESS_KEY_ID,
  /** The owner's id: if a key later belongs to another user, its old sessions are not valid. */
  userId: TEXT,
})
export type KeySession = { readonly kind: "key" } & ValueOf<typeof KEY_SESSION>

/** A key, role or provider from which the session was created; the session ends with it. */
const ROOTS = listOf(
  row(
    textUnion({
      key: { id: ACCESS_KEY_ID },
      role: { accountId: ACCOUNT_ID, name: TEXT, id: TEXT },
      provider: { accountId: ACCOUNT_ID, url: TEXT },
    }),
  ),
)
export type SessionRoot = ValueOf<typeof ROOTS>[number]

const ROLE_SESSION = row({
  accountId: ACCOUNT_ID,
  roleName: TEXT,
  roleId: TEXT,
  sessionName: TEXT,
  /** The roots of the identity that assumed the role. */
  roots: ROOTS,
  /** Texts of session policies, and ARNs of managed ones. Undefined if the request had none. */
  limits: optional(row({ texts: listOf(TEXT), arns: listOf(TEXT) })),
  tags: PAIRS,
  claims: PAIRS,
})
export type RoleSession = { readonly kind: "role" } & ValueOf<typeof ROLE_SESSION>

/** A session is stored as the members of a key session, or as null and those of a role session. */
const SESSION: RecordField<KeySession | RoleSession> = {
  write: (members, session) => {
    if (session.kind === "key") return KEY_SESSION.write(members, session)
    members.push(null)
    ROLE_SESSION.write(members, session)
  },
  read: reader =>
    reader.skipsAbsent()
      ? { kind: "role", ...ROLE_SESSION.read(reader) }
      : { kind: "key", ...KEY_SESSION.read(reader) },
}

const SESSION_TOKEN = record("session token", {
  accessKeyId: ACCESS_KEY_ID,
  secret: TEXT,
  issuedMs: NUMBER,
  expiresMs: NUMBER,
  session: SESSION,
})
export type SessionToken = ValueOf<typeof SESSION_TOKEN>
export const { encode: encodeSessionToken, decode: decodeSessionToken } = SESSION_TOKEN
