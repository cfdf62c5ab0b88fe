/**
 * The codec that compute runs. Seams contain no codes: main passes in a function that creates a coder for a memory.
 */
import type { CodingShape } from "./contract.js"

export type ErasureCodingShape = Extract<CodingShape, { kind: "code" }>

/** Works in place on shards in the memory it was created for; lengths are equal multiples of 64. */
export interface BlockCoder {
  /** Fills the m parity shards from the k data shards. */
  encode(shape: ErasureCodingShape, data: readonly Uint8Array[], parity: readonly Uint8Array[]): void
  /** Fills the wanted shards, by slot, from k of those present. */
  rebuild(
    shape: ErasureCodingShape,
    present: ReadonlyMap<number, Uint8Array>,
    wanted: ReadonlyMap<number, Uint8Array>,
  ): void
}

/** `scratchAt`: address of CODER_SCRATCH_BYTES that belong to this coder alone. */
export type MakeCoder = (memory: WebAssembly.Memory, scratchAt: number) => BlockCoder

/** The memory that each coder gets for its tables. */
export const CODER_SCRATCH_BYTES = 8192
