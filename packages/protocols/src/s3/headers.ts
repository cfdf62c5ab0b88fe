/**
 * The `x-amz-*` request headers and how each is answered.
 *
 * Promises  A header that requests an unsupported feature is refused by name before a body is read: the rows below
 *           are the complete list. Every other unknown header is ignored, as on S3; `access/signing` decides whether
 *           the signature must cover it (it must).
 */
import { CHECKSUM_ALGORITHMS } from "@hayloft/base/http/checksum-algorithms.js"
import { CANNED_ACLS } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import { STORAGE_CLASSES } from "@hayloft/base/storage-class.js"
import { ACL_HEADER, GRANT_HEADERS } from "./acl/requested-acl.js"
import { ENCRYPTION_HEADERS } from "./encryption.js"
import { REDIRECT_HEADER } from "./parse-content.js"
import { MATCH_INITIATED_HEADER, MATCH_MODIFIED_HEADER, MATCH_SIZE_HEADER } from "./parse-conditions.js"
import { MINIMUM_HEADER } from "./settings/lifecycle.js"
import { OBJECT_OWNERSHIPS } from "./settings/ownership-controls.js"
import { CLASS_HEADER } from "./wire/storage-class.js"
import { HOLD_HEADER, MODE_HEADER, UNTIL_HEADER } from "./wire/object-lock.js"
import { OPTIONAL_ATTRIBUTES_HEADER } from "./wire/restore.js"

export type HeaderAnswer =
  /** The header has an effect. */
  | { readonly kind: "used" }
  /** Accepted, and correctly without effect. */
  | { readonly kind: "noise"; readonly why: string }
  /** Accepted with these values (compared ignoring case); refused with any other. */
  | {
      readonly kind: "values"
      readonly values: readonly string[]
      readonly otherwise: FailureKind
      /** Amazon's message for any other value, where it has one of its own. */
      readonly message: string | undefined
    }
  | { readonly kind: "refused"; readonly failure: FailureKind }

interface HeaderRow {
  /** Lower case. A name that ends with `*` stands for all names with that prefix; the first match applies. */
  readonly name: string
  readonly answer: HeaderAnswer
}

const used = (...names: string[]): HeaderRow[] => names.map(name => ({ name, answer: { kind: "used" } }))
const noise = (why: string, ...names: string[]): HeaderRow[] =>
  names.map(name => ({ name, answer: { kind: "noise", why } }))
const values = (name: string, otherwise: FailureKind, accepted: readonly string[], message?: string): HeaderRow => ({
  name,
  answer: { kind: "values", values: accepted, otherwise, message },
})
const refused = (failure: FailureKind, ...names: string[]): HeaderRow[] =>
  names.map(name => ({ name, answer: { kind: "refused", failure } }))

