/** The part of the sample that operators see: a setting of buckets, and an operation with its command. */
import { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import { onBucket, operation, parseBody, type OperatorPart } from "../operator/index.js"
import { CHANGES } from "./changes.js"

const COUNT = z
  .object({ changes: z.number().int().nonnegative().describe("changes of objects since the setting was made") })
  .meta({ id: "CountOfChanges" })

export const SAMPLE_OPERATOR: OperatorPart = {
  operations: [
    operation("getBucketChanges", "GET /v1/buckets/{bucket}/changes", {
      summary: "Returns how often objects of a bucket were changed.",
      answer: COUNT,
      permission: onBucket("s3:ListBucket"),
      async run({ core, buckets }, { segment }) {
        const changes = await CHANGES.of(core).of((await buckets.open(parseBucketName(segment("bucket")))).id)
        if (changes === undefined) throw fail("invalidRequest", { message: "the bucket does not count its changes" })
        return { changes }
      },
      commands: [
        {
          name: "changes show",
          help: "how often objects of a bucket were changed",
          inputs: { bucket: { flags: "<BUCKET>" } },
          text: ({ changes }) => `${plural(changes, "change")}\n`,
        },
      ],
    }),
  ],
  commandGroups: { changes: "counts of the changes of objects" },
  bucketSettings: {
    changes: {
      actions: {
        GET: "hayloft:GetBucketChanges",
        PUT: "hayloft:SetBucketChanges",
        DELETE: "hayloft:RemoveBucketChanges",
      },
      get: async ({ core }, { id }) => ((await CHANGES.of(core).of(id)) === undefined ? undefined : {}),
      put: ({ core }, { id }, value) => {
        parseBody(z.strictObject({}), value)
        return CHANGES.of(core).setCounting(id, true)
      },
      remove: ({ core }, { id }) => CHANGES.of(core).setCounting(id, false),
    },
  },
}
