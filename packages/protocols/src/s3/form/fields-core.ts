/**
 * Reads the fields of a form: a key, headers as in a PUT, the kind of answer. Pure.
 *
 * Promises  Every field that requests something is used, or the form is refused, by the same table as for
 *           headers. Fields without a meaning in S3 (a submit button, `x-ignore-…`) are ignored.
 * Source    "Form fields", Amazon S3 Developer Guide.
 */
import { FENCE_HEADER } from "@hayloft/base/fence.js"
import { missingField } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import type { FormSuccess } from "../call.js"
import { checkHeader, headerRow } from "../headers.js"
import { checksumAlgorithmOf, checksumHeader } from "../parse-checksums.js"
import { SMALL_DOCUMENT } from "../read-document.js"
import { keyOfByteString } from "../wire/target.js"
import { otherBucket } from "./policy-core.js"
import { TAG_DOCUMENT, TAGS_MAX, tagsOfDocument } from "../wire/tags.js"
import { parseXmlRoot } from "@hayloft/base/text/xml-reader.js"
import type { FormFields } from "./read-form.js"
import type { Tags } from "@hayloft/base/tags.js"

/** The contents of a form without its file. */
export interface FormRequest {
  readonly key: ObjectKey
  readonly headers: Headers
  readonly tags: Tags
  readonly success: FormSuccess
}

const FILE_NAME = /\$\{filename\}/g

/**
 * The fields as the policy evaluates them: with the file's name inserted and the addressed bucket
 * added. Throws `accessDenied` if a field names another bucket: every policy must cover the addressed one.
 */
export function completeFields(fields: FormFields, fileName: string | undefined, bucket: string): FormFields {
  const named = fields.get("bucket")
  if (named !== undefined && named !== bucket) throw otherBucket(bucket)
  // Old browsers send the whole path.
  const base = fileName?.slice(Math.max(fileName.lastIndexOf("/"), fileName.lastIndexOf("\\")) + 1)
  const complete = new Map([...fields, ["bucket", bucket]])
  if (base === undefined) return complete
  for (const [name, value] of complete)
    complete.set(
      name,
      value.replace(FILE_NAME, () => base),
    )
  return complete
}

/** Headers of the request itself that apply to the object. */
const CONDITIONS = ["if-match", "if-none-match", FENCE_HEADER]

/** Throws `invalidArgument`, `malformedXml`, `invalidTag`, and the failures of the table of headers. */
export function formRequestOf(fields: FormFields, requestHeaders: Headers): FormRequest {
  const key = fields.get("key") ?? ""
  if (key === "") throw missingField("key")
  if (fields.has(FENCE_HEADER))
    throw fail("notImplemented", { message: `${FENCE_HEADER} is a header of the request, and no form field.` })
  const conditions = [...requestHeaders].filter(([name]) => CONDITIONS.includes(name))
  return {
    key: keyOfByteString(key),
    headers: new Map([...headersOfFields(fields), ...conditions]),
    tags: tagsOfField(fields),
    success: successOf(fields),
  }
}

/** Fields that are used as headers of the same name. */
const CONTENT_FIELDS = new Set([
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-md5",
  "content-type",
  "expires",
])
const SIGNATURE_FIELDS = new Set([
  "x-amz-algorithm",
  "x-amz-credential",
  "x-amz-date",
  "x-amz-security-token",
  "x-amz-signature",
])
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/

function headersOfFields(fields: FormFields): Headers {
  const headers = new Map<string, string>()
  for (const [field, value] of fields) {
    const name = field === "acl" ? "x-amz-acl" : field
    if (SIGNATURE_FIELDS.has(name) || !(CONTENT_FIELDS.has(name) || name.startsWith("x-amz-"))) continue
    if (!NAME.test(name) || CONTROL.test(value)) {
      throw fail("invalidArgument", {
        message: "A form field contains characters that a header cannot contain.",
        argumentName: field.slice(0, 80),
      })
    }
    checkField(name, value)
    headers.set(name, value)
  }
  const algorithm = checksumAlgorithmOf(headers)
  if (algorithm === undefined || headers.has(checksumHeader(algorithm))) return headers
  throw fail("invalidRequest", { message: "x-amz-checksum-algorithm is given without its x-amz-checksum- field." })
}

/** The supported headers that describe the object itself. */
const ABOUT_THE_OBJECT =
  /^x-amz-(meta-|checksum-|sdk-checksum-|grant-|object-lock-|server-side-encryption|website-redirect-location$)/

function checkField(name: string, value: string): void {
  checkHeader(name, value)
  if (headerRow(name)?.answer.kind === "used" && !ABOUT_THE_OBJECT.test(name)) {
    throw fail("notImplemented", {
      header: name,
      message: `The form field ${name} asks for something that is not implemented.`,
    })
  }
}

function tagsOfField(fields: FormFields): Tags {
  const text = fields.get("tagging") ?? ""
  if (text === "") return []
  return tagsOfDocument(parseXmlRoot(Buffer.from(text, "latin1"), TAG_DOCUMENT, SMALL_DOCUMENT), TAGS_MAX)
}

/** Unreadable values count as missing, as on Amazon. */
function successOf(fields: FormFields): FormSuccess {
  const status = fields.get("success_action_status")
  return {
    status: status === "200" ? 200 : status === "201" ? 201 : 204,
    redirect: urlOf(fields.get("success_action_redirect") ?? fields.get("redirect") ?? ""),
  }
}

/** An absolute URL in ASCII; undefined for any other text. */
function urlOf(byteString: string): string | undefined {
  const text = textOfObjectKey(byteString)
  return /^https?:/i.test(text) && URL.canParse(text) ? new URL(text).href : undefined
}
