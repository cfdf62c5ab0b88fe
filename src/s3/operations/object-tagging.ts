/** GetObjectTagging, PutObjectTagging, DeleteObjectTagging. */
import type { Tags } from "../../object/contract.js"
import type { Answer, ObjectCall } from "../call.js"
import { answerEmpty, answerXml } from "../call.js"
import { readRequiredDocument } from "../read-document.js"
import { fail } from "../../base/failures.js"
import { checkTags } from "../wire/tags.js"
import { childrenNamed, requiredText } from "../wire/xml-reader.js"
import type { XmlElement } from "../wire/xml-reader.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { versionHeader, versionIdOf } from "./versions.js"

function targetOf(call: ObjectCall) {
  const { bucket, key } = call
  const versionId = versionIdOf(call)
  return { bucket, key, ...(versionId !== undefined && { versionId }) }
}

/** Throws `malformedXml`, `invalidTag`. */
export function tagsOf(root: XmlElement): Tags {
  const [set, second] = childrenNamed(root, "TagSet")
  if (set === undefined || second !== undefined) throw fail("malformedXml", { reason: "one TagSet is needed" })
  return checkTags(
    childrenNamed(set, "Tag").map(tag => [requiredText(tag, "Key"), requiredText(tag, "Value")] as const),
  )
}

export async function getObjectTagging(call: ObjectCall): Promise<Answer> {
  const { tags, versionId } = await call.services.objects.getTags(targetOf(call))
  const write = (xml: XmlWriter): void => {
    xml.group("TagSet", set => {
      for (const [key, value] of tags) set.group("Tag", tag => tag.text("Key", key).text("Value", value))
    })
  }
  return answerXml("Tagging", write, versionHeader(versionId))
}

export async function putObjectTagging(call: ObjectCall): Promise<Answer> {
  const target = targetOf(call)
  const root = await readRequiredDocument(call.body, "Tagging")
  const { versionId } = await call.services.objects.setTags(target, tagsOf(root))
  return answerEmpty(200, versionHeader(versionId))
}

export async function deleteObjectTagging(call: ObjectCall): Promise<Answer> {
  const { versionId } = await call.services.objects.setTags(targetOf(call), [])
  return answerEmpty(204, versionHeader(versionId))
}
