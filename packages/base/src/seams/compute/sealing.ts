/**
 * Seals and opens segments with AES-256-GCM (NIST SP 800-38D), on the calling thread. See decision 56.
 *
 * Promises  Nothing of a segment is returned or written before its tag was verified. The nonce contains block, segment
 *           and whether it is the last, so a segment that was moved, and an extent that was cut, do not open.
 * Requires  A key seals a place once: the bytes of an extent are written once, under a key of their own.
 */
import { GCM_NONCE_BYTES, openGcm, sealGcm } from "../../encryption/aes-gcm.js"
import { assert } from "../../assert.js"
import { concatBytes, copyPlainly } from "../../bytes.js"
import { fail } from "../../failures.js"
import { openedBytesOf, SEAL_TAG_BYTES, sealedBytesOf } from "../../encryption/segments.js"
import { SEGMENT_PLAIN_BYTES, SEGMENT_STORED_BYTES } from "../../encryption/segments.js"
import type { OpenRequest, SealedBlock, SegmentAt } from "./contract.js"

const LAST = 1

function nonceOf({ block, segment, isLast }: Omit<SegmentAt, "key">): Uint8Array {
  const nonce = Buffer.alloc(GCM_NONCE_BYTES)
  nonce.writeUInt32BE(block, 0)
  nonce.writeUInt32BE(segment, 4)
  nonce.writeUInt32BE(isLast ? LAST : 0, 8)
  return nonce
}

function encrypt(plain: Uint8Array, at: SegmentAt): { readonly sealed: Uint8Array; readonly tag: Uint8Array } {
  assert(plain.length <= SEGMENT_PLAIN_BYTES, "a segment has at most 64 KiB")
  return sealGcm(plain, { key: at.key, nonce: nonceOf(at) })
}

/** One segment: the ciphertext, then its tag. */
export function sealSegment(plain: Uint8Array, at: SegmentAt): Uint8Array {
  const { sealed, tag } = encrypt(plain, at)
  return concatBytes([sealed, tag])
}

/** The plaintext. Throws `corruptSeal` if key, place or bytes are not those that were sealed. */
export function openSegment(sealed: Uint8Array, at: SegmentAt): Uint8Array {
  const plainBytes = sealed.length - SEAL_TAG_BYTES
  const { block, segment } = at
  if (plainBytes < 0 || plainBytes > SEGMENT_PLAIN_BYTES) throw fail("corruptSeal", { block, segment })
  const gcm = { key: at.key, nonce: nonceOf(at) }
  const plain = openGcm(sealed.subarray(0, plainBytes), sealed.subarray(plainBytes), gcm)
  if (plain === undefined) throw fail("corruptSeal", { block, segment })
  return plain
}

/**
 * Seals a block in place: its plaintext is at the front of `bytes`. From the last segment to the first, since each
 * moves by a tag for each one before it. Returns the stored length.
 */
export function sealBlock(bytes: Uint8Array, plainBytes: number, { key, block, isLast }: SealedBlock): number {
  const storedBytes = sealedBytesOf(plainBytes)
  assert(plainBytes > 0 && storedBytes <= bytes.length, "the sealed block fits its memory")
  const last = Math.ceil(plainBytes / SEGMENT_PLAIN_BYTES) - 1
  for (let segment = last; segment >= 0; segment -= 1) {
    const from = segment * SEGMENT_PLAIN_BYTES
    const plain = bytes.subarray(from, Math.min(from + SEGMENT_PLAIN_BYTES, plainBytes))
    const place = { key, block, segment, isLast: isLast && segment === last }
    const { sealed, tag } = encrypt(plain, place)
    const to = segment * SEGMENT_STORED_BYTES
    copyPlainly(bytes, sealed, to)
    copyPlainly(bytes, tag, to + sealed.length)
  }
  return storedBytes
}

/** Runs all steps of `openSteps`. */
export function openInPlace(request: OpenRequest): number {
  const steps = openSteps(request)
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

/** See `Compute.openSegments`. Yields the number of processed bytes after each segment, so that other work can run. */
export function* openSteps({ bytes, key, block, firstSegment, isLast }: OpenRequest): Generator<number, number> {
  const count = Math.ceil(bytes.length / SEGMENT_STORED_BYTES)
  for (let n = 0; n < count; n += 1) {
    if (n > 0) yield SEGMENT_STORED_BYTES
    const from = n * SEGMENT_STORED_BYTES
    const sealed = bytes.subarray(from, from + SEGMENT_STORED_BYTES)
    const place = { key, block, segment: firstSegment + n, isLast: isLast && n === count - 1 }
    copyPlainly(bytes, openSegment(sealed, place), n * SEGMENT_PLAIN_BYTES)
  }
  return openedBytesOf(bytes.length)
}
