/**
 * A tiny WebAssembly assembler: the kernels (checksums, coding) are written in TypeScript as folded
 * expressions and become module bytes at load, so no binary is committed and no tool is needed.
 *
 * An expression is a tree of its bytes, which are joined once, when the module is assembled: every start of a process
 * assembles some. An operator's arguments come first, as in the stack machine: `i64.add(get(0), i64.of(5n))`. The
 * only check is that of the engine's validator when the module is compiled.
 * Source: WebAssembly core specification 2.0, chapter 5 (binary format); relaxed SIMD proposal.
 */
import { assert } from "../assert.js"

declare global {
  /** The part of the WebAssembly interface that is used here (the project compiles without DOM types). */
  namespace WebAssembly {
    class Module {
      constructor(bytes: Uint8Array)
    }
    class Instance {
      constructor(module: Module, imports?: Readonly<Record<string, Readonly<Record<string, unknown>>>>)
      readonly exports: Readonly<Record<string, unknown>>
    }
    class Memory {
      constructor(limits: { readonly initial: number; readonly maximum?: number; readonly shared?: boolean })
      readonly buffer: ArrayBuffer | SharedArrayBuffer
    }
    function validate(bytes: Uint8Array): boolean
  }
}

export const WASM_PAGE_BYTES = 65_536
const PAGES_MAX = 65_536

/** Its bytes in order, at any depth. */
export type Code = readonly (number | Code)[]
type ValueType = "i32" | "i64" | "v128"
const VALUE_TYPES: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, v128: 0x7b }

const SIMD = 0xfd

/** Unsigned LEB128. */
function unsigned(value: number): readonly number[] {
  if (value < 0x80) return [value]
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80)
    rest = Math.floor(rest / 0x80)
  }
  return [...bytes, rest]
}

/** Signed LEB128 of a value that fits 64 bits. */
function signed(value: bigint): Code {
  const bytes: number[] = []
  let rest = value
  for (;;) {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    const done = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)
    bytes.push(done ? low : low | 0x80)
    if (done) return bytes
  }
}

/** Appends the bytes of the code. */
function join(code: Code, bytes: number[]): number[] {
  for (const part of code) {
    if (typeof part === "number") bytes.push(part)
    else join(part, bytes)
  }
  return bytes
}

const text = (value: string): Code => [unsigned(value.length), Array.from(value, char => char.charCodeAt(0))]
const vector = (items: readonly Code[]): Code => [unsigned(items.length), items]
/** Code after its length. */
function sized(code: Code): Code {
  const bytes = join(code, [])
  return [unsigned(bytes.length), bytes]
}
const section = (id: number, body: Code): Code => [id, sized(body)]

export const seq = (...parts: readonly Code[]): Code => parts
export const get = (local: number): Code => [0x20, unsigned(local)]
export const set = (local: number, value: Code): Code => [value, 0x21, unsigned(local)]
export const tee = (local: number, value: Code): Code => [value, 0x22, unsigned(local)]
export const getGlobal = (index: number): Code => [0x23, unsigned(index)]
export const setGlobal = (index: number, value: Code): Code => [value, 0x24, unsigned(index)]
export const call = (func: number, ...args: readonly Code[]): Code => [args, 0x10, unsigned(func)]
/** Repeats `body` while `condition` holds at its start. */
export const whileTrue = (condition: Code, body: Code): Code => [
  0x02,
  0x40,
  0x03,
  0x40, // block, loop
  condition,
  0x45,
  0x0d,
  1, // leave the block unless it holds
  body,
  0x0c,
  0,
  0x0b,
  0x0b,
]
/** Two branches without a value. */
export const ifElse = (condition: Code, then: Code, otherwise: Code = []): Code => [
  condition,
  0x04,
  0x40,
  then,
  ...(otherwise.length > 0 ? [0x05, otherwise] : []),
  0x0b,
]

const unary =
  (opcode: number) =>
  (a: Code): Code => [a, opcode]
const binary =
  (opcode: number) =>
  (a: Code, b: Code): Code => [a, b, opcode]
/** Loads and stores assume no alignment: pieces of a body can be anywhere. */
const load =
  (opcode: number) =>
  (address: Code, offset = 0): Code => [address, opcode, 0, unsigned(offset)]
const store =
  (opcode: number) =>
  (address: Code, value: Code, offset = 0): Code => [address, value, opcode, 0, unsigned(offset)]

export const i32 = {
  of: (value: number): Code => [0x41, signed(BigInt(value | 0))],
  load: load(0x28),
  load8: load(0x2d),
  store: store(0x36),
  lessThan: binary(0x49),
  atMost: binary(0x4d),
  add: binary(0x6a),
  mul: binary(0x6c),
  sub: binary(0x6b),
  and: binary(0x71),
  or: binary(0x72),
  xor: binary(0x73),
  shl: binary(0x74),
  shr: binary(0x76),
  rotl: binary(0x77),
  /** The lower half. */
  fromI64: unary(0xa7),
}

export const i64 = {
  of: (value: bigint): Code => [0x42, signed(BigInt.asIntN(64, value))],
  load: load(0x29),
  load8: load(0x31),
  load32: load(0x35),
  store: store(0x37),
  add: binary(0x7c),
  mul: binary(0x7e),
  xor: binary(0x85),
  shr: binary(0x88),
  rotl: binary(0x89),
  fromI32: unary(0xad),
}

