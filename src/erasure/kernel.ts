/**
 * The fast kernel: multiplies k shards by a matrix, 32 bytes a step, in WebAssembly SIMD.
 *
 * A product by a constant is two look-ups in tables of 16 bytes, one per half byte, done for 16 bytes
 * at once by a byte shuffle (Plank, Greenan, Miller: "Screaming Fast Galois Field Arithmetic Using
 * Intel SIMD Instructions", FAST '13). One program per (inputs, outputs), unrolled over both.
 */
import type { Code, WasmProgram } from "../base/wasm.js"
import { assemble, get, i32, seq, set, tee, v128, whileTrue } from "../base/wasm.js"
import { multiply } from "./field.js"
import type { Matrix } from "./matrix.js"

/** More outputs in one pass would not fit the machine's registers: 4 as 2 + 2 measured faster than 4 at once. */
export const OUTPUTS_PER_PASS_MAX = 3
export const STEP_BYTES = 32
/** The scratch area: addresses of inputs, then of outputs (4 bytes each), then the tables. */
export const TABLES_AT = 256
const TABLE_BYTES = 32
export const SCRATCH_BYTES = 8192

/** The two tables of each coefficient, in the order in which the kernel reads them: by input, then by output. */
export function tablesOf(rows: Matrix): Uint8Array {
  const tables: number[] = []
  for (let input = 0; input < (rows[0]?.length ?? 0); input += 1) {
    for (const row of rows) {
      const coefficient = row[input] ?? 0
      for (let low = 0; low < 16; low += 1) tables.push(multiply(coefficient, low))
      for (let high = 0; high < 16; high += 1) tables.push(multiply(coefficient, high << 4))
    }
  }
  return Uint8Array.from(tables)
}

/**
 * `multiply(scratch, lengthBytes)`: a multiple of 32 bytes; outputs must not overlap inputs.
 * `relaxed` uses the faster shuffle, which not every engine has.
 */
export function kernelProgram(inputs: number, outputs: number, relaxed: boolean): WasmProgram {
  const [scratch, length, at, address] = [0, 1, 2, 3]
  const pointer = (i: number): number => 4 + i
  const vectors = 4 + inputs + outputs
  const [mask, low0, high0, low1, high1, tableLow, tableHigh] = [0, 1, 2, 3, 4, 5, 6].map(i => vectors + i)
  const sum = (output: number, half: number): number => vectors + 7 + 2 * output + half
  const shuffle = relaxed ? v128.relaxedSwizzle : v128.swizzle
  const local = (index: number | undefined): number => index ?? 0

  const split = (value: Code, low: number, high: number): Code =>
    seq(set(high, value), set(low, v128.and(get(high), get(local(mask)))), set(high, v128.shr8(get(high), i32.of(4))))
  const product = (low: number, high: number): Code =>
    v128.xor(shuffle(get(local(tableLow)), get(low)), shuffle(get(local(tableHigh)), get(high)))
  const addTo = (target: number, value: Code, first: boolean): Code =>
    set(target, first ? value : v128.xor(get(target), value))

  const multiplyInto = (input: number, output: number): Code => {
    const tableAt = TABLES_AT + (input * outputs + output) * TABLE_BYTES
    return seq(
      set(local(tableLow), v128.load(get(scratch), tableAt)),
      set(local(tableHigh), v128.load(get(scratch), tableAt + 16)),
      addTo(sum(output, 0), product(local(low0), local(high0)), input === 0),
      addTo(sum(output, 1), product(local(low1), local(high1)), input === 0),
    )
  }
  const eatInput = (input: number): Code =>
    seq(
      split(v128.load(tee(address, i32.add(get(pointer(input)), get(at)))), local(low0), local(high0)),
      split(v128.load(get(address), 16), local(low1), local(high1)),
      ...Array.from({ length: outputs }, (_, output) => multiplyInto(input, output)),
    )
  const writeOutput = (output: number): Code =>
    seq(
      v128.store(tee(address, i32.add(get(pointer(inputs + output)), get(at))), get(sum(output, 0))),
      v128.store(get(address), get(sum(output, 1)), 16),
    )
  const pointers = Array.from({ length: inputs + outputs }, (_, i) => i)
  const body = seq(
    set(local(mask), v128.splat8(i32.of(0x0f))),
    ...pointers.map(i => set(pointer(i), i32.load(get(scratch), 4 * i))),
    whileTrue(
      i32.lessThan(get(at), get(length)),
      seq(
        ...Array.from({ length: inputs }, (_, input) => eatInput(input)),
        ...Array.from({ length: outputs }, (_, output) => writeOutput(output)),
        set(at, i32.add(get(at), i32.of(STEP_BYTES))),
      ),
    ),
  )
  const locals = [
    ...Array.from({ length: 2 + inputs + outputs }, () => "i32" as const),
    ...Array.from({ length: 7 + 2 * outputs }, () => "v128" as const),
  ]
  return { functions: [{ exportAs: "multiply", params: ["i32", "i32"], locals, body }] }
}

/** Whether this engine has the relaxed shuffle. */
export function hasRelaxedSwizzle(): boolean {
  return WebAssembly.validate(assemble(kernelProgram(1, 1, true), false))
}
