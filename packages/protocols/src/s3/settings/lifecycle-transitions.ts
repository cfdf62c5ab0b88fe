/**
 * Transitions of lifecycle rules: moves of current and of noncurrent versions to another storage class.
 *
 * Refuses  As S3 does, with its messages where they are known: `malformedXml`, `invalidArgument`, `invalidRequest`.
 * Source   "Transitioning objects using Amazon S3 Lifecycle", Amazon S3 User Guide; "Transition" and
 *          "NoncurrentVersionTransition", Amazon S3 API Reference.
 */
import { isoDate } from "@hayloft/base/text/dates.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { mayMove } from "@hayloft/features/lifecycle/index.js"
import type {
  LifecycleFilter,
  LifecycleRule,
  NoncurrentTransition,
  Transition,
} from "@hayloft/features/lifecycle/index.js"
import { checkChildren, childrenNamed, childText } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { dateOf, invalidArgument, invalidRequest, needed, newerKeptOf, nonnegativeOf } from "./lifecycle-values.js"
import { wordOf } from "./setting.js"

const TRANSITION = "Transition"
const NONCURRENT_TRANSITION = "NoncurrentVersionTransition" as const
const DAY_MS = 86_400_000

const CLASSES = ["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"] as const
const NO_TARGETS: readonly StorageClass[] = ["STANDARD", "REDUCED_REDUNDANCY"]
/** Classes for rarely read objects take none that are younger. */
const INFREQUENT_DAYS_MIN = 30
const INFREQUENT: readonly StorageClass[] = ["STANDARD_IA", "ONEZONE_IA"]
/** Days from one transition of a rule to the next: objects stay in a class for its minimum duration. */
const STAYS_DAYS: ReadonlyMap<StorageClass, number> = new Map([
  ["STANDARD_IA", 30],
  ["ONEZONE_IA", 30],
  ["GLACIER_IR", 90],
  ["GLACIER", 90],
])

/** The transitions of a rule. Throws the faults of the document. */
export function transitionsOf(
  rule: XmlElement,
  filter: LifecycleFilter,
): Pick<LifecycleRule, "transitions" | "noncurrentTransitions"> {
  const transitions = childrenNamed(rule, TRANSITION).map(transitionOf)
  const noncurrentTransitions = childrenNamed(rule, NONCURRENT_TRANSITION).map(noncurrentTransitionOf)
  if (filter.form === "prefix" && noncurrentTransitions.some(({ newerKept }) => newerKept !== undefined)) {
    throw invalidRequest("NewerNoncurrentVersions element can only be used in Lifecycle V2.")
  }
  return {
    ...(transitions.length > 0 && { transitions }),
    ...(noncurrentTransitions.length > 0 && { noncurrentTransitions }),
  }
}

function targetOf(element: XmlElement): StorageClass {
  const text = childText(element, "StorageClass")
  if (!NO_TARGETS.some(name => name === text?.trim())) return wordOf(text, CLASSES)
  throw invalidArgument("StorageClass", `Invalid target Storage class for ${TRANSITION} action`, text?.trim())
}

function transitionOf(element: XmlElement): Transition {
  checkChildren(element, ["Days", "Date", "StorageClass"])
  const storageClass = targetOf(element)
  const days = nonnegativeOf(element, "Days", element.name)
  const dateMs = dateOf(element)
  if (days !== undefined && dateMs === undefined) {
    checkStay("Days", element.name, days, storageClass)
    return { storageClass, days }
  }
  if (dateMs !== undefined && days === undefined) return { storageClass, dateMs }
  throw fail("malformedXml", { reason: "a Transition has Days or Date" })
}

function noncurrentTransitionOf(element: XmlElement): NoncurrentTransition {
  checkChildren(element, ["NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"])
  const storageClass = targetOf(element)
  const days = needed(nonnegativeOf(element, "NoncurrentDays", element.name), `${element.name} needs NoncurrentDays`)
  checkStay("NoncurrentDays", element.name, days, storageClass)
  const newerKept = newerKeptOf(element, element.name)
  return newerKept === undefined ? { storageClass, days } : { storageClass, days, newerKept }
}

function checkStay(name: string, action: string, days: number, storageClass: StorageClass): void {
  if (!INFREQUENT.includes(storageClass) || days >= INFREQUENT_DAYS_MIN) return
  const least = `must be greater than or equal to ${INFREQUENT_DAYS_MIN} for storageClass '${storageClass}'`
  throw invalidArgument(name, `'${name}' in ${action} action ${least}`, String(days))
}

/** An action of a rule with its time, as messages name it. */
interface Timed {
  readonly action: typeof TRANSITION | typeof NONCURRENT_TRANSITION | "Expiration" | "NoncurrentVersionExpiration"
  readonly unit: "Days" | "Date" | "NoncurrentDays"
  /** Days, or the date as a number of days. */
  readonly days: number
}

interface TimedTransition extends Timed {
  readonly storageClass: StorageClass
}

