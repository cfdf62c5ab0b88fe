/**
 * The lifecycle rules of a bucket as XML, in both forms: `PutBucketLifecycleConfiguration`, and the legacy
 * `PutBucketLifecycle` with prefixes at the level of rules. They are stored as `format/lifecycle-rules.ts` describes.
 *
 * Promises  GET returns what was put: each rule in its form, with an id if it had none.
 * Refuses   As S3 does, with its messages where they are known: `malformedXml` for what its schema excludes,
 *           `invalidArgument` and `invalidRequest` for the rest.
 * Source    "Lifecycle configuration elements", Amazon S3 User Guide; "Error responses", Amazon S3 API Reference.
 */
import { isoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import { compileRules, decodeLifecycleRules } from "@hayloft/features/lifecycle/index.js"
import type {
  CompiledRules,
  LifecycleExpiration,
  LifecycleRule,
  NoncurrentExpiration,
} from "@hayloft/features/lifecycle/index.js"
import { checkChildren, childNamed, childrenNamed, childText } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement, XmlLimits } from "@hayloft/base/text/xml-reader.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { filterOf, writeFilter } from "./lifecycle-filter.js"
import {
  checkTransitions,
  transitionsOf,
  writeNoncurrentTransitions,
  writeTransitions,
} from "./lifecycle-transitions.js"
import {
  dateOf,
  daysOf,
  hasSize,
  hasTags,
  invalidArgument,
  invalidRequest,
  needed,
  newerKeptOf,
} from "./lifecycle-values.js"
import { wordOf, type TextSetting } from "./setting.js"

/** States below which size objects are not moved to other storage classes. */
export const MINIMUM_HEADER = "x-amz-transition-default-minimum-object-size"
export const LIFECYCLE_DOCUMENT = "LifecycleConfiguration"
/** A rule of 255 characters and a few predicates takes a kilobyte. */
export const LIFECYCLE_LIMITS: XmlLimits = { bytesMax: 1024 * 1024, elementsMax: 40_000 }

/** The rules as requests use them. */
export const LIFECYCLE: TextSetting<CompiledRules> = {
  name: "lifecycle",
  initial: undefined,
  parse: document => compileRules(decodeLifecycleRules(document)),
}

const RULES_MAX = 1000
const ID_CHARACTERS_MAX = 255
const FILTERS = ["Filter", "Prefix"] as const
const ACTIONS = [
  "Expiration",
  "NoncurrentVersionExpiration",
  "AbortIncompleteMultipartUpload",
  "Transition",
  "NoncurrentVersionTransition",
]

/** `newId` makes the id of a rule that has none. Throws the faults of the document. */
export function lifecycleRulesOf(root: XmlElement, newId: () => string): readonly LifecycleRule[] {
  checkChildren(root, ["Rule"])
  const elements = root.children
  if (elements.length === 0) throw invalidRequest("At least one lifecycle rule must be specified.")
  if (elements.length > RULES_MAX) {
    throw invalidRequest(`The number of lifecycle rules must not exceed the allowed limit of ${RULES_MAX} rules.`)
  }
  checkOneForm(elements)
  const rules = elements.map(element => ruleOf(element, newId))
  if (new Set(rules.map(({ id }) => id)).size < rules.length) {
    throw invalidArgument("ID", "Rule ID must be unique. Found same ID for more than one rule")
  }
  checkOverlaps(rules)
  rules.forEach(checkTransitions)
  return rules
}

/** Prefixes at the level of rules and filters exclude each other. */
function checkOneForm(rules: readonly XmlElement[]): void {
  const forms = rules.map(rule => rule.children.find(({ name }) => FILTERS.some(form => form === name))?.name)
  const [first] = forms
  const other = forms.find(form => form !== undefined && form !== first)
  if (first === undefined || other === undefined) return
  throw invalidRequest(
    other === "Filter"
      ? "Filter element can only be used in Lifecycle V2."
      : "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.",
  )
}

const LEGACY_ACTIONS = [
  ["Expiration", "expiration"],
  ["NoncurrentVersionExpiration", "noncurrent"],
  ["AbortIncompleteMultipartUpload", "abortDays"],
  ["Transition", "transitions"],
  ["NoncurrentVersionTransition", "noncurrentTransitions"],
] as const

/** In the legacy form only one rule may apply to a key. Sorted, a prefix comes directly before those that it begins. */
function checkOverlaps(rules: readonly LifecycleRule[]): void {
  for (const [name, action] of LEGACY_ACTIONS) {
    const prefixes = rules
      .filter(rule => rule.isEnabled && rule.filter.form === "prefix" && rule[action] !== undefined)
      .map(({ filter }) => filter.prefix ?? "")
      .sort()
    for (const [at, prefix] of prefixes.entries()) {
      const next = prefixes[at + 1]
      if (next?.startsWith(prefix) !== true) continue
      const shown = `'${prefix.slice(0, 200)}' and '${next.slice(0, 200)}'`
      throw invalidRequest(`Found overlapping prefixes ${shown} for same action type '${name}'`)
    }
  }
}

