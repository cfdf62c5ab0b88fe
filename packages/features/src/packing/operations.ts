/** The operations of packing: what it has made of a bucket, and the job that undoes it. */
import { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import {
  PACKING_DEFAULTS,
  PACKING_SETTING_LIMITS,
  type PackingSetting,
} from "@hayloft/engine/format/objects/packing-rows.js"
import { operation, parseBody, STARTED_JOB, startedJson, type OperatorPart } from "../operator/index.js"
import type { Packing } from "./packing.js"
import { PACKING } from "./schemas.js"
import { PACKING_SERVICE } from "./services.js"
import { packingText } from "./stat-text.js"
import { openUndoPacking, textOfUndoPacking, UNDO_PACKING, UNDO_PACKING_REQUEST } from "./undo-job.js"

const PATH = "/v1/buckets/{bucket}/packing"

/** Kept apart from the schemas of answers, from which the console takes its types. */
const UNDO = UNDO_PACKING_REQUEST.meta({ id: "UndoPacking" })

function shown({ pass, ...report }: Awaited<ReturnType<Packing["stat"]>>) {
  if (pass === undefined) return report
  const { startedMs, endedMs, packed } = pass
  return { ...report, pass: { startedMs, endedMs, ...packed } }
}

const BUCKET = { flags: "<BUCKET>" }

const OPERATIONS = [
  operation("getBucketPacking", `GET ${PATH}`, {
    summary: "Returns what packing has made of a bucket, and what it leaves out; reads all rows of the bucket.",
    answer: PACKING,
    run: async ({ core, buckets }, { segment }) =>
      shown(await PACKING_SERVICE.of(core).stat(await buckets.open(parseBucketName(segment("bucket"))))),
    commands: [
      {
        name: "pack stat",
        help: "packs of a bucket, what of them is still in use, and what is left out; reads all rows of the bucket",
        inputs: { bucket: BUCKET },
        json: (report, given) => ({ bucket: given("bucket"), ...report }),
        text: (report, given) => packingText(given("bucket"), report),
      },
    ],
  }),
  operation("undoPacking", `POST ${PATH}/undo`, {
    request: UNDO,
    summary:
      "Starts a job that gives each packed object of a bucket bytes of its own. The setting must be removed before.",
    status: 202,
    answer: STARTED_JOB,
    async run({ core, buckets, startedJobs }, { segment, body, caller }) {
      const request = parseBody(UNDO_PACKING_REQUEST, body)
      const bucket = await buckets.open(parseBucketName(segment("bucket")))
      if ((await PACKING_SERVICE.of(core).setting(bucket)) !== undefined)
        throw fail("invalidRequest", {
          message: `the objects would be packed again: remove the setting first (hayloft bucket settings delete ${bucket.name} packing)`,
        })
      const text = textOfUndoPacking({ bucket: bucket.name, bucketId: bucket.id }, request)
      const job = { kind: UNDO_PACKING, target: bucket.name, request: text, starter: caller, isDryRun: false }
      return startedJson(await startedJobs.start(job))
    },
    commands: [
      {
        name: "pack undo",
        isJob: true,
        help: "give each packed object bytes of its own; the setting packing must be removed before",
        inputs: { bucket: BUCKET },
      },
    ],
  }),
]

const DAY_SECONDS = 86_400
const { afterSecondsMax, maxBytesMax } = PACKING_SETTING_LIMITS
const SETTING = z
  .strictObject({
    afterDays: z
      .number()
      .min(0)
      .max(afterSecondsMax / DAY_SECONDS)
      .optional(),
    afterSeconds: z.number().int().min(0).max(afterSecondsMax).optional(),
    maxBytes: z.number().int().min(1).max(maxBytesMax).default(PACKING_DEFAULTS.maxBytes),
  })
  .refine(({ afterDays, afterSeconds }) => afterDays === undefined || afterSeconds === undefined, {
    message: "afterDays or afterSeconds, not both",
  })

/** The setting that a value in JSON stands for. */
function settingOf(value: unknown): PackingSetting {
  const { afterDays, afterSeconds, maxBytes } = parseBody(SETTING, value)
  const ofDays = afterDays === undefined ? PACKING_DEFAULTS.afterSeconds : Math.round(afterDays * DAY_SECONDS)
  return { afterSeconds: afterSeconds ?? ofDays, maxBytes }
}

export const PACKING_OPERATOR: OperatorPart = {
  operations: OPERATIONS,
  commandGroups: { pack: "packing of cold small objects: what it has made of a bucket, and back" },
  bucketSettings: {
    packing: {
      actions: {
        GET: "hayloft:GetBucketPacking",
        PUT: "hayloft:SetBucketPacking",
        DELETE: "hayloft:RemoveBucketPacking",
      },
      get: async ({ core }, bucket) => {
        const setting = await PACKING_SERVICE.of(core).setting(bucket)
        return setting && { ...setting }
      },
      put: async ({ core }, bucket, value) => PACKING_SERVICE.of(core).set(bucket, settingOf(value)),
      remove: ({ core }, bucket) => PACKING_SERVICE.of(core).set(bucket, undefined),
    },
  },
  rowJobs: [{ kinds: [UNDO_PACKING], open: openUndoPacking }],
}
