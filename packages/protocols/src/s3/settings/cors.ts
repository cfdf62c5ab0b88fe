/**
 * The CORS rules of a bucket: which pages of other origins may use it, and how.
 *
 * Refuses  With `invalidRequest`, with S3's messages: unknown methods, more than one `*` in a pattern,
 *          more than `RULES_MAX` rules; with `malformedXml`: any other document.
 * Source   "Elements of a CORS configuration", Amazon S3 User Guide.
 */
import { fail } from "@hayloft/base/failures.js"
import { SETTING_BYTES_MAX } from "@hayloft/base/limits.js"
import { checkChildren, childrenNamed, childText } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"
import type { S3Setting } from "./setting.js"

const RULES_MAX = 100
const ID_CHARACTERS_MAX = 255
const MAX_AGE_SECONDS_MAX = 2_147_483_647
/** The methods that a rule can allow. */
export const CORS_METHODS: readonly string[] = ["GET", "PUT", "POST", "DELETE", "HEAD"]
const ELEMENTS = ["ID", "AllowedHeader", "AllowedMethod", "AllowedOrigin", "ExposeHeader", "MaxAgeSeconds"]
/** A header name: an answer's list of headers must contain nothing else. */
const TOKEN = /^[!#$%&'+.^_`|~0-9A-Za-z-]+$/

export interface CorsRule {
  readonly id: string | undefined
  /** Patterns with at most one `*`. */
  readonly allowedHeaders: readonly string[]
  readonly allowedMethods: readonly string[]
  /** Patterns with at most one `*`. */
  readonly allowedOrigins: readonly string[]
  readonly exposeHeaders: readonly string[]
  readonly maxAgeSeconds: number | undefined
}

const invalid = (message: string) => fail("invalidRequest", { message })
const quoted = (text: string): string => `"${text.slice(0, 200)}"`

export const CORS: S3Setting<readonly CorsRule[]> = {
  name: "cors",
  root: "CORSConfiguration",
  limits: { bytesMax: SETTING_BYTES_MAX, elementsMax: 10_000 },
  initial: undefined,
  missing: "NoSuchCORSConfiguration",
  read(root) {
    checkChildren(root, ["CORSRule"])
    const rules = root.children.map(ruleOf)
    if (rules.length === 0) throw fail("malformedXml", { reason: "a rule is needed" })
    if (rules.length > RULES_MAX) {
      throw invalid(`The number of CORS rules should not exceed allowed limit of ${RULES_MAX} rules.`)
    }
    return rules
  },
  write(xml, rules) {
    for (const rule of rules) {
      xml.group("CORSRule", one => {
        one.text("ID", rule.id)
        for (const header of rule.allowedHeaders) one.text("AllowedHeader", header)
        for (const method of rule.allowedMethods) one.text("AllowedMethod", method)
        for (const origin of rule.allowedOrigins) one.text("AllowedOrigin", origin)
        for (const header of rule.exposeHeaders) one.text("ExposeHeader", header)
        one.text("MaxAgeSeconds", rule.maxAgeSeconds)
      })
    }
  },
}

function ruleOf(element: XmlElement): CorsRule {
  checkChildren(element, ELEMENTS)
  const rule: CorsRule = {
    id: childText(element, "ID"),
    allowedHeaders: textsOf(element, "AllowedHeader"),
    allowedMethods: textsOf(element, "AllowedMethod"),
    allowedOrigins: textsOf(element, "AllowedOrigin"),
    exposeHeaders: textsOf(element, "ExposeHeader"),
    maxAgeSeconds: maxAgeOf(element),
  }
  if (rule.allowedMethods.length === 0 || rule.allowedOrigins.length === 0) {
    throw fail("malformedXml", { reason: "a rule needs AllowedMethod and AllowedOrigin" })
  }
  if ((rule.id?.length ?? 0) > ID_CHARACTERS_MAX) {
    throw invalid(`The ID of a CORS rule should not exceed allowed limit of ${ID_CHARACTERS_MAX} characters.`)
  }
  for (const method of rule.allowedMethods) {
    if (CORS_METHODS.includes(method)) continue
    throw invalid(`Found unsupported HTTP method in CORS config. Unsupported method is ${method.slice(0, 80)}`)
  }
  for (const origin of rule.allowedOrigins) checkPattern("AllowedOrigin", origin)
  for (const header of rule.allowedHeaders) checkPattern("AllowedHeader", header)
  for (const header of rule.exposeHeaders) checkExposed(header)
  return rule
}

function textsOf(element: XmlElement, name: string): readonly string[] {
  return childrenNamed(element, name).map(({ text, children }) => {
    if (children.length > 0) throw fail("malformedXml", { reason: `${name} holds text only` })
    return text
  })
}

function checkPattern(name: string, pattern: string): void {
  if (pattern.split("*").length <= 2) return
  throw invalid(`${name} ${quoted(pattern)} can not have more than one wildcard.`)
}

function checkExposed(header: string): void {
  if (header.includes("*")) {
    const reason = "contains wildcard. We currently do not support wildcard for ExposeHeader."
    throw invalid(`ExposeHeader ${quoted(header)} ${reason}`)
  }
  if (!TOKEN.test(header)) throw invalid(`ExposeHeader ${quoted(header)} is not a header name.`)
}

function maxAgeOf(element: XmlElement): number | undefined {
  const text = childText(element, "MaxAgeSeconds")?.trim()
  if (text === undefined) return undefined
  const seconds = /^\d{1,10}$/.test(text) ? Number(text) : NaN
  if (seconds <= MAX_AGE_SECONDS_MAX) return seconds
  throw fail("malformedXml", { reason: "MaxAgeSeconds is a number of seconds" })
}
