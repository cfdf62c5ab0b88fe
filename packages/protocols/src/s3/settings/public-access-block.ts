/**
 * The public access block: four switches that prevent public access to a bucket. A new bucket has
 * all of them on, as on Amazon since April 2023; if the block is deleted, all are off.
 */
import { after, type Soon } from "@hayloft/base/soon.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { SMALL_DOCUMENT } from "../read-document.js"
import { checkChildren, childText } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"
import { wordOf } from "./setting.js"
import type { S3Setting, S3SettingReader } from "./setting.js"

export interface PublicAccessBlock {
  /** Public access control lists are refused. */
  readonly blockPublicAcls: boolean
  /** Existing public access control lists are ignored. */
  readonly ignorePublicAcls: boolean
  /** Public policies are refused. */
  readonly blockPublicPolicy: boolean
  /** If the bucket has a public policy, only the owner's account has access. */
  readonly restrictPublicBuckets: boolean
}

const all = (on: boolean): PublicAccessBlock => ({
  blockPublicAcls: on,
  ignorePublicAcls: on,
  blockPublicPolicy: on,
  restrictPublicBuckets: on,
})
const NAMES = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"] as const

const isOn = (root: XmlElement, name: (typeof NAMES)[number]): boolean =>
  wordOf(childText(root, name)?.toLowerCase() ?? "false", ["true", "false"]) === "true"

export const PUBLIC_ACCESS_BLOCK: S3Setting<PublicAccessBlock> = {
  name: "publicAccessBlock",
  root: "PublicAccessBlockConfiguration",
  limits: SMALL_DOCUMENT,
  initial: all(true),
  missing: "NoSuchPublicAccessBlockConfiguration",
  read(root) {
    checkChildren(root, NAMES)
    return {
      blockPublicAcls: isOn(root, "BlockPublicAcls"),
      ignorePublicAcls: isOn(root, "IgnorePublicAcls"),
      blockPublicPolicy: isOn(root, "BlockPublicPolicy"),
      restrictPublicBuckets: isOn(root, "RestrictPublicBuckets"),
    }
  },
  write: (xml, block) =>
    void xml
      .text("BlockPublicAcls", block.blockPublicAcls)
      .text("IgnorePublicAcls", block.ignorePublicAcls)
      .text("BlockPublicPolicy", block.blockPublicPolicy)
      .text("RestrictPublicBuckets", block.restrictPublicBuckets),
}

/** The switches in effect for a bucket, whether set or not. */
export const publicAccessBlockOf = (
  blocks: S3SettingReader<PublicAccessBlock>,
  bucket: Bucket,
): Soon<PublicAccessBlock> => after(blocks.of(bucket), block => block ?? ALL_OFF)

const ALL_OFF = all(false)
