/** Schemas of quotas in the admin API's JSON. */
import { z } from "zod"

const count = z.number().int().nonnegative()
const signed = z.number().int()

export const QUOTA_LIMITS = z
  .strictObject({
    hardBytes: count.optional().describe("what would exceed it is refused: 403 QuotaExceeded"),
    warnBytes: count.optional().describe("from here on status, metrics and a log line warn"),
    hardObjects: count.optional().describe("versions and delete markers; a delete marker is never refused"),
    warnObjects: count.optional(),
  })
  .meta({ id: "QuotaLimits" })

export const QUOTA = z
  .object({
    holder: z.enum(["bucket", "account"]),
    name: z.string().describe("of the bucket, or the account's id"),
    limits: QUOTA_LIMITS,
    isExact: z.boolean().describe("false while what was there before the quota is being added: no limit holds yet"),
    used: z
      .object({
        bytes: signed.describe("of all versions, and of parts of uploads that began under the quota"),
        partBytes: signed.describe("of which parts"),
        objects: signed.describe("versions and delete markers"),
      })
      .optional()
      .describe("absent if the count is lost: count again with `hayloft quota check --repair`"),
    percent: signed.optional().describe("of the limit that is closer"),
    isAboveWarning: z.boolean(),
  })
  .meta({ id: "Quota" })

export const QUOTA_REPLY = z.object({ quota: QUOTA.optional().describe("absent: none") }).meta({ id: "QuotaReply" })

const USED = z.object({ bytes: signed, objects: signed, partBytes: signed })
export const QUOTA_CHECK = z
  .object({
    hasQuota: z.boolean().describe("without a quota, the counters are compared with the rows"),
    used: USED.optional().describe("what the quota has counted; absent: it is lost, or there is no quota"),
    counters: z.object({ bytes: signed, objects: signed }).describe("by the counters of the buckets; without parts"),
    walked: USED.describe("by a walk over all versions and parts"),
    isStill: z.boolean().describe("nothing has changed during the walk"),
    agrees: z.boolean(),
  })
  .meta({ id: "QuotaCheck" })
