/**
 * MD5 of several streams together: one stream in each 32-bit lane of WebAssembly vectors.
 *
 * One MD5 waits for its own last step nearly all of the time; up to twelve in three interleaved vectors
 * take little longer than one. A stream has a state of four words, so at every block of 64 bytes it can be hashed with
 * other streams, or alone. Bytes are read in place.
 *
 * The constants, the words of the block and the state are in a scratch area of the same memory, and
 * each is loaded just before its use: the engine keeps the order of the module, and would run out of
 * registers if more were loaded.
 * Source: RFC 1321.
 */
import { assert, must } from "../assert.js"
import type { Code, WasmFunction } from "./wasm.js"
import { get, i32, parseExport, seq, set, tee, v128, WasmCode, whileTrue } from "./wasm.js"

export const MD5_BLOCK_BYTES = 64
/** The private memory of one kernel. */
export const MD5_SCRATCH_BYTES = 4096
/** The most streams in one call. */
export const MD5_LANES_MAX = 12

const STEPS = 64
const WORDS = 16
const STATE_WORDS = 4
const VECTOR_BYTES = 16
const LANES_OF_VECTOR = 4
const VECTORS_MAX = MD5_LANES_MAX / LANES_OF_VECTOR
/** The scratch area: addresses of the streams' blocks, their states, constants, words of the blocks, last bytes of streams. */
const STATE_AT = MD5_LANES_MAX * 4
const CONSTANTS_AT = STATE_AT + STATE_WORDS * VECTORS_MAX * VECTOR_BYTES
const WORDS_AT = CONSTANTS_AT + STEPS * VECTOR_BYTES
const TAILS_AT = WORDS_AT + WORDS * VECTORS_MAX * VECTOR_BYTES
const TAIL_BYTES = 2 * MD5_BLOCK_BYTES
const WORD_BYTES = 4
const LENGTH_BYTES = 8

const START = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476]
const ROTATIONS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
]
const constant = (step: number): number => Math.floor(2 ** 32 * Math.abs(Math.sin(step + 1))) | 0
const rotation = (step: number): number => ROTATIONS[step >> 4]?.[step & 3] ?? 0
/** The word of the block that a step uses. */
const wordOf = (step: number): number => ([step, 5 * step + 1, 3 * step + 5, 7 * step][step >> 4] ?? 0) & 15

/** Arithmetic on 32-bit words, or on vectors of them. */
interface Arithmetic {
  readonly add: (a: Code, b: Code) => Code
  readonly and: (a: Code, b: Code) => Code
  readonly or: (a: Code, b: Code) => Code
  readonly xor: (a: Code, b: Code) => Code
  /** a and not b */
  readonly andNot: (a: Code, b: Code) => Code
  readonly not: (a: Code) => Code
  readonly rotl: (a: Code, bits: number) => Code
}

const WORD: Arithmetic = {
  ...i32,
  andNot: (a, b) => i32.and(a, WORD.not(b)),
  not: a => i32.xor(a, i32.of(-1)),
  rotl: (a, bits) => i32.rotl(a, i32.of(bits)),
}

/** `spare`: a local for the rotated value. */
const vectorArithmetic = (spare: number): Arithmetic => ({
  ...v128,
  add: v128.add32,
  rotl: (a, bits) => v128.or(v128.shl32(tee(spare, a), i32.of(bits)), v128.shr32(get(spare), i32.of(32 - bits))),
})

/** `sum` and the round's mix of b, c and d. Terms without b, the result of the previous step, are computed first. */
function mix(
  { add, and, or, xor, andNot, not }: Arithmetic,
  round: number,
  sum: Code,
  b: Code,
  c: Code,
  d: Code,
): Code {
  switch (round) {
    case 0:
      return add(sum, xor(d, and(xor(c, d), b)))
    case 1:
      return add(add(sum, andNot(c, d)), and(b, d))
    case 2:
      return add(sum, xor(xor(c, d), b))
    default:
      return add(sum, xor(or(not(d), b), c))
  }
}

