/** The operation that starts an inventory: a table of the objects of a bucket, written as an object. */
import { HISTORY_SERVICES } from "../history/index.js"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import {
  objectPlace,
  operation,
  parseBody,
  STARTED_JOB,
  startedJson,
  type Given,
  type Operation,
  type Values,
} from "../operator/index.js"
import {
  INVENTORY_KIND,
  INVENTORY_REQUEST,
  momentOfInventory,
  targetOfInventory,
  textOfInventory,
} from "./inventory-core.js"

/** Kept apart from the schemas of answers, from which the console takes its types. */
const START_INVENTORY = INVENTORY_REQUEST.meta({ id: "StartInventory" })

/** The object that gets the inventory. */
function targetIn(given: Given): Values {
  const { bucket, key } = objectPlace(given("into"), "--into is a bucket and a key: BUCKET/KEY")
  return { toBucket: bucket, toKey: key }
}

export const INVENTORY_OPERATIONS: readonly Operation[] = [
  operation("startInventory", "POST /v1/buckets/{bucket}/inventory", {
    summary: "Starts a job that writes a table of the objects, or versions, of a bucket as an object.",
    scope: "all",
    request: START_INVENTORY,
    status: 202,
    answer: STARTED_JOB,
    own: { permission: "as by S3: to list the bucket, and to write the object", is: async () => true },
    async run({ core, buckets, startedJobs }, { segment, body, caller, signer }) {
      const { histories, moments } = HISTORY_SERVICES.of(core)
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
    commands: [
      {
        name: "inventory start",
        help: "write a table of all objects of a bucket as an object; a job of the server does it",
        inputs: {
          bucket: { flags: "<BUCKET>" },
          into: {
            flags: "--into <BUCKET/KEY>",
            help: "the object; it appears when the inventory is whole",
            isRequired: true,
          },
          versions: {
            flags: "--versions",
            help: "all versions and delete markers, and not only the current objects",
          },
          at: {
            flags: "--at <TIME>",
            help: "the objects of a moment, in a bucket with a history: 2h, 2026-01-31T09:30:00Z",
            reads: "moment",
          },
        },
        isJob: true,
        sends: targetIn,
      },
    ],
  }),
]
