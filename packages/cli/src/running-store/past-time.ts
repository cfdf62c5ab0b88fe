/** Moments of the past, as options name them: a time, or how long ago it was, which is by the store's clock. */
import { parseIsoDate } from "@hayloft/base/text/dates.js"
import { parseDuration } from "@hayloft/node/config/index.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"

/** The clock by which a duration before now is read: that of this machine, or the store's. */
export interface Timed {
  readonly clock: Pick<CliIo["clock"], "wallMs">
}

/**
 * Reads what was typed, with ages by the store's clock: that of this machine may be wrong. Mistakes are thrown before the
 * store is asked, and it is only asked if there is an age.
 */
export async function byStoreClock<T>(
  here: Timed,
  askStore: () => Promise<number>,
  read: (timed: Timed) => T,
): Promise<T> {
  let isAge = false
  const wallMs = (): number => {
    isAge = true
    return here.clock.wallMs()
  }
  const readHere = read({ clock: { wallMs } })
  if (!isAge) return readHere
  const nowMs = await askStore()
  return read({ clock: { wallMs: () => nowMs } })
}

/** A moment in the past: a duration before now, or a date with its time zone. */
export function pastMs(text: string | undefined, option: string, timed: Timed): number | undefined {
  if (text === undefined) return undefined
  if (/^\d+[smhd]$/.test(text)) return timed.clock.wallMs() - parseDuration(text, option)
  // A time may have a space instead of the T, the form in which the tables print it.
  const timeMs = parseIsoDate(text.replace(/^(\S{10}) (\S+Z)$/, "$1T$2"))
  if (timeMs === undefined) throw new CliError("usage", `${option} is a time: 2h, 3d, 2026-01-31T09:30:00Z`)
  return timeMs
}
