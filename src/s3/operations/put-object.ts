/** PutObject: a body with its headers becomes the latest version of a key. */
import type { StoredChecksum, Tags } from "../../object/contract.js"
import type { Answer, ObjectCall } from "../call.js"
import { answerEmpty } from "../call.js"
import type { Field } from "../failures.js"
import { checksumHeader } from "../parse-checksums.js"
import { writeConditionsOf } from "../parse-conditions.js"
import { contentHeadersOf, userMetadataOf } from "../parse-content.js"
import { parseTagHeader } from "../wire/tags.js"
import { aclOfNewObject } from "./acl.js"
import { writtenVersionHeader } from "./versions.js"

/** A stored checksum as headers. */
export const checksumFields = (checksum: StoredChecksum | undefined): Field[] =>
  checksum === undefined
    ? []
    : [
        [checksumHeader(checksum.algorithm), checksum.value],
        ["x-amz-checksum-type", checksum.type],
      ]

/** Stores the body of a call under its key; what is told of it as headers. */
export async function storeObject(
  call: ObjectCall,
  tags: Tags,
): Promise<{ readonly etag: string; readonly fields: readonly Field[] }> {
  const { services, bucket, key, headers, body, client } = call
  const { etag, versionId, checksum } = await services.objects.put({
    bucket,
    key,
    headers: contentHeadersOf(headers),
    userMetadata: userMetadataOf(headers),
    tags,
    acl: await aclOfNewObject(call),
    conditions: writeConditionsOf(headers),
    body: body.payload(),
    signal: client.signal,
  })
  return { etag, fields: [["ETag", `"${etag}"`], ...writtenVersionHeader(versionId), ...checksumFields(checksum)] }
}

export async function putObject(call: ObjectCall): Promise<Answer> {
  const { fields } = await storeObject(call, parseTagHeader(call.headers.get("x-amz-tagging") ?? ""))
  return answerEmpty(200, fields)
}
