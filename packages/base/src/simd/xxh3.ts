/**
 * XXH3 with 64 and 128 bits, without a seed: checksums that S3 clients may declare.
 *
 * Synchronous, some GB/s: a WebAssembly kernel eats the blocks of long input, through its own memory in pieces; short input and
 * the end are computed here. It detects accidents, not attackers.
 * Source: the XXH3 algorithm, doc/xxhash_spec.md of the authors (Cyan4973/xxHash), version 0.2.0.
 */
import { bytesOfHex } from "../bytes.js"
import { must } from "../assert.js"
import type { Code, WasmFunction } from "./wasm.js"
import { get, i32, i64, parseExport, seq, set, WasmCode, whileTrue } from "./wasm.js"

const P32_1 = 0x9e3779b1n
const P32_2 = 0x85ebca77n
const P32_3 = 0xc2b2ae3dn
const P64_1 = 0x9e3779b185ebca87n
const P64_2 = 0xc2b2ae3d27d4eb4fn
const P64_3 = 0x165667b19e3779f9n
const P64_4 = 0x85ebca77c2b2ae63n
const P64_5 = 0x27d4eb2f165667c5n
const MIX_1 = 0x165667919e3779f9n
const MIX_2 = 0x9fb21c651e98df25n
const LANES = [0, 1, 2, 3, 4, 5, 6, 7] as const
const FIRST_LANES = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]
const SECRET = must(
  bytesOfHex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c" +
      "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364" +
      "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e",
  ),
  "the secret is hex",
)
const STRIPE_BYTES = 64
const BLOCK_BYTES = 1024
/** Longer input is eaten in blocks. */
const SHORT_BYTES_MAX = 240
const PIECE_BYTES = 32_768
const [SECRET_AT, LANES_AT] = [PIECE_BYTES, PIECE_BYTES + 256]
/** Offsets in the secret at which the stripe that ends the input, and the mixing after a block, begin. */
const [LAST_STRIPE_SECRET, BLOCK_SECRET] = [SECRET.length - STRIPE_BYTES - 7, SECRET.length - STRIPE_BYTES]

const mask64 = (value: bigint): bigint => BigInt.asUintN(64, value)
const times = (a: bigint, b: bigint): bigint => mask64(a * b)
const foldProduct = (a: bigint, b: bigint): bigint => mask64(a * b) ^ ((a * b) >> 64n)
const rotl = (value: bigint, bits: bigint): bigint => mask64(value << bits) | (value >> (64n - bits))

function avalanche(hash: bigint): bigint {
  const mixed = times(hash ^ (hash >> 37n), MIX_1)
  return mixed ^ (mixed >> 32n)
}

/** XXH64 ends so, too. */
function avalanche64(hash: bigint): bigint {
  const once = times(hash ^ (hash >> 33n), P64_2)
  const twice = times(once ^ (once >> 29n), P64_3)
  return twice ^ (twice >> 32n)
}

function reversed(value: bigint, bytes: number): bigint {
  let turned = 0n
  for (let i = 0, rest = value; i < bytes; i += 1, rest >>= 8n) turned = (turned << 8n) | (rest & 0xffn)
  return turned
}

/** Reads little-endian words of input and secret. */
class Words {
  private readonly view: DataView

