/** ListMultipartUploads and ListParts: uploads in progress. */
import { isoDate } from "@hayloft/base/text/dates.js"
import { parseMultipartId } from "@hayloft/base/ids.js"
import { PARTS_MAX } from "@hayloft/base/limits.js"
import type { EncryptionCheck, MultipartInfo, PartInfo, UploadListEntry } from "@hayloft/objects/contract.js"
import type { S3Answer, BucketCall, ObjectCall } from "../call.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { answerListing, encodingOf, maxOf, ownersOf, unlessEmpty, writeCommonPrefix } from "./listing.js"
import type { Encoding } from "./listing.js"
import { clientKeyOf } from "./encryption-of-requests.js"
import { requireKey } from "./kms-of-requests.js"
import { abortFields, lifecycleOf } from "./lifecycle-headers.js"
import { multipartIdOf } from "./multipart-upload.js"

/** Writes the owners of uploads; if the bucket owner is enforced, all uploads are shown as its own. */
async function shownIn(call: BucketCall, uploads: readonly MultipartInfo[]) {
  const listsApply = await call.accessControl.listsApply(call.bucket)
  const ids = uploads.flatMap(({ owner, initiator }) => [owner, initiator])
  const owners = await ownersOf(call, ids)
  return (xml: XmlWriter, { owner, initiator }: MultipartInfo): void => {
    owners.write(xml, initiator, "Initiator")
    owners.write(xml, listsApply ? owner : undefined)
  }
}

type WriteOwners = Awaited<ReturnType<typeof shownIn>>

function writePlanned(xml: XmlWriter, { checksum }: MultipartInfo): void {
  xml.text("ChecksumAlgorithm", checksum?.algorithm).text("ChecksumType", checksum?.type)
}

function writeUpload(xml: XmlWriter, entry: UploadListEntry, encoding: Encoding, writeOwners: WriteOwners): void {
  if (entry.kind === "prefix") {
    writeCommonPrefix(xml, entry.prefix, encoding)
    return
  }
  const { key, multipartId, initiatedMs, storageClass } = entry.upload
  xml.group("Upload", upload => {
    upload.text("Key", encoding.show(key)).text("UploadId", multipartId)
    writeOwners(upload, entry.upload)
    upload.text("StorageClass", storageClass).text("Initiated", isoDate(initiatedMs))
    writePlanned(upload, entry.upload)
  })
}

export async function listMultipartUploads(call: BucketCall): Promise<S3Answer> {
  const { services, bucket, query } = call
  const prefix = query.get("prefix") ?? ""
  const delimiter = query.get("delimiter") ?? ""
  const keyMarker = query.get("key-marker") ?? ""
  // Without a key marker the upload-id marker has no effect, as on S3.
  const uploadIdMarker = keyMarker === "" ? "" : (query.get("upload-id-marker") ?? "")
  const max = maxOf(query, "max-uploads")
  const encoding = encodingOf(query)
  const page = await services.multipart.listUploads({
    bucket,
    prefix,
    delimiter,
    keyMarker,
    uploadIdMarker: uploadIdMarker === "" ? undefined : parseMultipartId(uploadIdMarker),
    max,
  })
  const uploads = page.entries.flatMap(entry => (entry.kind === "upload" ? [entry.upload] : []))
  const writeOwners = await shownIn(call, uploads)
  return answerListing("ListMultipartUploadsResult", encoding, (xml, shown) => {
    const { type, show } = shown
    xml
      .text("Bucket", bucket.name)
      .text("KeyMarker", show(keyMarker))
      .text("UploadIdMarker", uploadIdMarker)
      .text("NextKeyMarker", page.next === undefined ? undefined : show(page.next.keyMarker))
      .text("NextUploadIdMarker", page.next === undefined ? undefined : (page.next.uploadIdMarker ?? ""))
      .text("Prefix", show(prefix))
      .text("Delimiter", unlessEmpty(show(delimiter)))
      .text("MaxUploads", max)
      .text("EncodingType", type)
      .text("IsTruncated", page.next !== undefined)
    for (const entry of page.entries) writeUpload(xml, entry, shown, writeOwners)
  })
}

function writePart(xml: XmlWriter, { partNumber, lastModifiedMs, etag, sizeBytes, checksum }: PartInfo): void {
  xml.group("Part", part => {
    part.text("PartNumber", partNumber).text("LastModified", isoDate(lastModifiedMs)).etag(etag)
    part.text("Size", sizeBytes)
    if (checksum !== undefined) part.text(`Checksum${checksum.algorithm}`, checksum.value)
  })
}

/**
 * Source  "ListParts", Amazon S3 API Reference: "If the upload was created using server-side encryption with AWS Key
 *         Management Service (AWS KMS) keys (SSE-KMS) …, you must have permission to the kms:Decrypt action for the ListParts
 *         request to succeed."
 */
const checkOf =
  (call: ObjectCall): EncryptionCheck =>
  encryption =>
    requireKey(call, encryption)

export async function listParts(call: ObjectCall): Promise<S3Answer> {
  const { services, bucket, key, query } = call
  const multipartId = multipartIdOf(call)
  const afterPart = query.integer("part-number-marker", { min: 0, max: PARTS_MAX, clamp: true }) ?? 0
  const max = maxOf(query, "max-parts")
  const encoding = encodingOf(query)
  const [clientKey, checkEncryption] = [clientKeyOf(call), checkOf(call)]
  const target = { bucket, key, multipartId, clientKey, checkEncryption }
  const { info, parts, next } = await services.multipart.listParts({ ...target, afterPart, max })
  const writeOwners = await shownIn(call, [info])
  const announced = abortFields(call, await lifecycleOf(call), info)
  const write = (xml: XmlWriter, { type, show }: Encoding): void => {
    xml.text("Bucket", bucket.name).text("Key", show(key)).text("UploadId", multipartId)
    writeOwners(xml, info)
    xml
      .text("StorageClass", info.storageClass)
      .text("PartNumberMarker", afterPart)
      .text("NextPartNumberMarker", parts.at(-1)?.partNumber ?? 0)
      .text("MaxParts", max)
      .text("EncodingType", type)
      .text("IsTruncated", next !== undefined)
    writePlanned(xml, info)
    for (const part of parts) writePart(xml, part)
  }
  return answerListing("ListPartsResult", encoding, write, announced)
}
