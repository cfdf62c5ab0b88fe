/** Times as distances from now, with the exact time, local and UTC, for those who point at them. */
import { ageText, timeText } from "./format.js"
import { useMinute } from "./now.js"

const MINUTE_MS = 60_000
const RECENT_MS = 7 * 86_400_000

/** `just now`, `5 min ago`, and the date of what is older than a week. Pure, apart from the time zone. */
export function agoText(timeMs: number, nowMs: number): string {
  const distanceMs = nowMs - timeMs
  if (Math.abs(distanceMs) < MINUTE_MS) return "just now"
  return Math.abs(distanceMs) < RECENT_MS ? ageText(timeMs, nowMs) : timeText(timeMs).slice(0, 10)
}

export function Ago({ timeMs }: { readonly timeMs: number }) {
  const now = useMinute()
  if (!Number.isFinite(timeMs)) return <>–</>
  const utc = new Date(timeMs).toISOString()
  return (
    <time dateTime={utc} title={`${timeText(timeMs)}\n${utc.replace("T", " ").replace(/\.\d+Z$/, " UTC")}`}>
      {agoText(timeMs, now)}
    </time>
  )
}