/** Throws what is wrong with the transitions of a rule together, and with its expirations. */
export function checkTransitions({ filter, ...rule }: LifecycleRule): void {
  const shown = shownFilter(filter)
  const current = rule.transitions?.map(one => ({ ...one, ...timedOf(TRANSITION, one) })) ?? []
  const units = new Set(current.map(({ unit }) => unit))
  if (units.size > 1) {
    throw invalidRequest(
      `Found mixed 'Date' and 'Days' based Transition actions in lifecycle rule for filter '${shown}'`,
    )
  }
  checkOrder(current, shown)
  const { expiration, noncurrent } = rule
  if (expiration !== undefined && !("expiredMarkers" in expiration)) {
    const end = timedOf("Expiration", expiration)
    for (const one of current) checkEnd(end, one, shown)
  }
  const noncurrentUnit = "NoncurrentDays" as const
  const older = rule.noncurrentTransitions?.map(({ storageClass, days }) => ({
    action: NONCURRENT_TRANSITION,
    unit: noncurrentUnit,
    storageClass,
    days,
  }))
  checkOrder(older ?? [], shown)
  if (noncurrent === undefined) return
  const end: Timed = { action: "NoncurrentVersionExpiration", unit: noncurrentUnit, days: noncurrent.days }
  for (const one of older ?? []) checkEnd(end, one, shown)
}

const timedOf = (action: Timed["action"], when: { readonly days: number } | { readonly dateMs: number }): Timed =>
  "days" in when ? { action, unit: "Days", days: when.days } : { action, unit: "Date", days: when.dateMs / DAY_MS }

/** Each goes to another class, in the order in which objects may move, and stays there for a while. */
function checkOrder(transitions: readonly TimedTransition[], shown: string): void {
  for (const [at, one] of transitions.entries()) {
    for (const other of transitions.slice(0, at)) {
      if (one.storageClass === other.storageClass) {
        const message = `'StorageClass' must be different for '${one.action}' actions in same 'Rule' with filter`
        throw invalidRequest(`${message} '${shown}'`)
      }
      const [first, next] = mayMove(one.storageClass, other.storageClass) ? [one, other] : [other, one]
      checkPair(first, next, shown)
    }
  }
}

function checkPair(first: TimedTransition, next: TimedTransition, shown: string): void {
  const { action, unit } = next
  const subject = `'${unit}' in the '${action}' action for StorageClass '${next.storageClass}' for filter '${shown}'`
  const other = `in the '${action}' action for StorageClass '${first.storageClass}'`
  if (next.days <= first.days || !mayMove(first.storageClass, next.storageClass)) {
    throw atFault(next, `${subject} must be greater than '${unit}' ${other} for filter '${shown}'`)
  }
  const stays = STAYS_DAYS.get(first.storageClass) ?? 0
  if (next.days - first.days >= stays) return
  throw atFault(next, `${subject} must be ${stays} days more than 'filter '${shown}'' ${other}`)
}

function checkEnd(end: Timed, transition: Timed, shown: string): void {
  if (end.unit !== transition.unit) {
    const mixed = "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule"
    throw invalidRequest(`${mixed} for filter '${shown}'`)
  }
  if (end.days > transition.days) return
  const { unit, action } = transition
  throw atFault(
    end,
    `'${unit}' in the ${end.action} action for filter '${shown}' must be greater than '${unit}' in the ${action} action`,
  )
}

const atFault = ({ unit, days }: Timed, message: string): Failure =>
  invalidArgument(unit, message, unit === "Date" ? isoDate(days * DAY_MS) : String(days))

/** A filter as messages show it. */
function shownFilter({ prefix, tags, sizeAbove, sizeBelow }: LifecycleFilter): string {
  const parts = [
    ...(prefix === undefined ? [] : [`prefix=${prefix.slice(0, 200)}`]),
    ...(tags ?? []).map(([key, value]) => `tag={key=${key}, value=${value}}`),
    ...(sizeAbove === undefined ? [] : [`objectsizegreaterthan=${sizeAbove}`]),
    ...(sizeBelow === undefined ? [] : [`objectsizelessthan=${sizeBelow}`]),
  ]
  return `(${parts.join(" and ")})`
}

export function writeTransitions(xml: XmlWriter, { transitions }: LifecycleRule): void {
  for (const { storageClass, ...when } of transitions ?? []) {
    xml.group(TRANSITION, one => {
      if ("days" in when) one.text("Days", when.days)
      else one.text("Date", isoDate(when.dateMs))
      one.text("StorageClass", storageClass)
    })
  }
}

export function writeNoncurrentTransitions(xml: XmlWriter, { noncurrentTransitions }: LifecycleRule): void {
  for (const { storageClass, days, newerKept } of noncurrentTransitions ?? []) {
    xml.group(NONCURRENT_TRANSITION, one => {
      one.text("NoncurrentDays", days).text("StorageClass", storageClass).text("NewerNoncurrentVersions", newerKept)
    })
  }
}
