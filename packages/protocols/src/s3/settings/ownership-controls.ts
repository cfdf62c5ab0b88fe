/**
 * Object ownership: who owns an object that another account wrote, and therefore whether access control lists
 * apply at all. A new bucket has `BucketOwnerEnforced`, as on Amazon since April 2023; if the controls
 * are deleted, the bucket behaves like older buckets without them.
 */
import { fail } from "@hayloft/base/failures.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { SMALL_DOCUMENT } from "../read-document.js"
import { checkChildren, childText } from "@hayloft/base/text/xml-reader.js"
import { wordOf } from "./setting.js"
import type { S3Setting, S3SettingReader } from "./setting.js"

export const OBJECT_OWNERSHIPS = ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"] as const
export type ObjectOwnership = (typeof OBJECT_OWNERSHIPS)[number]

export const OWNERSHIP_CONTROLS: S3Setting<ObjectOwnership> = {
  name: "ownershipControls",
  root: "OwnershipControls",
  limits: SMALL_DOCUMENT,
  initial: "BucketOwnerEnforced",
  missing: "OwnershipControlsNotFoundError",
  read(root) {
    checkChildren(root, ["Rule"])
    const [rule, second] = root.children
    if (rule === undefined || second !== undefined) throw fail("malformedXml", { reason: "one Rule is needed" })
    checkChildren(rule, ["ObjectOwnership"])
    return wordOf(childText(rule, "ObjectOwnership"), OBJECT_OWNERSHIPS)
  },
  write: (xml, ownership) => void xml.group("Rule", rule => rule.text("ObjectOwnership", ownership)),
}

/** False for a bucket in its initial state, in which no access control list applies and its owner owns every object. */
export const mayHaveLists = ({ settings }: Bucket): boolean => settings.includes("ownershipControls")

/** The ownership in effect for a bucket, whether set or not. */
export const objectOwnershipOf = (controls: S3SettingReader<ObjectOwnership>, bucket: Bucket): Soon<ObjectOwnership> =>
  after(controls.of(bucket), ownership => ownership ?? "ObjectWriter")