/** Step n on the four locals from `firstState`, whose parts change with each step. */
function step(arithmetic: Arithmetic, n: number, firstState: number, constant: Code, word: Code): Code {
  const { add, rotl } = arithmetic
  const local = (part: number): number => firstState + ((part - n) & 3)
  const [a, b, c, d] = [get(local(0)), get(local(1)), get(local(2)), get(local(3))]
  const sum = mix(arithmetic, n >> 4, add(add(a, constant), word), b, c, d)
  return set(local(0), add(rotl(sum, rotation(n)), b))
}

const each = (count: number, code: (i: number) => Code): Code =>
  seq(...Array.from({ length: count }, (_, i) => code(i)))
const stateAt = (part: number, vector = 0): number => STATE_AT + (part * VECTORS_MAX + vector) * VECTOR_BYTES

/** `hash1(scratch, blocks)`: a single stream. */
function hashAlone(): WasmFunction {
  const [scratch, blocks, at, state] = [0, 1, 2, 3]
  const old = state + STATE_WORDS
  const eachPart = (code: (part: number) => Code): Code => each(STATE_WORDS, code)
  const hashBlock = seq(
    eachPart(part => set(old + part, get(state + part))),
    each(STEPS, n => step(WORD, n, state, i32.of(constant(n)), i32.load(get(at), 4 * wordOf(n)))),
    eachPart(part => set(state + part, i32.add(get(state + part), get(old + part)))),
    set(at, i32.add(get(at), i32.of(MD5_BLOCK_BYTES))),
    set(blocks, i32.sub(get(blocks), i32.of(1))),
  )
  return {
    exportAs: "hash1",
    params: ["i32", "i32"],
    locals: Array.from({ length: 1 + 2 * STATE_WORDS }, () => "i32" as const),
    body: seq(
      set(at, i32.load(get(scratch))),
      eachPart(part => set(state + part, i32.load(get(scratch), stateAt(part)))),
      whileTrue(get(blocks), hashBlock),
      eachPart(part => i32.store(get(scratch), get(state + part), stateAt(part))),
    ),
  }
}

/** The words that a vector of two others has: 0 to 3 of `a`, 4 to 7 of `b`. */
const pick = (a: Code, b: Code, ...words: readonly number[]): Code =>
  v128.shuffle(
    a,
    b,
    words.flatMap(word => [0, 1, 2, 3].map(byte => 4 * word + byte)),
  )

/** Four words of each of four vectors, transposed: row i has word i of all of them. `rows`: five locals, the last one spare. */
function turn(rows: number, load: (i: number) => Code, store: (i: number, value: Code) => Code): Code {
  const row = (i: number): Code => get(rows + i)
  const spare = rows + LANES_OF_VECTOR
  const interleave = (i: number, j: number): Code =>
    seq(
      set(spare, pick(row(i), row(j), 0, 4, 1, 5)),
      set(rows + j, pick(row(i), row(j), 2, 6, 3, 7)),
      set(rows + i, get(spare)),
    )
  return seq(
    each(LANES_OF_VECTOR, i => set(rows + i, load(i))),
    interleave(0, 1),
    interleave(2, 3),
    store(0, pick(row(0), row(2), 0, 1, 4, 5)),
    store(1, pick(row(0), row(2), 2, 3, 6, 7)),
    store(2, pick(row(1), row(3), 0, 1, 4, 5)),
    store(3, pick(row(1), row(3), 2, 3, 6, 7)),
  )
}

