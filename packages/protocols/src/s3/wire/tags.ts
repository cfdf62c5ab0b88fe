/**
 * Tags of objects and buckets: the `x-amz-tagging` header, documents, and the rules that hold for both.
 *
 * Refuses  With `invalidTag`, tags that violate S3's rules: number, lengths, characters, repeats.
 * Source   "Categorizing your storage using tags", Amazon S3 User Guide.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { bytesOfByteString } from "@hayloft/base/ids.js"
import { percentDecode } from "@hayloft/base/http/uri.js"
import { checkChildren, requiredText } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"
import type { XmlWriter } from "./xml-writer.js"
import type { Tags } from "@hayloft/base/tags.js"

export const TAG_DOCUMENT = "Tagging"
export const TAGS_MAX = 10
const TAG_KEY_CHARACTERS_MAX = 128
const TAG_VALUE_CHARACTERS_MAX = 256
const ALLOWED = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u

const invalid = (message: string, key?: string, value?: string): Failure =>
  fail("invalidTag", {
    message,
    ...(key !== undefined && { tagKey: key.slice(0, TAG_KEY_CHARACTERS_MAX) }),
    ...(value !== undefined && { tagValue: value.slice(0, TAG_VALUE_CHARACTERS_MAX) }),
  })
const charactersOf = (text: string): number => [...text].length

/** Returns the tags if they satisfy all rules. Throws `invalidTag`. */
export function checkTags(tags: Tags, tagsMax: number = TAGS_MAX): Tags {
  if (tags.length > tagsMax) {
    const what = tagsMax === TAGS_MAX ? "Object tags" : "Bucket tag count"
    throw invalid(`${what} cannot be greater than ${tagsMax}`)
  }
  const keys = new Set<string>()
  for (const [key] of tags) {
    if (keys.has(key)) throw invalid("Cannot provide multiple Tags with the same key", key)
    keys.add(key)
  }
  for (const [key, value] of tags) {
    if (key === "" || charactersOf(key) > TAG_KEY_CHARACTERS_MAX || !ALLOWED.test(key)) {
      throw invalid("The TagKey you have provided is invalid", key)
    }
    if (charactersOf(value) > TAG_VALUE_CHARACTERS_MAX || !ALLOWED.test(value)) {
      throw invalid("The TagValue you have provided is invalid", key, value)
    }
    if (/^aws:/i.test(key)) throw invalid("System tags cannot be added/updated by requester", key)
  }
  return tags
}

/** `key1=value1&key2=value2`, form-encoded: here, and only here, `+` is a space. Throws `invalidArgument`, `invalidTag`. */
export function parseTagHeader(text: string): Tags {
  const tags = text
    .split("&")
    .filter(pair => pair !== "")
    .map(pair => {
      const equals = pair.indexOf("=")
      const [key, value] = equals < 0 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)]
      return [decodeForm(key), decodeForm(value)] as const
    })
  const keys = new Set(tags.map(([key]) => key))
  if (keys.size < tags.length || keys.has("")) throw malformedHeader()
  return checkTags(tags)
}

const malformedHeader = (): Failure =>
  fail("invalidArgument", {
    message:
      "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
    argumentName: "x-amz-tagging",
  })

function decodeForm(text: string): string {
  try {
    const bytes = bytesOfByteString(percentDecode(text.replaceAll("+", " ")))
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw malformedHeader()
  }
}

/** The tags in `Tag` elements. Throws `malformedXml`, `invalidTag`. */
export function tagsIn(set: XmlElement, tagsMax: number): Tags {
  checkChildren(set, ["Tag"])
  for (const tag of set.children) checkChildren(tag, ["Key", "Value"])
  return checkTags(
    set.children.map(tag => [requiredText(tag, "Key"), requiredText(tag, "Value")] as const),
    tagsMax,
  )
}

/** The tags in a `Tagging` document. Throws `malformedXml`, `invalidTag`. */
export function tagsOfDocument(root: XmlElement, tagsMax: number): Tags {
  checkChildren(root, ["TagSet"])
  const [set, second] = root.children
  if (set === undefined || second !== undefined) throw fail("malformedXml", { reason: "one TagSet is needed" })
  return tagsIn(set, tagsMax)
}

/** The contents of a `Tagging` document, sorted by key. */
export function writeTags(xml: XmlWriter, tags: Tags): void {
  const sorted = [...tags].sort(([a], [b]) => (a < b ? -1 : 1))
  xml.group("TagSet", set => {
    for (const [key, value] of sorted) set.group("Tag", tag => tag.text("Key", key).text("Value", value))
  })
}
