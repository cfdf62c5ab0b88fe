/** Requests of bulk jobs on objects: which objects of a bucket, and what happens to them. */
import { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { SELECTED_MAX } from "@hayloft/base/limits.js"
import { MOMENT_FORM, parseMoment } from "@hayloft/base/text/moment.js"
import { STORAGE_CLASSES } from "@hayloft/base/storage-class.js"

const KEY_CHARACTERS_MAX = 1_024
const VERSION_CHARACTERS_MAX = 64
const TAGS_MAX = 10
const MOMENT_CHARACTERS_MAX = 40
const tag = z.strictObject({ key: z.string().min(1).max(128), value: z.string().max(256) })
const timestamp = z.number().int().nonnegative().describe("milliseconds since 1970")
const prefix = z.string().max(KEY_CHARACTERS_MAX)

const key = z.string().min(1).max(KEY_CHARACTERS_MAX)
const SELECTED = z.union([
  z.strictObject({
    key,
    versionId: z.string().min(1).max(VERSION_CHARACTERS_MAX).optional().describe("only of delete-versions"),
  }),
  z.strictObject({ prefix: key.describe("all objects below it") }),
])

const FILTER = {
  prefix: prefix.default("").describe('"": all objects of the bucket'),
  selected: z
    .array(SELECTED)
    .min(1)
    .max(SELECTED_MAX, `more than ${SELECTED_MAX} objects are selected: start several jobs, or name a prefix`)
    .optional()
    .describe(`only these, ${SELECTED_MAX} at most; each begins with the prefix`),
  modifiedBeforeMs: timestamp.optional().describe("only objects that are older; never ones newer than the job"),
  largerThanBytes: z.number().int().nonnegative().optional(),
  tag: tag.optional().describe("only objects with this tag"),
  itemsPerSecond: z
    .number()
    .min(0.1)
    .max(100_000)
    .optional()
    .describe("absent: as fast as it goes, in the pauses of other work"),
}

/** The request that a caller sends; the path names the bucket. */
export const BULK_REQUEST = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z
      .literal("delete-objects")
      .describe("the objects that a listing shows; with versioning they get delete markers"),
    ...FILTER,
  }),
  z.strictObject({
    kind: z.literal("delete-versions").describe("all versions and delete markers, permanently"),
    ...FILTER,
    bypassGovernance: z.boolean().default(false).describe("also versions that are locked in governance mode"),
  }),
  z.strictObject({
    kind: z
      .literal("restore-objects")
      .describe("makes the versions of a time current again: removes newer delete markers, or copies the version"),
    ...FILTER,
    atMs: timestamp.optional().describe("absent: the last version below a delete marker"),
    to: z
      .string()
      .max(MOMENT_CHARACTERS_MAX)
      .refine(text => parseMoment(text) !== undefined, `to must be ${MOMENT_FORM}`)
      .optional()
      .describe(
        "instead of atMs, in a bucket with a history: all objects become what they were at this moment; newer ones get delete markers",
      ),
  }),
  z.strictObject({
    kind: z.literal("prefetch-objects").describe("brings objects of a remote bucket into the cache"),
    ...FILTER,
  }),
  z.strictObject({
    kind: z
      .literal("evict-objects")
      .describe("drops what is cached of objects of a remote bucket; pending writes stay"),
    ...FILTER,
  }),
  z.strictObject({
    kind: z.literal("tag-objects").describe("replaces the tags of the objects"),
    ...FILTER,
    tags: z.array(tag).max(TAGS_MAX),
  }),
  z.strictObject({
    kind: z.literal("set-class").describe("copies each object onto itself with another storage class"),
    ...FILTER,
    storageClass: z.enum(STORAGE_CLASSES),
  }),
  z.strictObject({
    kind: z.literal("copy-objects").describe("copies the objects to a bucket, with their tags"),
    ...FILTER,
    toBucket: z.string().min(3).max(255),
    toPrefix: prefix.optional().describe("in place of the prefix; absent: keys stay as they are"),
  }),
])

export type BulkRequest = z.output<typeof BULK_REQUEST>

/** The request of a bulk job, in the form in which the row of the job has it. */
const STORED = z.object({
  bucket: z.string(),
  /** A bucket of the same name that is made later is another one. */
  bucketId: z.number(),
  request: BULK_REQUEST,
  itemsPerSecond: z.number().optional(),
  /** The moment at which the job was started; absent: an earlier release has started it, and it is no restore to a moment. */
  asOfUs: z.number().optional(),
})
type StoredBulkRequest = Omit<z.output<typeof STORED>, "itemsPerSecond">

export const textOfBulk = ({ request, bucket, bucketId, asOfUs }: StoredBulkRequest): string =>
  JSON.stringify({ bucket, bucketId, request, itemsPerSecond: request.itemsPerSecond, asOfUs })

/** The moment to which a job restores; undefined: it is no such job. */
export const restoredMomentOf = (request: BulkRequest): number | undefined =>
  request.kind === "restore-objects" && request.to !== undefined ? parseMoment(request.to) : undefined

/** Throws `corruptRecord`. */
export function parseBulk(text: string): StoredBulkRequest {
  const parsed = STORED.safeParse(JSON.parse(text))
  if (!parsed.success) throw fail("corruptRecord", { what: "request of a job" })
  return parsed.data
}

/** The request of a job that has ended, without its selection, which is no longer needed. */
export function endedRequest(text: string): string {
  const { success, data } = STORED.safeParse(text === "" ? undefined : JSON.parse(text))
  if (!success || data.request.selected === undefined) return text
  return textOfBulk({ ...data, request: { ...data.request, selected: undefined } })
}

/** The target as a person would name it. */
export const targetOfBulk = (bucket: string, { prefix: begin, selected }: BulkRequest): string =>
  `${bucket}/${begin}${selected === undefined ? "" : ` (${selected.length} selected)`}`
