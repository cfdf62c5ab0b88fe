/**
 * Parameters of a form, or of a query that is read as one: `+` is a blank. Pure.
 *
 * Limits   FORM_PARAMETERS_MAX, counted before anything is parsed: a body of some MiB has millions of empty ones.
 * Refuses  `invalidArgument`: more parameters than that.
 * Source   "application/x-www-form-urlencoded", URL Standard, WHATWG.
 */
import { fail } from "@hayloft/base/failures.js"

/** The largest batch of SQS, ten messages of ten attributes each, needs some 500. */
export const FORM_PARAMETERS_MAX = 10_000

/** Throws `invalidArgument`. */
export function formParameters(text: string): URLSearchParams {
  let at = -1
  for (let count = 0; count < FORM_PARAMETERS_MAX; count += 1) {
    at = text.indexOf("&", at + 1)
    if (at === -1) return new URLSearchParams(text)
  }
  throw fail("invalidArgument", { message: `A request has more than ${FORM_PARAMETERS_MAX} parameters.` })
}
