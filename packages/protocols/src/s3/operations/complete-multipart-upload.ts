/**
 * CompleteMultipartUpload: combines the listed parts into one object. In a bucket that allows appends, parts may name objects
 * of the bucket (`CopySource`) in place of uploaded ones: their bytes are not copied.
 */
import { fail } from "@hayloft/base/failures.js"
import { textOfObjectKey, byteStringOfText } from "@hayloft/base/ids.js"
import { MIB, PARTS_MAX } from "@hayloft/base/limits.js"
import type { CompletedPart, CompleteRequest, NamedSource } from "@hayloft/objects/contract.js"
import { CONCATENATION_LIMITS } from "@hayloft/features/appends/index.js"
import type { S3Answer, ObjectCall } from "../call.js"
import { answerXml } from "../call.js"
import { CHECKSUM_ALGORITHMS } from "@hayloft/base/http/checksum-algorithms.js"
import { checksumInHeaders, checksumTypeOf } from "../parse-checksums.js"
import { isRoot, readDocument } from "../read-document.js"
import { actionsOf, REQUIRED_ACTIONS } from "../rights/required-actions-core.js"
import { parseCopySource } from "../wire/copy-source.js"
import { parseETags } from "../wire/etags.js"
import { parseRange } from "../wire/range.js"
import { keyOfByteString } from "../wire/target.js"
import { checkChildren, childrenNamed, childText, requiredText } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { encryptionFields, encryptionOfCompletion } from "./encryption-of-requests.js"
import { expirationOfMade, lifecycleOf } from "./lifecycle-headers.js"
import { writtenUploadOf } from "./multipart-upload.js"
import { localConditionsOf, settled } from "./remote-object.js"
import { writtenVersionHeader } from "./versions.js"

/** 10,000 parts, each with its number, ETag and checksums. */
const DOCUMENT_LIMITS = { bytesMax: 4 * MIB, elementsMax: 8 * PARTS_MAX }

/** Parts that are parsed between two pauses: 1 to 3 ms. */
const PARTS_A_TURN = 2048

const ELEMENTS_OF_PART = ["PartNumber", "ETag", ...CHECKSUM_ALGORITHMS.map(name => `Checksum${name}`)]
const ELEMENTS_OF_SOURCE = ["PartNumber", "CopySource", "Range", "ETag"]

function partOf(part: XmlElement): CompletedPart {
  checkChildren(part, ELEMENTS_OF_PART)
  const numberText = requiredText(part, "PartNumber").trim()
  const partNumber = /^-?\d{1,5}$/.test(numberText) ? Number(numberText) : Number.NaN
  if (!(partNumber >= 1 && partNumber <= PARTS_MAX))
    throw fail("invalidArgument", {
      message:
        partNumber < 1
          ? "PartNumber must be >= 1"
          : `Part number must be an integer between 1 and ${PARTS_MAX}, inclusive`,
      argumentName: "PartNumber",
      argumentValue: numberText.slice(0, 80),
    })
  const [algorithm, second] = CHECKSUM_ALGORITHMS.filter(name => childText(part, `Checksum${name}`) !== undefined)
  if (second !== undefined)
    throw fail("invalidArgument", {
      message: `Part ${numberText} has the checksums of more than one algorithm`,
      argumentName: `Checksum${second}`,
    })
  const checksum = algorithm === undefined ? undefined : childText(part, `Checksum${algorithm}`)
  return { partNumber, etag: parseETags(requiredText(part, "ETag"))[0] ?? "", checksum }
}

/**
 * Reads the source of a part, which is written in the same way as in a header: percent-encoded, or as it is.
 * Throws `malformedXml`, `invalidArgument`, `invalidKey`, `accessDenied`, `notImplemented`.
 */
async function sourceOf(call: ObjectCall, part: XmlElement): Promise<NamedSource> {
  checkChildren(part, ELEMENTS_OF_SOURCE)
  const { bucket, permissions, headers } = call
  const { bucket: name, rawKey, versionId } = parseCopySource(byteStringOfText(requiredText(part, "CopySource")))
  if (name !== bucket.name)
    throw fail("notImplemented", { message: "an object consists of the bytes of other objects of its own bucket only" })
  if (versionId !== undefined)
    throw fail("notImplemented", { message: "an object consists of the bytes of current versions only" })
  const place = { bucket, key: keyOfByteString(rawKey) }
  permissions.setReadPlace(place)
  for (const action of actionsOf(REQUIRED_ACTIONS.getObject, headers, false)) await permissions.require(action, place)
  const [etag, range] = [childText(part, "ETag"), childText(part, "Range")]
  const asked = range === undefined ? undefined : parseRange(range)
  if (range !== undefined && asked === undefined)
    throw fail("invalidArgument", { argumentName: "Range", argumentValue: range.slice(0, 80) })
  return { key: place.key, range: asked, conditions: etag === undefined ? {} : { ifMatch: parseETags(etag) } }
}

