/** Moments as options of commands name them. */
import { MOMENT_FORM, parseMoment, textOfMoment } from "@hayloft/base/text/moment.js"
import { parseDuration } from "@hayloft/node/config/index.js"
import { CliError } from "../exit-codes.js"
import type { Timed } from "./past-time.js"

/** Converts an option (an age, or a time with its time zone) to the moment's text in requests. Throws a `CliError`. */
export function momentText(text: string, option: string, timed: Timed): string {
  if (/^\d+[smhd]$/.test(text)) return textOfMoment((timed.clock.wallMs() - parseDuration(text, option)) * 1000)
  // The tables print times in this form.
  const us = parseMoment(text.replace(/^(\S{10}) (\S+Z)$/, "$1T$2"))
  if (us === undefined) throw new CliError("usage", `${option} is how long ago it was (2h, 3d), or ${MOMENT_FORM}`)
  return textOfMoment(us)
}
