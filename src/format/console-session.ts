/**
 * Sessions of browsers with the admin port: what cookies contain, sealed, and the rows of sessions that were signed out
 * (family `signOuts`). Version 1 of each.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail } from "../base/failures.js"
import { parseAccessKeyId, parseAdminTokenId } from "../base/ids.js"
import type { AccessKeyId, AdminTokenId } from "../base/ids.js"
import { packRecord, RecordReader } from "./pack.js"

/**
 * The basis of a session: the session ends with it. A mark is a hash of the secret, so that another secret ends the
 * session too.
 */
export type SessionBasis =
  | { readonly kind: "operator"; readonly mark: Uint8Array }
  | { readonly kind: "token"; readonly id: AdminTokenId }
  | {
      readonly kind: "key"
      readonly id: AccessKeyId
      readonly mark: Uint8Array
      /** The owner's unique id: a key that later belongs to another user is another key. */
      readonly userId: string
      /** The session token of temporary credentials. */
      readonly token: string | undefined
    }

export interface ConsoleSession {
  /** 32 hex digits. */
  readonly id: string
  /** The token that every change must carry in a header. */
  readonly csrf: string
  readonly issuedMs: number
  /** The last use that was written into the cookie. */
  readonly seenMs: number
  readonly expiresMs: number
  readonly basis: SessionBasis
}

export function encodeConsoleSession({ id, csrf, issuedMs, seenMs, expiresMs, basis }: ConsoleSession): Uint8Array {
  return packRecord(1, [id, csrf, issuedMs, seenMs, expiresMs, packBasis(basis)])
}

function packBasis(basis: SessionBasis): readonly unknown[] {
  switch (basis.kind) {
    case "operator":
      return [basis.kind, basis.mark]
    case "token":
      return [basis.kind, basis.id]
    case "key":
      return [basis.kind, basis.id, basis.mark, basis.userId, basis.token ?? null]
  }
}

export function decodeConsoleSession(bytes: Uint8Array): ConsoleSession {
  const row = RecordReader.open("console session", bytes, 1)
  const ids = { id: row.text(), csrf: row.text() }
  const times = { issuedMs: row.number(), seenMs: row.number(), expiresMs: row.number() }
  return { ...ids, ...times, basis: readBasis(row.row()) }
}

function readBasis(row: RecordReader): SessionBasis {
  const kind = row.text()
  switch (kind) {
    case "operator":
      return { kind, mark: Uint8Array.from(row.bytes()) }
    case "token":
      return { kind, id: parseAdminTokenId(row.text()) }
    case "key": {
      const head = { id: parseAccessKeyId(row.text()), mark: Uint8Array.from(row.bytes()), userId: row.text() }
      return { kind, ...head, token: row.optional(() => row.text()) }
    }
    default:
      throw fail("corruptRecord", { what: "console session", field: "basis" })
  }
}

/** The state that a browser keeps while it is with a provider of OpenID Connect; it is sealed, too. */
export interface SignInState {
  readonly state: string
  readonly nonce: string
  /** The verifier of PKCE. */
  readonly verifier: string
  readonly redirectUri: string
  /** The page to come back to. */
  readonly returnTo: string
  readonly issuedMs: number
}

export const encodeSignInState = (one: SignInState): Uint8Array =>
  packRecord(1, [one.state, one.nonce, one.verifier, one.redirectUri, one.returnTo, one.issuedMs])

export function decodeSignInState(bytes: Uint8Array): SignInState {
  const row = RecordReader.open("sign-in state", bytes, 1)
  const checked = { state: row.text(), nonce: row.text(), verifier: row.text() }
  return { ...checked, redirectUri: row.text(), returnTo: row.text(), issuedMs: row.number() }
}

/** The sign-outs of one holder: a key, a token, or the operator. */
export interface SignOuts {
  /** Sessions that were issued until then have ended. */
  readonly allUntilMs: number
  readonly ended: readonly { readonly id: string; readonly issuedMs: number }[]
}

export const encodeSignOuts = ({ allUntilMs, ended }: SignOuts): Uint8Array =>
  packRecord(1, [allUntilMs, ended.map(({ id, issuedMs }) => [id, issuedMs])])

export function decodeSignOuts(bytes: Uint8Array): SignOuts {
  const row = RecordReader.open("sign-outs", bytes, 1)
  return { allUntilMs: row.number(), ended: row.rows(one => ({ id: one.text(), issuedMs: one.number() })) }
}
