/**
 * Forms that browsers post to Swift: what their fields allow, who signed them, and the answer. Pure.
 *
 * Promises  A form is admitted for the path, the redirect, the limits and the time that were signed, and nothing else.
 *           Fields after the first file are ignored.
 * Refuses   `invalidRequest` for fields that are no numbers, `signatureMismatch` for a form that is over or not signed.
 * Source    `common/middleware/formpost.py`, OpenStack Swift.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import { escapedValue } from "../markup-core.js"
import { readUrlSignature, signerOf, type UrlKey } from "./url-signatures-core.js"

/** By name in lower case; byte strings. */
type Fields = ReadonlyMap<string, string>

interface FormPost {
  /** A byte string; undefined: the answer is a text. */
  readonly redirect: string | undefined
  readonly fileBytesMax: number
  readonly filesMax: number
  readonly signature: string
  /** Unix time, in seconds. */
  readonly expires: number
  /** The headers of every file, unless the file's part has its own type. */
  readonly headers: Headers
  /** The texts of the fields that the signature covers, in its order. */
  readonly signed: readonly string[]
}

/** The part of a form that has a file. */
interface FormFile {
  readonly fileName: string
  readonly contentType: string | undefined
  readonly contentEncoding: string | undefined
}

const FIELD_BYTES_MAX = 4096
const CONTROL = /[\x00-\x1f\x7f]/

const invalid = (message: string) => fail("invalidRequest", { message: `FormPost: ${message}` })
const unauthorized = (message: string) => fail("signatureMismatch", { message: `FormPost: ${message}` })

function numberIn(fields: Fields, name: string, what = ""): number {
  const text = fields.get(name) ?? ""
  if (text === "") return 0
  if (!/^\d{1,15}$/.test(text)) throw invalid(`${name} not an integer${what}`)
  return Number(text)
}

/** Returns the value of a field that becomes a header: any text in one line. */
function lineIn(fields: Fields, name: string): string | undefined {
  const text = fields.get(name) ?? ""
  if (text.length > FIELD_BYTES_MAX) throw invalid(`${name} is longer than ${FIELD_BYTES_MAX} bytes`)
  if (CONTROL.test(text)) throw invalid(`${name} contains control characters`)
  return text === "" ? undefined : text
}

const EXPIRY_FIELDS: readonly (readonly [field: string, header: string, what: string])[] = [
  ["x_delete_at", "x-delete-at", ": Unix timestamp required."],
  ["x_delete_after", "x-delete-after", ": Number of seconds required."],
]

/** Throws `invalidRequest`. */
export function readFormPost(fields: Fields): FormPost {
  const headers = new Map<string, string>()
  for (const [field, header, what] of EXPIRY_FIELDS)
    if (fields.has(field)) headers.set(header, String(numberIn(fields, field, what)))
  for (const name of ["content-type", "content-encoding"]) {
    const value = lineIn(fields, name)
    if (value !== undefined) headers.set(name, value)
  }
  const redirect = lineIn(fields, "redirect")
  return {
    redirect,
    fileBytesMax: numberIn(fields, "max_file_size"),
    filesMax: numberIn(fields, "max_file_count"),
    signature: fields.get("signature") ?? "",
    expires: numberIn(fields, "expires"),
    headers,
    signed: [redirect ?? "", ...["max_file_size", "max_file_count", "expires"].map(name => fields.get(name) || "0")],
  }
}

/** `path`: of the request, decoded, a byte string. Throws `signatureMismatch`. */
export function admitFormPost(form: FormPost, path: string, keys: readonly UrlKey[], nowMs: number): UrlKey {
  if (form.expires * 1000 < nowMs) throw unauthorized("Form Expired")
  const signature = readUrlSignature(form.signature)
  const signer = signature && signerOf(signature, [[path, ...form.signed].join("\n")], keys)
  if (signer === undefined) throw unauthorized("Invalid Signature")
  return signer
}

/** `number`: of the file in the form, from 1. Throws `invalidRequest`. */
export function checkFileCount({ filesMax }: FormPost, number: number): void {
  if (number > filesMax) throw invalid("Max File Count Exceeded")
}

/** The object that a file becomes. `prefix`: of the path behind the container. Byte strings. */
export const objectOfFile = (prefix: string, { fileName }: FormFile): string => `${prefix}${fileName}`

/** The headers with which a file is stored. Throws `invalidRequest`. */
export function headersOfFile({ headers }: FormPost, file: FormFile): Headers {
  const own = [
    ["content-type", file.contentType],
    ["content-encoding", file.contentEncoding],
  ] as const
  const all = new Map(headers)
  for (const [name, value] of own) {
    if (value === undefined || value === "" || all.has(name)) continue
    all.set(name, lineIn(new Map([[name, value]]), name) ?? "")
  }
  return all
}

interface FormAnswer {
  readonly status: number
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly type: string
  readonly text: string
}

/**
 * Returns the answer: success, or status and message of the first file that was not stored. With a redirect it is a 303 that
 * carries both in its query.
 */
export function answerOfForm(form: FormPost, status: number, statusText: string, message: string): FormAnswer {
  if (form.redirect === undefined) {
    const text = `${status} ${statusText}`
    return { status, fields: [], type: "text/plain", text: message === "" ? text : `${text}\r\nFormPost: ${message}` }
  }
  const { redirect } = form
  const location = `${redirect}${redirect.includes("?") ? "&" : "?"}status=${status}&message=${percentEncode(message)}`
  const text = `<html><body><p><a href="${escapedValue(location)}">Click to continue...</a></p></body></html>`
  return { status: 303, fields: [["Location", location]], type: "text/html; charset=utf-8", text }
}
