/** How far the copies of a bucket in another store are, as text for people. Pure. */
import type { z } from "zod"
import { countText, sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable, tableText, timeText } from "@hayloft/base/text/report-text.js"
import type { COPIES } from "./schemas.js"

type CopiesStatus = z.output<typeof COPIES>

export function copiesText(bucket: string, copies: CopiesStatus): string {
  const { target, phase, sinceMs, place, fills, isPaused, lag, copiedTo, error, errorMs, parked } = copies
  const facts: string[][] = [
    ["target", printable(`${target.store}/${target.bucket}/${target.prefix}`)],
    ["state", `${isPaused ? "paused, " : ""}${phase}${sinceMs === undefined ? "" : ` since ${timeText(sinceMs)}`}`],
    ["removals", target.deletes ? "copied" : "not copied"],
    ["lag", lagText(lag)],
    ...(place === undefined ? [] : [["filled up to", printable(place)]]),
    ...(fills > 1 ? [["filled", `${countText(fills)} times`]] : []),
    ...(copiedTo === undefined ? [] : [["copied to", copiedTo]]),
    ...(error === undefined
      ? []
      : [["error", `${errorMs === undefined ? "" : `${timeText(errorMs)}: `}${printable(error)}`]]),
  ]
  return tableText(["bucket", printable(bucket)], facts) + parkedText(parked, copies.hasMoreParked)
}

const lagText = ({ objects, bytes, seconds, isCut }: CopiesStatus["lag"]): string =>
  objects === 0
    ? "nothing"
    : `${isCut ? "more than " : ""}${countText(objects)} changes, ${sizeText(bytes)}, ${countText(Math.ceil(seconds))} s`

function parkedText(parked: CopiesStatus["parked"], hasMore: boolean): string {
  if (parked.length === 0) return ""
  const rows = parked.map(({ key, reason, attempts, sinceMs, nextMs }) => [
    printable(key),
    countText(attempts),
    timeText(sinceMs),
    nextMs === undefined ? "never" : timeText(nextMs),
    printable(reason),
  ])
  const more = hasMore ? "others follow\n" : ""
  return `\nnot copied:\n${tableText(["KEY", "ATTEMPTS", "SINCE", "NEXT", "REASON"], rows)}${more}`
}
