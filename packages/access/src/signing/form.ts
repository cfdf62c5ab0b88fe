/**
 * The signature of a browser form (POST): it covers the form's policy and is sent in form fields. Verified in the two
 * steps of `verify.ts`.
 *
 * Promises  A form is anonymous only if it has no signature field. The signature is verified over the policy as sent,
 *           before it is decoded.
 * Refuses   Signature version 2 (HMAC-SHA1) if the operator refuses it; forms signed in both ways.
 * Source    "Authenticating Requests in Browser-Based Uploads Using POST", Amazon S3 Developer Guide.
 */
import { parseBasicDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import type { AccessKeyId } from "@hayloft/base/ids.js"
import { ALGORITHM, equalInConstantTime } from "./canonical.js"
import type { SigningScope } from "./canonical.js"
import { accessKeyOf, olderScheme, parseCredential, wrongDay } from "./credentials.js"
import type { SigningKeys } from "./keys.js"
import { checkScope, REGION_REPORTED } from "./verify.js"
import type { SignatureRules, VerifiedRequest } from "./verify.js"
import { version2Signature } from "./version2.js"

interface FormSignatureRules extends Pick<SignatureRules, "service" | "region"> {
  /** Signature version 2 is accepted. */
  readonly acceptVersion2: boolean
}

/** A form's signature, read and well formed but not yet verified. */
interface FormClaim {
  readonly kind: "claim"
  readonly accessKeyId: AccessKeyId
  /** The policy in the form in which it was sent: base64. */
  readonly policy: string
  readonly signature: string
  /** The scope is undefined for signature version 2, which uses the secret itself. */
  readonly scope: SigningScope | undefined
  readonly region: string
  readonly signedMs: number | undefined
  /** The session token, as it was sent. */
  readonly token: string | undefined
}

/** Names as error messages spell them; the keys of `fields` are in lower case. */
const FIELDS = ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"]
const VERSION_2_FIELDS = ["AWSAccessKeyId", "Signature"]

/** S3's wording for a missing field. */
export const missingField = (name: string): Failure =>
  fail("invalidArgument", {
    message: `Bucket POST must contain a field named '${name}'.  If it is specified, please check the order of the fields.`,
    argumentName: name,
    argumentValue: "",
  })

/**
 * Reads the signature of a form; `fields` by name in lower case.
 * Throws `invalidArgument`, `invalidRequest`, `malformedAuthorization`, `invalidAccessKey`, `accessDenied`.
 */
export function readFormSignature(
  fields: ReadonlyMap<string, string>,
  rules: FormSignatureRules,
): FormClaim | { readonly kind: "anonymous" } {
  const has = (name: string): boolean => fields.has(name.toLowerCase())
  const one = (name: string): string => {
    const value = fields.get(name.toLowerCase())
    if (value === undefined) throw missingField(name)
    return value
  }
  const token = fields.get("x-amz-security-token") || undefined
  if (FIELDS.some(has)) {
    if (VERSION_2_FIELDS.some(has))
      throw fail("invalidArgument", { message: "Only one auth mechanism allowed in a form" })
    return readVersion4(one, token, rules)
  }
  if (!VERSION_2_FIELDS.some(has)) return { kind: "anonymous" }
  if (!rules.acceptVersion2) throw olderScheme()
  const [accessKeyId = "", signature = "", policy = ""] = [...VERSION_2_FIELDS, "policy"].map(one)
  const region = rules.region ?? REGION_REPORTED
  const terms = { policy, signature, scope: undefined, region, signedMs: undefined, token }
  return { kind: "claim", accessKeyId: accessKeyOf(accessKeyId), ...terms }
}

function readVersion4(one: (name: string) => string, token: string | undefined, rules: FormSignatureRules): FormClaim {
  const [algorithm, credential = "", date = "", signature = "", policy = ""] = [...FIELDS, "policy"].map(one)
  if (algorithm !== ALGORITHM) throw malformed("x-amz-algorithm", `Only ${ALGORITHM} is supported`)
  const { accessKeyId, scope } = parseCredential("form", credential)
  checkScope({ form: "form", scope }, rules)
  const signedMs = parseBasicDate(date)
  if (signedMs === undefined) {
    throw malformed("x-amz-date", "X-Amz-Date must be formated via ISO8601 Long format")
  }
  if (!date.startsWith(scope.day)) throw wrongDay("form", scope.day, date)
  const region = rules.region ?? REGION_REPORTED
  return { kind: "claim", accessKeyId: accessKeyOf(accessKeyId), policy, signature, scope, region, signedMs, token }
}

const malformed = (argumentName: string, message: string): Failure => fail("invalidArgument", { message, argumentName })

/** Throws `signatureMismatch` with details.stringToSign: the policy as sent. */
export function verifyFormSignature(claim: FormClaim, secret: string, keys: SigningKeys): VerifiedRequest {
  const { accessKeyId, policy, signature, scope, region, signedMs } = claim
  const expected =
    scope === undefined ? version2Signature(secret, policy) : keys.of(accessKeyId, secret, scope).sign(policy)
  if (!equalInConstantTime(expected, signature)) {
    throw fail("signatureMismatch", {
      accessKeyId,
      signatureProvided: signature.slice(0, 128),
      stringToSign: policy,
    })
  }
  const chunkSignatures = (): never => {
    throw fail("internal", { reason: "the file of a form has no signed chunks" })
  }
  return {
    kind: "verified",
    form: "form",
    version: scope === undefined ? "AWS" : ALGORITHM,
    accessKeyId,
    region,
    payload: { kind: "unsigned" },
    signedMs,
    chunkSignatures,
  }
}
