/**
 * Object ownership: whose an object is that another account wrote, and with it whether access control lists
 * count at all. A bucket begins with `BucketOwnerEnforced`, as Amazon's do since April 2023; one whose controls
 * were taken away is as buckets were before them.
 */
import { fail } from "../../base/failures.js"
import { after, type Soon } from "../../base/soon.js"
import type { Bucket } from "../../object/contract.js"
import { SMALL_DOCUMENT } from "../read-document.js"
import { childText } from "../wire/xml-reader.js"
import { checkChildren, wordOf } from "./setting.js"
import type { Setting, SettingReader } from "./setting.js"

export const OBJECT_OWNERSHIPS = ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"] as const
export type ObjectOwnership = (typeof OBJECT_OWNERSHIPS)[number]

export const OWNERSHIP_CONTROLS: Setting<ObjectOwnership> = {
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

/** False: as a bucket is made, in which no access control list counts and every object is its owner's. */
export const mayHaveLists = ({ settings }: Bucket): boolean => settings.includes("ownershipControls")

/** What counts for a bucket, whatever of it is set. */
export const objectOwnershipOf = (controls: SettingReader<ObjectOwnership>, bucket: Bucket): Soon<ObjectOwnership> =>
  after(controls.of(bucket), ownership => ownership ?? "ObjectWriter")
