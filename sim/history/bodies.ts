/**
 * Bodies that identify their write.
 *
 * A body is a function of its identity (seed, key, number, length): each page of 4 KiB opens with the
 * identity and the page's number, and the rest is generated from both. So any read of a page or more identifies its
 * write, a mixture of two writes matches neither, and nothing needs to be stored.
 * Limits  Bodies shorter than IDENTITY_BYTES cannot contain their identity; compare their ETag or metadata.
 */
import { fnv1a } from "@hayloft/base/fnv.js"

export interface BodyIdentity {
  readonly seed: number
  readonly key: string
  /** The number of the write under this seed and key. */
  readonly number: number
  readonly lengthBytes: number
}

/** The identity that a body contains: the key as a hash. */
export interface BodyClaim {
  readonly seed: number
  readonly keyHash: number
  readonly number: number
  readonly lengthBytes: number
}

export const PAGE_BYTES = 4096
export const IDENTITY_BYTES = 32
const MAGIC = 0x59_41_48_31

/** The hash of the UTF-8 bytes. */
export const hashKey = (key: string): number => fnv1a(Buffer.from(key).toString("latin1"))

export const claimOf = ({ seed, key, number, lengthBytes }: BodyIdentity): BodyClaim => ({
  seed: seed >>> 0,
  keyHash: hashKey(key),
  number: number >>> 0,
  lengthBytes,
})

/** Mixes 32 bits (the finalizer of MurmurHash3). */
function mix(value: number): number {
  let mixed = value
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

function fillPage(words: Uint32Array, claim: BodyClaim, page: number): void {
  const high = Math.floor(claim.lengthBytes / 2 ** 32)
  const low = claim.lengthBytes >>> 0
  let state = mix(mix(mix(claim.seed) ^ claim.keyHash) ^ claim.number) ^ mix(low ^ mix(page + 1))
  const head = [MAGIC, claim.seed, claim.keyHash, claim.number, low, high, page, mix(state)]
  words.set(head)
  for (let at = head.length; at < words.length; at += 1) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[at] = state
  }
}

/** The body of a claim. Words are written in the machine's byte order; all machines here are little-endian. */
export function bodyOf(claim: BodyClaim): Uint8Array<ArrayBuffer> {
  const pages = Math.ceil(claim.lengthBytes / PAGE_BYTES)
  const whole = new Uint32Array((pages * PAGE_BYTES) / 4)
  for (let page = 0; page < pages; page += 1) {
    fillPage(whole.subarray((page * PAGE_BYTES) / 4, ((page + 1) * PAGE_BYTES) / 4), claim, page)
  }
  return new Uint8Array(whole.buffer, 0, claim.lengthBytes)
}

/** Returns the identity in a whole body (or one that begins at a page); undefined if it has none. */
export function readClaim(bytes: Uint8Array): BodyClaim | undefined {
  if (bytes.length < IDENTITY_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, IDENTITY_BYTES)
  if (view.getUint32(0, true) !== MAGIC) return undefined
  const lengthBytes = view.getUint32(16, true) + view.getUint32(20, true) * 2 ** 32
  return {
    seed: view.getUint32(4, true),
    keyHash: view.getUint32(8, true),
    number: view.getUint32(12, true),
    lengthBytes,
  }
}

/** Returns where the bytes first differ from the claim's body at that offset; undefined if they are equal. */
export function firstDifference(bytes: Uint8Array, claim: BodyClaim, offsetBytes = 0): number | undefined {
  if (offsetBytes + bytes.length > claim.lengthBytes) return Math.max(0, claim.lengthBytes - offsetBytes)
  const words = new Uint32Array(PAGE_BYTES / 4)
  const page = Buffer.from(words.buffer)
  for (let at = 0; at < bytes.length;) {
    const inPage = (offsetBytes + at) % PAGE_BYTES
    fillPage(words, claim, (offsetBytes + at - inPage) / PAGE_BYTES)
    const end = Math.min(bytes.length, at + PAGE_BYTES - inPage)
    const [found, expected] = [bytes.subarray(at, end), page.subarray(inPage, inPage + end - at)]
    if (expected.compare(found) !== 0) return at + found.findIndex((byte, place) => byte !== expected[place])
    at = end
  }
  return undefined
}
