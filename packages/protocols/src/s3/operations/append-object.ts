/**
 * AppendObject: `POST ?append` adds a body to the end of an object and returns where it is; `PUT` with
 * `x-amz-write-offset-bytes`, which Amazon has for directory buckets, adds it if the object ends where the client expects.
 */
import { fail } from "@hayloft/base/failures.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { AppendedObject } from "@hayloft/features/appends/index.js"
import type { S3Answer, ObjectCall } from "../call.js"
import { answerEmpty, answerXml } from "../call.js"
import { checksumFields, requireNamedAlgorithm } from "../parse-checksums.js"
import { writeConditionsOf } from "../parse-conditions.js"
import { storageClassOfNew } from "../wire/storage-class.js"
import { parseTagHeader } from "../wire/tags.js"
import { aclOfNewObject } from "./acl.js"
import { encryptionOfNew } from "./encryption-of-requests.js"
import { statedLock } from "./locks-of-requests.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

export const OFFSET_HEADER = "x-amz-write-offset-bytes"
const ID_HEADER = "x-hayloft-append-id"

/** Throws `invalidArgument`. */
function offsetOf({ headers }: ObjectCall): number | undefined {
  const text = headers.get(OFFSET_HEADER)
  if (text === undefined) return undefined
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw fail("invalidArgument", { argumentName: OFFSET_HEADER, argumentValue: text.slice(0, 80) })
}

/** Throws `invalidArgument`. */
function idOf({ headers }: ObjectCall): string | undefined {
  const text = headers.get(ID_HEADER)
  if (text === undefined || /^[\x21-\x7e]{1,128}$/.test(text)) return text
  throw fail("invalidArgument", { argumentName: ID_HEADER, argumentValue: text.slice(0, 80) })
}

function append(call: ObjectCall): Soon<AppendedObject> {
  const { services, bucket, key, headers, client, context } = call
  const atOffset = offsetOf(call)
  const appendId = idOf(call)
  const tagging = headers.get("x-amz-tagging")
  if (statedLock(call) !== undefined)
    throw fail("invalidRequest", { message: "an object that can be appended to cannot have a lock" })
  const body = call.body.payload()
  requireNamedAlgorithm(headers, body.checksumAlgorithm)
  return after(encryptionOfNew(call), encryption =>
    after(aclOfNewObject(call), acl =>
      services.appends.append({
        bucket,
        key,
        acl,
        encryption,
        atOffset,
        appendId,
        body,
        signal: client.signal,
        attributes: context.attributes.of(headers),
        tags: tagging === undefined ? [] : parseTagHeader(tagging),
        storageClass: storageClassOfNew(headers),
        conditions: writeConditionsOf(call),
      }),
    ),
  )
}

const fieldsOf = ({ etag, sizeBytes, checksum }: AppendedObject): readonly HeaderField[] => [
  ["ETag", `"${etag}"`],
  ["x-amz-object-size", String(sizeBytes)],
  ...checksumFields(checksum),
]

export const putAtOffset = (call: ObjectCall): Soon<S3Answer> =>
  after(append(call), appended => answerEmpty(200, fieldsOf(appended)))

export const appendObject = (call: ObjectCall): Soon<S3Answer> =>
  after(append(call), appended =>
    answerXml(
      "AppendObjectResult",
      xml => {
        xml.text("Offset", String(appended.offsetBytes))
        xml.text("ObjectSize", String(appended.sizeBytes))
        xml.text("ETag", `"${appended.etag}"`)
        xml.text("Repeated", String(appended.isRepeated))
      },
      [...fieldsOf(appended), ["x-hayloft-append-offset", String(appended.offsetBytes)]],
    ),
  )
