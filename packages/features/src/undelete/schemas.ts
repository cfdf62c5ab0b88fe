/** Schemas of undelete in the admin API's JSON. */
import { z } from "zod"

const count = z.number().int().nonnegative()
const timestamp = z.number().int().describe("milliseconds since 1970")
const key = z.string().min(1).max(1024)
const prefix = z.string().max(1024)

const days = z.number().int().min(1).max(365).describe("for which deleted and overwritten objects are kept")
const over = z.boolean().default(false).describe("also over an existing object, which is kept in turn")
const atMs = timestamp.optional().describe("restore what was the object at this time; the newest if absent")

export const SET_UNDELETE = z.strictObject({ days: days.default(3) }).meta({ id: "SetUndelete" })

export const UNDELETE = z
  .object({
    days: days.optional().describe("absent: nothing more is kept"),
    kept: z
      .object({ objects: count, bytes: count })
      .optional()
      .describe("in addition to the usage of the bucket, outside of quotas; absent: the count is lost"),
  })
  .meta({ id: "Undelete" })

const DELETED_OBJECT = z
  .object({
    key: z.string(),
    id: z.string().describe("names it among those that are kept of the key"),
    deletedMs: timestamp,
    untilMs: timestamp.describe("when it is removed"),
    reason: z.enum(["deleted", "overwritten", "expired"]).describe("expired: by a lifecycle rule"),
    sizeBytes: count,
    etag: z.string(),
    modifiedMs: timestamp,
  })
  .meta({ id: "DeletedObject" })

export const DELETED_OBJECTS = z
  .object({ deleted: z.array(DELETED_OBJECT), next: z.string().optional() })
  .meta({ id: "DeletedObjects" })

export const RESTORE_DELETED = z
  .strictObject({ key, id: z.string().max(128).optional().describe("`id` of a listing"), atMs, over })
  .meta({ id: "RestoreDeleted" })

export const RESTORED = z
  .object({
    outcome: z
      .enum(["restored", "nothingKept", "exists"])
      .describe("exists: there is an object, and `over` was not set; nothing was changed"),
  })
  .meta({ id: "Restored" })

export const RESTORE_PREFIX = z
  .strictObject({ prefix, atMs, over, after: z.string().max(8192).optional().describe("`next` of the previous page") })
  .meta({ id: "RestorePrefix" })

export const RESTORED_PREFIX = z
  .object({
    restored: count,
    exist: count.describe("keys with an object, because `over` was not set"),
    nothingKept: count.describe("keys of which nothing of that time is kept"),
    next: z.string().optional().describe("absent at the end"),
  })
  .meta({ id: "RestoredPrefix" })

export const PURGE_DELETED = z
  .strictObject({ key: key.optional(), prefix: prefix.optional().describe('"": everything that is kept') })
  .refine(given => (given.key === undefined) !== (given.prefix === undefined), "send a key or a prefix")
  .meta({ id: "PurgeDeleted" })

export const PURGED = z
  .object({ objects: count, bytes: count, hasMore: z.boolean().describe("the same request goes on") })
  .meta({ id: "Purged" })
