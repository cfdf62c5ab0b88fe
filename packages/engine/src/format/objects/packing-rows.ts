/**
 * Packing of cold small objects: the setting of a bucket, how far the job is in each bucket (family `packing`), and the
 * directory at the end of a pack. See decision 91.
 *
 * A pack is one body: its objects one behind the other, zeros, the directory, and the length of the directory with a mark.
 * The directory lets a rescue find the objects, and their order, without the rows that were written when they were packed.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { concatBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import { WHOLE_BYTES_MAX } from "@hayloft/base/limits.js"
import { BYTES, bytesOfLength, group, mapped, NUMBER, optional, record, recordOf, rowsOf } from "../encoding/fields.js"
import type { ValueOf } from "../encoding/fields.js"
import { OBJECT_KEY, ROW_KEY } from "../encoding/id-fields.js"
import { bucketRowKey } from "../row-key.js"
import { bytesOfVersionId, multipartIdOfSuffix } from "./version-id.js"
import type { VersionHead } from "./version-record.js"

/** The setting `packing` of a bucket. */
export interface PackingSetting {
  /** Objects that were written so long ago are cold. */
  readonly afterSeconds: number
  /** Longer objects are not packed. */
  readonly maxBytes: number
}

const DAY_SECONDS = 86_400

export const PACKING_SETTING_LIMITS = {
  afterSecondsMax: 10 * 365 * DAY_SECONDS,
  maxBytesMax: WHOLE_BYTES_MAX,
} as const

/** The values for what a caller does not state. */
export const PACKING_DEFAULTS: PackingSetting = { afterSeconds: 30 * DAY_SECONDS, maxBytes: WHOLE_BYTES_MAX }

export const encodePackingSetting = ({ afterSeconds, maxBytes }: PackingSetting): string =>
  JSON.stringify({ afterSeconds, maxBytes })

export function decodePackingSetting(document: string): PackingSetting {
  try {
    const setting = parseSetting(document)
    if (setting !== undefined) return setting
  } catch (error) {
    throw fail("corruptRecord", { what: "packing setting" }, error)
  }
  throw fail("corruptRecord", { what: "packing setting" })
}

function parseSetting(document: string): PackingSetting | undefined {
  const { afterSeconds, maxBytes } = JSON.parse(document) as Partial<Record<keyof PackingSetting, unknown>>
  return isCount(afterSeconds) && isCount(maxBytes) ? { afterSeconds, maxBytes } : undefined
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

const PACKED_COUNTS = group({ packs: NUMBER, objects: NUMBER, bytes: NUMBER })
export type PackedCounts = ValueOf<typeof PACKED_COUNTS>

/** How far the job is in a bucket, and what it has done there since the setting was made. */
const PASS = record("packing pass", {
  /** By the store's clock. */
  startedMs: NUMBER,
  /** The end is undefined while the pass is under way. */
  endedMs: optional(NUMBER),
  /** The first row that no process has taken; undefined: all are taken. */
  next: optional(ROW_KEY),
  packed: PACKED_COUNTS,
})
export type PackingPass = ValueOf<typeof PASS>
export const { encode: encodePackingPass, decode: decodePackingPass } = PASS

export const packingRowKey = (bucketId: BucketId): RowKey => bucketRowKey(bucketId)

const ID = bytesOfLength(16)

/** Objects in a pack. */
const ENTRIES = rowsOf({
  key: OBJECT_KEY,
  /** See `idOfVersion`. */
  version: ID,
  /** The single upload that the version had before; undefined: its bytes were elsewhere. */
  upload: optional(ID),
  /** The segments that the version has from now on. */
  segments: mapped(ID, bytes => multipartIdOfSuffix(Buffer.from(bytes).toString("latin1")), bytesOfVersionId),
  offsetBytes: NUMBER,
  lengthBytes: NUMBER,
  /** The recovery header of a single upload of the object. */
  recoveryHeader: BYTES,
})
export type PackEntry = ValueOf<typeof ENTRIES>[number]

const DIRECTORY = recordOf("pack directory", ENTRIES)

const MARK = Buffer.from("HLPK")
/** The mark, and the length of the directory. */
const TRAILER_BYTES = MARK.length + 4

/** More than an entry takes beside its key and its recovery header. */
const ENTRY_BYTES_MAX = 84

/** A length that the directory of such entries does not exceed, with its trailer. */
export const packDirectoryBytesMax = (entries: readonly Pick<PackEntry, "key" | "recoveryHeader">[]): number =>
  entries.reduce(
    (sum, { key, recoveryHeader }) => sum + ENTRY_BYTES_MAX + key.length + recoveryHeader.length,
    16 + TRAILER_BYTES,
  )

/** The last bytes of a pack. */
export function encodePackDirectory(entries: readonly PackEntry[]): Uint8Array {
  const directory = DIRECTORY.encode(entries)
  const trailer = Buffer.alloc(TRAILER_BYTES)
  trailer.writeUInt32BE(directory.length, 0)
  MARK.copy(trailer, 4)
  return concatBytes([directory, trailer])
}

/** Decodes the directory of a whole pack. */
export function decodePackDirectory(pack: Uint8Array): readonly PackEntry[] {
  const bytes = Buffer.from(pack.buffer, pack.byteOffset, pack.length)
  const end = bytes.length - TRAILER_BYTES
  if (end < 0 || !bytes.subarray(end + 4).equals(MARK)) throw fail("corruptRecord", { what: "pack", field: "mark" })
  const lengthBytes = bytes.readUInt32BE(end)
  if (lengthBytes > end) throw fail("corruptRecord", { what: "pack", field: "length" })
  const entries = DIRECTORY.decode(bytes.subarray(end - lengthBytes, end))
  if (entries.some(({ offsetBytes, lengthBytes: length }) => offsetBytes + length > end - lengthBytes))
    throw fail("corruptRecord", { what: "pack", field: "range" })
  return entries
}

/**
 * Which version a directory means, since a rescue may have its row from before it was packed: its order and the random half
 * of its id. An object whose bytes change gets another order, and later versions of a key have greater ones.
 */
export function idOfVersion({ order, random }: Pick<VersionHead, "order" | "random">): Uint8Array {
  const id = Buffer.alloc(16)
  id.writeBigUInt64BE(BigInt(order), 0)
  id.set(random.subarray(0, 8), 8)
  return id
}
