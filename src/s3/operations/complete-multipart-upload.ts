/** CompleteMultipartUpload: combines the listed parts into one object. */
import { fail } from "../../base/failures.js"
import { textOfObjectKey } from "../../base/ids.js"
import { MIB, PARTS_MAX } from "../../base/limits.js"
import type { CompletedPart } from "../../object/contract.js"
import type { Answer, ObjectCall } from "../call.js"
import { answerXml } from "../call.js"
import { checksumInHeaders, checksumTypeOf, CHECKSUM_ALGORITHMS } from "../parse-checksums.js"
import { writeConditionsOf } from "../parse-conditions.js"
import { readDocument } from "../read-document.js"
import { parseETags } from "../wire/etags.js"
import { childrenNamed, childText, requiredText } from "../wire/xml-reader.js"
import type { XmlElement } from "../wire/xml-reader.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { encryptionFields, encryptionOfCompletion } from "./encryption-of-requests.js"
import { expirationOfMade, lifecycleOf } from "./lifecycle-headers.js"
import { multipartIdOf } from "./multipart-upload.js"
import { writtenVersionHeader } from "./versions.js"

/** 10,000 parts, each with its number, ETag and checksums. */
const DOCUMENT_LIMITS = { bytesMax: 4 * MIB, elementsMax: 8 * PARTS_MAX }

/** Parts that are parsed between two pauses: 1 to 3 ms. */
const PARTS_A_TURN = 2048

function partOf(part: XmlElement): CompletedPart {
  const numberText = requiredText(part, "PartNumber").trim()
  const partNumber = /^\d{1,5}$/.test(numberText) ? Number(numberText) : 0
  if (partNumber < 1 || partNumber > PARTS_MAX)
    throw fail("invalidArgument", {
      message: `Part number must be an integer between 1 and ${PARTS_MAX}, inclusive`,
      argumentName: "PartNumber",
      argumentValue: numberText.slice(0, 80),
    })
  const [algorithm] = CHECKSUM_ALGORITHMS.filter(name => childText(part, `Checksum${name}`) !== undefined)
  const checksum = algorithm === undefined ? undefined : childText(part, `Checksum${algorithm}`)
  return { partNumber, etag: parseETags(requiredText(part, "ETag"))[0] ?? "", checksum }
}

/** Throws `malformedXml`, `invalidArgument`, and the failures of `Call.turn`. */
async function partsOf(call: ObjectCall): Promise<readonly CompletedPart[]> {
  // `Content-MD5` covers the document; `x-amz-checksum-*` covers the object.
  const root = await readDocument(call.body, "ofObject", DOCUMENT_LIMITS, () => call.turn())
  if (root?.name !== "CompleteMultipartUpload") throw fail("malformedXml")
  const parts = childrenNamed(root, "Part")
  if (parts.length === 0 || parts.length > PARTS_MAX)
    throw fail("malformedXml", { reason: `an upload has from 1 to ${PARTS_MAX} parts` })
  const named: CompletedPart[] = []
  for (const part of parts) {
    named.push(partOf(part))
    if (named.length % PARTS_A_TURN === 0) await call.turn()
  }
  return named
}

/** `x-amz-mp-object-size`. Throws `invalidArgument`. */
function sizeOf({ headers }: ObjectCall): number | undefined {
  const text = headers.get("x-amz-mp-object-size")
  if (text === undefined) return undefined
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw fail("invalidArgument", { argumentName: "x-amz-mp-object-size", argumentValue: text.slice(0, 80) })
}

export async function completeMultipartUpload(call: ObjectCall): Promise<Answer> {
  const { services, bucket, key, headers, client } = call
  const multipartId = multipartIdOf(call)
  const encryption = encryptionOfCompletion(call)
  const rules = await lifecycleOf(call)
  const result = await services.multipart.complete({
    bucket,
    key,
    multipartId,
    ...encryption,
    conditions: writeConditionsOf(headers),
    sizeBytes: sizeOf(call),
    checksum: checksumInHeaders(headers, "parts"),
    checksumType: checksumTypeOf(headers),
    parts: await partsOf(call),
    signal: client.signal,
  })
  const { etag, checksum, versionId } = result
  const write = (xml: XmlWriter): void => {
    xml
      .text("Location", `${call.origin}${call.rawPath}`)
      .text("Bucket", bucket.name)
      .text("Key", textOfObjectKey(key))
      .quoted("ETag", etag)
    if (checksum !== undefined) {
      xml.text(`Checksum${checksum.algorithm}`, checksum.value).text("ChecksumType", checksum.type)
    }
  }
  return answerXml("CompleteMultipartUploadResult", write, [
    ...writtenVersionHeader(versionId),
    ...(await expirationOfMade(call, rules, result)),
    ...encryptionFields(call, result.encryption, { clientKey: false }),
  ])
}
