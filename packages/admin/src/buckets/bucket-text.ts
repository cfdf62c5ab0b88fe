/** Buckets, what they hold and have held, as text for people. Pure. */
import type { z } from "zod"
import { plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { tableText, timeText } from "@hayloft/base/text/report-text.js"
import type { BUCKET, BUCKETS, USAGE_HISTORY } from "../schemas.js"

type Bucket = z.output<typeof BUCKET>
type UsageHistory = z.output<typeof USAGE_HISTORY>

const DAY_MS = 86_400_000
const AGES = [
  ["a day ago", DAY_MS],
  ["a week ago", 7 * DAY_MS],
  ["30 days ago", 30 * DAY_MS],
  ["a year ago", 365 * DAY_MS],
] as const

/** Returns rows about what the bucket held, as far as that is known. */
export const growthRows = (
  { createdMs }: Pick<Bucket, "createdMs">,
  { samples, nowMs }: UsageHistory,
): readonly (readonly [string, string])[] =>
  AGES.flatMap(([age, agoMs]) => {
    const held = samples.findLast(({ atMs }) => atMs <= nowMs - agoMs)
    if (held === undefined || createdMs > nowMs - agoMs) return []
    return [[age, `${plural(held.objects, "object")}, ${held.bytes} bytes (${sizeText(held.bytes)})`] as const]
  })

export function bucketsText({ buckets }: z.output<typeof BUCKETS>): string {
  const rows = buckets.map(({ name, createdMs, usage, owner }) => [
    timeText(createdMs),
    name,
    String(usage.objects),
    sizeText(usage.bytes),
    owner,
  ])
  return tableText(["CREATED", "BUCKET", "OBJECTS", "BYTES", "OWNER"], rows)
}

export function bucketText(bucket: Bucket, history: UsageHistory): string {
  const { name, owner, usage, createdMs, location, versioning } = bucket
  return tableText(
    ["bucket", name],
    [
      ["owner", owner],
      ["created", timeText(createdMs)],
      ["location", location || "none"],
      ["versioning", versioning],
      ["objects", String(usage.objects)],
      ["versions", String(usage.versions)],
      ["bytes", `${usage.bytes} (${sizeText(usage.bytes)})`],
      ["uploads", `${usage.uploads} in progress`],
      ["undelete", undeleteText(bucket)],
      ...growthRows(bucket, history),
    ],
  )
}

function undeleteText({ undeleteDays, usage: { kept } }: Bucket): string {
  const on = undeleteDays === undefined ? "off" : plural(undeleteDays, "day")
  if (kept === undefined) return `${on}; how much is kept is lost`
  return kept.objects === 0 ? on : `${on}; keeps ${plural(kept.objects, "deleted object")}, ${sizeText(kept.bytes)}`
}
