/**
 * The fast codec: encodes and rebuilds shards in place, in one WebAssembly memory.
 *
 * Promises  The same bytes as the reference codec, for every shape.
 * Refuses   Asserts that shards are in the memory, of equal length, and a multiple of 64 bytes long.
 * Limits    Caches PLANS_MAX solved matrices; drops the least recently used. The scratch area of
 *           SCRATCH_BYTES belongs to this codec alone; threads that share a memory have one each.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { SHARD_ALIGN_BYTES } from "@hayloft/base/limits.js"
import { parseExport, WasmCode } from "@hayloft/base/simd/wasm.js"
import {
  hasRelaxedSwizzle,
  kernelName,
  kernelProgram,
  OUTPUTS_PER_PASS_MAX,
  SCRATCH_BYTES,
  TABLES_AT,
  tablesOf,
} from "./kernel.js"
import type { CodeShape, Matrix } from "./matrix.js"
import { parityRows, rebuildRows } from "./matrix.js"

const PLANS_MAX = 128

const CODE = new WasmCode(() => kernelProgram(hasRelaxedSwizzle()))

/** One run of the kernel: some of the outputs, all of the inputs. */
interface Pass {
  readonly outputFirst: number
  readonly outputs: number
  readonly tables: Uint8Array
}
type Plan = readonly Pass[]
type Kernel = (scratchAt: number, inputs: number, lengthBytes: number) => void

/** Splits the outputs into passes of nearly equal size. */
function planOf(rows: Matrix): Plan {
  const count = Math.ceil(rows.length / OUTPUTS_PER_PASS_MAX)
  return Array.from({ length: count }, (_, pass) => {
    const outputFirst = Math.floor((pass * rows.length) / count)
    const outputEnd = Math.floor(((pass + 1) * rows.length) / count)
    const tables = tablesOf(rows.slice(outputFirst, outputEnd))
    return { outputFirst, outputs: outputEnd - outputFirst, tables }
  })
}

export class FastCodec {
  private readonly plans = new Map<string, Plan>()
  /** By number of outputs; the first is for one. */
  private readonly kernels: readonly Kernel[]
  private readonly addresses: Uint32Array
  private readonly tables: Uint8Array

  /** `scratchAt`: address of SCRATCH_BYTES of the memory, a multiple of 4, that nothing else uses. */
  constructor(
    private readonly memory: WebAssembly.Memory,
    private readonly scratchAt: number,
  ) {
    const instance = CODE.instantiate(memory)
    const names = Array.from({ length: OUTPUTS_PER_PASS_MAX }, (_, i) => kernelName(i + 1))
    this.kernels = names.map(name => parseExport<Kernel>(instance, name))
    this.addresses = new Uint32Array(memory.buffer, scratchAt, TABLES_AT / 4)
    this.tables = new Uint8Array(memory.buffer, scratchAt + TABLES_AT, SCRATCH_BYTES - TABLES_AT)
  }

  /** Fills the m parity shards from the k data shards. Throws `invalidConfig` for a shape that does not exist. */
  encode(shape: CodeShape, data: readonly Uint8Array[], parity: readonly Uint8Array[]): void {
    const plan = this.plan(`${shape.matrix} ${shape.k}+${shape.m}`, () => parityRows(shape))
    assert(data.length === shape.k && parity.length === shape.m, "a shard for each slot")
    this.run(plan, data, parity)
  }

  /**
   * Rebuilds the wanted shards, by slot, from any k of those present. Equal ranges of all shards may
   * replace whole shards.
   */
  rebuild(shape: CodeShape, present: ReadonlyMap<number, Uint8Array>, wanted: ReadonlyMap<number, Uint8Array>): void {
    const used = [...present].sort(([a], [b]) => a - b).slice(0, shape.k)
    const usedSlots = used.map(([slot]) => slot)
    const wantedSlots = [...wanted.keys()]
    const key = `${shape.matrix} ${shape.k}+${shape.m} ${usedSlots.join()} > ${wantedSlots.join()}`
    const plan = this.plan(key, () => rebuildRows(shape, usedSlots, wantedSlots))
    this.run(
      plan,
      used.map(([, bytes]) => bytes),
      [...wanted.values()],
    )
  }

  private plan(key: string, solve: () => Matrix): Plan {
    const plan = this.plans.get(key) ?? planOf(solve())
    this.plans.delete(key)
    this.plans.set(key, plan)
    if (this.plans.size > PLANS_MAX) this.plans.delete(must(this.plans.keys().next().value, "a plan is kept"))
    return plan
  }

  private run(plan: Plan, inputs: readonly Uint8Array[], outputs: readonly Uint8Array[]): void {
    const lengthBytes = inputs[0]?.length ?? 0
    for (const bytes of [...inputs, ...outputs]) {
      assert(bytes.buffer === this.memory.buffer, "the shard is in the codec's memory")
      assert(bytes.length === lengthBytes && lengthBytes % SHARD_ALIGN_BYTES === 0, "shards are equal and padded to 64")
    }
    for (const [i, input] of inputs.entries()) this.addresses[i] = input.byteOffset
    for (const { outputFirst, outputs: count, tables } of plan) {
      for (let i = 0; i < count; i += 1) {
        this.addresses[inputs.length + i] = must(outputs[outputFirst + i], "an output for each row").byteOffset
      }
      this.tables.set(tables)
      must(this.kernels[count - 1], "a kernel for each pass")(this.scratchAt, inputs.length, lengthBytes)
    }
  }
}

export const makeCodec = (memory: WebAssembly.Memory, scratchAt: number): FastCodec => new FastCodec(memory, scratchAt)
