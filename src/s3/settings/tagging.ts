/** The tags of a bucket: for sorting buckets and their costs, and for conditions of policies. */
import type { Tags } from "../../object/contract.js"
import { SMALL_DOCUMENT } from "../read-document.js"
import { TAG_DOCUMENT, tagsOfDocument, writeTags } from "../wire/tags.js"
import type { Setting } from "./setting.js"

export const BUCKET_TAGS_MAX = 50

export const TAGGING: Setting<Tags> = {
  name: "tagging",
  root: TAG_DOCUMENT,
  limits: SMALL_DOCUMENT,
  initial: undefined,
  missing: "NoSuchTagSet",
  read: root => tagsOfDocument(root, BUCKET_TAGS_MAX),
  write: writeTags,
}