const simdUnary =
  (opcode: number) =>
  (a: Code): Code => [a, SIMD, unsigned(opcode)]
const simdBinary =
  (opcode: number) =>
  (a: Code, b: Code): Code => [a, b, SIMD, unsigned(opcode)]

export const v128 = {
  load: (address: Code, offset = 0): Code => [address, SIMD, 0, 0, unsigned(offset)],
  store: (address: Code, value: Code, offset = 0): Code => [address, value, SIMD, 11, 0, unsigned(offset)],
  /** Bytes picked from `a` (0 to 15) and `b` (16 to 31). */
  shuffle: (a: Code, b: Code, picks: readonly number[]): Code => [a, b, SIMD, 13, picks],
  splat8: simdUnary(15),
  swizzle: simdBinary(14),
  /** Like `swizzle` if every index is below 16, which is always so here; faster, but not in every engine. */
  relaxedSwizzle: simdBinary(0x100),
  not: simdUnary(77),
  and: simdBinary(78),
  /** `a` where `b` is zero. */
  andNot: simdBinary(79),
  or: simdBinary(80),
  xor: simdBinary(81),
  shr16: simdBinary(141),
  shl32: simdBinary(171),
  shr32: simdBinary(173),
  add32: simdBinary(174),
  add64: simdBinary(206),
  /** The 64-bit products of the two lower 32-bit lanes, unsigned. */
  multiplyLow32: simdBinary(222),
}

export interface WasmFunction {
  /** The name is undefined for a function that only other functions of the module call. */
  readonly exportAs?: string
  readonly params: readonly ValueType[]
  readonly result?: ValueType
  /** Locals other than the parameters; numbered after them. */
  readonly locals?: readonly ValueType[]
  readonly body: Code
}

export interface WasmProgram {
  /** Mutable 64-bit globals, all zero at first. */
  readonly globals?: number
  readonly functions: readonly WasmFunction[]
}

/** The bytes of a module. Functions are numbered in the order given; the memory is imported as `env.memory`. */
export function assemble(program: WasmProgram, memoryIsShared: boolean): Uint8Array {
  const { functions } = program
  const limits = memoryIsShared ? 3 : 1
  const types = functions.map(({ params, result }) => [
    0x60,
    vector(params.map(type => [VALUE_TYPES[type]])),
    vector(result === undefined ? [] : [[VALUE_TYPES[result]]]),
  ])
  const bodies = functions.map(({ locals = [], body }) =>
    sized([vector(locals.map(type => [1, VALUE_TYPES[type]])), body, 0x0b]),
  )
  const globals = Array.from({ length: program.globals ?? 0 }, () => [VALUE_TYPES.i64, 1, 0x42, 0, 0x0b])
  const exported = functions.flatMap(({ exportAs }, index) =>
    exportAs === undefined ? [] : [[text(exportAs), 0, unsigned(index)]],
  )
  const memory = [text("env"), text("memory"), 2, limits, unsigned(0), unsigned(PAGES_MAX)]
  const module: Code = [
    0x00,
    0x61,
    0x73,
    0x6d,
    1,
    0,
    0,
    0,
    section(1, vector(types)),
    section(2, vector([memory])),
    section(3, vector(functions.map((_, index) => unsigned(index)))),
    ...(globals.length > 0 ? [section(6, vector(globals))] : []),
    section(7, vector(exported)),
    section(10, vector(bodies)),
  ]
  return Uint8Array.from(join(module, []))
}

/**
 * Zeroed memory of at least `lengthBytes`; it begins on an operating-system page. Each takes address
 * space of gigabytes until it is collected: keep and reuse it.
 */
export function wasmMemory(lengthBytes: number): WebAssembly.Memory {
  const pages = Math.ceil(lengthBytes / WASM_PAGE_BYTES)
  return new WebAssembly.Memory({ initial: pages, maximum: pages })
}

const compile = (program: WasmProgram, memoryIsShared: boolean): WebAssembly.Module =>
  new WebAssembly.Module(assemble(program, memoryIsShared))

/** Assembles, compiles and starts a program on a memory, synchronously. */
export function instantiate(program: WasmProgram, memory: WebAssembly.Memory): WebAssembly.Instance {
  return new WebAssembly.Instance(compile(program, isShared(memory)), { env: { memory } })
}

const isShared = ({ buffer }: WebAssembly.Memory): boolean => buffer instanceof SharedArrayBuffer

/** A program for many memories: made and compiled once, when it is first used on a memory of a kind. */
export class WasmCode {
  readonly #modules = new Map<boolean, WebAssembly.Module>()

  constructor(private readonly program: () => WasmProgram) {}

  instantiate(memory: WebAssembly.Memory): WebAssembly.Instance {
    const shared = isShared(memory)
    const module = this.#modules.get(shared) ?? compile(this.program(), shared)
    this.#modules.set(shared, module)
    return new WebAssembly.Instance(module, { env: { memory } })
  }
}

/** An exported function; `Signature` must be what its `WasmFunction` declares. */
export function parseExport<Signature extends (...args: never[]) => unknown>(
  instance: WebAssembly.Instance,
  name: string,
): Signature {
  const found = instance.exports[name]
  assert(typeof found === "function", () => `the module does not export ${name}`)
  return found as Signature
}
