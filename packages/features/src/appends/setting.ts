/** The setting `append` of a bucket, as operators see it. */
import { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { parseBody, type OperatorPart } from "../operator/index.js"

/** The setting has no members. */
const SETTING = z.strictObject({})

export const APPENDS_OPERATOR: OperatorPart = {
  bucketSettings: {
    append: {
      actions: { GET: "hayloft:GetBucketAppend", PUT: "hayloft:SetBucketAppend", DELETE: "hayloft:RemoveBucketAppend" },
      get: async (_, { settings }) => (settings.includes("append") ? {} : undefined),
      async put({ buckets }, bucket, value) {
        parseBody(SETTING, value)
        if (bucket.versioning !== "never")
          throw fail("invalidRequest", { message: "objects of a bucket with versioning cannot be appended to" })
        await buckets.setSetting(bucket, "append", "{}")
      },
      remove: ({ buckets }, bucket) => buckets.setSetting(bucket, "append", undefined),
    },
  },
}
