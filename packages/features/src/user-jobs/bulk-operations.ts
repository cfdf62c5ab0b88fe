/** The operation that starts a job on many objects of a bucket. */
import { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import { operation, parseBody, STARTED_JOB, startedJson, type Operation } from "../operator/index.js"
import { HISTORY_SERVICES } from "../history/index.js"
import { BULK_REQUEST, targetOfBulk, textOfBulk } from "./bulk-request.js"
import { JOB_LIMITS } from "./limits.js"

/** Not among the schemas of answers: the console takes those for its types, and has no use for the work itself. */
const START_JOB = z
  .strictObject({
    dryRun: z.boolean().default(false).describe("only count; nothing is changed"),
    job: BULK_REQUEST,
  })
  .meta({ id: "StartJob" })

export const START_BULK_JOB: Operation = operation("startJob", "POST /v1/buckets/{bucket}/jobs", {
  summary: "Starts a job on many objects of a bucket; with dryRun it only counts them.",
  scope: "all",
  request: START_JOB,
  mayPlan: true,
  bodyBytesMax: JOB_LIMITS.requestBytesMax,
  status: 202,
  answer: STARTED_JOB,
  own: { permission: "as by S3, for each object when its turn comes", is: async () => true },
  run: async ({ core, buckets, startedJobs }, { segment, body, caller, signer }) => {
    const { dryRun, job } = parseBody(START_JOB, body)
    if (signer?.sessionToken !== undefined)
      throw fail("invalidArgument", {
        message: "temporary credentials may end before the job: sign in with an access key",
      })
    const bucket = await buckets.open(parseBucketName(segment("bucket")))
    if (job.kind === "copy-objects") await buckets.open(parseBucketName(job.toBucket))
    // The job leaves later writes as they are, whatever the clocks say.
    const asOfUs = await HISTORY_SERVICES.of(core).moments.now()
    const request = textOfBulk({ request: job, bucket: bucket.name, bucketId: bucket.id, asOfUs })
    const target = targetOfBulk(bucket.name, job)
    return startedJson(await startedJobs.start({ kind: job.kind, target, request, starter: caller, isDryRun: dryRun }))
  },
})