export const HEADER_ROWS: readonly HeaderRow[] = [
  ...used("x-amz-date", "x-amz-content-sha256", "x-amz-security-token"),
  ...used("x-amz-decoded-content-length", "x-amz-trailer", "x-amz-meta-*", "x-amz-tagging"),
  ...used("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"),
  ...used("x-amz-request-payer", "x-amz-copy-source", "x-amz-copy-source-range"),
  ...used("x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match"),
  ...used("x-amz-copy-source-if-modified-since", "x-amz-copy-source-if-unmodified-since"),
  ...used("x-amz-object-attributes", "x-amz-max-parts", "x-amz-part-number-marker", "x-amz-mp-object-size"),
  ...used(MINIMUM_HEADER, OPTIONAL_ATTRIBUTES_HEADER),
  values("x-amz-metadata-directive", "invalidArgument", ["COPY", "REPLACE"], "Unknown metadata directive."),
  values("x-amz-tagging-directive", "invalidArgument", ["COPY", "REPLACE"], "Unknown tagging directive."),
  values("x-amz-checksum-algorithm", "invalidRequest", CHECKSUM_ALGORITHMS),
  values("x-amz-sdk-checksum-algorithm", "invalidRequest", CHECKSUM_ALGORITHMS),
  values("x-amz-checksum-type", "invalidRequest", ["COMPOSITE", "FULL_OBJECT"]),
  values("x-amz-checksum-mode", "invalidArgument", ["ENABLED"]),
  ...CHECKSUM_ALGORITHMS.flatMap(algorithm => used(`x-amz-checksum-${algorithm.toLowerCase()}`)),
  ...refused("invalidRequest", "x-amz-checksum-*"),
  ...noise("who sends", "x-amz-user-agent"),
  ...noise("an offer of old Java SDKs that S3 need not take up", "x-amz-te"),
  ...noise("added by a cache on the way", "x-amz-cf-id"),
  values(ACL_HEADER, "invalidArgument", CANNED_ACLS),
  ...used(...GRANT_HEADERS.keys()),
  values("x-amz-object-ownership", "invalidArgument", OBJECT_OWNERSHIPS),
  values(CLASS_HEADER, "invalidStorageClass", STORAGE_CLASSES),
  values("x-amz-bucket-object-lock-enabled", "invalidArgument", ["true", "false"]),
  ...used(MODE_HEADER, UNTIL_HEADER, HOLD_HEADER, "x-amz-bypass-governance-retention"),
  ...noise("an existing bucket gets object lock without a token", "x-amz-bucket-object-lock-token"),
  values("x-amz-bucket-namespace", "notImplemented", ["global"]),
  ...noise("the root user can always undo it", "x-amz-confirm-remove-self-bucket-access"),
  ...noise("no object has annotations", "x-amz-object-annotation-directive"),
  ...refused("notImplemented", "x-amz-object-lock-*", "x-amz-mfa"),
  ...used(...ENCRYPTION_HEADERS),
  ...refused("notImplemented", "x-amz-server-side-encryption*", "x-amz-copy-source-server-side-encryption*"),
  ...used(REDIRECT_HEADER),
  ...used("x-amz-write-offset-bytes"),
  ...used("x-amz-rename-source", "x-amz-rename-source-if-match", "x-amz-rename-source-if-none-match"),
  ...used("x-amz-rename-source-if-modified-since", "x-amz-rename-source-if-unmodified-since", "x-amz-client-token"),
  ...refused("notImplemented", "x-amz-rename-source*", "x-amz-create-session-mode", "x-amz-fwd-*"),
  ...used(MATCH_SIZE_HEADER, MATCH_MODIFIED_HEADER, MATCH_INITIATED_HEADER),
  ...refused("notImplemented", "x-amz-skip-destination-validation"),
  ...noise("S3 ignores headers that it does not know", "x-amz-*"),
]

const EXACT = new Map(HEADER_ROWS.filter(({ name }) => !name.endsWith("*")).map(row => [row.name, row]))
const PREFIXES = HEADER_ROWS.filter(({ name }) => name.endsWith("*")).map(row => ({
  row,
  prefix: row.name.slice(0, -1),
}))

/** The row of a header; undefined unless it is an `x-amz-*` header. `name` in lower case. */
export function headerRow(name: string): HeaderRow | undefined {
  if (!name.startsWith("x-amz-")) return undefined
  return EXACT.get(name) ?? PREFIXES.find(({ prefix }) => name.startsWith(prefix))?.row
}

const spelledAs = (values: readonly string[], value: string): string | undefined =>
  values.find(known => known.toLowerCase() === value.toLowerCase())

/** The value in the spelling of the table. Policies compare it as text: another case must not pass by them. */
export function spelledValue(name: string, value: string): string {
  const answer = headerRow(name)?.answer
  return (answer?.kind === "values" ? spelledAs(answer.values, value) : undefined) ?? value
}

/** Throws the failure of the table for a header that requests something unsupported. */
export function checkHeader(name: string, value: string): void {
  const answer = headerRow(name)?.answer
  if (answer === undefined || answer.kind === "used" || answer.kind === "noise") return
  if (answer.kind === "values" && spelledAs(answer.values, value) !== undefined) return
  // A refused header may hold a secret (a customer's key), so only values of listed headers are shown.
  if (answer.kind === "refused") {
    throw fail(answer.failure, { header: name, message: refusalOf(answer.failure, name) })
  }
  const shown = { header: name, argumentName: name, argumentValue: value.slice(0, 80), value: value.slice(0, 80) }
  throw fail(answer.otherwise, { ...shown, message: answer.message ?? refusalOf(answer.otherwise, name) })
}

/** The message for the client; undefined if the failure's own text is enough. */
function refusalOf(failure: FailureKind, header: string): string | undefined {
  if (failure === "notImplemented") return `The header ${header} asks for something that is not implemented.`
  if (failure === "invalidRequest" || failure === "invalidArgument") return `Value for ${header} header is invalid.`
  return undefined
}
