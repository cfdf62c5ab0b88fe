/**
 * HighwayHash-256: the checksum with which MinIO protects the shards of its objects.
 *
 * Synchronous, some GB/s: a WebAssembly kernel on vectors of two 64-bit lanes. It is keyed, and made for bytes that nobody
 * has forged; here it finds damage. All input passes through the kernel's own memory in pieces.
 * Source: J. Alakuijala, B. Cox, J. Wassenberg, "Fast keyed hash/pseudo-random function using SIMD multiply and permute",
 * 2016, and the reference implementation of its authors (google/highwayhash).
 */
import { assert } from "../assert.js"
import type { Code, WasmFunction } from "./wasm.js"
import { get, i32, parseExport, seq, set, v128, WasmCode, whileTrue } from "./wasm.js"

export const HIGHWAY_HASH_BYTES = 32
const PACKET_BYTES = 32
const PIECE_BYTES = 65_536
/** The address of the state, after the piece: v0, v1, mul0, mul1, each of four 64-bit lanes. */
const STATE_AT = PIECE_BYTES
const ROUNDS_OF_THE_END = 10

const FIRST_MUL_0 = [0xdbe6d5d5fe4cce2fn, 0xa4093822299f31d0n, 0x13198a2e03707344n, 0x243f6a8885a308d3n]
const FIRST_MUL_1 = [0x3bd39e10cb0ef593n, 0xc0acf169b5f18a8cn, 0xbe5466cf34e90c6cn, 0x452821e638d01377n]
const ZIPPER = [3, 12, 2, 5, 14, 1, 15, 0, 11, 4, 10, 13, 9, 6, 8, 7]
/** The even 32-bit lanes in the lower half, and the odd ones. */
const LOW_WORDS = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]
const HIGH_WORDS = [4, 5, 6, 7, 12, 13, 14, 15, 4, 5, 6, 7, 12, 13, 14, 15]

/** update(from, to): eats packets of 32 bytes. Each vector of the state is two locals: lanes 0 and 1, lanes 2 and 3. */
function update(): WasmFunction {
  const [from, to, v0, v1, mul0, mul1] = [0, 1, 2, 4, 6, 8]
  const halves = [0, 1]
  const vectors = [v0, v1, mul0, mul1].flatMap(first => halves.map(half => first + half))
  const product = (low: Code, high: Code): Code =>
    v128.multiplyLow32(v128.shuffle(low, low, LOW_WORDS), v128.shuffle(high, high, HIGH_WORDS))
  const eat = halves.map(h =>
    seq(
      set(v1 + h, v128.add64(get(v1 + h), v128.add64(v128.load(get(from), 16 * h), get(mul0 + h)))),
      set(mul0 + h, v128.xor(get(mul0 + h), product(get(v1 + h), get(v0 + h)))),
      set(v0 + h, v128.add64(get(v0 + h), get(mul1 + h))),
      set(mul1 + h, v128.xor(get(mul1 + h), product(get(v0 + h), get(v1 + h)))),
      set(v0 + h, v128.add64(get(v0 + h), v128.shuffle(get(v1 + h), get(v1 + h), ZIPPER))),
      set(v1 + h, v128.add64(get(v1 + h), v128.shuffle(get(v0 + h), get(v0 + h), ZIPPER))),
    ),
  )
  const stateAt = i32.of(STATE_AT)
  return {
    exportAs: "update",
    params: ["i32", "i32"],
    locals: vectors.map(() => "v128"),
    body: seq(
      ...vectors.map((local, i) => set(local, v128.load(stateAt, 16 * i))),
      whileTrue(i32.lessThan(get(from), get(to)), seq(...eat, set(from, i32.add(get(from), i32.of(PACKET_BYTES))))),
      ...vectors.map((local, i) => v128.store(stateAt, get(local), 16 * i)),
    ),
  }
}

const CODE = new WasmCode(() => ({ functions: [update()] }))

interface Kernel {
  readonly piece: Uint8Array
  readonly lanes: BigUint64Array
  /** The same as halves of lanes. */
  readonly words: Uint32Array
  readonly update: (from: number, to: number) => void
}

function makeKernel(): Kernel {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 })
  return {
    piece: new Uint8Array(memory.buffer, 0, PIECE_BYTES),
    lanes: new BigUint64Array(memory.buffer, STATE_AT, 16),
    words: new Uint32Array(memory.buffer, STATE_AT, 32),
    update: parseExport(CODE.instantiate(memory), "update"),
  }
}

