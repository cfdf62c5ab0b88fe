/**
 * Says where a request carries its signature: in the Authorization header, in the query (presigned), or in
 * the fields of a form (`form.ts`).
 *
 * Refuses  More than one of them, and anything missing, repeated or misspelled: each with its own failure; none is
 *          treated as an anonymous request.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import type { AccessKeyId } from "@hayloft/base/ids.js"
import type { QueryParameter } from "@hayloft/base/http/uri.js"
import { ALGORITHM } from "./canonical.js"
import type { SigningScope } from "./canonical.js"

export type SignatureForm = "header" | "query" | "form"
/** The values of the condition key `s3:signatureversion`. */
export type SignatureVersion = "AWS" | "AWS4-HMAC-SHA256"

export interface Credentials {
  readonly form: SignatureForm
  /** The id of the key that the request states; the store may have no such key. */
  readonly accessKeyId: string
  readonly scope: SigningScope
  readonly signedHeaders: readonly string[]
  readonly signature: string
}

/** Time parameters of a presigned URL. */
export interface PresignedTerms {
  readonly timestamp: string
  readonly expiresSeconds: number
}

export const PRESIGNED_SECONDS_MAX = 604_800
const AUTHORIZATION_BYTES_MAX = 8192
const CREDENTIAL_PARTS = 5
const SCOPE_ENDING = "aws4_request"

/** A message repeats at most so many characters of a wrong value. */
const SHOWN_CHARACTERS_MAX = 40
const HEADER_LEAD = "The authorization header is malformed; "

const malformed = (form: SignatureForm, message: string, argumentName?: string): Failure =>
  fail("malformedAuthorization", {
    message: form === "header" ? `${HEADER_LEAD}${message}` : message,
    form,
    argumentName,
  })

/** The failure for a credential that is wrong, in Amazon's words. `region`: the one that is expected. */
export function wrongCredential(form: SignatureForm, message: string, region?: string): Failure {
  const lead = { header: HEADER_LEAD, query: "Error parsing the X-Amz-Credential parameter; ", form: "" }[form]
  const argumentName = form === "form" ? "x-amz-credential" : undefined
  return fail("malformedAuthorization", { message: `${lead}${message}`, form, argumentName, region })
}

/** Returns the part of a value of a client that a message repeats. */
export const truncated = (value: string): string => value.slice(0, SHOWN_CHARACTERS_MAX)

/** The failure for a scope of another day than that of the request. */
export const wrongDay = (form: SignatureForm, day: string, timestamp: string): Failure =>
  malformed(
    form,
    `Invalid credential date "${day}". This date is not the same as X-Amz-Date: "${timestamp.slice(0, day.length)}".`,
  )

/** The failure for version 2 where it is not accepted. */
export const olderScheme = (): Failure =>
  fail("invalidRequest", {
    message: "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
  })

/** The failure for a header of another scheme, as `Bearer`. Only the scheme is reported: the rest may be a secret. */
function foreignScheme(value: string): Failure {
  const space = value.indexOf(" ")
  const message =
    space < 0
      ? "Authorization header is invalid -- one and only one ' ' (space) required"
      : "Unsupported Authorization Type"
  const scheme = space < 0 ? undefined : truncated(value.slice(0, space))
  return fail("malformedAuthorization", {
    message,
    form: "scheme",
    argumentName: "Authorization",
    argumentValue: scheme,
  })
}

/** Throws `malformedAuthorization`. */
export function parseCredential(form: SignatureForm, text: string): { accessKeyId: string; scope: SigningScope } {
  const parts = text.split("/")
  const [day = "", region = "", service = "", ending = ""] = parts.slice(-4)
  if (parts.length < CREDENTIAL_PARTS) {
    const expected = '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request"'
    throw wrongCredential(form, `the Credential is mal-formed; expecting ${expected}.`)
  }
  if (ending !== SCOPE_ENDING)
    throw wrongCredential(form, `incorrect terminal "${truncated(ending)}". This endpoint uses "${SCOPE_ENDING}".`)
  if (!/^\d{8}$/.test(day)) {
    const expected = 'This date in the credential must be in the format "yyyyMMdd".'
    throw wrongCredential(form, `incorrect date format "${truncated(day)}". ${expected}`)
  }
  return { accessKeyId: parts.slice(0, -4).join("/"), scope: { day, region, service } }
}

function parseSignedHeaders(form: SignatureForm, text: string): string[] {
  const names = text.split(";")
  if (!names.every(name => /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name))) {
    throw malformed(form, "SignedHeaders must be header names in lower case, separated by semicolons")
  }
  return names
}

const VERSION_2_SCHEME = /^AWS(?:$|[ \t])/
const VERSION_2_AUTHORIZATION = /^AWS[ \t]+([^: \t][^:]*):(.+)$/

/** Returns true if the Authorization header has the scheme of version 2, with or without a complete signature. */
export const isVersion2Authorization = (value: string): boolean => VERSION_2_SCHEME.test(value)