/** `hash4`, `hash8`, `hash12` (scratch, blocks): 4, 8 or 12 streams, in 1, 2 or 3 vectors. */
function hashInLanes(vectors: number): WasmFunction {
  const [scratch, blocks, done, rows] = [0, 1, 2, 3]
  const spare = rows + LANES_OF_VECTOR
  const state = (vector: number): number => spare + 1 + vector * STATE_WORDS
  const eachPart = (code: (vector: number, part: number) => Code): Code =>
    each(vectors, vector => each(STATE_WORDS, part => code(vector, part)))
  const atScratch = (offset: number): Code => v128.load(get(scratch), offset)
  const constantAt = (n: number): number => CONSTANTS_AT + n * VECTOR_BYTES
  const wordAt = (vector: number, word: number): number => WORDS_AT + (word * VECTORS_MAX + vector) * VECTOR_BYTES
  const address = (lane: number): Code => i32.add(i32.load(get(scratch), 4 * lane), get(done))
  const turnWords = (vector: number, first: number): Code =>
    turn(
      rows,
      i => v128.load(address(vector * LANES_OF_VECTOR + i), 4 * first),
      (i, value) => v128.store(get(scratch), value, wordAt(vector, first + i)),
    )
  const arithmetic = vectorArithmetic(spare)
  const hashBlock = seq(
    each(vectors, vector => each(WORDS / 4, quarter => turnWords(vector, 4 * quarter))),
    // Not earlier: they would occupy the registers that transposing needs.
    eachPart((vector, part) => set(state(vector) + part, atScratch(stateAt(part, vector)))),
    each(STEPS, n =>
      each(vectors, vector =>
        step(arithmetic, n, state(vector), atScratch(constantAt(n)), atScratch(wordAt(vector, wordOf(n)))),
      ),
    ),
    eachPart((vector, part) => {
      const sum = v128.add32(get(state(vector) + part), atScratch(stateAt(part, vector)))
      return v128.store(get(scratch), sum, stateAt(part, vector))
    }),
    set(done, i32.add(get(done), i32.of(MD5_BLOCK_BYTES))),
    set(blocks, i32.sub(get(blocks), i32.of(1))),
  )
  return {
    exportAs: `hash${vectors * LANES_OF_VECTOR}`,
    params: ["i32", "i32"],
    locals: ["i32", ...Array.from({ length: LANES_OF_VECTOR + 1 + vectors * STATE_WORDS }, () => "v128" as const)],
    body: whileTrue(get(blocks), hashBlock),
  }
}

const CODE = new WasmCode(() => ({
  functions: [hashAlone(), hashInLanes(1), hashInLanes(2), hashInLanes(3)],
}))

type Hash = (scratch: number, blocks: number) => void

/** The four words that result from all bytes so far, signed: small integers to the engine. */
export type Md5State = number[]

/** A state before any bytes. */
export const md5Start = (): Md5State => [...START]

/** A stream in one call: its state, and the address of its next bytes. */
interface Md5Lane {
  readonly state: Md5State
  readonly at: number
}

/** A stream whose full blocks are hashed. */
interface Md5End {
  readonly state: Md5State
  readonly lengthBytes: number
  /** Copies the bytes after the last full block. */
  readonly copyRest: (into: Uint8Array, at: number) => void
}

/** The kernel on one memory. Each thread needs its own kernel and scratch area. */
export class Md5Kernel {
  /** The first one is the kernel for a single stream. */
  private readonly byVectors: readonly Hash[]
  private readonly addresses: Uint32Array
  private readonly states: Int32Array
  private readonly tails: Buffer

  constructor(
    memory: WebAssembly.Memory,
    private readonly scratchAt: number,
  ) {
    assert(
      scratchAt % VECTOR_BYTES === 0 && TAILS_AT + MD5_LANES_MAX * TAIL_BYTES <= MD5_SCRATCH_BYTES,
      "the scratch area fits",
    )
    const instance = CODE.instantiate(memory)
    this.byVectors = [1, 4, 8, 12].map(lanes => parseExport<Hash>(instance, `hash${lanes}`))
    this.addresses = new Uint32Array(memory.buffer, scratchAt, MD5_LANES_MAX)
    this.states = new Int32Array(memory.buffer, scratchAt + STATE_AT, STATE_WORDS * MD5_LANES_MAX)
    this.tails = Buffer.from(memory.buffer, scratchAt + TAILS_AT, MD5_LANES_MAX * TAIL_BYTES)
    const constants = new Int32Array(memory.buffer, scratchAt + CONSTANTS_AT, STEPS * LANES_OF_VECTOR)
    for (let i = 0; i < constants.length; i += 1) constants[i] = constant(Math.floor(i / LANES_OF_VECTOR))
  }

