/**
 * Transitions of lifecycle rules: moves to another storage class. They are checked as S3 checks them, and then refused by
 * name: this store has one storage class.
 */
import { fail } from "../../base/failures.js"
import { childrenNamed, childText } from "../wire/xml-reader.js"
import type { XmlElement } from "../wire/xml-reader.js"
import { dateOf, daysOf, invalidArgument, needed, wholeNumberOf } from "./lifecycle-values.js"
import { checkChildren, wordOf } from "./setting.js"

const CLASSES = [
  ...(["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING"] as const),
  ...(["GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"] as const),
]
/** Classes for rarely read objects take none that are younger. */
const INFREQUENT = ["STANDARD_IA", "ONEZONE_IA"]
const INFREQUENT_DAYS_MIN = 30

/** Throws the faults of a rule's transitions, and `notImplemented` for those that have none. */
export function checkTransitions(rule: XmlElement): void {
  for (const element of childrenNamed(rule, "Transition")) refuse(element.name, currentClassOf(element))
  for (const element of childrenNamed(rule, "NoncurrentVersionTransition")) {
    refuse(element.name, noncurrentClassOf(element))
  }
}

function currentClassOf(element: XmlElement): string {
  checkChildren(element, ["Days", "Date", "StorageClass"])
  const storageClass = wordOf(childText(element, "StorageClass"), CLASSES)
  const days = wholeNumberOf(element, "Days")
  const dateMs = dateOf(element)
  if ((days === undefined) === (dateMs === undefined)) {
    throw fail("malformedXml", { reason: "a Transition has Days or Date" })
  }
  if (days !== undefined) checkDays("Days", element.name, days, storageClass)
  return storageClass
}

function noncurrentClassOf(element: XmlElement): string {
  checkChildren(element, ["NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"])
  const storageClass = wordOf(childText(element, "StorageClass"), CLASSES)
  const days = needed(wholeNumberOf(element, "NoncurrentDays"), `${element.name} needs NoncurrentDays`)
  checkDays("NoncurrentDays", element.name, days, storageClass)
  daysOf(element, "NewerNoncurrentVersions", element.name)
  return storageClass
}

function checkDays(name: string, action: string, days: number, storageClass: string): void {
  if (days < 0) throw invalidArgument(name, `'${name}' in ${action} action must be nonnegative`, String(days))
  if (!INFREQUENT.includes(storageClass) || days >= INFREQUENT_DAYS_MIN) return
  const least = `must be greater than or equal to ${INFREQUENT_DAYS_MIN} for storageClass '${storageClass}'`
  throw invalidArgument(name, `'${name}' in ${action} action ${least}`, String(days))
}

function refuse(action: string, storageClass: string): never {
  throw fail("notImplemented", { message: `${action} to the storage class ${storageClass} is not implemented.` })
}