function ruleOf(element: XmlElement, newId: () => string): LifecycleRule {
  checkChildren(element, ["ID", "Status", ...FILTERS, ...ACTIONS])
  const isEnabled = wordOf(childText(element, "Status"), ["Enabled", "Disabled"]) === "Enabled"
  const filter = filterOf(element)
  if (!ACTIONS.some(name => childrenNamed(element, name).length > 0)) {
    throw invalidRequest("At least one action must be specified in a lifecycle rule.")
  }
  const expiration = expirationOf(element)
  const noncurrent = noncurrentOf(element)
  const abortDays = abortDaysOf(element)
  const rule: LifecycleRule = {
    id: idOf(element, newId),
    isEnabled,
    filter,
    ...(expiration && { expiration }),
    ...(noncurrent && { noncurrent }),
    ...(abortDays !== undefined && { abortDays }),
    ...transitionsOf(element, filter),
  }
  checkAgainstFilter(rule)
  return rule
}

function idOf(element: XmlElement, newId: () => string): string {
  const id = childText(element, "ID") ?? ""
  if ([...id].length > ID_CHARACTERS_MAX) {
    throw invalidArgument("ID", `ID length should not exceed allowed limit of ${ID_CHARACTERS_MAX}`)
  }
  return id === "" ? newId() : id
}

/** Markers have no tags, and uploads have neither tags nor a size yet. */
function checkAgainstFilter({ filter, expiration, abortDays, noncurrent }: LifecycleRule): void {
  const actions = [
    ...(expiration !== undefined && "expiredMarkers" in expiration ? ["ExpiredObjectDeleteMarker"] : []),
    ...(abortDays === undefined ? [] : ["AbortIncompleteMultipartUpload"]),
  ]
  for (const action of actions) {
    if (hasTags(filter)) throw invalidRequest(`${action} cannot be specified with Tags.`)
    if (hasSize(filter)) throw invalidRequest(`${action} cannot be specified with Object Size.`)
  }
  if (noncurrent?.newerKept !== undefined && filter.form === "prefix") {
    throw invalidRequest("NewerNoncurrentVersions element can only be used in Lifecycle V2.")
  }
}

function expirationOf(rule: XmlElement): LifecycleExpiration | undefined {
  const element = childNamed(rule, "Expiration")
  if (element === undefined) return undefined
  checkChildren(element, ["Days", "Date", "ExpiredObjectDeleteMarker"])
  if (element.children.length !== 1) {
    throw fail("malformedXml", { reason: "Expiration has one of Days, Date and ExpiredObjectDeleteMarker" })
  }
  const days = daysOf(element, "Days", "Expiration")
  if (days !== undefined) return { days }
  const dateMs = dateOf(element)
  if (dateMs !== undefined) return { dateMs }
  return { expiredMarkers: wordOf(childText(element, "ExpiredObjectDeleteMarker"), ["true", "false"]) === "true" }
}

function noncurrentOf(rule: XmlElement): NoncurrentExpiration | undefined {
  const action = "NoncurrentVersionExpiration"
  const element = childNamed(rule, action)
  if (element === undefined) return undefined
  checkChildren(element, ["NoncurrentDays", "NewerNoncurrentVersions"])
  const days = needed(daysOf(element, "NoncurrentDays", action), `${action} needs NoncurrentDays`)
  const newerKept = newerKeptOf(element, action)
  return newerKept === undefined ? { days } : { days, newerKept }
}

function abortDaysOf(rule: XmlElement): number | undefined {
  const action = "AbortIncompleteMultipartUpload"
  const element = childNamed(rule, action)
  if (element === undefined) return undefined
  checkChildren(element, ["DaysAfterInitiation"])
  return needed(daysOf(element, "DaysAfterInitiation", action), `${action} needs DaysAfterInitiation`)
}

/** The content of the document, in the order in which S3 writes it. */
export function writeLifecycleRules(xml: XmlWriter, rules: readonly LifecycleRule[]): void {
  for (const rule of rules) {
    xml.group("Rule", one => {
      one.text("ID", rule.id)
      writeFilter(one, rule.filter)
      one.text("Status", rule.isEnabled ? "Enabled" : "Disabled")
      writeActions(one, rule)
    })
  }
}

function writeActions(xml: XmlWriter, rule: LifecycleRule): void {
  const { expiration, noncurrent, abortDays } = rule
  writeTransitions(xml, rule)
  if (expiration !== undefined) xml.group("Expiration", one => void writeExpiration(one, expiration))
  writeNoncurrentTransitions(xml, rule)
  if (noncurrent !== undefined) {
    xml.group("NoncurrentVersionExpiration", one => {
      one.text("NoncurrentDays", noncurrent.days).text("NewerNoncurrentVersions", noncurrent.newerKept)
    })
  }
  if (abortDays !== undefined) {
    xml.group("AbortIncompleteMultipartUpload", one => void one.text("DaysAfterInitiation", abortDays))
  }
}

function writeExpiration(xml: XmlWriter, expiration: LifecycleExpiration): void {
  if ("days" in expiration) xml.text("Days", expiration.days)
  else if ("dateMs" in expiration) xml.text("Date", isoDate(expiration.dateMs))
  else xml.text("ExpiredObjectDeleteMarker", expiration.expiredMarkers)
}
