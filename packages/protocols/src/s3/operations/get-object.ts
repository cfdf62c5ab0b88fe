/** GetObject and HeadObject: the same headers; only one of them has a body. */
import { httpDate } from "@hayloft/base/text/dates.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { AccountId } from "@hayloft/base/ids.js"
import { traced } from "@hayloft/base/trace.js"
import { after, recover, type Soon } from "@hayloft/base/soon.js"
import { HeaderLines } from "../../http/index.js"
import type {
  Conditions,
  EncryptionCheck,
  GetRequest,
  ObjectBody,
  OpenSegment,
  RangeRequest,
} from "@hayloft/objects/contract.js"
import { openListed, openSegments, type SegmentsOfObject } from "@hayloft/objects/index.js"
import { type CompiledRules } from "@hayloft/features/lifecycle/index.js"
import { linesOfFields } from "../call.js"
import type { S3Answer, ObjectCall } from "../call.js"
import { withOverrides } from "../content-lines.js"
import { ifRangeOf, readConditionsOf } from "../parse-conditions.js"
import { PARTS_MAX } from "@hayloft/base/limits.js"
import { checksumFields } from "../parse-checksums.js"
import { encodedWords } from "../wire/encoded-words.js"
import { parseRange } from "../wire/range.js"
import { RESTORE_HEADER, restoreText } from "../wire/restore.js"
import { classFields } from "../wire/storage-class.js"
import { clientKeyOf, encryptionFields } from "./encryption-of-requests.js"
import { requireKey } from "./kms-of-requests.js"
import { expirationOf, lifecycleOf } from "./lifecycle-headers.js"
import { lockFields } from "./locks-of-requests.js"
import { isRemote, openRemote } from "./remote-object.js"
import { segmentsFor } from "./segments.js"
import { shownVersion, versionIdOf } from "./versions.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** `partNumber` or `Range`; both together throw `invalidRequest`. */
export function rangeOf({ query, headers }: ObjectCall): RangeRequest | undefined {
  const partNumber = query.integer("partNumber", { min: 1, max: PARTS_MAX })
  const range = headers.get("range")
  if (partNumber === undefined) return range === undefined ? undefined : parseRange(range)
  if (range !== undefined) {
    throw fail("invalidRequest", { message: "Cannot specify both Range header and partNumber query parameter" })
  }
  return { kind: "part", partNumber }
}

/** Range answers omit the checksum of the whole object: a client would compare the fragment with it. */
function shownChecksum({ headers }: ObjectCall, { info, range, partChecksum }: ObjectBody): HeaderField[] {
  if (headers.get("x-amz-checksum-mode") === undefined) return []
  return checksumFields(range === undefined ? info.checksum : partChecksum)
}

/**
 * A checksum tells something of the bytes.
 * Source  "HeadObject", Amazon S3 API Reference: "if you enable checksum mode and the object is uploaded with a checksum and
 *         encrypted with an AWS Key Management Service (AWS KMS) key, you must have permission to use the kms:Decrypt
 *         action to retrieve the checksum."
 */
const requireKeyOfChecksum = (call: ObjectCall, body: ObjectBody): Soon<void> =>
  shownChecksum(call, body).length === 0 ? undefined : requireKey(call, body.info.encryption)

/** A part without bytes has no range that could be expressed. */
const isPartial = ({ range }: ObjectBody): boolean => range !== undefined && range.lengthBytes > 0

/** All values are generated here, or were checked when they were stored. */
function linesOf(
  call: ObjectCall,
  body: ObjectBody,
  lock: readonly HeaderField[],
  expiration: string | undefined,
): HeaderLines {
  const { info, range } = body
  const { etag, versionId, userMetadata, tags } = info
  let text = call.context.contentLines.of(info.headers, call.query)
  if (isPartial(body) && range) {
    text += `Content-Range: bytes ${range.first}-${range.first + range.lengthBytes - 1}/${info.sizeBytes}\r\n`
  }
  text += `ETag: "${etag}"\r\nLast-Modified: ${httpDate(info.lastModifiedMs)}\r\n`
  const shown = shownVersion(call.bucket, versionId)
  if (shown !== undefined) text += `x-amz-version-id: ${shown}\r\n`
  if (tags.length > 0) text += `x-amz-tagging-count: ${tags.length}\r\n`
  const restoredUntilMs = call.services.archives.restoredUntilMs(info)
  if (restoredUntilMs !== undefined) text += `${RESTORE_HEADER}: ${restoreText(restoredUntilMs)}\r\n`
  if (expiration !== undefined) text += `x-amz-expiration: ${expiration}\r\n`
  if (info.partsCount !== undefined && call.query.has("partNumber")) {
    text += `x-amz-mp-parts-count: ${info.partsCount}\r\n`
  }
  if (call.remoteOutcome !== undefined) text += `x-hayloft-remote: ${call.remoteOutcome}\r\n`
  const lines = HeaderLines.ofChecked(text)
  const more = [
    ...userMetadata.map(([name, value]): HeaderField => [`x-amz-meta-${name}`, encodedWords(value)]),
    ...shownChecksum(call, body),
    ...lock,
    ...classFields(info.storageClass),
    ...encryptionFields(call, info.encryption),
  ]
  return more.length === 0 ? lines : lines.and(linesOfFields(more))
}

