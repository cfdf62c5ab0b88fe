/**
 * The filter of a lifecycle rule: a prefix at the level of the rule, an element `Filter` with at most one predicate, or
 * `And` with two or more.
 *
 * Source  "Adding filters to Lifecycle rules", Amazon S3 User Guide.
 */
import { fail } from "@hayloft/base/failures.js"
import type { LifecycleFilter } from "@hayloft/features/lifecycle/index.js"
import { checkChildren, childNamed, childrenNamed, childText, requiredText } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { invalidRequest, wholeNumberOf } from "./lifecycle-values.js"

const PREDICATES = ["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"]
const PREFIX_CHARACTERS_MAX = 1024
const TAG_KEY_CHARACTERS_MAX = 128
const TAG_VALUE_CHARACTERS_MAX = 256
/** 1,000 TiB. */
const SIZE_MAX = 1_099_511_627_776_000

type Tags = NonNullable<LifecycleFilter["tags"]>

const malformed = (reason: string) => fail("malformedXml", { reason })

/** The filter of a rule. Throws the faults of the document. */
export function filterOf(rule: XmlElement): LifecycleFilter {
  const element = childNamed(rule, "Filter")
  const prefix = prefixOf(rule)
  if (element === undefined) {
    if (prefix === undefined) throw malformed("a rule needs Filter")
    return { form: "prefix", prefix }
  }
  if (prefix !== undefined) throw malformed("a rule has Filter or Prefix")
  checkChildren(element, [...PREDICATES, "And"])
  if (element.children.length > 1) throw malformed("Filter has one predicate, or And")
  const and = childNamed(element, "And")
  if (and === undefined) return { form: "filter", ...predicatesOf(element) }
  checkChildren(and, PREDICATES)
  if (and.children.length < 2) throw malformed("And has two predicates or more")
  return { form: "and", ...predicatesOf(and) }
}

function predicatesOf(element: XmlElement): Omit<LifecycleFilter, "form"> {
  const prefix = prefixOf(element)
  const tags = tagsOf(element)
  const sizeAbove = sizeOf(element, "ObjectSizeGreaterThan", 0)
  const sizeBelow = sizeOf(element, "ObjectSizeLessThan", 1)
  if (sizeAbove !== undefined && sizeBelow !== undefined && sizeBelow <= sizeAbove) {
    throw invalidRequest("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
  }
  return {
    ...(prefix !== undefined && { prefix }),
    ...(tags.length > 0 && { tags }),
    ...(sizeAbove !== undefined && { sizeAbove }),
    ...(sizeBelow !== undefined && { sizeBelow }),
  }
}

function prefixOf(element: XmlElement): string | undefined {
  const prefix = childText(element, "Prefix")
  if (prefix !== undefined && [...prefix].length > PREFIX_CHARACTERS_MAX) {
    throw invalidRequest(`The maximum size of a prefix is ${PREFIX_CHARACTERS_MAX}`)
  }
  return prefix
}

function sizeOf(element: XmlElement, name: string, min: number): number | undefined {
  const size = wholeNumberOf(element, name)
  if (size === undefined || (size >= min && size <= SIZE_MAX)) return size
  throw invalidRequest(`'${name}' should be between ${min} and ${SIZE_MAX}.`)
}

/** A tag without a value stands for one whose value is empty. */
function tagsOf(element: XmlElement): Tags {
  const tags = childrenNamed(element, "Tag").map(tag => {
    checkChildren(tag, ["Key", "Value"])
    return [requiredText(tag, "Key"), childText(tag, "Value") ?? ""] as const
  })
  for (const [key, value] of tags) {
    if (key === "" || [...key].length > TAG_KEY_CHARACTERS_MAX) {
      throw invalidRequest(`A Tag's Key must be a length between 1 and ${TAG_KEY_CHARACTERS_MAX}`)
    }
    if ([...value].length > TAG_VALUE_CHARACTERS_MAX) {
      throw invalidRequest(`A Tag's Value must be a length between 0 and ${TAG_VALUE_CHARACTERS_MAX}`)
    }
  }
  if (new Set(tags.map(([key]) => key)).size < tags.length) throw invalidRequest("Duplicate Tag Keys are not allowed.")
  return tags
}

export function writeFilter(xml: XmlWriter, filter: LifecycleFilter): void {
  if (filter.form === "prefix") xml.text("Prefix", filter.prefix)
  else if (filter.form === "filter") xml.group("Filter", one => void writePredicates(one, filter))
  else xml.group("Filter", one => void one.group("And", and => void writePredicates(and, filter)))
}

function writePredicates(xml: XmlWriter, { prefix, tags, sizeAbove, sizeBelow }: LifecycleFilter): void {
  xml.text("Prefix", prefix)
  for (const [key, value] of tags ?? []) xml.group("Tag", tag => tag.text("Key", key).text("Value", value))
  xml.text("ObjectSizeGreaterThan", sizeAbove).text("ObjectSizeLessThan", sizeBelow)
}
