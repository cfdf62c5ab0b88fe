import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { fc } from "../testing-properties.js"
import { must } from "../assert.js"
import { MD5_BLOCK_BYTES, MD5_LANES_MAX, MD5_SCRATCH_BYTES, Md5Kernel, md5Start, type Md5State } from "./md5-lanes.js"
import { WASM_PAGE_BYTES } from "./wasm.js"

const BYTES_MAX = 300_000
const PAGES = 8
const SCRATCH_AT = 3 * MD5_SCRATCH_BYTES
const NOISE_AT = WASM_PAGE_BYTES
const HEX_OF_TEST_SUITE = {
  "": "d41d8cd98f00b204e9800998ecf8427e",
  a: "0cc175b9c0f1b6a831c399e269772661",
  abc: "900150983cd24fb0d6963f7d28e17f72",
  "message digest": "f96b697d7cb7938d525a2f31aaf161d0",
  abcdefghijklmnopqrstuvwxyz: "c3fcd3d76192e4007dfb496cca67e13b",
  ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789: "d174ab98d277d9f5a5611c2c9f419d9f",
  "12345678901234567890123456789012345678901234567890123456789012345678901234567890":
    "57edf4a22be3c955ac49da2e2107b67a",
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

const digestAlone = (kernel: Md5Kernel, state: Md5State, rest: Uint8Array, lengthBytes: number): Uint8Array =>
  must(kernel.digests([{ state, lengthBytes, copyRest: (into, at) => into.set(rest, at) }])[0], "there is one stream")

/** A kernel on a memory that is full of noise. */
function noisyKernel(shared: boolean) {
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared })
  const bytes = new Uint8Array(memory.buffer)
  for (let i = 0, x = 7; i < bytes.length; i += 1) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) | 0
    bytes[i] = x >>> 24
  }
  return { kernel: new Md5Kernel(memory, SCRATCH_AT), bytes }
}

/** A piece of the noise, and how much of it is hashed. */
class Stream {
  readonly state: Md5State = md5Start()
  private hashed = 0

  constructor(
    private readonly from: number,
    private readonly lengthBytes: number,
  ) {}

  get at(): number {
    return this.from + this.hashed
  }

  get blocks(): number {
    return Math.floor((this.lengthBytes - this.hashed) / MD5_BLOCK_BYTES)
  }

  advance(blocks: number): void {
    this.hashed += blocks * MD5_BLOCK_BYTES
  }

  check(kernel: Md5Kernel, bytes: Uint8Array): void {
    const rest = bytes.slice(this.at, this.from + this.lengthBytes)
    const expected = createHash("md5").update(bytes.slice(this.from, this.from + this.lengthBytes))
    const digest = hex(digestAlone(kernel, this.state, rest, this.lengthBytes))
    assert.equal(digest, expected.digest("hex"), `${this.lengthBytes} bytes`)
  }
}

test("the test suite of RFC 1321, and every length up to three blocks", () => {
  const { kernel, bytes } = noisyKernel(false)
  const digest = (body: Uint8Array): string => {
    const state = md5Start()
    const whole = body.length - (body.length % MD5_BLOCK_BYTES)
    for (let at = 0; at < whole; at += MD5_BLOCK_BYTES) kernel.hashBlock(state, body.subarray(at, at + MD5_BLOCK_BYTES))
    return hex(digestAlone(kernel, state, body.subarray(whole), body.length))
  }
  for (const [text, expected] of Object.entries(HEX_OF_TEST_SUITE)) {
    assert.equal(digest(new TextEncoder().encode(text)), expected)
  }
  for (let length = 0; length <= 3 * MD5_BLOCK_BYTES; length += 1) {
    const body = bytes.slice(NOISE_AT, NOISE_AT + length)
    assert.equal(digest(body), createHash("md5").update(body).digest("hex"), `${length} bytes`)
  }
})

for (const shared of [false, true]) {
  test(`streams that meet and part at any block, in ${shared ? "shared" : "own"} memory`, () => {
    const { kernel, bytes } = noisyKernel(shared)
    const streams = fc.array(
      fc.record({
        from: fc.integer({ min: NOISE_AT, max: bytes.length - BYTES_MAX }),
        lengthBytes: fc.oneof(fc.integer({ min: 0, max: BYTES_MAX }), fc.integer({ min: 0, max: 200 })),
      }),
      { minLength: MD5_LANES_MAX, maxLength: 24 },
    )
    // Each turn advances some of the streams with remaining blocks, from a random index, by a random number of blocks.
    const turns = fc.infiniteStream(
      fc.record({
        lanes: fc.integer({ min: 1, max: MD5_LANES_MAX }),
        from: fc.nat(),
        blocks: fc.integer({ min: 1, max: 2000 }),
      }),
    )
    const lanesUsed = new Set<number>()
    fc.assert(
      fc.property(streams, turns, (pieces, choices) => {
        const all = pieces.map(({ from, lengthBytes }) => new Stream(from, lengthBytes))
        for (const { lanes, from, blocks } of choices) {
          const left = all.filter(stream => stream.blocks > 0)
          if (left.length === 0) break
          const start = from % left.length
          const together = [...left.slice(start), ...left.slice(0, start)].slice(0, lanes)
          const blocksOfAll = Math.min(blocks, ...together.map(stream => stream.blocks))
          kernel.hash(together, blocksOfAll)
          for (const stream of together) stream.advance(blocksOfAll)
          lanesUsed.add(together.length)
        }
        for (const stream of all) stream.check(kernel, bytes)
      }),
      { numRuns: 40, seed: 1 },
    )
    assert.equal(lanesUsed.size, MD5_LANES_MAX, "every number of lanes was used")
  })
}