/** The part of the object to read, in place of what the headers of the call ask for. */
export interface PartOfObject {
  /** The range is undefined for all of the object. */
  readonly range?: RangeRequest | undefined
  /** If they are absent, those of the call apply. */
  readonly conditions?: Conditions
}

/** The object that a call reads, by its conditions and its range; the caller reads or closes it. */
export const openObject = (call: ObjectCall, headersOnly: boolean, part?: PartOfObject): Soon<ObjectBody> =>
  recover(
    () => openStored(call, headersOnly, { part, openSegment: segmentsFor(call) }),
    error => {
      throw isFailure(error) ? withOverrides(error, call.query) : error
    },
  )

/** The same, but of a large object its segment list. */
export const openSegmentList = (call: ObjectCall): Soon<ObjectBody> => openStored(call, false, {})

/** The same, of segments that were found for the call, in an account: `info` is of all of them together. */
export const openFound = (
  call: ObjectCall,
  { info, segments, owner }: Pick<SegmentsOfObject, "info" | "segments"> & { readonly owner: AccountId },
  headersOnly: boolean,
  part?: PartOfObject,
): Promise<ObjectBody> =>
  openListed({ info, segments, openSegment: segmentsFor(call, owner) }, { ...asked(call, part), headersOnly })

/** Which part of an object a call reads, and on which conditions. */
function asked(call: ObjectCall, part: PartOfObject | undefined): Pick<GetRequest, "conditions" | "range" | "ifRange"> {
  const { headers, nowMs } = call
  if (part !== undefined) {
    const { range, conditions = readConditionsOf(headers, nowMs) } = part
    return { range, ifRange: undefined, conditions }
  }
  return { range: rangeOf(call), ifRange: ifRangeOf(headers), conditions: readConditionsOf(headers, nowMs) }
}

interface Opening {
  readonly part?: PartOfObject | undefined
  /** If it is absent, a large object is not opened. */
  readonly openSegment?: OpenSegment
}

function openStored(call: ObjectCall, headersOnly: boolean, { part, openSegment }: Opening): Soon<ObjectBody> {
  const { services, bucket, key } = call
  if (isRemote(bucket)) return openRemote(call, { ...asked(call, part), headersOnly })
  const versionId = versionIdOf(call)
  // The answer may have to wait until it is known if the caller may see a lock. A request for a part does more before
  // it is answered.
  const lends = call.mayBorrow && bucket.lock === undefined && part === undefined
  const clientKey = clientKeyOf(call)
  const { trace } = call.client
  const { range, ifRange, conditions } = asked(call, part)
  const checkEncryption: EncryptionCheck | undefined = headersOnly
    ? undefined
    : encryption => requireKey(call, encryption)
  const request = {
    bucket,
    key,
    versionId,
    range,
    ifRange,
    conditions,
    clientKey,
    lends,
    trace,
    headersOnly,
    checkEncryption,
  }
  const { objects } = services
  const get = () => (openSegment === undefined ? objects.get(request) : openSegments(objects, request, openSegment))
  return trace === undefined ? get() : traced(trace, "metadata read", {}, get)
}

const statusOf = (body: ObjectBody): number => (isPartial(body) ? 206 : 200)
const lengthOf = ({ info, range }: ObjectBody): number => range?.lengthBytes ?? info.sizeBytes

/** A request for a version announces nothing, also if it is the current one. */
export const announcedRules = (call: ObjectCall): Soon<CompiledRules | undefined> =>
  versionIdOf(call) !== undefined ? undefined : lifecycleOf(call)

export const getObject = (call: ObjectCall): Soon<S3Answer> =>
  after(announcedRules(call), rules =>
    after(openObject(call, false), body => answerWith(call, body, expirationOf(call, rules, body.info))),
  )

/** The answer with an opened object, and the expiration of the stored one. Closes the object if it throws. */
export const answerWith = (call: ObjectCall, body: ObjectBody, expiration: string | undefined): Soon<S3Answer> =>
  recover(
    () =>
      after(lockFields(call, body.info), (lock): S3Answer => {
        const headers = linesOf(call, body, lock, expiration)
        return { status: statusOf(body), headers, body: { kind: "object", body, lengthBytes: lengthOf(body) } }
      }),
    error => {
      body.close()
      throw error
    },
  )

export const headObject = (call: ObjectCall): Soon<S3Answer> =>
  after(announcedRules(call), rules =>
    after(openObject(call, true), body => {
      body.close()
      const omitted = { kind: "omitted", lengthBytes: lengthOf(body) } as const
      return after(requireKeyOfChecksum(call, body), () =>
        after(lockFields(call, body.info), (lock): S3Answer => {
          const headers = linesOf(call, body, lock, expirationOf(call, rules, body.info))
          return { status: statusOf(body), headers, body: omitted }
        }),
      )
    }),
  )
