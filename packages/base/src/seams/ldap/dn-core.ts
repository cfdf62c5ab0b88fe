/**
 * Distinguished names (RFC 4514) in a normal form, in which two spellings of one name are equal: types and values in
 * lower case, without the blanks that do not count, and escaped in one way. Pure.
 *
 * Refuses  what is no DN, the empty one, and forms that RFC 4514 has left behind: values in quotes, `;` between the parts.
 * Limits   `DN_BYTES_MAX`, as it is written and in its normal form.
 * Sources  RFC 4514, sections 2 to 4; RFC 4518 (how values are compared): case, compatibility forms and blanks do not count.
 */
import { fail } from "@hayloft/base/failures.js"

const DN_BYTES_MAX = 1_024
/** A name, or numbers with dots. */
const TYPE = /^(?:oid\.(?=\d))?([a-z][a-z0-9-]*|\d+(?:\.\d+)*)$/
/** Everything that is escaped within a value. */
const ESCAPED = new Set(',+"\\<>;=')

/** Throws `invalidArgument`. */
export function normalDn(text: string): string {
  if (Buffer.byteLength(text) > DN_BYTES_MAX) throw notDn(text, `it has more than ${DN_BYTES_MAX} bytes`)
  const parts = splitAt(text, ",").map(part => splitAt(part, "+").map(pair => normalPair(text, pair)))
  const normal = parts.map(pairs => pairs.sort().join("+")).join(",")
  // A letter may have a longer form: keys of rows are bounded.
  if (Buffer.byteLength(normal) > DN_BYTES_MAX) throw notDn(text, `its normal form has more than ${DN_BYTES_MAX} bytes`)
  return normal
}

/** Returns true if the entry is the base, or is below it; both are in the normal form. */
export function isAtOrBelow(dn: string, base: string): boolean {
  const [parts, top] = [splitAt(dn, ","), splitAt(base, ",")]
  return parts.length >= top.length && parts.slice(-top.length).join(",") === base
}

/** Splits at separators that are not escaped. */
function splitAt(text: string, separator: string): string[] {
  const parts: string[] = []
  let part = ""
  for (let at = 0; at < text.length; at += 1) {
    const letter = text.charAt(at)
    if (letter === separator) {
      parts.push(part)
      part = ""
    } else if (letter === "\\") {
      part += text.slice(at, at + 2)
      at += 1
    } else part += letter
  }
  return [...parts, part]
}

function normalPair(dn: string, pair: string): string {
  const equals = pair.indexOf("=")
  const [, type] = TYPE.exec(pair.slice(0, Math.max(equals, 0)).trim().toLowerCase()) ?? []
  if (type === undefined) throw notDn(dn, `"${pair.trim()}" is not TYPE=VALUE`)
  const raw = withoutBlanks(pair.slice(equals + 1))
  // The bytes of a value in another syntax than text.
  if (/^#(?:[0-9a-f]{2})+$/i.test(raw)) return `${type}=${raw.toLowerCase()}`
  const value = normalValue(unescaped(dn, raw))
  if (value === "") throw notDn(dn, `the value of ${type} is empty`)
  return `${type}=${escaped(value)}`
}

/** Without blanks around the value; one that is escaped is a part of it. */
function withoutBlanks(text: string): string {
  const ended = text.trimStart()
  const end = ended.trimEnd()
  const isEscaped = /(?:^|[^\\])(?:\\\\)*\\$/.test(end) && end.length < ended.length
  return isEscaped ? `${end} ` : end
}

function unescaped(dn: string, raw: string): string {
  const bytes: Buffer[] = []
  for (let at = 0; at < raw.length;) {
    const letter = String.fromCodePoint(raw.codePointAt(at) ?? 0)
    if (letter === "\\") {
      const [, hex, special] = /^\\(?:([0-9a-f]{2})|([ #=,+"\\<>;]))/i.exec(raw.slice(at)) ?? []
      if (hex !== undefined) bytes.push(Buffer.from(hex, "hex"))
      else if (special !== undefined) bytes.push(Buffer.from(special))
      else throw notDn(dn, "a backslash escapes nothing")
      at += hex === undefined ? 2 : 3
    } else if ('"<>;'.includes(letter) || letter === "\0") {
      throw notDn(dn, `${JSON.stringify(letter)} is not escaped`)
    } else {
      bytes.push(Buffer.from(letter))
      at += letter.length
    }
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(bytes))
  } catch {
    throw notDn(dn, "it is not UTF-8")
  }
}

/** Two values of which only case, blanks or compatibility forms differ are equal. */
function normalValue(value: string): string {
  return value.normalize("NFKC").toLowerCase().normalize("NFKC").replace(/\s+/g, " ").trim()
}

function escaped(value: string): string {
  const letters = Array.from(value, (letter, at) => {
    if (ESCAPED.has(letter) || (at === 0 && letter === "#")) return `\\${letter}`
    const code = letter.codePointAt(0) ?? 0
    return code < 0x20 || code === 0x7f ? `\\${code.toString(16).padStart(2, "0")}` : letter
  })
  return letters.join("")
}

function notDn(text: string, why: string) {
  const shown = JSON.stringify(text.slice(0, 100))
  return fail("invalidArgument", { message: `${shown} is not a DN, like uid=ann,ou=people,dc=example,dc=org: ${why}` })
}
