/** Text for people: sizes, counts, durations and times. Pure, apart from the browser's time zone and language. */
export { countText, durationText, figureText, latencyText, plural, sizeText } from "@hayloft/base/text/quantity-text.js"
export { progressText } from "@hayloft/base/text/progress-text.js"
import { durationText } from "@hayloft/base/text/quantity-text.js"

const NOW_MS = 2_000

/** `just now`, `5 min ago`, `in 2 h`. */
export function ageText(timeMs: number, nowMs: number): string {
  const distanceMs = nowMs - timeMs
  if (Math.abs(distanceMs) < NOW_MS) return "just now"
  const text = durationText(Math.abs(distanceMs) / 1000)
  return distanceMs < 0 ? `in ${text}` : `${text} ago`
}

/** Local time with its zone: `2026-01-02 03:04:05 UTC+1`. */
export function timeText(timeMs: number): string {
  const time = new Date(timeMs)
  const two = (number: number) => String(number).padStart(2, "0")
  const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-")
  const minutes = -time.getTimezoneOffset()
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60]
  const offset = minutes === 0 ? "" : `${minutes < 0 ? "−" : "+"}${hours}${rest === 0 ? "" : `:${two(rest)}`}`
  return `${date} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":")} UTC${offset}`
}

/** `12 %`; small shares are not rounded to nothing, and only all is 100 %. */
export function percentText(share: number): string {
  const percent = share * 100
  if (percent > 0 && percent < 1) return "< 1 %"
  if (percent < 100 && percent > 99) return "99 %"
  return `${Math.round(percent)} %`
}

/** A share of a total that may be 0. */
export const shareOf = (part: number, total: number): number =>
  total <= 0 ? 0 : Math.min(1, Math.max(0, part / total))

/** `1, 2 and 3`. */
export function listText(words: readonly string[]): string {
  const last = words.at(-1) ?? ""
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} and ${last}`
}
