/**
 * Request targets and percent coding, over byte strings (one character, 0-255, a byte).
 *
 * Promises  A path or query is decoded exactly once and never normalised: `..`, `//`, `%2F` and `\`
 *           are preserved. `+` is always a plus sign (RFC 3986).
 * Refuses   A `%` without two hex digits after it: `invalidUri`.
 */
import { fail } from "../failures.js"

export interface QueryParameter {
  readonly name: string
  readonly value: string
  /** The parameter has a `=`: `?acl=` has one, `?acl` has none. */
  readonly assigned: boolean
}

interface RequestTarget {
  /** Percent-coded, beginning with "/". */
  readonly rawPath: string
  /** Without its "?"; "" if there is none. */
  readonly rawQuery: string
  /** Host of an absolute-form target (`GET http://host/path`); undefined otherwise. */
  readonly authority: string | undefined
}

const ENCODED = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte)
  return /[A-Za-z0-9._~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
})

const UNRESERVED_ONLY = /^[A-Za-z0-9._~-]*$/
const UNRESERVED_AND_SLASH_ONLY = /^[A-Za-z0-9._~/-]*$/

/** Percent-encodes every byte except RFC 3986's unreserved ones and, with `keepSlash`, the slash. */
export function percentEncode(byteString: string, keepSlash = false): string {
  if ((keepSlash ? UNRESERVED_AND_SLASH_ONLY : UNRESERVED_ONLY).test(byteString)) return byteString
  let text = ""
  for (let i = 0; i < byteString.length; i += 1) {
    const byte = byteString.charCodeAt(i)
    text += keepSlash && byte === 0x2f ? "/" : ENCODED[byte]
  }
  return text
}

/** Unreserved characters and slashes, and the escapes of all others with capital digits. */
const CANONICAL_PATH = /^\/(?:[A-Za-z0-9._~/-]|%(?!2[DEF]|3\d|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])[0-9A-F]{2})*$/

/** Returns true if decoding a path and encoding it again, with `keepSlash`, returns the same path. */
export const isCanonicalPath = (rawPath: string): boolean => CANONICAL_PATH.test(rawPath)

/** Decodes a percent-encoded text to a byte string. Throws `invalidUri` if an escape is broken. */
export function percentDecode(text: string): string {
  if (!text.includes("%")) return text
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw fail("invalidUri", { message: "a percent escape is broken" })
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
}

/** Splits a raw request target. Throws `invalidUri` if it is neither a path nor an absolute URI. */
export function splitTarget(rawTarget: string): RequestTarget {
  let rest = rawTarget
  let authority: string | undefined
  if (!rest.startsWith("/")) {
    const absolute = /^https?:\/\/([^/?#]*)/i.exec(rest)
    if (absolute === null) throw fail("invalidUri")
    authority = absolute[1] ?? ""
    rest = rest.slice(absolute[0].length)
    if (!rest.startsWith("/")) rest = `/${rest}`
  }
  const mark = rest.indexOf("?")
  return mark < 0
    ? { rawPath: rest, rawQuery: "", authority }
    : { rawPath: rest.slice(0, mark), rawQuery: rest.slice(mark + 1), authority }
}

/** Parameters in their order, names and values decoded; empty pieces (`a&&b`) are dropped. */
export function parseQuery(rawQuery: string): readonly QueryParameter[] {
  if (rawQuery === "") return []
  const parameters: QueryParameter[] = []
  for (const piece of rawQuery.split("&")) {
    if (piece === "") continue
    const equals = piece.indexOf("=")
    parameters.push({
      name: percentDecode(equals < 0 ? piece : piece.slice(0, equals)),
      value: equals < 0 ? "" : percentDecode(piece.slice(equals + 1)),
      assigned: equals >= 0,
    })
  }
  return parameters
}
