/** The operations of deduplication: the figures of a bucket, and jobs that verify, rebuild and compact. */
import { parseBucketName } from "../base/ids.js"
import { DEDUP_REQUEST, kindOfDedup, textOfDedup } from "../features/user-jobs/index.js"
import { DEDUP } from "./dedup-schemas.js"
import { startedJson } from "./job-operations.js"
import { STARTED_JOB } from "./job-schemas.js"
import { parseBody, type Operation } from "./operation.js"

/** Kept apart from the schemas of answers, from which the console takes its types. */
const START_DEDUP_JOB = DEDUP_REQUEST.meta({ id: "StartDedupJob" })

export const DEDUP_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "getBucketDedup", method: "GET", path: "/v1/buckets/{bucket}/dedup" },
    summary: "Returns what deduplication saves in a bucket, and what it keeps; reads all rows of the bucket.",
    ...{ parameters: [], request: undefined },
    response: { status: 200, schema: DEDUP },
    run: async ({ buckets, dedupUpkeep }, { segment }) =>
      dedupUpkeep.stat(await buckets.open(parseBucketName(segment("bucket")))),
  },
  {
    ...{ id: "startDedupJob", method: "POST", path: "/v1/buckets/{bucket}/dedup/jobs", parameters: [] },
    summary: "Starts a job that verifies, rebuilds or compacts the deduplication of a bucket.",
    request: START_DEDUP_JOB,
    response: { status: 202, schema: STARTED_JOB },
    async run({ buckets, startedJobs }, { segment, body, caller }) {
      const request = parseBody(DEDUP_REQUEST, body)
      const bucket = await buckets.open(parseBucketName(segment("bucket")))
      const text = textOfDedup({ request, bucket: bucket.name, bucketId: bucket.id })
      const job = { kind: kindOfDedup(request), target: bucket.name, request: text, starter: caller, isDryRun: false }
      return startedJson(await startedJobs.start(job))
    },
  },
]
