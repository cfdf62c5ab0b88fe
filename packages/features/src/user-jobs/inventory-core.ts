/** Inventories: their requests, and the rows of objects and versions in their tables. Pure. */
import { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { MOMENT_FORM, parseMoment, textOfMoment } from "@hayloft/base/text/moment.js"
import { RowSum } from "@hayloft/engine/format/tables/row-sum.js"
import { runOfRows, type UserTableAbout } from "@hayloft/engine/format/tables/user-table.js"
import { NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import type { ListedObject, VersionEntry } from "@hayloft/objects/contract.js"

const MOMENT_CHARACTERS_MAX = 40

/** The body of a caller's request; the path names the bucket. */
export const INVENTORY_REQUEST = z.strictObject({
  toBucket: z.string().min(3).max(255).describe("the bucket that gets the inventory"),
  toKey: z.string().min(1).max(1_024).describe("its key; the object appears when the inventory is whole"),
  versions: z.boolean().default(false).describe("all versions and delete markers, and not only the current objects"),
  at: z
    .string()
    .max(MOMENT_CHARACTERS_MAX)
    .refine(text => parseMoment(text) !== undefined, `at must be ${MOMENT_FORM}`)
    .optional()
    .describe("the moment, in a bucket with a history; absent: the start of the job, if there is a history"),
  itemsPerSecond: z.number().min(1).max(1_000_000).optional().describe("rows a second; absent: as fast as it goes"),
})

/** The request of an inventory job, in the form in which the row of the job has it. */
const STORED = z.object({
  bucket: z.string(),
  /** A bucket of the same name that is made later is another one. */
  bucketId: z.number(),
  request: INVENTORY_REQUEST,
  /** The moment that the inventory shows; absent: objects as they are when the job comes to them. */
  atUs: z.number().optional(),
})
export type StoredInventory = z.output<typeof STORED>

export const INVENTORY_KIND = "inventory"
export const isInventory = ({ kind }: { readonly kind: string }): boolean => kind === INVENTORY_KIND

export const textOfInventory = (stored: StoredInventory): string =>
  JSON.stringify({ ...stored, itemsPerSecond: stored.request.itemsPerSecond })

/** Throws `corruptRecord`. */
export function parseInventory(text: string): StoredInventory {
  const parsed = STORED.safeParse(JSON.parse(text))
  if (!parsed.success) throw fail("corruptRecord", { what: "request of a job" })
  return parsed.data
}

/** The target as a person would name it. */
export const targetOfInventory = (bucket: string, { toBucket, toKey }: StoredInventory["request"]): string =>
  `${bucket} into ${toBucket}/${toKey}`

export const momentOfInventory = ({ at }: StoredInventory["request"]): number | undefined =>
  at === undefined ? undefined : parseMoment(at)

/** The description in the table. */
export function aboutInventory({ bucket, request, atUs }: StoredInventory, startedMs: number): UserTableAbout {
  const notes = new Map([
    ["inventory of", bucket],
    ["rows", request.versions ? "versions" : "objects"],
    ["started", new Date(startedMs).toISOString()],
  ])
  if (atUs !== undefined) notes.set("moment", textOfMoment(atUs))
  return { values: "json", notes }
}

/** The number of the table of one upload. */
export function runOfUpload(uploadId: string): number {
  const sum = new RowSum()
  const bytes = Buffer.from(uploadId, "utf8")
  sum.add(bytes, 0, bytes.length, 0)
  return runOfRows(sum)
}

/** A row of an inventory. */
export interface InventoryRow {
  readonly key: Buffer
  readonly value: Buffer
  readonly sizeBytes: number
}

const factsOf = ({ sizeBytes, etag, lastModifiedMs, storageClass, checksumAlgorithm, checksumType }: ListedObject) => ({
  size: sizeBytes,
  etag,
  lastModified: new Date(lastModifiedMs).toISOString(),
  storageClass,
  ...(checksumAlgorithm && { checksumAlgorithm }),
  ...(checksumType && { checksumType }),
})

const jsonBytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value), "utf8")

export const objectRow = (object: ListedObject): InventoryRow => ({
  key: Buffer.from(object.key, "latin1"),
  value: jsonBytes(factsOf(object)),
  sizeBytes: object.sizeBytes,
})

type Version = Exclude<VersionEntry, { readonly kind: "prefix" }>

export const keyOfEntry = (entry: Version) => (entry.kind === "version" ? entry.object.key : entry.key)

/**
 * The key of a version's row: the object's key, a zero byte, and the version's id. A zero byte in the object's key becomes 00
 * FF, so that the order of rows is that of keys.
 */
const versionRowKey = (key: string, versionId: string): Buffer =>
  Buffer.from(`${key.replaceAll("\x00", "\x00\xff")}\x00${versionId}`, "latin1")

function versionRow(entry: Version): InventoryRow {
  const key = keyOfEntry(entry)
  const { versionId, isLatest } = entry
  const facts =
    entry.kind === "version"
      ? factsOf(entry.object)
      : { deleteMarker: true, lastModified: new Date(entry.lastModifiedMs).toISOString() }
  return {
    key: versionRowKey(key, versionId),
    value: jsonBytes({ key: textOfObjectKey(key), versionId, isLatest, ...facts }),
    sizeBytes: entry.kind === "version" ? entry.object.sizeBytes : 0,
  }
}

/**
 * Rows of versions in the order of their keys: a listing has them from the newest to the oldest, as the order of ids is, but
 * for the null version, whose id comes behind all others.
 */
export class InventoryRows {
  /** The null version of the key that the listing is at. */
  private held: Version | undefined

  next(entries: readonly Version[]): readonly InventoryRow[] {
    const rows: InventoryRow[] = []
    for (const entry of entries) {
      if (this.held !== undefined && keyOfEntry(this.held) !== keyOfEntry(entry)) rows.push(...this.rest())
      if (entry.versionId === NULL_VERSION) this.held = entry
      else rows.push(versionRow(entry))
    }
    return rows
  }

  /** Returns the rows that are left when the listing has ended. */
  rest(): readonly InventoryRow[] {
    const { held } = this
    this.held = undefined
    return held === undefined ? [] : [versionRow(held)]
  }
}
