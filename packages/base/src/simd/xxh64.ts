/**
 * XXH64: the checksum of everything that is stored or transferred inside the store (rows, log, shards).
 *
 * Synchronous, about 20 GB/s: a WebAssembly kernel whose loop is unrolled to 64 bytes. It detects
 * accidents, not attackers. Input of any length passes through the kernel's own memory in pieces,
 * except for bytes in `xxh64Memory`, which are hashed in place. `Xxh64Kernel` does so in any
 * WebAssembly memory.
 * Source: xxHash fast digest algorithm, doc/xxhash_spec.md, version 0.2.0.
 */
import type { Code, WasmFunction } from "./wasm.js"
import {
  call,
  get,
  getGlobal,
  i32,
  i64,
  ifElse,
  parseExport,
  seq,
  set,
  setGlobal,
  WasmCode,
  wasmMemory,
  whileTrue,
} from "./wasm.js"

const P1 = 11400714785074694791n
const P2 = 14029467366897019727n
const P3 = 1609587929392839161n
const P4 = 9650029242287828579n
const P5 = 2870177450012600261n
const LANES = [0, 1, 2, 3] as const
const STRIPE_BYTES = 32
const LANES_BYTES = 32
const PIECE_BYTES = 65_536
/** The address of `hashInto`'s result, and of kept accumulators, after the piece. */
const RESULT_AT = PIECE_BYTES

const prime = (value: bigint): Code => i64.of(value)
const round = (accumulator: Code, input: Code): Code =>
  i64.mul(i64.rotl(i64.add(accumulator, i64.mul(input, prime(P2))), i64.of(31n)), prime(P1))
const mixRight = (local: number, bits: bigint): Code =>
  set(local, i64.xor(get(local), i64.shr(get(local), i64.of(bits))))

/** begin(seed): the four accumulators, kept in globals between calls. */
const BEGIN: WasmFunction = {
  exportAs: "begin",
  params: ["i64"],
  body: seq(
    setGlobal(0, i64.add(get(0), prime(P1 + P2))),
    setGlobal(1, i64.add(get(0), prime(P2))),
    setGlobal(2, get(0)),
    setGlobal(3, i64.add(get(0), prime(-P1))),
  ),
}

/** stripes(from, to): a multiple of 32 bytes. */
function stripes(): WasmFunction {
  const [from, to, firstLane] = [0, 1, 2]
  const eat = (offset: number): Code =>
    seq(...LANES.map(l => set(firstLane + l, round(get(firstLane + l), i64.load(get(from), offset + 8 * l)))))
  const step = (bytes: number): Code => set(from, i32.add(get(from), i32.of(bytes)))
  const hasBytes = (bytes: number): Code => i32.atMost(i32.add(get(from), i32.of(bytes)), get(to))
  return {
    exportAs: "stripes",
    params: ["i32", "i32"],
    locals: LANES.map(() => "i64"),
    body: seq(
      ...LANES.map(l => set(firstLane + l, getGlobal(l))),
      whileTrue(hasBytes(2 * STRIPE_BYTES), seq(eat(0), eat(STRIPE_BYTES), step(2 * STRIPE_BYTES))),
      whileTrue(hasBytes(STRIPE_BYTES), seq(eat(0), step(STRIPE_BYTES))),
      ...LANES.map(l => setGlobal(l, get(firstLane + l))),
    ),
  }
}

/** `mergeAccumulators()`: the accumulators as one value, for input of at least one stripe. */
function mergeAccumulators(): WasmFunction {
  const rotations = [1n, 7n, 12n, 18n]
  const sum = LANES.map(l => i64.rotl(getGlobal(l), i64.of(rotations[l] ?? 0n))).reduce((a, b) => i64.add(a, b))
  const body = LANES.reduce<Code>(
    (hash, l) => i64.add(i64.mul(i64.xor(hash, round(i64.of(0n), getGlobal(l))), prime(P1)), prime(P4)),
    sum,
  )
  return { exportAs: "mergeAccumulators", params: [], result: "i64", body }
}

