/** The tags of a bucket: for sorting buckets and their costs, and for conditions of policies. */
import { SMALL_DOCUMENT } from "../read-document.js"
import { TAG_DOCUMENT, tagsOfDocument, writeTags } from "../wire/tags.js"
import type { S3Setting } from "./setting.js"
import type { Tags } from "@hayloft/base/tags.js"

export const BUCKET_TAGS_MAX = 50

export const TAGGING: S3Setting<Tags> = {
  name: "tagging",
  root: TAG_DOCUMENT,
  limits: SMALL_DOCUMENT,
  initial: undefined,
  missing: "NoSuchTagSet",
  read: root => tagsOfDocument(root, BUCKET_TAGS_MAX),
  write: writeTags,
}
