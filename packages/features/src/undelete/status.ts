/** Undelete in the status of a store: the objects that each bucket keeps. */
import { plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable } from "@hayloft/base/text/report-text.js"
import type { Core } from "@hayloft/objects/door/index.js"
import { z } from "zod"
import { statusPart } from "../operator/index.js"
import type { UndeleteReport } from "./undelete-report.js"

/** Buckets that keep deleted objects, those that keep most first; `--json` has all. */
const KEEPING_SHOWN = 10

const count = z.number().int().nonnegative()
const KEPT = z.object({
  bucket: z.string(),
  days: count.optional().describe("absent: nothing more is kept"),
  objects: count.optional().describe("absent, like bytes: the count is lost"),
  bytes: count.optional().describe("outside of quotas and of the usage of the bucket"),
})

export const UNDELETE_STATUS = z.array(KEPT)

function keptText({ bucket, days, objects, bytes }: z.output<typeof KEPT>): string {
  const duration = days === undefined ? "off" : plural(days, "day")
  const amount =
    objects === undefined || bytes === undefined
      ? "how much is kept is lost"
      : `${plural(objects, "deleted object")}, ${sizeText(bytes)}`
  return `bucket ${printable(bucket)}: ${duration}; ${amount}`
}

export const undeleteStatus = (reportOf: (core: Core) => readonly UndeleteReport[]) =>
  statusPart({
    name: "undelete",
    description: "what undelete keeps; absent if it was never on",
    schema: UNDELETE_STATUS,
    report(core) {
      const kept = reportOf(core)
      return kept.length === 0 ? undefined : [...kept]
    },
    lines: kept =>
      kept
        .toSorted((a, b) => (b.bytes ?? 0) - (a.bytes ?? 0))
        .slice(0, KEEPING_SHOWN)
        .map(each => ["undelete", keptText(each)] as const),
  })