  /** Hashes `blocks` blocks of 64 bytes into each of up to MD5_LANES_MAX states. */
  hash(streams: readonly Md5Lane[], blocks: number): void {
    const { addresses, states, byVectors } = this
    const vectors = Math.ceil(streams.length / LANES_OF_VECTOR)
    const lanes = streams.length === 1 ? 1 : vectors * LANES_OF_VECTOR
    for (let lane = 0; lane < lanes; lane += 1) {
      // A lane without a stream repeats the last stream's work.
      const { state, at } = must(streams[Math.min(lane, streams.length - 1)], "there is a stream")
      addresses[lane] = at
      for (let word = 0; word < STATE_WORDS; word += 1) states[word * MD5_LANES_MAX + lane] = state[word] ?? 0
    }
    must(byVectors[lanes === 1 ? 0 : vectors], "there are lanes for all streams")(this.scratchAt, blocks)
    let lane = 0
    for (const { state } of streams) {
      for (let word = 0; word < STATE_WORDS; word += 1) state[word] = states[word * MD5_LANES_MAX + lane] ?? 0
      lane += 1
    }
  }

  /** Hashes one block that is not in the memory. */
  hashBlock(state: Md5State, block: Uint8Array): void {
    this.tails.set(block)
    this.hash([{ state, at: this.scratchAt + TAILS_AT }], 1)
  }

  /** The digests of up to MD5_LANES_MAX streams. Their states are invalid afterwards. */
  digests(streams: readonly Md5End[]): Buffer[] {
    const tails: Md5Lane[] = []
    const ofTwoBlocks: Md5Lane[] = []
    for (const stream of streams) {
      const offset = tails.length * TAIL_BYTES
      const at = this.scratchAt + TAILS_AT + offset
      const isOne = this.fillTail(stream, offset)
      tails.push({ state: stream.state, at })
      if (!isOne) ofTwoBlocks.push({ state: stream.state, at: at + MD5_BLOCK_BYTES })
    }
    this.hash(tails, 1)
    if (ofTwoBlocks.length > 0) this.hash(ofTwoBlocks, 1)
    return streams.map(digestOf)
  }

  /** Pads the last bytes of a stream. @returns whether they fill one block, not two. */
  private fillTail(stream: Md5End, at: number): boolean {
    const { tails } = this
    const { lengthBytes } = stream
    const restBytes = lengthBytes % MD5_BLOCK_BYTES
    const isOne = restBytes < MD5_BLOCK_BYTES - LENGTH_BYTES
    const lengthAt = at + (isOne ? MD5_BLOCK_BYTES : TAIL_BYTES) - LENGTH_BYTES
    stream.copyRest(tails, at)
    tails[at + restBytes] = 0x80
    tails.fill(0, at + restBytes + 1, lengthAt)
    tails.writeUInt32LE((8 * lengthBytes) % 2 ** 32, lengthAt)
    tails.writeUInt32LE(Math.floor(lengthBytes / 2 ** 29), lengthAt + 4)
    return isOne
  }
}

function digestOf({ state }: Md5End): Buffer {
  const digest = Buffer.allocUnsafe(STATE_WORDS * WORD_BYTES)
  for (let word = 0; word < STATE_WORDS; word += 1) digest.writeInt32LE(state[word] ?? 0, WORD_BYTES * word)
  return digest
}