/** finish(hash, from, to): the last bytes, fewer than 32, and the avalanche. `hash` includes the total length. */
function finish(): WasmFunction {
  const [hash, from, to] = [0, 1, 2]
  const eat = (bytes: number, value: Code): Code => seq(set(hash, value), set(from, i32.add(get(from), i32.of(bytes))))
  const hasBytes = (bytes: number): Code => i32.atMost(i32.add(get(from), i32.of(bytes)), get(to))
  const eight = i64.add(
    i64.mul(i64.rotl(i64.xor(get(hash), round(i64.of(0n), i64.load(get(from)))), i64.of(27n)), prime(P1)),
    prime(P4),
  )
  const four = i64.add(
    i64.mul(i64.rotl(i64.xor(get(hash), i64.mul(i64.load32(get(from)), prime(P1))), i64.of(23n)), prime(P2)),
    prime(P3),
  )
  const one = i64.mul(i64.rotl(i64.xor(get(hash), i64.mul(i64.load8(get(from)), prime(P5))), i64.of(11n)), prime(P1))
  return {
    exportAs: "finish",
    params: ["i64", "i32", "i32"],
    result: "i64",
    body: seq(
      whileTrue(hasBytes(8), eat(8, eight)),
      whileTrue(hasBytes(4), eat(4, four)),
      whileTrue(hasBytes(1), eat(1, one)),
      mixRight(hash, 33n),
      set(hash, i64.mul(get(hash), prime(P2))),
      mixRight(hash, 29n),
      set(hash, i64.mul(get(hash), prime(P3))),
      mixRight(hash, 32n),
      get(hash),
    ),
  }
}

/** hash(from, length, seed): in one call. Function numbers: 0 begin, 1 stripes, 2 mergeAccumulators, 3 finish. */
function hashAll(): WasmFunction {
  const [from, length, seed, middle, hash] = [0, 1, 2, 3, 4]
  const long = seq(
    set(middle, i32.add(get(from), i32.and(get(length), i32.of(-STRIPE_BYTES)))),
    call(0, get(seed)),
    call(1, get(from), get(middle)),
    set(hash, call(2)),
  )
  const short = seq(set(middle, get(from)), set(hash, i64.add(get(seed), prime(P5))))
  return {
    exportAs: "hash",
    params: ["i32", "i32", "i64"],
    result: "i64",
    locals: ["i32", "i64"],
    body: seq(
      ifElse(i32.lessThan(get(length), i32.of(STRIPE_BYTES)), short, long),
      call(3, i64.add(get(hash), i64.fromI32(get(length))), get(middle), i32.add(get(from), get(length))),
    ),
  }
}

/** hashInto(from, length, seed, at): as `hash`, the result stored as 8 little-endian bytes. */
const HASH_INTO: WasmFunction = {
  exportAs: "hashInto",
  params: ["i32", "i32", "i64", "i32"],
  body: i64.store(get(3), call(4, get(0), get(1), get(2))),
}

/** load(at), save(at): the accumulators from and to 32 bytes of memory. */
const LOAD: WasmFunction = {
  exportAs: "load",
  params: ["i32"],
  body: seq(...LANES.map(l => setGlobal(l, i64.load(get(0), 8 * l)))),
}
const SAVE: WasmFunction = {
  exportAs: "save",
  params: ["i32"],
  body: seq(...LANES.map(l => i64.store(get(0), getGlobal(l), 8 * l))),
}

const CODE = new WasmCode(() => ({
  globals: LANES.length,
  functions: [BEGIN, stripes(), mergeAccumulators(), finish(), hashAll(), HASH_INTO, LOAD, SAVE],
}))

/** XXH64 over bytes of one WebAssembly memory, in place. Each thread needs its own instance. */
export class Xxh64Kernel {
  readonly begin: (seed: bigint) => void
  readonly stripes: (from: number, to: number) => void
  readonly mergeAccumulators: () => bigint
  readonly finish: (hash: bigint, from: number, to: number) => bigint
  /** The checksum of `length` bytes at address `from`. */
  readonly hash: (from: number, length: number, seed: bigint) => bigint
  /** The same, written to address `at` as 8 little-endian bytes. */
  readonly hashInto: (from: number, length: number, seed: bigint, at: number) => void
  /** The accumulators, from 32 bytes at address `at`, and to them. */
  readonly load: (at: number) => void
  readonly save: (at: number) => void

  constructor(memory: WebAssembly.Memory) {
    const instance = CODE.instantiate(memory)
    this.begin = parseExport(instance, "begin")
    this.stripes = parseExport(instance, "stripes")
    this.mergeAccumulators = parseExport(instance, "mergeAccumulators")
    this.finish = parseExport(instance, "finish")
    this.hash = parseExport(instance, "hash")
    this.hashInto = parseExport(instance, "hashInto")
    this.load = parseExport(instance, "load")
    this.save = parseExport(instance, "save")
  }
}

const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 })
const piece = Buffer.from(memory.buffer, 0, PIECE_BYTES)
const result = new Uint8Array(memory.buffer, RESULT_AT, 8)
const kept = new Uint8Array(memory.buffer, RESULT_AT, LANES_BYTES)
const kernel = new Xxh64Kernel(memory)

