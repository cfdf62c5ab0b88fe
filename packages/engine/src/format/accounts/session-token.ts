/**
 * Session tokens: temporary credentials and the identity they belong to. A token crosses the wire sealed, and
 * is stored nowhere else. Version 1.
 */
import {
  appended,
  BYTES,
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
} from "../encoding/fields.js"
import { ACCESS_KEY_ID, ACCOUNT_ID } from "../encoding/id-fields.js"

/** A mark of the key's secret: sessions of a former secret are not valid. Undefined in tokens of earlier releases. */
const MARK = appended(BYTES)

const KEY_FIELDS = {
  sourceKey: ACCESS_KEY_ID,
  /** The owner's id: if a key later belongs to another user, its old sessions are not valid. */
  userId: TEXT,
}
/** Temporary credentials of the key's owner. */
const KEY_SESSION = row({ ...KEY_FIELDS, mark: MARK })
/** The same, with the text of a session policy. */
const LIMITED_KEY_SESSION = row({ ...KEY_FIELDS, policy: TEXT, mark: MARK })
export type KeySession = { readonly kind: "key"; readonly policy?: string | undefined } & ValueOf<typeof KEY_SESSION>

/** A key, role or provider from which the session was created; the session ends with it. */
const ROOTS = listOf(
  row(
    textUnion({
      key: { id: ACCESS_KEY_ID, mark: MARK },
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

/** A session of a person of an LDAP directory. */
const PERSON_SESSION = row({
  accountId: ACCOUNT_ID,
  /** The person's DN as the directory spells it. */
  dn: TEXT,
  /** The name as the person typed it, by which the directory finds the person again. */
  login: TEXT,
  /** The name as policies know it. */
  userName: TEXT,
  /** DNs of those groups of the person that had policies at the sign-in: they count while the directory does not answer. */
  groups: listOf(TEXT),
  /** The text of the session policy. Undefined if the request had none. */
  policy: optional(TEXT),
})
export type PersonSession = { readonly kind: "person" } & ValueOf<typeof PERSON_SESSION>

/**
 * A session is stored as the members of a key session, as null and those of a role session, as two nulls and those of
 * a person's session, or as three nulls and those of a key session with a policy, which earlier releases refuse.
 */
const SESSION: RecordField<KeySession | RoleSession | PersonSession> = {
  write: (members, session) => {
    if (session.kind === "key" && session.policy === undefined) return KEY_SESSION.write(members, session)
    members.push(null)
    if (session.kind === "role") return ROLE_SESSION.write(members, session)
    members.push(null)
    if (session.kind === "person") return PERSON_SESSION.write(members, session)
    members.push(null)
    LIMITED_KEY_SESSION.write(members, { ...session, policy: session.policy ?? "" })
  },
  read: reader => {
    if (!reader.skipsAbsent()) return { kind: "key", ...KEY_SESSION.read(reader) }
    if (!reader.skipsAbsent()) return { kind: "role", ...ROLE_SESSION.read(reader) }
    return reader.skipsAbsent()
      ? { kind: "key", ...LIMITED_KEY_SESSION.read(reader) }
      : { kind: "person", ...PERSON_SESSION.read(reader) }
  },
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
