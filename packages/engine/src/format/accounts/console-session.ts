/**
 * Sessions of browsers with the admin port: what cookies contain, sealed, and the rows of sessions that were signed out
 * (family `signOuts`). Version 1 of each.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { parseAdminTokenId } from "@hayloft/base/ids.js"
import {
  NUMBER,
  optional,
  OWN_BYTES,
  parsed,
  record,
  row,
  rowsOf,
  TEXT,
  textUnion,
  type ValueOf,
} from "../encoding/fields.js"
import { ACCESS_KEY_ID } from "../encoding/id-fields.js"

/**
 * The basis of a session: the session ends with it. A mark is a hash of the secret, so that another secret ends the
 * session too.
 */
const BASIS = row(
  textUnion({
    operator: { mark: OWN_BYTES },
    token: { id: parsed(TEXT, parseAdminTokenId) },
    key: {
      id: ACCESS_KEY_ID,
      mark: OWN_BYTES,
      /** The owner's unique id: a key that later belongs to another user is another key. */
      userId: TEXT,
      /** The session token of temporary credentials. */
      token: optional(TEXT),
    },
  }),
)
export type SessionBasis = ValueOf<typeof BASIS>

const CONSOLE_SESSION = record("console session", {
  /** 32 hex digits. */
  id: TEXT,
  /** The token that every change must carry in a header. */
  csrf: TEXT,
  issuedMs: NUMBER,
  /** The last use that was written into the cookie. */
  seenMs: NUMBER,
  expiresMs: NUMBER,
  basis: BASIS,
})
export type ConsoleSession = ValueOf<typeof CONSOLE_SESSION>
export const { encode: encodeConsoleSession, decode: decodeConsoleSession } = CONSOLE_SESSION

/** The state that a browser keeps while it is with a provider of OpenID Connect; it is sealed, too. */
const SIGN_IN_STATE = record("sign-in state", {
  state: TEXT,
  nonce: TEXT,
  /** The verifier of PKCE. */
  verifier: TEXT,
  redirectUri: TEXT,
  /** The page to come back to. */
  returnTo: TEXT,
  issuedMs: NUMBER,
})
export type SignInState = ValueOf<typeof SIGN_IN_STATE>
export const { encode: encodeSignInState, decode: decodeSignInState } = SIGN_IN_STATE

/** The sign-outs of one holder: a key, a token, or the operator. */
const SIGN_OUTS = record("sign-outs", {
  /** Sessions that were issued until then have ended. */
  allUntilMs: NUMBER,
  ended: rowsOf({ id: TEXT, issuedMs: NUMBER }),
})
export type SignOuts = ValueOf<typeof SIGN_OUTS>
export const { encode: encodeSignOuts, decode: decodeSignOuts } = SIGN_OUTS
