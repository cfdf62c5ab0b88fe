/**
 * Restores on the wire: the document of RestoreObject, the header of a restored object, and the element of listings.
 *
 * Refuses  With `notImplemented`, by name, what makes a restore more than a restore: a query (`SelectParameters`, the type
 *          SELECT) and a copy elsewhere (`OutputLocation`).
 * Source   "RestoreObject", "RestoreStatus", Amazon S3 API Reference.
 */
import { httpDate, isoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import { RESTORE_TIERS, type RestoreRequest } from "@hayloft/features/storage-classes/index.js"
import { checkChildren, childNamed, childText } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"

export const RESTORE_DOCUMENT = "RestoreRequest"
export const RESTORE_HEADER = "x-amz-restore"
/** Asks a listing for more about each object. */
export const OPTIONAL_ATTRIBUTES_HEADER = "x-amz-optional-object-attributes"

const NOT_BUILT: readonly string[] = ["SelectParameters", "OutputLocation", "Type", "Description"]
/** A restore ends before the year 10,000. */
const DAYS_MAX = 1_000_000

/** Throws `malformedXml`, `invalidArgument`, `notImplemented`. */
export function readRestoreRequest(root: XmlElement): RestoreRequest {
  onlyChildren(root, "Days", "GlacierJobParameters", "Tier")
  const days = daysOf(root)
  const parameters = childNamed(root, "GlacierJobParameters")
  if (parameters === undefined) return { days, tier: tierOf(childText(root, "Tier")) }
  if (childNamed(root, "Tier") !== undefined) throw malformed("Tier stands in GlacierJobParameters or beside it")
  onlyChildren(parameters, "Tier")
  const tier = childText(parameters, "Tier")
  if (tier === undefined) throw malformed("GlacierJobParameters needs Tier")
  return { days, tier: tierOf(tier) }
}

const malformed = (reason: string) => fail("malformedXml", { reason })

/** Throws `notImplemented` for an element of S3 that is not built, `malformedXml` for others. */
function onlyChildren(parent: XmlElement, ...names: readonly string[]): void {
  const other = parent.children.find(({ name }) => NOT_BUILT.includes(name))?.name
  if (other !== undefined) {
    throw fail("notImplemented", { message: `The element ${other} of a restore is not implemented.` })
  }
  checkChildren(parent, names)
}

function daysOf(root: XmlElement): number {
  const text = childText(root, "Days")?.trim()
  if (text === undefined) throw malformed("a restore needs Days")
  if (!/^[+-]?\d{1,10}$/.test(text)) throw malformed("Days is a whole number")
  const days = Number(text)
  if (days > DAYS_MAX) throw malformed(`Days is at most ${DAYS_MAX}`)
  if (days > 0) return days
  throw fail("invalidArgument", {
    message: "restoration days should be at least 1",
    argumentName: "Days",
    argumentValue: text,
  })
}

function tierOf(text: string | undefined): RestoreRequest["tier"] {
  if (text === undefined) return "Standard"
  const tier = RESTORE_TIERS.find(known => known === text.trim())
  if (tier === undefined) throw malformed(`Tier is one of ${RESTORE_TIERS.join(", ")}`)
  return tier
}

/** The value of `x-amz-restore`. */
export const restoreText = (untilMs: number): string => `ongoing-request="false", expiry-date="${httpDate(untilMs)}"`

/** The element of a listing. */
export const restoreElement = (untilMs: number): string =>
  `<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress><RestoreExpiryDate>${isoDate(untilMs)}</RestoreExpiryDate></RestoreStatus>`
