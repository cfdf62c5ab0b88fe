/** Text for people: what undelete keeps of a bucket, and what was restored of it. Pure. */
import type { z } from "zod"
import { countText, plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable, rowsText, timeText } from "@hayloft/base/text/report-text.js"
import type { DELETED_OBJECTS, RESTORED_PREFIX } from "./schemas.js"

type Deleted = z.output<typeof DELETED_OBJECTS>["deleted"][number]

/** `2 objects, 700 B`. */
export const keptText = ({ objects, bytes }: { readonly objects: number; readonly bytes: number }): string =>
  `${plural(objects, "object")}, ${sizeText(bytes)}`

interface KeptPlace {
  readonly key?: string | undefined
  readonly prefix?: string | undefined
}

/** `photos`, `photos/cat.jpg`, `photos/2019/*`. */
export const keptPlace = (bucket: string, { key, prefix }: KeptPlace): string =>
  printable(key !== undefined ? `${bucket}/${key}` : prefix === undefined ? bucket : `${bucket}/${prefix}*`)

const HEAD = ["DELETED", "UNTIL", "REASON", "SIZE", "KEY"]
/** Pages line up: the columns have the same widths in all of them. */
const WIDTHS = [timeText(0).length, timeText(0).length, "overwritten".length, "1023.9 GiB".length]

/** A page of a listing; the first one has a head. */
export function deletedText(deleted: readonly Deleted[], isFirst: boolean): string {
  const rows = deleted.map(({ key, deletedMs, untilMs, reason, sizeBytes }) => [
    timeText(deletedMs),
    timeText(untilMs),
    reason,
    sizeText(sizeBytes),
    printable(key),
  ])
  return rowsText(isFirst ? [HEAD, ...rows] : rows, WIDTHS)
}

const existText = (count: number): string =>
  count === 1 ? "1 exists and stays as it is" : `${countText(count)} exist and stay as they are`

type Restored = Omit<z.output<typeof RESTORED_PREFIX>, "next">

export function restoredText(place: string, { restored, exist, nothingKept }: Restored): string {
  const parts = [
    `restored ${countText(restored)} of ${place}`,
    ...(exist === 0 ? [] : [`${existText(exist)} (--over replaces ${exist === 1 ? "it" : "them"})`]),
    ...(nothingKept === 0 ? [] : [`of ${countText(nothingKept)} nothing of that time is kept`]),
  ]
  return `${parts.join("; ")}\n`
}