const kernels = new WeakMap<ArrayBufferLike, Xxh64Kernel>()
/** Copying shorter input is faster than looking up its kernel. */
const IN_PLACE_BYTES_MIN = 16_384

/** `wasmMemory` whose bytes are hashed in place. */
export function xxh64Memory(lengthBytes: number): Uint8Array {
  const memory = wasmMemory(lengthBytes)
  kernels.set(memory.buffer, new Xxh64Kernel(memory))
  return new Uint8Array(memory.buffer)
}

function hashLong(bytes: Uint8Array, seed: bigint): bigint {
  kernel.begin(seed)
  let at = 0
  for (; bytes.length - at >= PIECE_BYTES; at += PIECE_BYTES) {
    piece.set(bytes.subarray(at, at + PIECE_BYTES))
    kernel.stripes(0, PIECE_BYTES)
  }
  piece.set(bytes.subarray(at))
  const tail = bytes.length - at
  const middle = tail - (tail % STRIPE_BYTES)
  kernel.stripes(0, middle)
  return BigInt.asUintN(64, kernel.finish(kernel.mergeAccumulators() + BigInt(bytes.length), middle, tail))
}

/** The XXH64 of the bytes, unsigned. `seed` is taken modulo 2^64. */
export function xxh64(bytes: Uint8Array, seed = 0n): bigint {
  const inPlace = bytes.length < IN_PLACE_BYTES_MIN ? undefined : kernels.get(bytes.buffer)
  if (inPlace) return BigInt.asUintN(64, inPlace.hash(bytes.byteOffset, bytes.length, seed))
  if (bytes.length > PIECE_BYTES) return hashLong(bytes, seed)
  piece.set(bytes)
  return BigInt.asUintN(64, kernel.hash(0, bytes.length, seed))
}

/** Writes the XXH64 of the bytes to `target[offset…offset+8)`, little-endian, allocating nothing for up to 64 KiB. */
export function xxh64Into(bytes: Uint8Array, seed: bigint, target: Uint8Array, offset: number): void {
  if (bytes.length > PIECE_BYTES) {
    let rest = hashLong(bytes, seed)
    for (let i = 0; i < 8; i += 1, rest >>= 8n) target[offset + i] = Number(rest & 0xffn)
    return
  }
  piece.set(bytes)
  kernel.hashInto(0, bytes.length, seed, RESULT_AT)
  target.set(result, offset)
}

/** A running XXH64 without a seed. Many run at the same time. */
export class RunningXxh64 {
  private readonly lanes = new Uint8Array(LANES_BYTES)
  /** Less than a stripe that waits. */
  private readonly held = new Uint8Array(STRIPE_BYTES)
  private waiting = 0
  private lengthBytes = 0

  constructor() {
    kernel.begin(0n)
    this.keep()
  }

  update(bytes: Uint8Array): void {
    this.lengthBytes += bytes.length
    let at = 0
    if (this.waiting + bytes.length >= STRIPE_BYTES) this.resume()
    while (this.waiting + bytes.length - at >= STRIPE_BYTES) {
      const taken = bytes.subarray(at, at + PIECE_BYTES - this.waiting)
      piece.set(this.held.subarray(0, this.waiting))
      piece.set(taken, this.waiting)
      const end = this.waiting + taken.length
      const middle = end - (end % STRIPE_BYTES)
      kernel.stripes(0, middle)
      this.held.set(piece.subarray(middle, end))
      this.waiting = end - middle
      at += taken.length
    }
    if (at > 0) this.keep()
    this.held.set(bytes.subarray(at), this.waiting)
    this.waiting += bytes.length - at
  }

  /** Big-endian. */
  digest(): Uint8Array {
    this.resume()
    piece.set(this.held.subarray(0, this.waiting))
    const start = this.lengthBytes < STRIPE_BYTES ? P5 : kernel.mergeAccumulators()
    const digest = new Uint8Array(8)
    const hash = kernel.finish(start + BigInt(this.lengthBytes), 0, this.waiting)
    new DataView(digest.buffer).setBigUint64(0, BigInt.asUintN(64, hash))
    return digest
  }

  private resume(): void {
    kept.set(this.lanes)
    kernel.load(RESULT_AT)
  }

  private keep(): void {
    kernel.save(RESULT_AT)
    this.lanes.set(kept)
  }
}

/** Buffer to assemble input of up to 64 KiB from parts; valid until the next hash. */
export const XXH64_PIECE: Buffer = piece

/** Writes the XXH64 of the first bytes of XXH64_PIECE, as `xxh64Into`. */
export function xxh64OfPieceInto(lengthBytes: number, target: Uint8Array, offset: number): void {
  kernel.hashInto(0, lengthBytes, 0n, RESULT_AT)
  target.set(result, offset)
}