  constructor(readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  at(offset: number): bigint {
    return this.view.getBigUint64(offset, true)
  }

  half(offset: number): bigint {
    return BigInt(this.view.getUint32(offset, true))
  }

  /** The words at two places, exclusive or. */
  both(first: number, second: number): bigint {
    return this.at(first) ^ this.at(second)
  }
}

const secret = new Words(SECRET)

const mixed = (input: Words, at: number, secretAt: number): bigint =>
  foldProduct(input.at(at) ^ secret.at(secretAt), input.at(at + 8) ^ secret.at(secretAt + 8))

/** Input of 1 to 3 bytes as one number. */
function few({ bytes }: Words): bigint {
  const at = (index: number): bigint => BigInt(bytes[index] ?? 0)
  const length = bytes.length
  return (at(0) << 16n) | (at(length >> 1) << 24n) | at(length - 1) | (BigInt(length) << 8n)
}

function short64(input: Words): bigint {
  const length = input.bytes.length
  if (length === 0) return avalanche64(secret.both(56, 64))
  if (length <= 3) return avalanche64(few(input) ^ secret.half(0) ^ secret.half(4))
  if (length <= 8) {
    const keyed = (input.half(length - 4) + (input.half(0) << 32n)) ^ secret.both(8, 16)
    const once = times(keyed ^ rotl(keyed, 49n) ^ rotl(keyed, 24n), MIX_2)
    const twice = times(once ^ ((once >> 35n) + BigInt(length)), MIX_2)
    return twice ^ (twice >> 28n)
  }
  if (length <= 16) {
    const low = input.at(0) ^ secret.both(24, 32)
    const high = input.at(length - 8) ^ secret.both(40, 48)
    return avalanche(mask64(BigInt(length) + reversed(low, 8) + high + foldProduct(low, high)))
  }
  return length <= 128 ? middle64(input) : long64(input)
}

/** Input of 17 to 128 bytes: pairs of 16 bytes from both ends. */
function middle64(input: Words): bigint {
  const length = input.bytes.length
  let sum = BigInt(length) * P64_1
  for (let pair = (length - 1) >> 5; pair >= 0; pair -= 1) {
    sum += mixed(input, 16 * pair, 32 * pair) + mixed(input, length - 16 * (pair + 1), 32 * pair + 16)
  }
  return avalanche(mask64(sum))
}

/** Input of 129 to 240 bytes. */
function long64(input: Words): bigint {
  const length = input.bytes.length
  let sum = BigInt(length) * P64_1
  for (let i = 0; i < 8; i += 1) sum += mixed(input, 16 * i, 16 * i)
  sum = avalanche(mask64(sum))
  for (let i = 8; i < length >> 4; i += 1) sum += mixed(input, 16 * i, 16 * (i - 8) + 3)
  return avalanche(mask64(sum + mixed(input, length - 16, 119)))
}

type Halves = readonly [low: bigint, high: bigint]

function short128(input: Words): Halves {
  const length = input.bytes.length
  if (length === 0) return [avalanche64(secret.both(64, 72)), avalanche64(secret.both(80, 88))]
  if (length <= 3) {
    const low = few(input)
    const turned = reversed(low, 4)
    const high = BigInt.asUintN(32, (turned << 13n) | (turned >> 19n))
    return [avalanche64(low ^ secret.half(0) ^ secret.half(4)), avalanche64(high ^ secret.half(8) ^ secret.half(12))]
  }
  if (length <= 8) return upTo8(input)
  if (length <= 16) return upTo16(input)
  return length <= 128 ? middle128(input) : long128(input)
}

function upTo8(input: Words): Halves {
  const length = input.bytes.length
  const keyed = (input.half(0) + (input.half(length - 4) << 32n)) ^ secret.both(16, 24)
  const product = keyed * (P64_1 + BigInt(length << 2))
  const high = mask64((product >> 64n) + (mask64(product) << 1n))
  const low = mask64(product) ^ (high >> 3n)
  const once = times(low ^ (low >> 35n), MIX_2)
  return [once ^ (once >> 28n), avalanche(high)]
}

function upTo16(input: Words): Halves {
  const length = input.bytes.length
  const [first, last] = [input.at(0), input.at(length - 8)]
  const product = (first ^ last ^ secret.both(32, 40)) * P64_1
  const keyed = last ^ secret.both(48, 56)
  const high = mask64((product >> 64n) + keyed + BigInt.asUintN(32, keyed) * (P32_2 - 1n))
  const low = mask64(mask64(product) + (BigInt(length - 1) << 54n)) ^ reversed(high, 8)
  const whole = low * P64_2
  return [avalanche(mask64(whole)), avalanche(mask64((whole >> 64n) + high * P64_2))]
}

/** Mixes 16 bytes from two places each into one half. */
function mixBoth([low, high]: Halves, input: Words, first: number, second: number, secretAt: number): Halves {
  const sum = (at: number): bigint => mask64(input.at(at) + input.at(at + 8))
  return [
    mask64(low + mixed(input, first, secretAt)) ^ sum(second),
    mask64(high + mixed(input, second, secretAt + 16)) ^ sum(first),
  ]
}

function ended([low, high]: Halves, length: bigint): Halves {
  const last = avalanche(mask64(low * P64_1 + high * P64_4 + length * P64_2))
  return [avalanche(mask64(low + high)), mask64(-last)]
}

function middle128(input: Words): Halves {
  const length = input.bytes.length
  let halves: Halves = [times(BigInt(length), P64_1), 0n]
  for (let pair = (length - 1) >> 5; pair >= 0; pair -= 1) {
    halves = mixBoth(halves, input, 16 * pair, length - 16 * (pair + 1), 32 * pair)
  }
  return ended(halves, BigInt(length))
}

function long128(input: Words): Halves {
  const length = input.bytes.length
  let halves: Halves = [times(BigInt(length), P64_1), 0n]
  for (let at = 0; at < 128; at += 32) halves = mixBoth(halves, input, at, at + 16, at)
  halves = [avalanche(halves[0]), avalanche(halves[1])]
  for (let at = 128; at + 32 <= length; at += 32) halves = mixBoth(halves, input, at, at + 16, at - 125)
  return ended(mixBoth(halves, input, length - 16, length - 32, 103), BigInt(length))
}

/** The product of the halves of a word. */
const productOfHalves = (word: Code): Code => i64.mul(i64.fromI32(i32.fromI64(word)), i64.shr(word, i64.of(32n)))

const [FROM, TO, SECRET_NOW, FIRST_LANE, DATA, KEYED] = [0, 1, 2, 3, 11, 12] as const
const LANE_LOCALS = [...LANES.map(() => "i64" as const), "i64" as const, "i64" as const]

const loaded = seq(...LANES.map(l => set(FIRST_LANE + l, i64.load(i32.of(LANES_AT), 8 * l))))
const saved = seq(...LANES.map(l => i64.store(i32.of(LANES_AT), get(FIRST_LANE + l), 8 * l)))

/** Eats the stripe at FROM with the secret at SECRET_NOW. */
const eaten = seq(
  ...LANES.map(l =>
    seq(
      set(DATA, i64.load(get(FROM), 8 * l)),
      set(KEYED, i64.xor(get(DATA), i64.load(get(SECRET_NOW), 8 * l))),
      set(FIRST_LANE + (l ^ 1), i64.add(get(FIRST_LANE + (l ^ 1)), get(DATA))),
      set(FIRST_LANE + l, i64.add(get(FIRST_LANE + l), productOfHalves(get(KEYED)))),
    ),
  ),
  set(FROM, i32.add(get(FROM), i32.of(STRIPE_BYTES))),
  set(SECRET_NOW, i32.add(get(SECRET_NOW), i32.of(8))),
)

/** stripes(from, to, secret): eats whole stripes. */
const STRIPES: WasmFunction = {
  exportAs: "stripes",
  params: ["i32", "i32", "i32"],
  locals: LANE_LOCALS,
  body: seq(loaded, whileTrue(i32.lessThan(get(FROM), get(TO)), eaten), saved),
}

/** blocks(from, to, secret): eats whole blocks. The third parameter is only a place for the secret's address. */
function blocks(): WasmFunction {
  const scramble = (lane: number): Code => {
    const at = FIRST_LANE + lane
    const keyed = i64.xor(
      i64.xor(get(at), i64.shr(get(at), i64.of(47n))),
      i64.load(i32.of(SECRET_AT + BLOCK_SECRET), 8 * lane),
    )
    return set(at, i64.mul(keyed, i64.of(P32_1)))
  }
  const block = seq(
    set(SECRET_NOW, i32.of(SECRET_AT)),
    whileTrue(i32.lessThan(get(SECRET_NOW), i32.of(SECRET_AT + BLOCK_SECRET)), eaten),
    ...LANES.map(scramble),
  )
  return {
    exportAs: "blocks",
    params: ["i32", "i32", "i32"],
    locals: LANE_LOCALS,
    body: seq(loaded, whileTrue(i32.lessThan(get(FROM), get(TO)), block), saved),
  }
}

const CODE = new WasmCode(() => ({ functions: [STRIPES, blocks()] }))

interface Kernel {
  readonly piece: Uint8Array
  /** The lanes of the input that is being eaten. */
  readonly lanes: BigUint64Array
  readonly stripes: (from: number, to: number, secretAt: number) => void
  readonly blocks: (from: number, to: number, secretAt: number) => void
}

function makeKernel(): Kernel {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
  new Uint8Array(memory.buffer, SECRET_AT).set(SECRET)
  const instance = CODE.instantiate(memory)
  return {
    piece: new Uint8Array(memory.buffer, 0, PIECE_BYTES),
    lanes: new BigUint64Array(memory.buffer, LANES_AT, LANES.length),
    stripes: parseExport(instance, "stripes"),
    blocks: parseExport(instance, "blocks"),
  }
}

let shared: Kernel | undefined

/** A running XXH3 of 8 or 16 bytes. Many run at the same time. */
export class Xxh3 {
  private readonly kernel = (shared ??= makeKernel())
  private readonly lanes = BigUint64Array.from(FIRST_LANES)
  /** The last stripe that was eaten, and then what waits: up to a block, and at least a byte as soon as there is one. */
  private readonly held = new Uint8Array(STRIPE_BYTES + BLOCK_BYTES)
  private waiting = 0
  private lengthBytes = 0

