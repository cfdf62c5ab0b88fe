/**
 * Stored rows: the metadata store's value of a row. The store's blocks carry the checksum.
 *
 * Layout: value; if flagged, the payload's place in a payload volume (volume 4, offset 8, length 4), which is
 * private to this device and not part of the replicated value; flags (1). The payload needle verifies itself.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { RowKey } from "@hayloft/base/ids.js"
import { bufferOf } from "../encoding/buffer-of.js"

export interface VolumePlace {
  readonly volume: number
  readonly offsetBytes: number
  readonly lengthBytes: number
}

interface StoredRow {
  readonly value: Uint8Array
  readonly place: VolumePlace | undefined
}

const HAS_PLACE = 1
const PLACE_BYTES = 16

export function encodeStoredRow(value: Uint8Array, place: VolumePlace | undefined): Uint8Array {
  const row = Buffer.allocUnsafe(value.length + (place ? PLACE_BYTES : 0) + 1)
  row.set(value, 0)
  if (place) {
    row.writeUInt32LE(place.volume, value.length)
    row.writeBigUInt64LE(BigInt(place.offsetBytes), value.length + 4)
    row.writeUInt32LE(place.lengthBytes, value.length + 12)
  }
  row[row.length - 1] = place ? HAS_PLACE : 0
  return row
}

/** Returns the end of the value of the row in `bytes[valueAt…end)`; less than `valueAt` if the row is malformed. */
export const valueEnd = (bytes: Uint8Array, end: number): number =>
  end - 1 - ((bytes[end - 1] ?? 0) & HAS_PLACE ? PLACE_BYTES : 0)

/** The value is a view. Throws `corruptRow` if the bytes are not a row. */
export function decodeStoredRow(family: Family, key: RowKey, bytes: Uint8Array): StoredRow {
  const end = valueEnd(bytes, bytes.length)
  const flags = bytes[bytes.length - 1]
  if (end < 0 || flags === undefined || flags > HAS_PLACE) throw corrupt(family, key)
  const value = bytes.subarray(0, end)
  if (!(flags & HAS_PLACE)) return { value, place: undefined }
  const row = bufferOf(bytes)
  return {
    value,
    place: {
      volume: row.readUInt32LE(end),
      offsetBytes: Number(row.readBigUInt64LE(end + 4)),
      lengthBytes: row.readUInt32LE(end + 12),
    },
  }
}

const corrupt = (family: Family, key: RowKey): Failure =>
  fail("corruptRow", { family, rowKey: Buffer.from(key, "latin1").toString("hex") })
