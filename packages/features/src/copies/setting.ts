/** The setting `copies` of a bucket: where its copies go. */
import { z } from "zod"
import { fail } from "@hayloft/base/failures.js"

const STORE = /^[a-z0-9-]{1,64}$/
/** The rule for bucket names is that of remote buckets: nothing that would end a segment of a path, or leave it. */
const BUCKET = /^(?!\.{1,2}$)[^/\p{Cc}\ufffe\uffff]{1,255}$/u
const PREFIX_BYTES_MAX = 512

const PLACE = {
  store: z
    .string()
    .regex(STORE, "the name of a remote store")
    .describe("as the operator's file of remote stores names it"),
  bucket: z.string().regex(BUCKET, "the name of a bucket").describe("the bucket there"),
  prefix: z
    .string()
    .refine(prefix => Buffer.byteLength(prefix) <= PREFIX_BYTES_MAX, `at most ${PREFIX_BYTES_MAX} bytes`)
    .default("")
    .describe("what precedes each key there"),
  deletes: z.boolean().default(true).describe("whether removals are copied"),
  storageClass: z
    .string()
    .regex(/^[A-Z_]{1,32}$/, "a storage class of the target")
    .optional()
    .describe("of the copies; absent: the target's default"),
  opaqueEtags: z.boolean().default(false).describe("ETags of the target are not the MD5 of the bytes"),
  sendBack: z
    .boolean()
    .optional()
    .describe("a fill sends objects, too, that arrived here as copies: for a target that has lost its own"),
  bytesPerSecond: z.number().int().min(1_024).optional().describe("how much is sent at most, on average"),
}

/** The setting as a caller states it. */
export const COPIES_VALUE = z.strictObject(PLACE)
export type CopiesValue = z.output<typeof COPIES_VALUE>

const DOCUMENT = z.strictObject({ ...PLACE, id: z.string().regex(/^[0-9a-f]{16}$/) })
/** With the id of the target: another place has another one. */
export type CopiesSetting = z.output<typeof DOCUMENT>

/** Throws `corruptRecord`. */
export function parseCopiesSetting(document: string): CopiesSetting {
  try {
    return DOCUMENT.parse(JSON.parse(document))
  } catch (error) {
    throw fail("corruptRecord", { what: "copies setting" }, error)
  }
}

export const isSamePlace = (a: CopiesValue, b: CopiesValue): boolean =>
  a.store === b.store && a.bucket === b.bucket && a.prefix === b.prefix
