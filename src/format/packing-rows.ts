/**
 * Packing of cold small objects: the setting of a bucket, how far the job is in each bucket (family `packing`), and the
 * directory at the end of a pack. See decision 91.
 *
 * A pack is one body: its objects one behind the other, zeros, the directory, and the length of the directory with a mark.
 * The directory lets a rescue find the objects without the rows that were written when they were packed.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { must } from "../base/assert.js"
import { bytesOfHex, concatBytes } from "../base/bytes.js"
import { fail } from "../base/failures.js"
import { bytesOfByteString, rowKeyOf, type BucketId, type ObjectKey, type RowKey } from "../base/ids.js"
import { WHOLE_BYTES_MAX } from "../base/limits.js"
import { packRecord, RecordReader } from "./pack.js"
import { parseStoredKey } from "./records.js"
import { bucketRowKey } from "./row-key.js"
import { bytesOfVersionId } from "./version-id.js"
import type { VersionRecord } from "./version-record.js"

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

/** What a caller does not state. */
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

/** How far the job is in a bucket, and what it has done there since the setting was made. */
export interface PackingPass {
  /** By the store's clock. */
  readonly startedMs: number
  /** Undefined: the pass is under way. */
  readonly endedMs: number | undefined
  /** The first row that no process has taken; undefined: all are taken. */
  readonly next: RowKey | undefined
  readonly packed: PackedCounts
}

export interface PackedCounts {
  readonly packs: number
  readonly objects: number
  readonly bytes: number
}

export const packingRowKey = (bucketId: BucketId): RowKey => bucketRowKey(bucketId)

export const encodePackingPass = ({ startedMs, endedMs, next, packed }: PackingPass): Uint8Array =>
  packRecord(1, [
    ...[startedMs, endedMs ?? null, next === undefined ? null : bytesOfByteString(next)],
    ...[packed.packs, packed.objects, packed.bytes],
  ])

export function decodePackingPass(bytes: Uint8Array): PackingPass {
  const row = RecordReader.open("packing pass", bytes, 1)
  return {
    startedMs: row.number(),
    endedMs: row.optional(() => row.number()),
    next: row.optional(() => rowKeyOf(Buffer.from(row.bytes()).toString("latin1"))),
    packed: { packs: row.number(), objects: row.number(), bytes: row.number() },
  }
}

/** An object in a pack. */
export interface PackEntry {
  readonly key: ObjectKey
  /** 16 bytes: the upload, or the segments, that the object had before; its order if it was stored with its row. */
  readonly before: Uint8Array
  readonly offsetBytes: number
  readonly lengthBytes: number
  /** Of a single upload of the object. */
  readonly recoveryHeader: Uint8Array
}

const MARK = Buffer.from("HLPK")
/** The mark, and the length of the directory. */
const TRAILER_BYTES = MARK.length + 4

/** More than an entry takes beside its key and its recovery header. */
const ENTRY_BYTES_MAX = 48

/** A length that the directory of such entries does not exceed, with its trailer. */
export const packDirectoryBytesMax = (entries: readonly Pick<PackEntry, "key" | "recoveryHeader">[]): number =>
  entries.reduce(
    (sum, { key, recoveryHeader }) => sum + ENTRY_BYTES_MAX + key.length + recoveryHeader.length,
    16 + TRAILER_BYTES,
  )

/** The last bytes of a pack. */
export function encodePackDirectory(entries: readonly PackEntry[]): Uint8Array {
  const directory = packRecord(1, [
    entries.map(({ key, before, offsetBytes, lengthBytes, recoveryHeader }) => [
      ...[bytesOfByteString(key), before, offsetBytes, lengthBytes, recoveryHeader],
    ]),
  ])
  const trailer = Buffer.alloc(TRAILER_BYTES)
  trailer.writeUInt32BE(directory.length, 0)
  MARK.copy(trailer, 4)
  return concatBytes([directory, trailer])
}

/** Of a whole pack. */
export function decodePackDirectory(pack: Uint8Array): readonly PackEntry[] {
  const bytes = Buffer.from(pack.buffer, pack.byteOffset, pack.length)
  const end = bytes.length - TRAILER_BYTES
  if (end < 0 || !bytes.subarray(end + 4).equals(MARK)) throw fail("corruptRecord", { what: "pack", field: "mark" })
  const lengthBytes = bytes.readUInt32BE(end)
  if (lengthBytes > end) throw fail("corruptRecord", { what: "pack", field: "length" })
  const row = RecordReader.open("pack directory", bytes.subarray(end - lengthBytes, end), 1)
  const entries = row.rows(entry => ({
    ...{ key: parseStoredKey(entry.bytes()), before: entry.bytes() },
    ...{ offsetBytes: entry.number(), lengthBytes: entry.number(), recoveryHeader: entry.bytes() },
  }))
  if (entries.some(({ offsetBytes, lengthBytes: length }) => offsetBytes + length > end - lengthBytes))
    throw fail("corruptRecord", { what: "pack", field: "range" })
  return entries
}

/**
 * What the directory of a pack says of the bytes that an object had before it was packed, since a rescue may have rows from
 * then. 16 bytes: the upload, the segments, or the order and the random half of the id of a version with a payload.
 */
export function idOfBytes({ head, content }: Pick<VersionRecord, "head" | "content">): Uint8Array {
  if (content.kind === "extent") return must(bytesOfHex(content.extent.uploadId), "upload ids are hex")
  if (content.kind === "segments") return bytesOfVersionId(content.multipartId)
  const order = Buffer.alloc(16)
  order.writeBigUInt64BE(BigInt(head.order), 0)
  order.set(head.random.subarray(0, 8), 8)
  return order
}
