/**
 * Simulated randomness: a tree of generators grown from one seed; the same seed reproduces the same run.
 *
 * A child's seed depends on its parent's seed, its name and how many children of that name came
 * before: never on how many numbers were drawn. So two parts that fork under one name differ, and one
 * more number drawn in one part shifts no other part.
 * The generator is xoshiro128** (Blackman and Vigna, 2018), seeded through splitmix64. It is not
 * for keys.
 */
import { assert } from "../../assert.js"
import type { Random } from "./contract.js"

const LIMIT_MAX = 2 ** 32
const U64 = 0xffff_ffff_ffff_ffffn

/** One step of splitmix64 (Steele, Lea, Flood, 2014): a strong mix of 64 bits. */
function mixed(value: bigint): bigint {
  let z = (value + 0x9e37_79b9_7f4a_7c15n) & U64
  z = ((z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n) & U64
  z = ((z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn) & U64
  return z ^ (z >> 31n)
}

/** FNV-1a, 64 bits. */
function hashOf(text: string): bigint {
  let hash = 0xcbf2_9ce4_8422_2325n
  for (let i = 0; i < text.length; i += 1) hash = ((hash ^ BigInt(text.charCodeAt(i))) * 0x100_0000_01b3n) & U64
  return hash
}

const rotl = (value: number, by: number): number => (value << by) | (value >>> (32 - by))

export class SimRandom implements Random {
  readonly #seed: bigint
  readonly #state: Int32Array
  readonly #forks = new Map<string, number>()

  constructor(seed: number | bigint) {
    this.#seed = BigInt.asUintN(64, BigInt(seed))
    const low = mixed(this.#seed)
    const high = mixed(low)
    this.#state = Int32Array.of(
      Number(low & 0xffff_ffffn),
      Number(low >> 32n),
      Number(high & 0xffff_ffffn),
      Number(high >> 32n),
    )
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    let word = 0
    for (let i = 0; i < count; i += 1) {
      if (i % 4 === 0) word = this.#next()
      bytes[i] = word >>> (8 * (i % 4))
    }
    return bytes
  }

  below(limit: number): number {
    assert(Number.isSafeInteger(limit) && limit >= 1 && limit <= LIMIT_MAX, "a limit is from 1 to 2^32")
    // Numbers above the last whole multiple would favour small results.
    const fairBelow = LIMIT_MAX - (LIMIT_MAX % limit)
    for (;;) {
      const draw = this.#next()
      if (draw < fairBelow) return draw % limit
    }
  }

  fork(name: string): Random {
    const ordinal = this.#forks.get(name) ?? 0
    this.#forks.set(name, ordinal + 1)
    return new SimRandom(mixed(mixed(this.#seed ^ hashOf(name)) + BigInt(ordinal)))
  }

  #next(): number {
    const state = this.#state
    const [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = state
    const result = Math.imul(rotl(Math.imul(s1, 5), 7), 9) >>> 0
    state[2] = s2 ^ s0
    state[3] = s3 ^ s1
    state[1] = s1 ^ s2 ^ s0
    state[0] = s0 ^ s3 ^ s1
    state[2] = s2 ^ s0 ^ (s1 << 9)
    state[3] = rotl(s3 ^ s1, 11)
    return result
  }
}
