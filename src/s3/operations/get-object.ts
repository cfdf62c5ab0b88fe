/** GetObject and HeadObject: the same headers; only one of them has a body. */
import { httpDate } from "../../base/dates.js"
import { fail } from "../../base/failures.js"
import type { ContentHeaders, ObjectBody, RangeRequest } from "../../object/contract.js"
import type { Answer, ObjectCall } from "../call.js"
import type { Field } from "../failures.js"
import { ifRangeOf, readConditionsOf } from "../parse-conditions.js"
import { PARTS_MAX } from "../../base/limits.js"
import { parseRange } from "../wire/range.js"
import { checksumFields } from "./put-object.js"
import { shownVersion, versionHeader, versionIdOf } from "./versions.js"

const DEFAULT_CONTENT_TYPE = "binary/octet-stream"

/** What an answer shows of an object's stored headers where the request asks for nothing else. */
export function storedFields(headers: ContentHeaders): Field[] {
  return STORED.flatMap(([name, header]): Field[] => {
    const value = headers[name] ?? (name === "contentType" ? DEFAULT_CONTENT_TYPE : undefined)
    return value === undefined ? [] : [[header, value]]
  })
}

const STORED: readonly (readonly [keyof ContentHeaders, header: string, override: string])[] = [
  ["contentType", "Content-Type", "response-content-type"],
  ["cacheControl", "Cache-Control", "response-cache-control"],
  ["contentDisposition", "Content-Disposition", "response-content-disposition"],
  ["contentEncoding", "Content-Encoding", "response-content-encoding"],
  ["contentLanguage", "Content-Language", "response-content-language"],
  ["expires", "Expires", "response-expires"],
]

/** Stored headers, or what the request's `response-*` parameters put in their place. Throws `invalidArgument`. */
function contentFields({ query }: ObjectCall, headers: ContentHeaders): Field[] {
  const fields: Field[] = []
  for (const [name, header, override] of STORED) {
    const asked = query.get(override)
    if (asked !== undefined && /[\x00-\x08\x0a-\x1f\x7f]/.test(asked)) {
      throw fail("invalidArgument", {
        message: "Header value cannot hold control characters.",
        argumentName: override,
      })
    }
    const value = asked ?? headers[name] ?? (name === "contentType" ? DEFAULT_CONTENT_TYPE : undefined)
    if (value !== undefined) fields.push([header, value])
  }
  return fields
}

/** `partNumber`, or `Range`; both at once throw `invalidRequest`. */
function rangeOf({ query, headers }: ObjectCall): RangeRequest | undefined {
  const partNumber = query.integer("partNumber", { min: 1, max: PARTS_MAX })
  const range = headers.get("range")
  if (partNumber === undefined) return range === undefined ? undefined : parseRange(range)
  if (range !== undefined) {
    throw fail("invalidRequest", { message: "Cannot specify both Range header and partNumber query parameter" })
  }
  return { kind: "part", partNumber }
}

/** Range answers show no checksum of the whole object: a client would hold the fragment against it. */
function shownChecksum({ headers }: ObjectCall, { info, range, partChecksum }: ObjectBody): Field[] {
  if (headers.get("x-amz-checksum-mode") === undefined) return []
  return checksumFields(range === undefined ? info.checksum : partChecksum)
}

/** A part without bytes has no range that could be written. */
const isPartial = ({ range }: ObjectBody): boolean => range !== undefined && range.lengthBytes > 0

function fieldsOf(call: ObjectCall, body: ObjectBody): Field[] {
  const { info, range } = body
  const contentRange =
    isPartial(body) && range && `bytes ${range.first}-${range.first + range.lengthBytes - 1}/${info.sizeBytes}`
  return [
    ...contentFields(call, info.headers),
    ...(contentRange ? [["Content-Range", contentRange] as const] : []),
    ["ETag", `"${info.etag}"`],
    ["Last-Modified", httpDate(info.lastModifiedMs)],
    ["Accept-Ranges", "bytes"],
    ...versionHeader(shownVersion(call.bucket, info.versionId)),
    ...info.userMetadata.map(([name, value]): Field => [`x-amz-meta-${name}`, value]),
    ...(info.tagCount === 0 ? [] : [["x-amz-tagging-count", String(info.tagCount)] as const]),
    ...(call.query.has("partNumber") && info.partsCount !== undefined
      ? [["x-amz-mp-parts-count", String(info.partsCount)] as const]
      : []),
    ...shownChecksum(call, body),
  ]
}

async function open(call: ObjectCall, headersOnly: boolean): Promise<ObjectBody> {
  const { services, bucket, key, headers } = call
  const versionId = versionIdOf(call)
  const range = rangeOf(call)
  const ifRange = ifRangeOf(headers)
  return services.objects.get({
    bucket,
    key,
    ...(versionId !== undefined && { versionId }),
    ...(range !== undefined && { range }),
    ...(ifRange !== undefined && { ifRange }),
    conditions: readConditionsOf(headers, call.nowMs),
    headersOnly,
  })
}

const statusOf = (body: ObjectBody): number => (isPartial(body) ? 206 : 200)
const lengthOf = ({ info, range }: ObjectBody): number => range?.lengthBytes ?? info.sizeBytes

export async function getObject(call: ObjectCall): Promise<Answer> {
  const body = await open(call, false)
  try {
    const headers = fieldsOf(call, body)
    return { status: statusOf(body), headers, body: { kind: "object", body, lengthBytes: lengthOf(body) } }
  } catch (error) {
    body.close()
    throw error
  }
}

export async function headObject(call: ObjectCall): Promise<Answer> {
  const body = await open(call, true)
  body.close()
  const omitted = { kind: "omitted", lengthBytes: lengthOf(body) } as const
  return { status: statusOf(body), headers: fieldsOf(call, body), body: omitted }
}
