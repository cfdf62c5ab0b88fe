/** GetObjectTagging, PutObjectTagging, DeleteObjectTagging. */
import type { CallBody } from "../body.js"
import type { S3Answer, ObjectCall } from "../call.js"
import { answerEmpty, answerXml } from "../call.js"
import { readRequiredDocument } from "../read-document.js"
import type { BodyContent } from "../rights/condition-values-core.js"
import { actionsOf, REQUIRED_ACTIONS } from "../rights/required-actions-core.js"
import { TAG_DOCUMENT, TAGS_MAX, tagsOfDocument, writeTags } from "../wire/tags.js"
import { versionHeader, versionIdOf } from "./versions.js"
import type { Tags } from "@hayloft/base/tags.js"

function targetOf(call: ObjectCall) {
  const { bucket, key } = call
  const versionId = versionIdOf(call)
  return { bucket, key, ...(versionId !== undefined && { versionId }) }
}

export async function getObjectTagging(call: ObjectCall): Promise<S3Answer> {
  const { tags, versionId } = await call.services.objects.getTags(targetOf(call))
  return answerXml(TAG_DOCUMENT, xml => writeTags(xml, tags), versionHeader(versionId))
}

async function tagsIn(body: CallBody): Promise<Tags> {
  return tagsOfDocument(await readRequiredDocument(body, TAG_DOCUMENT), TAGS_MAX)
}

/** The part of the document that policies refer to. */
export const newTagsContent = async (body: CallBody): Promise<BodyContent> => ({ objectTags: await tagsIn(body) })

export async function putObjectTagging(call: ObjectCall): Promise<S3Answer> {
  const { services, permissions, headers } = call
  const target = targetOf(call)
  const tags = await tagsIn(call.body)
  // The document may arrive slowly: another object may have replaced this one meanwhile, so check again.
  for (const action of actionsOf(REQUIRED_ACTIONS.putObjectTagging, headers, target.versionId !== undefined)) {
    await permissions.require(action, target)
  }
  const { versionId } = await services.objects.setTags(target, tags)
  return answerEmpty(200, versionHeader(versionId))
}

export async function deleteObjectTagging(call: ObjectCall): Promise<S3Answer> {
  const { versionId } = await call.services.objects.setTags(targetOf(call), [])
  return answerEmpty(204, versionHeader(versionId))
}
