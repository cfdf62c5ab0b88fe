/**
 * Parses the JSON document of a transaction: each operation becomes the request that would do it alone. Pure.
 *
 * Refuses  invalid JSON, unknown or missing members, values of another type (`invalidRequest`), names that cannot be right. The
 *          details have the number of the operation, from 0 (`operation`).
 */
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { byteStringOfText, objectKeyOfText } from "@hayloft/base/ids.js"
import { PARTS_MAX } from "@hayloft/base/limits.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import type { CompletedPart } from "@hayloft/objects/contract.js"
import { CHECKSUM_ALGORITHMS } from "@hayloft/base/http/checksum-algorithms.js"
import { parseETags } from "./etags.js"
import { RENAME_SOURCE_HEADER } from "./rename-source.js"
import { isJsonObject, type JsonObject } from "@hayloft/base/json.js"

type Pairs = readonly (readonly [name: string, value: string])[]

/** The request that an operation would be alone. */
export interface IncludedRequest {
  readonly kind: "put" | "delete" | "rename" | "check"
  readonly bucket: string
  /** The bytes of the key as a byte string. */
  readonly rawKey: string
  readonly query: Pairs
  /** Conditions and the source of a rename, in lower case. */
  readonly headers: Pairs
  /** The parts of an upload that is completed. */
  readonly parts: readonly CompletedPart[]
}

interface TransactionDocument {
  readonly token: string | undefined
  readonly operations: readonly IncludedRequest[]
  /** The document in canonical form, the same for equal documents in any notation. */
  readonly canonical: string
}

const MATCHES = ["ifMatch", "ifNoneMatch"] as const
/** Visible ASCII, as in the header of a rename. */
const TOKEN = /^[\x21-\x7e]{1,64}$/
const HEADER_VALUE = /^[\x20-\x7e]{1,1024}$/

export function parseTransaction(bytes: Uint8Array): TransactionDocument {
  const { token, operations } = unlessRefused(
    () => membersOf(parseJson(bytes), "the document", ["token", "operations"]),
    undefined,
  )
  if (token !== undefined && !(typeof token === "string" && TOKEN.test(token)))
    throw invalid("token has from 1 to 64 visible ASCII characters")
  if (!Array.isArray(operations)) throw invalid("operations must be a list")
  const requests = operations.map((operation: unknown, number) => unlessRefused(() => requestOf(operation), number))
  return { token, operations: requests, canonical: JSON.stringify(requests) }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch (error) {
    throw fail("invalidRequest", { message: "the document is not JSON in UTF-8" }, error)
  }
}

/** The reason to refuse an operation, before its number is known. */
class Refused extends Error {}

/** Throws failures with the number of the operation. */
function unlessRefused<T>(parse: () => T, operation: number | undefined): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof Refused) throw fail("invalidRequest", { operation, message: error.message }, error)
    throw isFailure(error) ? fail(error.kind, { ...error.details, operation }, error) : error
  }
}

const invalid = (message: string): Failure => fail("invalidRequest", { message })

function membersOf(value: unknown, what: string, known: readonly string[]): JsonObject {
  if (!isJsonObject(value)) throw new Refused(`${what} must be an object`)
  const unknown = Object.keys(value).find(name => !known.includes(name))
  if (unknown !== undefined)
    throw new Refused(`${what} has an unknown member ${unknown.slice(0, 80)}; known are ${known.join(", ")}`)
  return value
}

function requestOf(operation: unknown): IncludedRequest {
  const { put, delete: remove, rename, check } = membersOf(operation, "an operation", [...KINDS])
  const given = [put, remove, rename, check].filter(each => each !== undefined)
  if (given.length !== 1) throw new Refused(`an operation is one of ${KINDS.join(", ")}`)
  if (put !== undefined) return putOf(put)
  if (remove !== undefined) return deleteOf(remove)
  return rename === undefined ? checkOf(check) : renameOf(rename)
}

const KINDS = ["put", "delete", "rename", "check"] as const

function putOf(value: unknown): IncludedRequest {
  const members = membersOf(value, "put", ["bucket", "key", "uploadId", "parts", ...MATCHES])
  const { parts } = members
  if (!Array.isArray(parts) || parts.length === 0 || parts.length > PARTS_MAX)
    throw new Refused(`parts must be a list of 1 to ${PARTS_MAX}`)
  const query = [["uploadId", textIn(members, "uploadId")]] as const
  return { kind: "put", ...placeIn(members), query, headers: matchesIn(members), parts: parts.map(partOf) }
}

