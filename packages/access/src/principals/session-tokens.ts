/** Session tokens: temporary credentials, sealed. The calling code checks that the key, role or provider behind one is still valid. */
import {
  decodeSessionToken,
  encodeSessionToken,
  type SessionToken,
} from "@hayloft/engine/format/accounts/session-token.js"
import type { SealedKind, SealedTexts } from "../secrets/sealed-texts.js"

export type SessionTokens = SealedTexts<SessionToken>

export const SESSION_TOKENS: SealedKind<SessionToken> = {
  purpose: "session token",
  beginning: "HL1.",
  /** Fits into a request with its other headers. */
  charactersMax: 8_192,
  encode: encodeSessionToken,
  decode: decodeSessionToken,
}
