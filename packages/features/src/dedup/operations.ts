/** The operations of deduplication: the figures of a bucket, and jobs that verify, rebuild and compact. */
import { z } from "zod"
import { parseBucketName } from "@hayloft/base/ids.js"
import { operation, parseBody, STARTED_JOB, startedJson, type OperatorPart } from "../operator/index.js"
import { DEDUP } from "./schemas.js"
import { DEDUP_SERVICES } from "./services.js"
import { dedupText } from "./stat-text.js"
import { DEDUP_REQUEST, kindOfDedup, openUpkeepJob, textOfDedup, UPKEEP_KINDS } from "./upkeep-jobs.js"

/** Kept apart from the schemas of answers, from which the console takes its types. */
const START_DEDUP_JOB = DEDUP_REQUEST.meta({ id: "StartDedupJob" })

const BUCKET = { flags: "<BUCKET>" }

const OPERATIONS = [
  operation("getBucketDedup", "GET /v1/buckets/{bucket}/dedup", {
    summary: "Returns what deduplication saves in a bucket, and what it keeps; reads all rows of the bucket.",
    answer: DEDUP,
    run: async ({ core, buckets }, { segment }) =>
      DEDUP_SERVICES.of(core).dedupUpkeep.stat(await buckets.open(parseBucketName(segment("bucket")))),
    commands: [
      {
        name: "dedup stat",
        help: "what deduplication saves in a bucket, and what it keeps; reads all rows of the bucket",
        inputs: { bucket: BUCKET },
        json: (report, given) => ({ bucket: given("bucket"), ...report }),
        text: (report, given) => dedupText(given("bucket"), report),
      },
    ],
  }),
  operation("startDedupJob", "POST /v1/buckets/{bucket}/dedup/jobs", {
    summary: "Starts a job that verifies, rebuilds or compacts the deduplication of a bucket.",
    request: START_DEDUP_JOB,
    status: 202,
    answer: STARTED_JOB,
    async run({ buckets, startedJobs }, { segment, body, caller }) {
      const request = parseBody(DEDUP_REQUEST, body)
      const bucket = await buckets.open(parseBucketName(segment("bucket")))
      const text = textOfDedup({ request, bucket: bucket.name, bucketId: bucket.id })
      const job = { kind: kindOfDedup(request), target: bucket.name, request: text, starter: caller, isDryRun: false }
      return startedJson(await startedJobs.start(job))
    },
    commands: [
      {
        name: "dedup verify",
        isJob: true,
        help: "count references again, compare index, digests and what is there, and add blocks that the index lacks; exit code 1 if something does not agree",
        inputs: {
          bucket: BUCKET,
          read: {
            flags: "--read",
            help: "also read the bytes, and compare them with their digests",
            otherwise: "false",
          },
        },
        sends: { kind: "verify" },
      },
      {
        name: "dedup rebuild",
        isJob: true,
        help: "repair what verify finds, and read objects that have no digests, so that later writes find their blocks",
        inputs: {
          bucket: BUCKET,
          read: {
            flags: "--read",
            help: "also read objects that have digests, and replace digests that are not those of the bytes",
            otherwise: "false",
          },
        },
        sends: { kind: "rebuild" },
      },
      {
        name: "dedup compact",
        isJob: true,
        help: "copy references to objects that are gone and kept for less than half of their bytes, so that these are deleted",
        inputs: { bucket: BUCKET },
        sends: { kind: "compact" },
      },
    ],
  }),
]

/** The setting has no members. */
const SETTING = z.strictObject({})

export const DEDUP_OPERATOR: OperatorPart = {
  operations: OPERATIONS,
  commandGroups: { dedup: "deduplication of a bucket: what it saves, and whether its rows agree" },
  bucketSettings: {
    dedup: {
      actions: { GET: "hayloft:GetBucketDedup", PUT: "hayloft:SetBucketDedup", DELETE: "hayloft:RemoveBucketDedup" },
      get: async (_, { settings }) => (settings.includes("dedup") ? {} : undefined),
      put: ({ core }, bucket, value) => {
        parseBody(SETTING, value)
        return DEDUP_SERVICES.of(core).dedup.setDedup(bucket, true)
      },
      remove: ({ core }, bucket) => DEDUP_SERVICES.of(core).dedup.setDedup(bucket, false),
    },
  },
  rowJobs: [{ kinds: UPKEEP_KINDS, open: openUpkeepJob }],
}
