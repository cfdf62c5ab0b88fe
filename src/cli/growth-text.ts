/** How much a bucket held some time ago, for people. */
import type { z } from "zod"
import type { BUCKET, USAGE_HISTORY } from "../admin/index.js"
import { plural, sizeText } from "./text.js"

const DAY_MS = 86_400_000
const AGES = [
  ["a day ago", DAY_MS],
  ["a week ago", 7 * DAY_MS],
  ["30 days ago", 30 * DAY_MS],
  ["a year ago", 365 * DAY_MS],
] as const

/** Returns rows about what the bucket held, as far as that is known. */
export const growthRows = (
  { createdMs }: Pick<z.output<typeof BUCKET>, "createdMs">,
  { samples, nowMs }: z.output<typeof USAGE_HISTORY>,
): readonly (readonly [string, string])[] =>
  AGES.flatMap(([age, agoMs]) => {
    const held = samples.findLast(({ atMs }) => atMs <= nowMs - agoMs)
    if (held === undefined || createdMs > nowMs - agoMs) return []
    return [[age, `${plural(held.objects, "object")}, ${held.bytes} bytes (${sizeText(held.bytes)})`] as const]
  })
