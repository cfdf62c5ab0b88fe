/** The sample in the status of a store: what its job has counted. */
import { plural } from "@hayloft/base/text/quantity-text.js"
import type { Core } from "@hayloft/objects/door/index.js"
import { z } from "zod"
import { statusPart } from "../operator/index.js"
import type { ChangesJob } from "./changes-job.js"

const count = z.number().int().nonnegative()

export const changesStatus = (jobOf: (core: Core) => Pick<ChangesJob, "counted">) =>
  statusPart({
    name: "changes",
    description: "changes of objects in buckets that count them",
    schema: z.object({ buckets: count, changes: count }),
    report: core => jobOf(core).counted,
    lines: ({ buckets, changes }) => [["changes", `${changes} in ${plural(buckets, "bucket")}`]],
  })
