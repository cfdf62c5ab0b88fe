/**
 * Rebuilds shards on the calling thread: at several GB/s that is faster than a message to another
 * thread. Pieces pass through a small private memory, so the shards may be in any memory.
 */
import { assert, must } from "../../assert.js"
import { fail } from "../../failures.js"
import { KIB, SHARD_ALIGN_BYTES, SHARDS_MAX } from "../../limits.js"
import { WASM_PAGE_BYTES } from "../../simd/wasm.js"
import { xxh64 } from "../../simd/xxh64.js"
import type { BlockCoder, MakeCoder } from "./coder.js"
import { CODER_SCRATCH_BYTES } from "./coder.js"
import type { RebuildRequest } from "./contract.js"
import type { MendTools } from "./mending.js"

const PIECE_BYTES = 32 * KIB
/** Not a power of two, so that the pieces of all shards do not compete for the same cache lines. */
const PIECE_STRIDE_BYTES = PIECE_BYTES + 3 * SHARD_ALIGN_BYTES
/** At most k inputs and as many outputs as there are slots. */
const PIECES = 2 * SHARDS_MAX

export class Rebuilder {
  private coder: BlockCoder | undefined
  private memory: WebAssembly.Memory | undefined

  constructor(private readonly makeCoder: MakeCoder) {}

  /** Empty shards for the wanted slots. Throws `notEnoughShards` if fewer than k are present. */
  prepare({ shape, shardBytes, present, wanted, allocate }: RebuildRequest): Map<number, Uint8Array> {
    if (present.size < shape.k) throw fail("notEnoughShards", { present: present.size, needed: shape.k })
    assert(shardBytes % SHARD_ALIGN_BYTES === 0, "ranges of shards are multiples of 64 bytes")
    for (const shard of present.values()) assert(shard.length === shardBytes, "shards are of equal length")
    return new Map(wanted.map(slot => [slot, allocate?.(shardBytes) ?? Buffer.allocUnsafeSlow(shardBytes)]))
  }

  /** Fills the range [from, to) of the wanted shards. */
  fill(
    { shape, present }: Pick<RebuildRequest, "shape" | "present">,
    wanted: ReadonlyMap<number, Uint8Array>,
    from: number,
    to: number,
  ): void {
    const used = [...present].sort(([a], [b]) => a - b).slice(0, shape.k)
    for (let at = from; at < to; at += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, to - at)
      const inputs = new Map(used.map(([slot, shard], i) => [slot, this.fillPiece(i, shard.subarray(at, at + length))]))
      const outputs = new Map([...wanted.keys()].map((slot, i) => [slot, this.piece(shape.k + i, length)]))
      this.openCoder().rebuild(shape, inputs, outputs)
      for (const [slot, bytes] of outputs) must(wanted.get(slot), "a wanted slot").set(bytes, at)
    }
  }

  /** The operations that `mendShards` needs for shards in any memory. */
  mendTools(): MendTools {
    return {
      hash: xxh64,
      rebuild: (shape, present, wanted) => {
        const [first] = present.values()
        this.fill({ shape, present }, wanted, 0, first?.length ?? 0)
      },
    }
  }

  private openMemory(): WebAssembly.Memory {
    const pages = Math.ceil((CODER_SCRATCH_BYTES + PIECES * PIECE_STRIDE_BYTES) / WASM_PAGE_BYTES)
    this.memory ??= new WebAssembly.Memory({ initial: pages, maximum: pages })
    return this.memory
  }

  private openCoder(): BlockCoder {
    this.coder ??= this.makeCoder(this.openMemory(), 0)
    return this.coder
  }

  private piece(index: number, length: number): Uint8Array {
    assert(index < PIECES, "there is a piece for each shard")
    return new Uint8Array(this.openMemory().buffer, CODER_SCRATCH_BYTES + index * PIECE_STRIDE_BYTES, length)
  }

  private fillPiece(index: number, bytes: Uint8Array): Uint8Array {
    const piece = this.piece(index, bytes.length)
    piece.set(bytes)
    return piece
  }
}
