/**
 * The step of a WebAssembly module that an administrator has uploaded (its interface: wasm-binary.ts).
 *
 * Promises  Each task gets an instance of its own, with fresh memory; nothing of the module sees another task.
 *           A trap, a result outside of its memory, and one that is too large skip the step.
 * Limits    The module's memory; time is limited by the sandbox.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import type { TaskStep } from "../contract.js"
import { TRANSFORM_LIMITS } from "../limits.js"
import { isPassing, messageOf, skip, type MadeBytes, type Skipped } from "./step-outcome.js"
import { limitedModule } from "./wasm-binary.js"

type ModuleStep = Extract<TaskStep, { kind: "module" }>

interface StepExports {
  readonly memory: WebAssembly.Memory
  allocate(lengthBytes: number): number
  transform(inputAt: number, inputBytes: number, parametersAt: number, parametersBytes: number): bigint
}

/** `limitedModule` has checked the kinds and types of these exports. */
function parseExports({ exports }: WebAssembly.Instance): StepExports {
  return exports as unknown as StepExports
}

export function runModule(step: ModuleStep, input: MadeBytes): MadeBytes | Skipped {
  try {
    const instance = new WebAssembly.Instance(new WebAssembly.Module(limitedModule(step.code)))
    return runInstance(parseExports(instance), step, input)
  } catch (error) {
    if (error instanceof RangeError && isPassing(error)) throw error
    const what = isFailure(error) ? "is not a step" : "failed"
    return skip(`the module ${what}: ${messageOf(error)}`)
  }
}

function runInstance(exports: StepExports, step: ModuleStep, { bytes, type }: MadeBytes): MadeBytes | Skipped {
  const parameters = new TextEncoder().encode(step.parameters)
  const inputAt = exports.allocate(bytes.length) >>> 0
  const parametersAt = exports.allocate(parameters.length) >>> 0
  const [input, given] = [memoryAt(exports, inputAt, bytes.length), memoryAt(exports, parametersAt, parameters.length)]
  if (input === undefined || given === undefined) return skip("the module has too little memory for the input")
  input.set(bytes)
  given.set(parameters)
  const result = exports.transform(inputAt, bytes.length, parametersAt, parameters.length)
  if (result === -1n) return skip("the module does not know this input")
  const [resultAt, lengthBytes] = [Number(BigInt.asUintN(32, result >> 32n)), Number(BigInt.asUintN(32, result))]
  const { outputBytesMax } = TRANSFORM_LIMITS
  if (lengthBytes > outputBytesMax) return skip(`the result has more than ${outputBytesMax / MIB} MiB`)
  const made = memoryAt(exports, resultAt, lengthBytes)
  if (made === undefined) return skip("the result lies outside of the memory of the module")
  return { kind: "made", bytes: Uint8Array.from(made), type: step.contentType ?? type }
}

/** The memory may grow in each call, and has another buffer then. */
function memoryAt({ memory }: StepExports, at: number, lengthBytes: number): Uint8Array | undefined {
  return at + lengthBytes <= memory.buffer.byteLength ? new Uint8Array(memory.buffer, at, lengthBytes) : undefined
}
