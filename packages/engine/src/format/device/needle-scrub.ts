/**
 * Progress of the scrub of a device's needles, kept over restarts.
 *
 * Version 1, little-endian:
 *
 *   0 magic "HNSc" (4)   4 version (1)   5 whether there is a position (1)   6 zero (2)   8 needles (4)
 *  12 position (24)     36 index keys of needles found bad (27 each), then XXH64 of all that precedes (8)
 *
 * Refuses   Anything else with `corruptRecord`. Its loss costs work, never data.
 */
import { assert } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import type { RowKey } from "@hayloft/base/ids.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { xxh64, xxh64Into } from "@hayloft/base/simd/xxh64.js"
import { bufferOf } from "../encoding/buffer-of.js"
import { NEEDLE_KEY_BYTES } from "../needles/needle.js"
import type { VolumePosition } from "../needles/volume.js"
import { decodeVolumePosition, encodeVolumePosition } from "../needles/volume.js"

export interface NeedleScrubState {
  /** Everything before it has been verified; undefined at the start of a pass. */
  readonly at: VolumePosition | undefined
  /** Keys of damaged needles that are not rebuilt yet. */
  readonly damaged: readonly RowKey[]
}

const MAGIC = 0x6353_4e48
const VERSION = 1
const POSITION_AT = 12
const POSITION_BYTES = 24
const KEYS_AT = POSITION_AT + POSITION_BYTES
const HASH_BYTES = 8

export function encodeNeedleScrub({ at, damaged }: NeedleScrubState): Uint8Array {
  const bytes = Buffer.alloc(KEYS_AT + damaged.length * NEEDLE_KEY_BYTES + HASH_BYTES)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.set([VERSION, at === undefined ? 0 : 1], 4)
  bytes.writeUInt32LE(damaged.length, 8)
  if (at !== undefined) bytes.set(encodeVolumePosition(at), POSITION_AT)
  for (const [i, key] of damaged.entries()) {
    assert(key.length === NEEDLE_KEY_BYTES, "the key of a needle")
    bytes.write(key, KEYS_AT + i * NEEDLE_KEY_BYTES, "latin1")
  }
  xxh64Into(bytes.subarray(0, -HASH_BYTES), 0n, bytes, bytes.length - HASH_BYTES)
  return bytes
}

/** Throws `corruptRecord`. */
export function decodeNeedleScrub(encoded: Uint8Array): NeedleScrubState {
  const bytes = bufferOf(encoded)
  const corrupt = (reason: string) => fail("corruptRecord", { what: "the state of a scrub", reason })
  if (bytes.length < KEYS_AT + HASH_BYTES || bytes.readUInt32LE(0) !== MAGIC) throw corrupt("magic")
  const hashAt = bytes.length - HASH_BYTES
  if (xxh64(bytes.subarray(0, hashAt)) !== bytes.readBigUInt64LE(hashAt)) throw corrupt("checksum")
  if (bytes[4] !== VERSION) throw corrupt("version")
  const count = bytes.readUInt32LE(8)
  if (hashAt !== KEYS_AT + count * NEEDLE_KEY_BYTES) throw corrupt("length")
  const damaged = Array.from({ length: count }, (_, i) => {
    const from = KEYS_AT + i * NEEDLE_KEY_BYTES
    return rowKeyOf(bytes.toString("latin1", from, from + NEEDLE_KEY_BYTES))
  })
  const position = bytes.subarray(POSITION_AT, POSITION_AT + POSITION_BYTES)
  return { at: bytes[5] === 1 ? decodeVolumePosition(position) : undefined, damaged }
}