/** Throws `invalidArgument`. */
export function parseVersion2Authorization(value: string): { accessKeyId: string; signature: string } {
  const [, accessKeyId, signature] = VERSION_2_AUTHORIZATION.exec(value) ?? []
  if (accessKeyId !== undefined && signature !== undefined && value.length <= AUTHORIZATION_BYTES_MAX) {
    return { accessKeyId, signature }
  }
  const message = "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature"
  throw fail("invalidArgument", { message, argumentName: "Authorization" })
}

const COMPONENTS = ["Credential", "SignedHeaders", "Signature"]

/** The components of a header of version 4, by name. Throws `malformedAuthorization` if there are others, or one twice. */
function componentsOf(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const piece of text.split(",")) {
    const equals = piece.indexOf("=")
    if (equals < 0) throw malformed("header", `the authorization component "${truncated(piece.trim())}" is malformed.`)
    const name = piece.slice(0, equals).trim()
    if (!COMPONENTS.includes(name) || found.has(name)) {
      const needed = "Credential, SignedHeaders, and Signature."
      throw malformed("header", `the authorization header requires three components: ${needed}`)
    }
    found.set(name, piece.slice(equals + 1).trim())
  }
  return found
}

/** Reads a version 4 signature. Throws `accessDenied` (empty), `malformedAuthorization`. */
export function parseAuthorization(value: string): Credentials {
  if (value === "") throw fail("accessDenied", { reason: "the Authorization header is empty" })
  if (!value.startsWith(`${ALGORITHM} `)) throw foreignScheme(value)
  if (value.length > AUTHORIZATION_BYTES_MAX) throw malformed("header", "the Authorization header is too long")
  const fields = componentsOf(value.slice(ALGORITHM.length + 1))
  const [credential = "", signedHeaders = "", signature = ""] = COMPONENTS.map(name => {
    const component = fields.get(name)
    if (!component) throw malformed("header", `missing ${name}.`)
    return component
  })
  return {
    form: "header",
    ...parseCredential("header", credential),
    signedHeaders: parseSignedHeaders("header", signedHeaders),
    signature,
  }
}

const PRESIGNED_MARKS = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"]

/** Returns true if the query claims to carry a signature, complete or not. */
export function carriesQuerySignature(query: readonly QueryParameter[]): boolean {
  return query.some(({ name }) => PRESIGNED_MARKS.includes(name))
}

/** Parameters of a version 2 signature. */
export const VERSION_2_PARAMETERS = ["AWSAccessKeyId", "Signature", "Expires"]
const VERSION_2_MARKS = ["AWSAccessKeyId", "Signature"]

/** Returns true if the query claims to carry a version 2 signature, complete or not. */
export function carriesVersion2Signature(query: readonly QueryParameter[]): boolean {
  return query.some(({ name }) => VERSION_2_MARKS.includes(name))
}

/** Values of these headers never go into failure details. */
export const isSecretHeader = (name: string): boolean => /^x-amz-(security-token|.*customer-key)$/.test(name)

/** Throws `invalidAccessKey`. */
export function accessKeyOf(text: string): AccessKeyId {
  try {
    return parseAccessKeyId(text)
  } catch {
    throw fail("invalidAccessKey", { accessKeyId: text.slice(0, 128) })
  }
}

const PRESIGNED_PARAMETERS = "X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders"
const missing = (name: string): Failure =>
  malformed(
    "query",
    `Query-string authentication version 4 requires the ${PRESIGNED_PARAMETERS}, and X-Amz-Expires parameters.`,
    name,
  )

/** Amazon's messages; the code is that of a URL which has expired. Throws `accessDenied`. */
function parseExpires(text: string): number {
  if (!/^-?\d+$/.test(text)) throw fail("accessDenied", { message: "X-Amz-Expires should be a number" })
  const seconds = Number(text)
  if (seconds < 0) throw fail("accessDenied", { message: "X-Amz-Expires must be non-negative" })
  if (seconds <= PRESIGNED_SECONDS_MAX) return seconds
  const limit = `the given X-Amz-Expires must be less than ${PRESIGNED_SECONDS_MAX} seconds`
  const message = `X-Amz-Expires must be less than a week (in seconds); that is, ${limit}`
  throw fail("accessDenied", { message })
}

/** The failure for a presigned URL whose `X-Amz-Date` is no time. */
export const wrongPresignedDate = (): Failure =>
  malformed("query", `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)

/** Throws `malformedAuthorization`, `accessDenied`. */
export function parsePresigned(query: readonly QueryParameter[]): Credentials & PresignedTerms {
  const one = (name: string): string => {
    let value = ""
    for (const parameter of query) {
      if (parameter.name !== name) continue
      if (value !== "") throw missing(name)
      value = parameter.value
      if (value === "") break
    }
    if (value === "") throw missing(name)
    return value
  }
  if (one("X-Amz-Algorithm") !== ALGORITHM) throw malformed("query", `X-Amz-Algorithm only supports "${ALGORITHM}"`)
  return {
    form: "query",
    ...parseCredential("query", one("X-Amz-Credential")),
    signedHeaders: parseSignedHeaders("query", one("X-Amz-SignedHeaders")),
    signature: one("X-Amz-Signature"),
    timestamp: one("X-Amz-Date"),
    expiresSeconds: parseExpires(one("X-Amz-Expires")),
  }
}
