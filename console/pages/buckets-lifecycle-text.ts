/** Lifecycle rules in words: what they apply to, and what they do. Pure. */
import { countText, listText, sizeText } from "../parts/format.js"
import { memberOf, textIn } from "./buckets-api.js"
import { listIn } from "./buckets-web.js"

/** The parts of the filter of a rule, whichever of its forms it has. */
export interface RuleFilter {
  readonly prefix: string
  readonly tags: readonly (readonly [key: string, value: string])[]
  readonly above: string
  readonly below: string
}

const tagOf = (tag: unknown) => [textIn(tag, "Key"), textIn(tag, "Value")] as const

export function filterOf(rule: unknown): RuleFilter {
  const filter = memberOf(rule, "Filter")
  const parts = memberOf(filter, "And") ?? filter
  return {
    prefix: textIn(parts, "Prefix") || textIn(rule, "Prefix"),
    tags: [...listIn(parts, "Tags"), ...listIn(parts, "Tag")].map(tagOf),
    above: textIn(parts, "ObjectSizeGreaterThan"),
    below: textIn(parts, "ObjectSizeLessThan"),
  }
}

export function filterText(rule: unknown): string {
  const { prefix, tags, above, below } = filterOf(rule)
  const parts = [
    ...(prefix === "" ? [] : [`keys that begin with ${prefix}`]),
    ...tags.map(([key, value]) => `tag ${key}=${value}`),
    ...(above === "" ? [] : [`larger than ${sizeText(Number(above))}`]),
    ...(below === "" ? [] : [`smaller than ${sizeText(Number(below))}`]),
  ]
  return parts.length === 0 ? "all objects" : listText(parts)
}

const daysText = (days: string): string => `${countText(Number(days))} ${days === "1" ? "day" : "days"}`

/** `after 3 days`, `on 2027-01-01`. */
function whenText(action: unknown, name = "Days"): string {
  const [days, date] = [textIn(action, name), textIn(action, "Date")]
  return date === "" ? `after ${daysText(days)}` : `on ${date.slice(0, 10)}`
}

function keptText(action: unknown): string {
  const kept = textIn(action, "NewerNoncurrentVersions")
  return kept === "" ? "" : `, but for the newest ${countText(Number(kept))}`
}

export function actionsText(rule: unknown): string {
  const expiration = memberOf(rule, "Expiration")
  const old = memberOf(rule, "NoncurrentVersionExpiration")
  const uploads = textIn(rule, "AbortIncompleteMultipartUpload", "DaysAfterInitiation")
  const parts = [
    ...listIn(rule, "Transitions").map(move => `moves to ${textIn(move, "StorageClass")} ${whenText(move)}`),
    ...(textIn(expiration, "Days") + textIn(expiration, "Date") === "" ? [] : [`removes ${whenText(expiration)}`]),
    ...(memberOf(expiration, "ExpiredObjectDeleteMarker") === true ? ["removes delete markers that hide nothing"] : []),
    ...listIn(rule, "NoncurrentVersionTransitions").map(
      move =>
        `moves older versions to ${textIn(move, "StorageClass")} ${whenText(move, "NoncurrentDays")}${keptText(move)}`,
    ),
    ...(old === undefined ? [] : [`removes older versions ${whenText(old, "NoncurrentDays")}${keptText(old)}`]),
    ...(uploads === "" ? [] : [`aborts unfinished uploads after ${daysText(uploads)}`]),
  ]
  return parts.length === 0 ? "nothing" : parts.join("; ")
}
