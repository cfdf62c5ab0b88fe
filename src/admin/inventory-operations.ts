/** The operation that starts an inventory: a table of the objects of a bucket, written as an object. */
import { fail } from "../base/failures.js"
import { parseBucketName } from "../base/ids.js"
import {
  INVENTORY_KIND,
  INVENTORY_REQUEST,
  momentOfInventory,
  targetOfInventory,
  textOfInventory,
} from "../features/user-jobs/index.js"
import { startedJson } from "./job-operations.js"
import { STARTED_JOB } from "./job-schemas.js"
import { parseBody, type Operation } from "./operation.js"

/** Kept apart from the schemas of answers, from which the console takes its types. */
const START_INVENTORY = INVENTORY_REQUEST.meta({ id: "StartInventory" })

export const INVENTORY_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "startInventory", method: "POST", path: "/v1/buckets/{bucket}/inventory", parameters: [] },
    summary: "Starts a job that writes a table of the objects, or versions, of a bucket as an object.",
    request: START_INVENTORY,
    response: { status: 202, schema: STARTED_JOB },
    own: { permission: "as by S3: to list the bucket, and to write the object", is: async () => true },
    async run({ buckets, histories, moments, startedJobs }, { segment, body, caller, signer }) {
      const request = parseBody(INVENTORY_REQUEST, body)
      if (signer?.sessionToken !== undefined)
        throw fail("invalidArgument", {
          message: "temporary credentials may end before the job: sign in with an access key",
        })
      const bucket = await buckets.open(parseBucketName(segment("bucket")))
      const sinceUs = await histories.since(bucket)
      const hasHistory = sinceUs !== undefined && Number.isFinite(sinceUs)
      const atUs = momentOfInventory(request) ?? (hasHistory && !request.versions ? await moments.now() : undefined)
      const text = textOfInventory({ request, bucket: bucket.name, bucketId: bucket.id, atUs })
      const target = targetOfInventory(bucket.name, request)
      const job = { kind: INVENTORY_KIND, target, request: text, starter: caller, isDryRun: false }
      return startedJson(await startedJobs.start(job))
    },
  },
]
