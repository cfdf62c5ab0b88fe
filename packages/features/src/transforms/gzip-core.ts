/**
 * The frame of a gzip stream (RFC 1952) around deflate blocks that processes make: no name, no time, so that the same
 * bytes always make the same stream.
 *
 * A stream is `GZIP_HEADER`, blocks of which none is the last, and `gzipTrailer`.
 */

/** Deflate, no flags, no time, an unknown system. */
export const GZIP_HEADER: Uint8Array = Uint8Array.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])

/** The last block, which is empty (fixed codes, end of block). */
const LAST_BLOCK = [0x03, 0x00]
const WORD_BYTES = 4

/** `crc32`: big-endian, as digests have it. The size is counted modulo 2 to the 32nd. */
export function gzipTrailer(crc32: Uint8Array, sizeBytes: number): Uint8Array {
  const sizes = Array.from({ length: WORD_BYTES }, (_, i) => Math.floor(sizeBytes / 256 ** i) % 256)
  return Uint8Array.from([...LAST_BLOCK, ...[...crc32].reverse(), ...sizes])
}
