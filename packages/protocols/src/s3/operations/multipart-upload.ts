/** CreateMultipartUpload, AbortMultipartUpload, and the upload id that all multipart requests carry. */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseMultipartId, textOfObjectKey } from "@hayloft/base/ids.js"
import type { MultipartId } from "@hayloft/base/ids.js"
import type { MultipartTarget } from "@hayloft/objects/contract.js"
import type { S3Answer, ObjectCall } from "../call.js"
import { answerEmpty, answerXml } from "../call.js"
import { plannedChecksum } from "../parse-checksums.js"
import { exactTimeOf, MATCH_INITIATED_HEADER } from "../parse-conditions.js"
import { storageClassOfNew } from "../wire/storage-class.js"
import { parseTagHeader } from "../wire/tags.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { aclOfNewObject } from "./acl.js"
import { encryptionFields, encryptionOfNew } from "./encryption-of-requests.js"
import { abortFields, lifecycleOf } from "./lifecycle-headers.js"
import { statedLock } from "./locks-of-requests.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** Throws `noSuchUpload` for an id that this store cannot have issued. */
export function multipartIdOf({ query }: ObjectCall): MultipartId {
  const text = query.get("uploadId") ?? ""
  try {
    return parseMultipartId(text)
  } catch {
    throw fail("noSuchUpload", { uploadId: text.slice(0, 128) })
  }
}

/**
 * Anonymous callers may not upload parts, even where a policy lets everyone write: an upload belongs to an account, and its parts
 * must not be replaced by others. Amazon S3 refuses them too. Throws `accessDenied`.
 */
function requireCredentials({ caller }: ObjectCall): void {
  if (caller === undefined)
    throw fail("accessDenied", { message: "Anonymous users cannot initiate multipart uploads.  Please authenticate." })
}

/** The upload that a request changes. Throws `noSuchUpload`, and `accessDenied` for anonymous callers. */
export function writtenUploadOf(call: ObjectCall): MultipartId {
  requireCredentials(call)
  return multipartIdOf(call)
}

export async function createMultipartUpload(call: ObjectCall): Promise<S3Answer> {
  requireCredentials(call)
  const { services, bucket, key, headers, caller, context } = call
  const checksum = plannedChecksum(headers)
  const lock = statedLock(call)
  const storageClass = storageClassOfNew(headers)
  const encryption = await encryptionOfNew(call)
  const rules = await lifecycleOf(call)
  const upload = await services.multipart.create({
    bucket,
    key,
    attributes: context.attributes.of(headers),
    tags: parseTagHeader(headers.get("x-amz-tagging") ?? ""),
    acl: await aclOfNewObject(call),
    lock,
    storageClass,
    encryption,
    initiator: caller?.id === bucket.owner ? undefined : caller?.id,
    checksum,
  })
  const { multipartId } = upload
  const planned: HeaderField[] =
    checksum === undefined
      ? []
      : [
          ["x-amz-checksum-algorithm", checksum.algorithm],
          ["x-amz-checksum-type", checksum.type],
        ]
  const write = (xml: XmlWriter): void =>
    void xml.text("Bucket", bucket.name).text("Key", textOfObjectKey(key)).text("UploadId", multipartId)
  return answerXml("InitiateMultipartUploadResult", write, [
    ...planned,
    ...abortFields(call, rules, upload),
    ...encryptionFields(call, upload.encryption, { context: true }),
  ])
}

export async function abortMultipartUpload(call: ObjectCall): Promise<S3Answer> {
  const { services, bucket, key, headers } = call
  const target = { bucket, key, multipartId: multipartIdOf(call) }
  const initiated = headers.get(MATCH_INITIATED_HEADER)
  if (initiated === undefined) await services.multipart.abort(target)
  else await abortInitiatedAt(call, target, exactTimeOf(MATCH_INITIATED_HEADER, initiated))
  return answerEmpty(204)
}

/** It does nothing if the upload does not exist. Throws `preconditionFailed`. */
async function abortInitiatedAt({ services }: ObjectCall, target: MultipartTarget, initiatedMs: number): Promise<void> {
  try {
    const { info } = await services.multipart.listParts({ ...target, afterPart: 0, max: 1 })
    if (Math.floor(info.initiatedMs / 1000) * 1000 !== initiatedMs) {
      throw fail("preconditionFailed", { condition: MATCH_INITIATED_HEADER })
    }
    await services.multipart.abort(target)
  } catch (error) {
    if (!isFailure(error, "noSuchUpload")) throw error
  }
}
