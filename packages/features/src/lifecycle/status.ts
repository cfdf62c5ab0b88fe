/** Lifecycle in the status of a store: the passes over its buckets. */
import { ageText, plural } from "@hayloft/base/text/quantity-text.js"
import type { Core } from "@hayloft/objects/door/index.js"
import { z } from "zod"
import { statusPart } from "../operator/index.js"
import type { LifecycleReport } from "./lifecycle-job.js"

const DAY_SECONDS = 86_400

const count = z.number().int().nonnegative()
export const LIFECYCLE_STATUS = z
  .object({
    buckets: count.describe("with lifecycle rules"),
    unfinished: count.describe("buckets, and the multipart uploads, that the pass of the day is not through with"),
    lastPassEndedMs: z
      .number()
      .int()
      .optional()
      .describe("milliseconds since 1970, by the store's clock; absent before the first pass has ended"),
    abandonedUploadDays: count.describe("after which multipart uploads are removed without a rule; 0: never"),
    daySeconds: count.describe("of lifecycle rules: 86,400 unless they are tried out"),
    removed: z
      .object({
        versions: count,
        bytes: count,
        hidden: count,
        markers: count,
        uploads: count,
        moved: count,
        movedBytes: count,
      })
      .describe(
        "since the start of the process; hidden: objects that got a delete marker; moved: versions with another storage class",
      ),
  })
  .meta({ id: "Lifecycle" })

function passesText(lifecycle: z.output<typeof LIFECYCLE_STATUS>, nowMs: number): string {
  const { buckets, unfinished, lastPassEndedMs, abandonedUploadDays, daySeconds } = lifecycle
  const passes = [
    ...(unfinished > 0 ? [`${unfinished} under way`] : []),
    ...(lastPassEndedMs === undefined ? [] : [`last pass ${ageText(lastPassEndedMs, nowMs)}`]),
  ]
  const uploads =
    abandonedUploadDays === 0
      ? "abandoned uploads stay"
      : `uploads are removed after ${plural(abandonedUploadDays, "day")} without a rule`
  const days = daySeconds === DAY_SECONDS ? [] : [`a day of rules lasts ${daySeconds} s`]
  return [`${plural(buckets, "bucket")} with rules`, ...passes, uploads, ...days].join("; ")
}

export const lifecycleStatus = (reportOf: (core: Core) => LifecycleReport) =>
  statusPart({
    name: "lifecycle",
    description: "passes over the buckets with lifecycle rules, by this process",
    schema: LIFECYCLE_STATUS,
    report(core) {
      const { buckets, unfinished, lastEndedMs, abandonedDays, dayMs, removed } = reportOf(core)
      return {
        buckets,
        unfinished,
        lastPassEndedMs: lastEndedMs,
        abandonedUploadDays: abandonedDays,
        daySeconds: dayMs / 1000,
        removed,
      }
    },
    lines: (lifecycle, nowMs) => [["lifecycle", passesText(lifecycle, nowMs)]],
  })
