/**
 * MD5 of short byte strings together, each in a lane of its own (`md5-lanes.ts`): eight cost about as much as two
 * that are hashed one after the other.
 */
import { assert, must } from "../base/assert.js"
import { MD5_BLOCK_BYTES, MD5_LANES_MAX, MD5_SCRATCH_BYTES, Md5Kernel, md5Start, type Md5State } from "./md5-lanes.js"
import { wasmMemory } from "./wasm.js"

const LENGTH_BYTES = 8
const DIGEST_BYTES = 16
const START = md5Start()

interface Slot {
  readonly at: number
  readonly bytes: Buffer
  readonly state: Md5State
  blocks: number
}

export class Md5Together {
  private readonly kernel: Md5Kernel
  private readonly slots: readonly Slot[]

  constructor(private readonly bytesMax: number) {
    const slotBytes = blocksOf(bytesMax) * MD5_BLOCK_BYTES
    const memory = wasmMemory(MD5_SCRATCH_BYTES + MD5_LANES_MAX * slotBytes)
    this.kernel = new Md5Kernel(memory, 0)
    this.slots = Array.from({ length: MD5_LANES_MAX }, (_, lane) => {
      const at = MD5_SCRATCH_BYTES + lane * slotBytes
      return { at, bytes: Buffer.from(memory.buffer, at, slotBytes), state: md5Start(), blocks: 0 }
    })
  }

  /** The digests of up to MD5_LANES_MAX texts of up to `bytesMax`, in their order. */
  digests(texts: readonly Uint8Array[]): readonly Buffer[] {
    const taken = texts.map((text, lane) => this.fill(must(this.slots[lane], "there is a lane"), text))
    // Those of one length go together; what is longer goes on without the others.
    const left = [...taken].sort((a, b) => a.blocks - b.blocks)
    let done = 0
    while (left.length > 0) {
      const blocks = (left[0]?.blocks ?? 0) - done
      if (blocks > 0) this.eat(left, done, blocks)
      done += blocks
      left.shift()
    }
    return taken.map(digestOf)
  }

  private eat(slots: readonly Slot[], done: number, blocks: number): void {
    const lanes = slots.map(({ at, state }) => ({ state, at: at + done * MD5_BLOCK_BYTES }))
    this.kernel.eat(lanes, blocks)
  }

  private fill(slot: Slot, text: Uint8Array): Slot {
    assert(text.length <= this.bytesMax, "a text fits into its slot")
    const { bytes, state } = slot
    slot.blocks = blocksOf(text.length)
    const end = slot.blocks * MD5_BLOCK_BYTES
    bytes.set(text)
    bytes[text.length] = 0x80
    bytes.fill(0, text.length + 1, end)
    bytes.writeUInt32LE(8 * text.length, end - LENGTH_BYTES)
    state.set(START)
    return slot
  }
}

const blocksOf = (lengthBytes: number): number => Math.ceil((lengthBytes + 1 + LENGTH_BYTES) / MD5_BLOCK_BYTES)

function digestOf({ state }: Slot): Buffer {
  const digest = Buffer.allocUnsafe(DIGEST_BYTES)
  for (let word = 0; word < state.length; word += 1) digest.writeUInt32LE(state[word] ?? 0, 4 * word)
  return digest
}
