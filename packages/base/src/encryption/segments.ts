/**
 * Lengths of sealed bytes. A segment is up to 64 KiB of plaintext, encrypted by AES-256-GCM, with its tag behind it; a
 * sealed block is its segments, one after another. Pure.
 */
import { INLINE_BYTES_MAX, KIB } from "../limits.js"

export const SEGMENT_PLAIN_BYTES = 64 * KIB
export const SEAL_TAG_BYTES = 16
export const SEGMENT_STORED_BYTES = SEGMENT_PLAIN_BYTES + SEAL_TAG_BYTES
/** The longest payload of a row: a sealed one is a segment. */
export const PAYLOAD_BYTES_MAX = INLINE_BYTES_MAX + SEAL_TAG_BYTES

/** The stored length of one block with this much plaintext. */
export const sealedBytesOf = (plainBytes: number): number =>
  plainBytes + SEAL_TAG_BYTES * Math.ceil(plainBytes / SEGMENT_PLAIN_BYTES)

/** The plaintext of one block of this stored length. */
export const openedBytesOf = (storedBytes: number): number =>
  storedBytes - SEAL_TAG_BYTES * Math.ceil(storedBytes / SEGMENT_STORED_BYTES)

/**
 * Returns true if one block can have this stored length: each of its segments has plaintext. Every block size that can
 * be configured (a multiple of 64 KiB, at most 64 MiB) is one.
 */
export const isSealedLength = (storedBytes: number): boolean =>
  storedBytes === 0 || (storedBytes > 0 && (storedBytes - 1) % SEGMENT_STORED_BYTES >= SEAL_TAG_BYTES)
