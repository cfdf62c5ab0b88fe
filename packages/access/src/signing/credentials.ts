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
  readonly expiresText: string
}

export const PRESIGNED_SECONDS_MAX = 604_800
const AUTHORIZATION_BYTES_MAX = 8192
const CREDENTIAL_PARTS = 5
const SCHEME_CHARACTERS_MAX = 40

const malformed = (form: SignatureForm, message: string): Failure => fail("malformedAuthorization", { message, form })

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
  const scheme = space < 0 ? undefined : value.slice(0, Math.min(space, SCHEME_CHARACTERS_MAX))
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
  if (parts.length < CREDENTIAL_PARTS || ending !== "aws4_request") {
    throw malformed(form, "the Credential is mal-formed; expecting <key>/YYYYMMDD/REGION/SERVICE/aws4_request")
  }
  if (!/^\d{8}$/.test(day)) throw malformed(form, "the date of the Credential must be in the format yyyyMMdd")
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
const VERSION_2_AUTHORIZATION = /^AWS[ \t]+([^:]+):(.+)$/

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

/** Reads a version 4 signature. Throws `accessDenied` (empty), `malformedAuthorization`. */
export function parseAuthorization(value: string): Credentials {
  if (value === "") throw fail("accessDenied", { reason: "the Authorization header is empty" })
  if (!value.startsWith(`${ALGORITHM} `)) throw foreignScheme(value)
  if (value.length > AUTHORIZATION_BYTES_MAX) throw malformed("header", "the Authorization header is too long")
  const fields = new Map<string, string>()
  for (const piece of value.slice(ALGORITHM.length + 1).split(",")) {
    const equals = piece.indexOf("=")
    const name = piece.slice(0, Math.max(equals, 0)).trim()
    if (!["Credential", "SignedHeaders", "Signature"].includes(name) || fields.has(name)) {
      throw malformed("header", "the Authorization header needs Credential, SignedHeaders and Signature, once each")
    }
    fields.set(name, piece.slice(equals + 1).trim())
  }
  const [credential, signedHeaders, signature] = ["Credential", "SignedHeaders", "Signature"].map(name =>
    fields.get(name),
  )
  if (!credential || !signedHeaders || !signature) {
    throw malformed("header", "the Authorization header needs Credential, SignedHeaders and Signature")
  }
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

const missing = (name: string): Failure => malformed("query", `a presigned URL needs ${name}, once`)

/** Throws `malformedAuthorization`. */
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
  if (one("X-Amz-Algorithm") !== ALGORITHM) throw malformed("query", `X-Amz-Algorithm supports ${ALGORITHM} only`)
  return {
    form: "query",
    ...parseCredential("query", one("X-Amz-Credential")),
    signedHeaders: parseSignedHeaders("query", one("X-Amz-SignedHeaders")),
    signature: one("X-Amz-Signature"),
    timestamp: one("X-Amz-Date"),
    expiresText: one("X-Amz-Expires"),
  }
}
