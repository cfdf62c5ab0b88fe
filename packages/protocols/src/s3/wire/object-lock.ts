/**
 * Object lock on the wire: the documents of a bucket's default retention, of retention and of legal hold, and the
 * headers of an object's lock.
 *
 * Promises  Words are compared exactly, as on Amazon. A retention is always complete: a mode and a time.
 * Limits    A default retention of 36,500 days or 100 years; times in the years 1970 to 9999.
 * Source    "PutObjectLockConfiguration", "PutObjectRetention", "PutObjectLegalHold", Amazon S3 API Reference; messages
 *           are those that S3 is known to give.
 */
import { parseIsoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import type { DefaultRetention, Retention, VersionLock } from "@hayloft/objects/contract.js"
import { checkChildren, childNamed, childText, requiredText } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"
import type { XmlWriter } from "./xml-writer.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

export const CONFIGURATION_DOCUMENT = "ObjectLockConfiguration"
export const RETENTION_DOCUMENT = "Retention"
export const LEGAL_HOLD_DOCUMENT = "LegalHold"

export const MODE_HEADER = "x-amz-object-lock-mode"
export const UNTIL_HEADER = "x-amz-object-lock-retain-until-date"
export const HOLD_HEADER = "x-amz-object-lock-legal-hold"

const COUNT_MAX = { days: 36_500, years: 100 } as const
const ELEMENTS = { days: "Days", years: "Years" } as const

type Mode = Retention["mode"]
const isMode = (text: string): text is Mode => text === "GOVERNANCE" || text === "COMPLIANCE"

/** Amazon's event holds, which prolong a retention until they are released. */
const NOT_BUILT: readonly string[] = ["EventHold", "EventHoldDuration", "DefaultEventHold"]

/** Throws `notImplemented` for an element of S3 that is not built, `malformedXml` for others. */
function onlyChildren(parent: XmlElement, ...names: readonly string[]): void {
  const other = parent.children.find(({ name }) => NOT_BUILT.includes(name))?.name
  if (other !== undefined) throw fail("notImplemented", { message: `The element ${other} is not implemented.` })
  checkChildren(parent, names)
}

function modeIn(parent: XmlElement): Mode {
  const mode = requiredText(parent, "Mode").trim()
  if (isMode(mode)) return mode
  throw fail("malformedXml", { reason: "Mode must be GOVERNANCE or COMPLIANCE" })
}

/** The default retention of an ObjectLockConfiguration; undefined: none. Throws `malformedXml`, `invalidArgument`. */
export function readConfiguration(root: XmlElement): DefaultRetention | undefined {
  onlyChildren(root, "ObjectLockEnabled", "Rule")
  if (requiredText(root, "ObjectLockEnabled").trim() !== "Enabled") {
    throw fail("malformedXml", { reason: "ObjectLockEnabled must be Enabled" })
  }
  const rule = childNamed(root, "Rule")
  if (rule === undefined) return undefined
  onlyChildren(rule, "DefaultRetention")
  const retention = childNamed(rule, "DefaultRetention")
  if (retention === undefined) throw fail("malformedXml", { reason: "Rule needs DefaultRetention" })
  onlyChildren(retention, "Mode", "Days", "Years")
  const [days, years] = [childText(retention, "Days"), childText(retention, "Years")]
  if ((days === undefined) === (years === undefined)) {
    throw fail("malformedXml", { reason: "DefaultRetention needs either Days or Years" })
  }
  const mode = modeIn(retention)
  const unit = days === undefined ? "years" : "days"
  return { mode, unit, count: countOf(unit, (days ?? years ?? "").trim()) }
}

function countOf(unit: DefaultRetention["unit"], text: string): number {
  if (!/^[+-]?\d{1,10}$/.test(text)) throw fail("malformedXml", { reason: "a period is a whole number" })
  const count = Number(text)
  const argument = { argumentName: ELEMENTS[unit], argumentValue: text }
  if (count <= 0) {
    throw fail("invalidArgument", {
      message: "Default retention period must be a positive integer value.",
      ...argument,
    })
  }
  if (count > COUNT_MAX[unit]) {
    throw fail("invalidArgument", { message: "Default retention period too large.", ...argument })
  }
  return count
}

export function writeConfiguration(xml: XmlWriter, given: DefaultRetention | undefined): void {
  xml.text("ObjectLockEnabled", "Enabled")
  if (given === undefined) return
  const { mode, unit, count } = given
  xml.group("Rule", rule =>
    rule.group("DefaultRetention", retention => retention.text("Mode", mode).text(ELEMENTS[unit], count)),
  )
}

/** Returns undefined for an empty document, which removes the retention. Throws `malformedXml`. */
export function readRetention(root: XmlElement): Retention | undefined {
  onlyChildren(root, "Mode", "RetainUntilDate")
  if (root.children.length === 0) return undefined
  const mode = modeIn(root)
  const untilMs = parseIsoDate(requiredText(root, "RetainUntilDate").trim())
  if (untilMs === undefined) throw fail("malformedXml", { reason: "RetainUntilDate must be a date of ISO 8601" })
  return { mode, untilMs }
}

/** To the millisecond: what is shown never ends earlier or later than what is kept. */
export const untilText = ({ untilMs }: Retention): string => new Date(untilMs).toISOString()

export const writeRetention = (xml: XmlWriter, retention: Retention): void =>
  void xml.text("Mode", retention.mode).text("RetainUntilDate", untilText(retention))

/** Throws `malformedXml`. */
export function readLegalHold(root: XmlElement): boolean {
  onlyChildren(root, "Status")
  const status = requiredText(root, "Status").trim()
  if (status !== "ON" && status !== "OFF") throw fail("malformedXml", { reason: "Status must be ON or OFF" })
  return status === "ON"
}

export const holdText = (legalHold: boolean): string => (legalHold ? "ON" : "OFF")

/** The lock that headers (or fields of a form) ask for; undefined: none. Throws `invalidArgument`. */
export function lockInHeaders(headers: Headers): VersionLock | undefined {
  const [mode, until, hold] = [headers.get(MODE_HEADER), headers.get(UNTIL_HEADER), headers.get(HOLD_HEADER)]
  if (mode === undefined && until === undefined && hold === undefined) return undefined
  return { retention: retentionIn(mode, until), legalHold: hold === undefined ? undefined : holdIn(hold) }
}

const invalid = (argumentName: string, value: string, message: string) =>
  fail("invalidArgument", { message, argumentName, argumentValue: value.slice(0, 80) })

function retentionIn(mode: string | undefined, until: string | undefined): Retention | undefined {
  if (mode === undefined && until === undefined) return undefined
  if (mode === undefined || until === undefined) {
    const missing = mode === undefined ? MODE_HEADER : UNTIL_HEADER
    throw invalid(missing, "", `${UNTIL_HEADER} and ${MODE_HEADER} must both be supplied`)
  }
  if (!isMode(mode)) throw invalid(MODE_HEADER, mode, "Unknown wormMode directive.")
  const untilMs = parseIsoDate(until)
  if (untilMs !== undefined) return { mode, untilMs }
  throw invalid(UNTIL_HEADER, until, "The retain until date must be provided in ISO 8601 format")
}

function holdIn(hold: string): boolean {
  if (hold === "ON" || hold === "OFF") return hold === "ON"
  throw invalid(HOLD_HEADER, hold, "Legal Hold must be either of 'ON' or 'OFF'")
}

/** The headers of a retention. */
export const retentionFields = (retention: Retention): readonly HeaderField[] => [
  [MODE_HEADER, retention.mode],
  [UNTIL_HEADER, untilText(retention)],
]
