/** Moments as options of commands name them. */
import { MOMENT_FORM, parseMoment, textOfMoment } from "../base/moment.js"
import { parseDuration } from "../config/index.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"

/** The text of a moment, as requests take it: how long ago it was, or a time with its time zone. Throws a `CliError`. */
export function momentText(text: string, option: string, io: CliIo): string {
  if (/^\d+[smhd]$/.test(text)) return textOfMoment((io.clock.wallMs() - parseDuration(text, option)) * 1000)
  // As the tables print it.
  const us = parseMoment(text.replace(/^(\S{10}) (\S+Z)$/, "$1T$2"))
  if (us === undefined) throw new CliError("usage", `${option} is how long ago it was (2h, 3d), or ${MOMENT_FORM}`)
  return textOfMoment(us)
}
