/**
 * The fast kernel: multiplies k shards by a matrix, 32 bytes a step, in WebAssembly SIMD.
 *
 * A product by a constant is two look-ups in tables of 16 bytes, one per half byte, done for 16 bytes
 * by one byte shuffle (Plank, Greenan, Miller: "Screaming Fast Galois Field Arithmetic Using
 * Intel SIMD Instructions", FAST '13). One function for each number of outputs.
 */
import type { Code, WasmFunction, WasmProgram } from "@hayloft/base/simd/wasm.js"
import { assemble, get, i32, seq, set, tee, v128, whileTrue } from "@hayloft/base/simd/wasm.js"
import { multiply } from "./field.js"
import type { Matrix } from "./matrix.js"

/** More outputs in one pass would not fit in registers. */
export const OUTPUTS_PER_PASS_MAX = 4
const STEP_BYTES = 32
/** The scratch area: addresses of inputs, then of outputs (4 bytes each), then the tables. */
export const TABLES_AT = 256
const TABLE_BYTES = 32
const ADDRESS_BYTES = 4
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
 * `multiply(scratch, inputs, lengthBytes)` for a fixed number of outputs. The length is a multiple of
 * 32; outputs must not overlap inputs. `relaxed` uses the faster shuffle, which not every engine has.
 *
 * The loop over the inputs is not unrolled: the engine would issue all loads first and run
 * out of registers, at half the speed.
 */
function multiplyFunction(outputs: number, relaxed: boolean): WasmFunction {
  const [scratch, inputs, length, at, pointer, pointersEnd, table, address] = [0, 1, 2, 3, 4, 5, 6, 7]
  const [mask, low0, high0, low1, high1, tableLow, tableHigh] = [8, 9, 10, 11, 12, 13, 14]
  const sum = (output: number, half: number): number => 15 + 2 * output + half
  const eachOutput = (code: (output: number) => Code): Code =>
    seq(...Array.from({ length: outputs }, (_, i) => code(i)))
  const shuffle = relaxed ? v128.relaxedSwizzle : v128.swizzle

  // A shift of 16-bit lanes and a mask: a shift of bytes would be emulated with more instructions.
  const split = (value: Code, low: number, high: number): Code =>
    seq(
      set(high, value),
      set(low, v128.and(get(high), get(mask))),
      set(high, v128.and(v128.shr16(get(high), i32.of(4)), get(mask))),
    )
  const addProduct = (target: number, low: number, high: number): Code =>
    set(target, v128.xor(get(target), v128.xor(shuffle(get(tableLow), get(low)), shuffle(get(tableHigh), get(high)))))
  const consumeInput = seq(
    split(v128.load(tee(address, i32.add(i32.load(get(pointer)), get(at)))), low0, high0),
    split(v128.load(get(address), 16), low1, high1),
    eachOutput(output =>
      seq(
        set(tableLow, v128.load(get(table), TABLES_AT + output * TABLE_BYTES)),
        set(tableHigh, v128.load(get(table), TABLES_AT + output * TABLE_BYTES + 16)),
        addProduct(sum(output, 0), low0, high0),
        addProduct(sum(output, 1), low1, high1),
      ),
    ),
    set(pointer, i32.add(get(pointer), i32.of(ADDRESS_BYTES))),
    set(table, i32.add(get(table), i32.of(outputs * TABLE_BYTES))),
  )
  const zero = v128.splat8(i32.of(0))
  const column = seq(
    set(pointer, get(scratch)),
    set(table, get(scratch)),
    eachOutput(output => seq(set(sum(output, 0), zero), set(sum(output, 1), zero))),
    whileTrue(i32.lessThan(get(pointer), get(pointersEnd)), consumeInput),
    eachOutput(output =>
      seq(
        v128.store(tee(address, i32.add(i32.load(get(pointer), output * ADDRESS_BYTES), get(at))), get(sum(output, 0))),
        v128.store(get(address), get(sum(output, 1)), 16),
      ),
    ),
    set(at, i32.add(get(at), i32.of(STEP_BYTES))),
  )
  return {
    exportAs: kernelName(outputs),
    params: ["i32", "i32", "i32"],
    locals: [
      ...Array.from({ length: 5 }, () => "i32" as const),
      ...Array.from({ length: 7 + 2 * outputs }, () => "v128" as const),
    ],
    body: seq(
      set(mask, v128.splat8(i32.of(0x0f))),
      set(pointersEnd, i32.add(get(scratch), i32.mul(get(inputs), i32.of(ADDRESS_BYTES)))),
      whileTrue(i32.lessThan(get(at), get(length)), column),
    ),
  }
}

export const kernelName = (outputs: number): string => `multiply${outputs}`

/** One function for each number of outputs. */
export function kernelProgram(relaxed: boolean): WasmProgram {
  return { functions: Array.from({ length: OUTPUTS_PER_PASS_MAX }, (_, i) => multiplyFunction(i + 1, relaxed)) }
}

/** Returns true if this engine has the relaxed shuffle. */
export function hasRelaxedSwizzle(): boolean {
  return WebAssembly.validate(assemble(kernelProgram(true), false))
}
