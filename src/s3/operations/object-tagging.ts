/** GetObjectTagging, PutObjectTagging, DeleteObjectTagging. */
import type { Answer, ObjectCall } from "../call.js"
import { answerEmpty, answerXml } from "../call.js"
import { readRequiredDocument } from "../read-document.js"
import { TAG_DOCUMENT, TAGS_MAX, tagsOfDocument, writeTags } from "../wire/tags.js"
import { versionHeader, versionIdOf } from "./versions.js"

function targetOf(call: ObjectCall) {
  const { bucket, key } = call
  const versionId = versionIdOf(call)
  return { bucket, key, ...(versionId !== undefined && { versionId }) }
}

export async function getObjectTagging(call: ObjectCall): Promise<Answer> {
  const { tags, versionId } = await call.services.objects.getTags(targetOf(call))
  return answerXml(TAG_DOCUMENT, xml => writeTags(xml, tags), versionHeader(versionId))
}

export async function putObjectTagging(call: ObjectCall): Promise<Answer> {
  const target = targetOf(call)
  const root = await readRequiredDocument(call.body, TAG_DOCUMENT)
  const { versionId } = await call.services.objects.setTags(target, tagsOfDocument(root, TAGS_MAX))
  return answerEmpty(200, versionHeader(versionId))
}

export async function deleteObjectTagging(call: ObjectCall): Promise<Answer> {
  const { versionId } = await call.services.objects.setTags(targetOf(call), [])
  return answerEmpty(204, versionHeader(versionId))
}
