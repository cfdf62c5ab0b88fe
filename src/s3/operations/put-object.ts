/** PutObject: a body with its headers becomes the latest version of a key. */
import type { StoredChecksum } from "../../object/contract.js"
import type { Answer, ObjectCall } from "../call.js"
import { answerEmpty } from "../call.js"
import type { Field } from "../failures.js"
import { checksumHeader } from "../parse-checksums.js"
import { writeConditionsOf } from "../parse-conditions.js"
import { contentHeadersOf, userMetadataOf } from "../parse-content.js"
import { parseTagHeader } from "../wire/tags.js"
import { versionHeader } from "./versions.js"

/** A stored checksum as headers. */
export const checksumFields = (checksum: StoredChecksum | undefined): Field[] =>
  checksum === undefined
    ? []
    : [
        [checksumHeader(checksum.algorithm), checksum.value],
        ["x-amz-checksum-type", checksum.type],
      ]

export async function putObject(call: ObjectCall): Promise<Answer> {
  const { services, bucket, key, headers, client } = call
  const { etag, versionId, checksum } = await services.objects.put({
    bucket,
    key,
    headers: contentHeadersOf(headers),
    userMetadata: userMetadataOf(headers),
    tags: parseTagHeader(headers.get("x-amz-tagging") ?? ""),
    conditions: writeConditionsOf(headers),
    body: call.body.payload(),
    signal: client.signal,
  })
  return answerEmpty(200, [["ETag", `"${etag}"`], ...versionHeader(versionId), ...checksumFields(checksum)])
}