/** Objects whose bytes the new one gets; undefined: it consists of uploaded parts. */
async function sourcesOf(call: ObjectCall, parts: readonly XmlElement[]): Promise<readonly NamedSource[] | undefined> {
  const named = parts.filter(part => childText(part, "CopySource") !== undefined)
  if (named.length === 0) return undefined
  if (named.length < parts.length)
    throw fail("notImplemented", { message: "an object of uploaded parts and of the bytes of others" })
  const numbers = parts.map(part => Number(requiredText(part, "PartNumber").trim()))
  const partNumber = numbers.find((number, i) => !(number > (numbers[i - 1] ?? 0)))
  if (partNumber !== undefined) throw fail("invalidPartOrder", { partNumber })
  const { sourcesMax } = CONCATENATION_LIMITS
  if (parts.length > sourcesMax)
    throw fail("invalidRequest", {
      message: `the request names ${parts.length} source objects: the limit is ${sourcesMax}`,
    })
  const sources: NamedSource[] = []
  for (const part of parts) sources.push(await sourceOf(call, part))
  return sources
}

/** Throws `malformedXml`, `invalidArgument`, and the failures of `Call.turn`. */
async function partsOf(call: ObjectCall): Promise<Pick<CompleteRequest, "parts" | "sources">> {
  // `Content-MD5` covers the document; `x-amz-checksum-*` covers the object.
  const root = await readDocument(call.body, "ofObject", DOCUMENT_LIMITS, () => call.turn())
  if (root === undefined || !isRoot(root, "CompleteMultipartUpload")) throw fail("malformedXml")
  checkChildren(root, ["Part"])
  const parts = childrenNamed(root, "Part")
  if (parts.length === 0 || parts.length > PARTS_MAX)
    throw fail("malformedXml", { reason: `an upload has from 1 to ${PARTS_MAX} parts` })
  const sources = await sourcesOf(call, parts)
  if (sources !== undefined) return { parts: [], sources }
  const named: CompletedPart[] = []
  for (const part of parts) {
    named.push(partOf(part))
    if (named.length % PARTS_A_TURN === 0) await call.turn()
  }
  return { parts: named }
}

/** `x-amz-mp-object-size`. Throws `invalidRequest`. */
function sizeOf({ headers }: ObjectCall): number | undefined {
  const text = headers.get("x-amz-mp-object-size")
  if (text === undefined) return undefined
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw fail("invalidRequest", { message: `Value for x-amz-mp-object-size header is invalid: '${text.slice(0, 80)}'` })
}

export async function completeMultipartUpload(call: ObjectCall): Promise<S3Answer> {
  const { services, bucket, key, headers, client } = call
  const multipartId = writtenUploadOf(call)
  const encryption = encryptionOfCompletion(call)
  const rules = await lifecycleOf(call)
  const completed = await services.multipart.complete({
    bucket,
    key,
    multipartId,
    ...encryption,
    conditions: localConditionsOf(call),
    sizeBytes: sizeOf(call),
    checksum: checksumInHeaders(headers, "parts"),
    checksumType: checksumTypeOf(headers),
    ...(await partsOf(call)),
    signal: client.signal,
  })
  const result = await settled(call, completed)
  const { etag, checksum, versionId } = result
  const write = (xml: XmlWriter): void => {
    xml
      .text("Location", `${call.origin}${call.rawPath}`)
      .text("Bucket", bucket.name)
      .text("Key", textOfObjectKey(key))
      .etag(etag)
    if (checksum !== undefined) {
      xml.text(`Checksum${checksum.algorithm}`, checksum.value).text("ChecksumType", checksum.type)
    }
  }
  return answerXml("CompleteMultipartUploadResult", write, [
    ...writtenVersionHeader(bucket, versionId),
    ...(await expirationOfMade(call, rules, result)),
    ...encryptionFields(call, result.encryption, { clientKey: false }),
  ])
}
