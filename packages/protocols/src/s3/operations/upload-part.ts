/** UploadPart and UploadPartCopy. */
import { isoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import { PARTS_MAX } from "@hayloft/base/limits.js"
import type { EncryptionCheck } from "@hayloft/objects/contract.js"
import type { S3Answer, ObjectCall } from "../call.js"
import { answerEmpty, answerXml } from "../call.js"
import { checksumHeader } from "../parse-checksums.js"
import { copySource } from "../resolve-copy-source.js"
import { parseCopyRange } from "../wire/range.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { clientKeyOfPart, encryptionFields } from "./encryption-of-requests.js"
import { requireKey } from "./kms-of-requests.js"
import { requireDigest } from "./locks-of-requests.js"
import { writtenUploadOf } from "./multipart-upload.js"
import { copyPartFromRemote, isRemote } from "./remote-object.js"
import { versionHeader } from "./versions.js"

/** Throws `invalidArgument`. */
function partNumberOf({ query }: ObjectCall): number {
  const text = query.get("partNumber") ?? ""
  const partNumber = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (partNumber >= 1 && partNumber <= PARTS_MAX) return partNumber
  throw fail("invalidArgument", {
    message: `Part number must be an integer between 1 and ${PARTS_MAX}, inclusive`,
    argumentName: "partNumber",
    argumentValue: text.slice(0, 80),
  })
}

export async function uploadPart(call: ObjectCall): Promise<S3Answer> {
  const { services, bucket, key, client } = call
  const partNumber = partNumberOf(call)
  const multipartId = writtenUploadOf(call)
  const clientKey = await clientKeyOfPart(call)
  const body = call.body.payload()
  if (bucket.lock !== undefined) {
    const { info } = await services.multipart.listParts({ bucket, key, multipartId, afterPart: 0, max: 0 })
    requireDigest("Part", body, info.lock !== undefined || bucket.lock.defaultRetention !== undefined)
  }
  const { etag, checksum, encryption } = await services.multipart.putPart({
    bucket,
    key,
    multipartId,
    partNumber,
    clientKey,
    body,
    checkEncryption: encryptionOfUpload => requireKey(call, encryptionOfUpload),
    // The signal is created on first use.
    get signal() {
      return client.signal
    },
  })
  return answerEmpty(200, [
    ["ETag", `"${etag}"`],
    ...(checksum === undefined ? [] : [[checksumHeader(checksum.algorithm), checksum.value] as const]),
    ...encryptionFields(call, encryption),
  ])
}

export async function uploadPartCopy(call: ObjectCall): Promise<S3Answer> {
  await call.body.refuseContent()
  const { services, bucket, key, headers, client } = call
  const partNumber = partNumberOf(call)
  const multipartId = writtenUploadOf(call)
  const rangeText = headers.get("x-amz-copy-source-range")
  const range = rangeText === undefined ? undefined : parseCopyRange(rangeText)
  const clientKey = await clientKeyOfPart(call)
  const checkEncryption: EncryptionCheck = encryptionOfUpload => requireKey(call, encryptionOfUpload)
  const target = { bucket, key, multipartId, partNumber, clientKey, checkEncryption }
  const part = await copySource(call, async source =>
    isRemote(source.bucket)
      ? copyPartFromRemote(call, target, source, range)
      : services.multipart.copyPart({ ...target, source, range, signal: client.signal }),
  )
  const { etag, checksum, lastModifiedMs, sourceVersionId, encryption } = part
  const write = (xml: XmlWriter): void => {
    xml.text("LastModified", isoDate(lastModifiedMs)).etag(etag)
    if (checksum !== undefined) xml.text(`Checksum${checksum.algorithm}`, checksum.value)
  }
  return answerXml("CopyPartResult", write, [
    ...versionHeader(sourceVersionId, "x-amz-copy-source-version-id"),
    ...encryptionFields(call, encryption),
  ])
}
