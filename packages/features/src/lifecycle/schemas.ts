/** Schemas of lifecycle in the admin API's JSON: what rules do to an object, and what the next pass does. */
import { z } from "zod"
import { STORAGE_CLASSES } from "@hayloft/base/storage-class.js"

const timestamp = z.number().int().describe("milliseconds since 1970")
const count = z.number().int().nonnegative()

const WHY_NOT = z.enum([
  "disabled",
  "prefix",
  "size",
  "tags",
  "noAction",
  "hidesVersions",
  "newerKept",
  "tooSmall",
  "hasClass",
  "classOrder",
  "unmapped",
])
const ACTION = z
  .enum(["hide", "removeVersion", "removeMarker", "move"])
  .describe("hide: a delete marker is put over an object; move: to another storage class")
const STORAGE_CLASS = z.enum(STORAGE_CLASSES)
const MOVED_TO = STORAGE_CLASS.optional().describe("to which a version moves")
const WHEN = { dueMs: timestamp.optional(), whyNot: WHY_NOT.optional() }

export const LIFECYCLE_EXPLANATION = z
  .object({
    hasRules: z.boolean().describe("the bucket has lifecycle rules"),
    nowMs: timestamp.describe("the time by which rules are judged"),
    versions: z.array(
      z.object({
        versionId: z.string(),
        isLatest: z.boolean(),
        isMarker: z.boolean(),
        sizeBytes: count,
        modifiedMs: timestamp,
        storageClass: STORAGE_CLASS,
        isLocked: z.boolean().describe("object lock keeps the version, whatever rules say"),
        next: z
          .object({ ruleId: z.string(), dueMs: timestamp, action: ACTION, storageClass: MOVED_TO })
          .optional()
          .describe("what happens first; absent: nothing, as things are"),
        rules: z.array(
          z.object({
            ruleId: z.string(),
            ...WHEN,
            transitions: z
              .array(z.object({ storageClass: STORAGE_CLASS, ...WHEN }))
              .optional()
              .describe("moves to other storage classes; dueMs and whyNot beside them are those of a removal"),
          }),
        ),
      }),
    ),
    hasMore: z.boolean().describe("the key has more versions than are shown"),
  })
  .meta({ id: "LifecycleExplanation" })

export const LIFECYCLE_PREVIEW = z
  .object({
    hasRules: z.boolean().describe("the bucket has lifecycle rules"),
    atMs: timestamp.describe("when the next pass begins"),
    rules: z.array(
      z.object({
        ruleId: z.string(),
        isEnabled: z.boolean().describe("a disabled rule does nothing"),
        hidden: count.describe("objects that get a delete marker"),
        versions: count.describe("versions that are removed"),
        markers: count.describe("delete markers that are removed"),
        bytes: count.describe("of removed versions and hidden objects"),
        moved: count.describe("versions that move to another storage class"),
        movedBytes: count,
        uploads: count.describe("unfinished multipart uploads that are removed"),
        examples: z.array(z.object({ key: z.string(), versionId: z.string(), action: ACTION, storageClass: MOVED_TO })),
      }),
    ),
    locked: count.describe("versions that are due, and kept by object lock"),
    examined: count.describe("versions and delete markers that were looked at"),
    isComplete: z
      .boolean()
      .describe(
        "false: the bucket has more than are looked at for rules that are not set; what is counted is less than all",
      ),
    abandonedUploads: count.describe("unfinished multipart uploads that are removed without a rule"),
  })
  .meta({ id: "LifecyclePreview" })
