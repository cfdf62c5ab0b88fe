/** Sizes and durations as text for people, and sizes as people write them. Pure. */
import { GIB, KIB, MIB } from "../limits.js"

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]

/** `4.2 MiB`; whole numbers below 1 KiB, also of rates. */
export function sizeText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit] ?? ""}`
}

/** `4.2 %`. */
export const percentText = (share: number): string => `${(100 * share).toFixed(1)} %`

/** `3 d 4 h`, `5 min`, `12 s`: the two largest units. */
export function durationText(seconds: number): string {
  const whole = Math.floor(seconds)
  const [days, hours, minutes] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ]
  if (days > 0) return `${days} d ${hours} h`
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min` : `${whole} s`
}

/** `3.4 ms`, `120 ms`, `2.1 s`. */
export function latencyText(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`
}

/** `1,234,567`. */
export const countText = (count: number): string => Math.round(count).toLocaleString("en-US")

/** `1 object`, `1,234 objects`. */
export const plural = (count: number, what: string): string => `${countText(count)} ${what}${count === 1 ? "" : "s"}`

/** Says where bytes cannot be read: `, in at least 2 objects, older versions or uploads`; empty if no such place is known. */
export const textOfLost = (atLeast: number): string =>
  atLeast === 0
    ? ""
    : `, in at least ${atLeast === 1 ? "1 object, older version or upload" : `${countText(atLeast)} objects, older versions or uploads`}`

/** `0.0123`, `12.3`, `12,345`, `1.2e+9`: three digits are enough. */
export function figureText(value: number): string {
  if (value === 0) return "0"
  if (value >= 1e6 || value < 1e-3) return value.toExponential(1)
  return value >= 1000 ? countText(value) : String(Number(value.toPrecision(3)))
}

const FACTORS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: KIB,
  kib: KIB,
  m: MIB,
  mib: MIB,
  g: GIB,
  gib: GIB,
  t: 1024 * GIB,
  tib: 1024 * GIB,
  p: 1024 * 1024 * GIB,
  pib: 1024 * 1024 * GIB,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  pb: 1e15,
}

/** Parses `4MiB`, `4M` or `4194304` into bytes, `4MB` into 4,000,000; undefined if the text is not a size. */
export function bytesOfSize(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,12})\s*([A-Za-z]{0,3})$/.exec(text) ?? []
  const factor = FACTORS[(unit ?? "?").toLowerCase()]
  const bytes = number === undefined || factor === undefined ? NaN : Number(number) * factor
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** `3 min ago`. */
export const ageText = (sinceMs: number, nowMs: number): string =>
  `${durationText(Math.max(0, nowMs - sinceMs) / 1000)} ago`
