/** Schemas of the settings of a bucket in the admin API's JSON. */
import { z } from "zod"

/** A thousand lifecycle rules with filters. */
export const SETTING_BYTES_MAX = 1024 * 1024

const SETTING_VALUE = z
  .record(z.string(), z.unknown())
  .describe(
    "as `aws s3api get-bucket-…` prints it; of `quota` the limits, of `undelete` the `days`. A value from GET can be set again",
  )
  .meta({ id: "BucketSettingValue" })

export const SET_SETTING = z.strictObject({ value: SETTING_VALUE }).meta({ id: "SetBucketSetting" })

export const BUCKET_SETTING = z
  .object({
    setting: z.string().describe("`versioning`, `lifecycle`, `policy` …"),
    isSet: z.boolean(),
    canRemove: z.boolean().describe("false: it always has a value"),
    value: SETTING_VALUE.optional().describe("absent: it is not set"),
    refused: z.string().optional().describe("why the caller may not see it"),
  })
  .meta({ id: "BucketSetting" })

export const BUCKET_SETTINGS = z.object({ settings: z.array(BUCKET_SETTING) }).meta({ id: "BucketSettings" })