  constructor(private readonly digestBytes: 8 | 16) {}

  update(bytes: Uint8Array): void {
    this.lengthBytes += bytes.length
    const rest = this.waiting + bytes.length > BLOCK_BYTES ? this.eat(bytes) : bytes
    this.held.set(rest, STRIPE_BYTES + this.waiting)
    this.waiting += rest.length
  }

  /** Eats the blocks of what waits and of the bytes; returns what cannot be eaten yet. */
  private eat(bytes: Uint8Array): Uint8Array {
    const { kernel, held } = this
    kernel.lanes.set(this.lanes)
    let at = 0
    while (this.waiting + bytes.length - at > BLOCK_BYTES) {
      const taken = bytes.subarray(at, at + PIECE_BYTES - this.waiting)
      kernel.piece.set(held.subarray(STRIPE_BYTES, STRIPE_BYTES + this.waiting))
      kernel.piece.set(taken, this.waiting)
      const end = this.waiting + taken.length
      const eaten = end - 1 - ((end - 1) % BLOCK_BYTES)
      kernel.blocks(0, eaten, SECRET_AT)
      held.set(kernel.piece.subarray(eaten - STRIPE_BYTES, end))
      this.waiting = end - eaten
      at += taken.length
    }
    this.lanes.set(kernel.lanes)
    return bytes.subarray(at)
  }

