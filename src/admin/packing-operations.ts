/** The operations of packing: what it has made of a bucket, and the job that undoes it. */
import { fail } from "../base/failures.js"
import { parseBucketName } from "../base/ids.js"
import { textOfUndoPacking, UNDO_PACKING, UNDO_PACKING_REQUEST } from "../features/user-jobs/index.js"
import { startedJson } from "./job-operations.js"
import { STARTED_JOB } from "./job-schemas.js"
import { parseBody, type Operation, type Services } from "./operation.js"
import { PACKING } from "./dedup-schemas.js"

const PATH = "/v1/buckets/{bucket}/packing"

/** Kept apart from the schemas of answers, from which the console takes its types. */
const UNDO = UNDO_PACKING_REQUEST.meta({ id: "UndoPacking" })

function shown({ pass, ...report }: Awaited<ReturnType<Services["packing"]["stat"]>>) {
  if (pass === undefined) return report
  const { startedMs, endedMs, packed } = pass
  return { ...report, pass: { startedMs, endedMs, ...packed } }
}

export const PACKING_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "getBucketPacking", method: "GET", path: PATH, parameters: [], request: undefined },
    summary: "Returns what packing has made of a bucket, and what it leaves out; reads all rows of the bucket.",
    response: { status: 200, schema: PACKING },
    run: async ({ buckets, packing }, { segment }) =>
      shown(await packing.stat(await buckets.open(parseBucketName(segment("bucket"))))),
  },
  {
    ...{ id: "undoPacking", method: "POST", path: `${PATH}/undo`, parameters: [], request: UNDO },
    summary:
      "Starts a job that gives each packed object of a bucket bytes of its own. The setting must be removed before.",
    response: { status: 202, schema: STARTED_JOB },
    async run({ buckets, packing, startedJobs }, { segment, body, caller }) {
      const request = parseBody(UNDO_PACKING_REQUEST, body)
      const bucket = await buckets.open(parseBucketName(segment("bucket")))
      if ((await packing.setting(bucket)) !== undefined)
        throw fail("invalidRequest", {
          message: `the objects would be packed again: remove the setting first (hayloft bucket settings delete ${bucket.name} packing)`,
        })
      const text = textOfUndoPacking({ bucket: bucket.name, bucketId: bucket.id }, request)
      const job = { kind: UNDO_PACKING, target: bucket.name, request: text, starter: caller, isDryRun: false }
      return startedJson(await startedJobs.start(job))
    },
  },
]
