/** Hides known secrets in a text, in the forms in which they might have been printed. Pure. */
import { withoutTrailing } from "@hayloft/base/text/trailing.js"

const HIDDEN = "***"
/** Shorter ones would hide ordinary words. */
const SECRET_CHARACTERS_MIN = 6

/** The secret as it is, in JSON, base64, base64url, hex, and as a part of a URL. */
function formsOf(secret: string): readonly string[] {
  const bytes = Buffer.from(secret, "utf8")
  const raw = /^[0-9a-f]{64}$/i.test(secret) ? [Buffer.from(secret, "hex")] : []
  const encoded = [bytes, ...raw].flatMap(each => [
    withoutTrailing(each.toString("base64"), "="),
    each.toString("base64url"),
    each.toString("hex"),
    each.toString("hex").toUpperCase(),
  ])
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), ...encoded]
}

export function withoutSecrets(text: string, secrets: readonly string[]): string {
  const forms = secrets.filter(({ length }) => length >= SECRET_CHARACTERS_MIN).flatMap(formsOf)
  // A secret may be a part of another one.
  const longestFirst = [...new Set(forms)].sort((a, b) => b.length - a.length)
  return longestFirst.reduce((shown, form) => shown.replaceAll(form, HIDDEN), text)
}