function partOf(value: unknown): CompletedPart {
  const checksums = CHECKSUM_ALGORITHMS.map(name => `checksum${name}`)
  const members = membersOf(value, "a part", ["partNumber", "etag", ...checksums])
  const { partNumber } = members
  if (typeof partNumber !== "number" || !Number.isInteger(partNumber) || partNumber < 1 || partNumber > PARTS_MAX)
    throw new Refused(`partNumber must be a whole number from 1 to ${PARTS_MAX}`)
  const [etag = ""] = parseETags(textIn(members, "etag"))
  const checksum = checksums.map(name => optionalTextIn(members, name)).find(text => text !== undefined)
  return { partNumber, etag, checksum }
}

function deleteOf(value: unknown): IncludedRequest {
  const members = membersOf(value, "delete", ["bucket", "key", "versionId", ...MATCHES])
  const versionId = optionalTextIn(members, "versionId")
  const query = versionId === undefined ? [] : ([["versionId", versionId]] as const)
  return { kind: "delete", ...placeIn(members), query, headers: matchesIn(members), parts: [] }
}

const OF_DESTINATION = ["destinationIfMatch", "destinationIfNoneMatch"] as const

function renameOf(value: unknown): IncludedRequest {
  const members = membersOf(value, "rename", ["bucket", "key", "toBucket", "toKey", ...MATCHES, ...OF_DESTINATION])
  const { bucket, rawKey } = placeIn(members)
  const source = `/${percentEncode(byteStringOfText(bucket))}/${percentEncode(rawKey, true)}`
  const onSource = matchesIn(members).map(([name, text]) => [`${RENAME_SOURCE_HEADER}-${name}`, text] as const)
  const [ifMatch, ifNoneMatch] = OF_DESTINATION
  return {
    kind: "rename",
    bucket: bucketIn(members, "toBucket") ?? bucket,
    rawKey: objectKeyOfText(textIn(members, "toKey")),
    query: [["renameObject", ""]],
    headers: [[RENAME_SOURCE_HEADER, source], ...onSource, ...matchesIn(members, { ifMatch, ifNoneMatch })],
    parts: [],
  }
}

function checkOf(value: unknown): IncludedRequest {
  const members = membersOf(value, "check", ["bucket", "key", ...MATCHES])
  const headers = matchesIn(members)
  if (headers.length === 0) throw new Refused(`a check has ${MATCHES.join(" or ")}`)
  return { kind: "check", ...placeIn(members), query: [], headers, parts: [] }
}

function placeIn(members: JsonObject): Pick<IncludedRequest, "bucket" | "rawKey"> {
  const bucket = bucketIn(members, "bucket")
  if (bucket === undefined) throw new Refused("bucket is missing")
  return { bucket, rawKey: objectKeyOfText(textIn(members, "key")) }
}

function bucketIn(members: JsonObject, name: string): string | undefined {
  const bucket = optionalTextIn(members, name)
  if (bucket === "" || bucket?.includes("/")) throw fail("invalidBucketName")
  return bucket
}

/** ETags, or `*`, as the headers of these names. */
function matchesIn(members: JsonObject, names = { ifMatch: "ifMatch", ifNoneMatch: "ifNoneMatch" }): Pairs {
  const headerIn = (name: string, header: string): Pairs => {
    const text = optionalTextIn(members, name)
    if (text === undefined) return []
    if (!HEADER_VALUE.test(text)) throw new Refused(`${name} is an ETag, or *`)
    return [[header, text]]
  }
  return [...headerIn(names.ifMatch, "if-match"), ...headerIn(names.ifNoneMatch, "if-none-match")]
}

function textIn(members: JsonObject, name: string): string {
  const text = optionalTextIn(members, name)
  if (text === undefined || text === "") throw new Refused(`${name} is missing`)
  return text
}

function optionalTextIn(members: JsonObject, name: string): string | undefined {
  const value = members[name]
  if (value === undefined || typeof value === "string") return value
  throw new Refused(`${name} must be text`)
}
