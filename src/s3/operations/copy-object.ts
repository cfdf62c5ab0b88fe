/** CopyObject: a new version from an existing one, within the store. */
import { isoDate } from "../../base/dates.js"
import type { Answer, ObjectCall } from "../call.js"
import { answerXml } from "../call.js"
import { copySourceOf } from "../resolve-copy-source.js"
import { checksumAlgorithmOf } from "../parse-checksums.js"
import { writeConditionsOf } from "../parse-conditions.js"
import { contentHeadersOf, userMetadataOf } from "../parse-content.js"
import { parseTagHeader } from "../wire/tags.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { versionHeader } from "./versions.js"

const replaces = ({ headers }: ObjectCall, directive: string): boolean =>
  headers.get(directive)?.toUpperCase() === "REPLACE"

export async function copyObject(call: ObjectCall): Promise<Answer> {
  const { services, bucket, key, headers, client } = call
  const result = await services.objects.copy({
    source: await copySourceOf(call),
    bucket,
    key,
    conditions: writeConditionsOf(headers),
    replaceMetadata: replaces(call, "x-amz-metadata-directive")
      ? { headers: contentHeadersOf(headers), userMetadata: userMetadataOf(headers) }
      : undefined,
    replaceTags: replaces(call, "x-amz-tagging-directive")
      ? parseTagHeader(headers.get("x-amz-tagging") ?? "")
      : undefined,
    checksumAlgorithm: checksumAlgorithmOf(headers),
    signal: client.signal,
  })
  const { etag, checksum, lastModifiedMs, versionId, sourceVersionId } = result
  const write = (xml: XmlWriter): void => {
    xml.text("LastModified", isoDate(lastModifiedMs)).quoted("ETag", etag)
    if (checksum !== undefined) {
      xml.text("ChecksumType", checksum.type).text(`Checksum${checksum.algorithm}`, checksum.value)
    }
  }
  return answerXml("CopyObjectResult", write, [
    ...versionHeader(versionId),
    ...versionHeader(sourceVersionId, "x-amz-copy-source-version-id"),
  ])
}