let shared: Kernel | undefined

const swapHalves = (lane: bigint): bigint => BigInt.asUintN(64, (lane << 32n) | (lane >> 32n))

function begin({ lanes }: Kernel, key: Uint8Array): void {
  const keyLanes = new DataView(key.buffer, key.byteOffset, key.byteLength)
  for (let i = 0; i < 4; i += 1) {
    const lane = keyLanes.getBigUint64(8 * i, true)
    const [mul0 = 0n, mul1 = 0n] = [FIRST_MUL_0[i], FIRST_MUL_1[i]]
    lanes[i] = mul0 ^ lane
    lanes[4 + i] = mul1 ^ swapHalves(lane)
    lanes[8 + i] = mul0
    lanes[12 + i] = mul1
  }
}

/** The last bytes, fewer than a packet, are spread in a packet; their number is mixed in. */
function eatRest({ piece, words, update }: Kernel, rest: Uint8Array): void {
  const count = rest.length
  for (let i = 0; i < 8; i += 2) {
    const low = words[i] ?? 0
    words[i] = low + count
    words[i + 1] = (words[i + 1] ?? 0) + count + (low + count > 0xffff_ffff ? 1 : 0)
  }
  for (let i = 8; i < 16; i += 1) {
    const word = words[i] ?? 0
    words[i] = (word << count) | (word >>> (32 - count))
  }
  const [whole, odd] = [count & ~3, count & 3]
  piece.fill(0, 0, PACKET_BYTES)
  piece.set(rest.subarray(0, whole))
  if (count >= 16) piece.set(rest.subarray(count - 4), 28)
  else if (odd > 0) {
    piece[16] = rest[whole] ?? 0
    piece[17] = rest[whole + (odd >> 1)] ?? 0
    piece[18] = rest[count - 1] ?? 0
  }
  update(0, PACKET_BYTES)
}

/** The state's own lanes, permuted, as a packet. */
function permute({ piece, words, update }: Kernel): void {
  const packet = new Uint32Array(piece.buffer, 0, 8)
  for (const [i, word] of [5, 4, 7, 6, 1, 0, 3, 2].entries()) packet[i] = words[word] ?? 0
  update(0, PACKET_BYTES)
}

/** Two pairs of lanes, reduced modulo x^128 + x^2 + x. */
function reduce(digest: DataView, at: number, a3: bigint, a2: bigint, a1: bigint, a0: bigint): void {
  const top = a3 & 0x3fff_ffff_ffff_ffffn
  const high = a1 ^ ((top << 1n) | (a2 >> 63n)) ^ ((top << 2n) | (a2 >> 62n))
  const low = a0 ^ (a2 << 1n) ^ (a2 << 2n)
  digest.setBigUint64(at, BigInt.asUintN(64, low), true)
  digest.setBigUint64(at + 8, BigInt.asUintN(64, high), true)
}

/** The HighwayHash-256 of the bytes. `key`: 32 bytes. */
export function highwayHash256(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  assert(key.length === HIGHWAY_HASH_BYTES, "the key has 32 bytes")
  const kernel = (shared ??= makeKernel())
  const { piece, lanes } = kernel
  begin(kernel, key)
  const whole = bytes.length - (bytes.length % PACKET_BYTES)
  for (let at = 0; at < whole; at += PIECE_BYTES) {
    const part = bytes.subarray(at, Math.min(at + PIECE_BYTES, whole))
    piece.set(part)
    kernel.update(0, part.length)
  }
  if (whole < bytes.length) eatRest(kernel, bytes.subarray(whole))
  for (let round = 0; round < ROUNDS_OF_THE_END; round += 1) permute(kernel)
  const digest = new DataView(new ArrayBuffer(HIGHWAY_HASH_BYTES))
  const sum = (i: number, j: number): bigint => BigInt.asUintN(64, (lanes[i] ?? 0n) + (lanes[j] ?? 0n))
  reduce(digest, 0, sum(5, 13), sum(4, 12), sum(1, 9), sum(0, 8))
  reduce(digest, 16, sum(7, 15), sum(6, 14), sum(3, 11), sum(2, 10))
  return new Uint8Array(digest.buffer)
}
