/**
 * Timestamps: times of objects as several stores agree on them, in hundred-thousandths of a second since 1970. Pure.
 *
 * Source  `swift.common.utils.timestamp`, OpenStack Swift: seconds with five decimals; an offset after `_` orders what its own
 *         services write, and is not compared here.
 */
declare const brand: unique symbol
export type Timestamp = number & { readonly [brand]: "timestamp" }

const PER_MS = 100
const FORM = /^(\d{1,10})(?:\.(\d{1,9}))?(?:_[0-9a-f]{1,16})?$/

/** Returns the timestamp for a number of whole hundred-thousandths of a second since 1970. */
export const parseStoredTimestamp = (value: number): Timestamp => value as Timestamp

/** Returns undefined if the text is not a timestamp. */
export function parseTimestamp(text: string): Timestamp | undefined {
  const [, seconds, decimals = ""] = FORM.exec(text) ?? []
  return seconds === undefined
    ? undefined
    : parseStoredTimestamp(Number(seconds) * 100_000 + Number(decimals.padEnd(5, "0").slice(0, 5)))
}

export const timestampOfMs = (timeMs: number): Timestamp => parseStoredTimestamp(timeMs * PER_MS)

/** The millisecond in which it is. */
export const msOfTimestamp = (timestamp: Timestamp): number => Math.floor(timestamp / PER_MS)

/** Seconds with five decimals. */
export const textOfTimestamp = (timestamp: Timestamp): string =>
  `${Math.floor(timestamp / 100_000)}.${String(timestamp % 100_000).padStart(5, "0")}`
