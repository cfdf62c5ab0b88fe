/**
 * Table filters, version 1: Bloom filters over row keys (Bloom, CACM 13/7, 1970), so that a table that
 * does not hold a key is rarely read for it. With 10 bits a key and 6 probes some 1 % of absent keys pass.
 *
 * A filter is part of a directory block, whose checksum protects it. The number of bits is 8 times its
 * length; probe i tests bit (a + i × b) mod bits, where a and b are the two hashes of the key.
 */
const BITS_PER_KEY = 10
const PROBES = 6
const FILTER_BYTES_MIN = 8

/**
 * Two 31-bit hashes of a key: four bytes a step, multiplied and rotated, then mixed (as MurmurHash3 ends). 32-bit
 * numbers would be divided in floating point, which takes ten times as long.
 */
export class KeyHash {
  a = 0
  b = 0

  of(key: Uint8Array, from: number, to: number): this {
    let h = 0x9747b28c ^ (to - from)
    let g = 0x5bd1e995
    let at = from
    for (; at + 4 <= to; at += 4) {
      const word = byte(key, at) | (byte(key, at + 1) << 8) | (byte(key, at + 2) << 16) | (byte(key, at + 3) << 24)
      h = Math.imul(h ^ word, 0xcc9e2d51)
      h = (h << 13) | (h >>> 19)
      g = Math.imul(g + word, 0x1b873593) ^ (h >>> 3)
    }
    for (; at < to; at += 1) {
      h = Math.imul(h ^ byte(key, at), 0xcc9e2d51)
      h = (h << 13) | (h >>> 19)
    }
    this.a = mix(h) >>> 1
    this.b = (mix(g ^ h) >>> 1) | 1
    return this
  }
}

const byte = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0

function mix(value: number): number {
  let h = value ^ (value >>> 16)
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** Collects the hashes of keys until their number, and so the size of the filter, is known. */
export class FilterBuilder {
  private readonly hashes: number[] = []
  private readonly hash = new KeyHash()

  /** Adds the key in `bytes[from…to)`. */
  add(bytes: Uint8Array, from = 0, to = bytes.length): void {
    const { a, b } = this.hash.of(bytes, from, to)
    this.hashes.push(a, b)
  }

  /** The filter of all keys added. The builder is empty again. */
  finish(): Uint8Array {
    const keys = this.hashes.length / 2
    const filter = new Uint8Array(Math.max(FILTER_BYTES_MIN, Math.ceil((keys * BITS_PER_KEY) / 8)))
    const bits = 8 * filter.length
    for (let i = 0; i < this.hashes.length; i += 2) {
      let bit = (this.hashes[i] ?? 0) % bits
      const step = (this.hashes[i + 1] ?? 0) % bits
      for (let probe = 0; probe < PROBES; probe += 1) {
        filter[bit >>> 3] = byte(filter, bit >>> 3) | (1 << (bit & 7))
        bit += step
        if (bit >= bits) bit -= bits
      }
    }
    this.hashes.length = 0
    return filter
  }
}

/** False if the key was not added to the filter in these bytes. */
export function mayHold(bytes: Uint8Array, filterAt: number, filterBytes: number, { a, b }: KeyHash): boolean {
  const bits = 8 * filterBytes
  let bit = a % bits
  const step = b % bits
  for (let probe = 0; probe < PROBES; probe += 1) {
    if ((byte(bytes, filterAt + (bit >>> 3)) & (1 << (bit & 7))) === 0) return false
    bit += step
    if (bit >= bits) bit -= bits
  }
  return true
}