  /** Big-endian. */
  digest(): Uint8Array {
    const digest = new Uint8Array(this.digestBytes)
    const view = new DataView(digest.buffer)
    if (this.digestBytes === 8) view.setBigUint64(0, this.hash64())
    else for (const [i, half] of this.hash128().toReversed().entries()) view.setBigUint64(8 * i, half)
    return digest
  }

  private hash64(): bigint {
    if (this.lengthBytes <= SHORT_BYTES_MAX) return short64(this.heldWords())
    return merged(this.endedLanes(), 11, times(BigInt(this.lengthBytes), P64_1))
  }

  private hash128(): Halves {
    if (this.lengthBytes <= SHORT_BYTES_MAX) return short128(this.heldWords())
    const lanes = this.endedLanes()
    const length = BigInt(this.lengthBytes)
    return [merged(lanes, 11, times(length, P64_1)), merged(lanes, BLOCK_SECRET - 11, mask64(~times(length, P64_2)))]
  }

  private heldWords(): Words {
    return new Words(this.held.subarray(STRIPE_BYTES, STRIPE_BYTES + this.waiting))
  }

  /** The lanes after the stripes that wait, and the last 64 bytes, which may have been eaten already. */
  private endedLanes(): BigUint64Array {
    const { kernel, waiting } = this
    kernel.lanes.set(this.lanes)
    kernel.piece.set(this.held.subarray(0, STRIPE_BYTES + waiting))
    const stripesEnd = STRIPE_BYTES + waiting - 1 - ((waiting - 1) % STRIPE_BYTES)
    kernel.stripes(STRIPE_BYTES, stripesEnd, SECRET_AT)
    kernel.stripes(waiting, waiting + STRIPE_BYTES, SECRET_AT + LAST_STRIPE_SECRET)
    return BigUint64Array.from(kernel.lanes)
  }
}

function merged(lanes: BigUint64Array, secretAt: number, start: bigint): bigint {
  const lane = (index: number): bigint => (lanes[index] ?? 0n) ^ secret.at(secretAt + 8 * index)
  const sum = [0, 2, 4, 6].reduce((sum, first) => sum + foldProduct(lane(first), lane(first + 1)), start)
  return avalanche(mask64(sum))
}
