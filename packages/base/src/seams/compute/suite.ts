/**
 * The tests that every Compute must pass. They run where a codec is available.
 */
import assert from "node:assert/strict"
import { createHash, createHmac } from "node:crypto"
import { after, test } from "node:test"
import { xxhash128, xxhash3, xxhash64 } from "hash-wasm"
import { must } from "../../assert.js"
import { CHECKSUM_ALGORITHMS } from "../../http/checksum-algorithms.js"
import { isFailure } from "../../failures.js"
import { KIB, SUB_BLOCK_BYTES } from "../../limits.js"
import type { ErasureCodingShape } from "./coder.js"
import type { CodedShard, CodingShape, Compute, Digests, HashPipelinePlan, Slab } from "./contract.js"
import type { SlabSizes } from "./inline.js"
import { KeptCompute } from "./testing-kept.js"
import { slabBytesOf, subBlockChecksum } from "./layout.js"

interface ComputeUnderTest {
  readonly name: string
  open(sizes: SlabSizes): Compute
  /** The reference codec: parity of the data shards. */
  parityOf(shape: ErasureCodingShape, data: readonly Uint8Array[]): readonly Uint8Array[]
}

const BLOCK_BYTES = 512 * KIB
const SHAPE = { kind: "code", k: 4, m: 3, matrix: "cauchy" } as const
const SLABS = 4
const SIZES = {
  slabBytes: slabBytesOf(SHAPE, BLOCK_BYTES),
  poolBytes: SLABS * (slabBytesOf(SHAPE, BLOCK_BYTES) + 4096),
}
const EVERYTHING: HashPipelinePlan = { md5: true, sha256: true, checksum: "CRC64NVME" }
const NOTHING: HashPipelinePlan = { md5: false, sha256: false, checksum: undefined }
const MD5: HashPipelinePlan = { ...NOTHING, md5: true }
const LIMITED = { timeout: 30_000 }
const never = new AbortController().signal

const hex = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString("hex")
const hexDigests = ({ md5, sha256, checksum }: Digests) => [hex(md5), hex(sha256), hex(checksum)]

function noise(lengthBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes)
  for (let i = 0, state = seed; i < lengthBytes; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    bytes[i] = state >>> 24
  }
  return bytes
}

const seedsOf = (slots: number): bigint[] =>
  Array.from({ length: slots }, (_, slot) => 0xfedc_ba98_7654_3210n * BigInt(slot + 1))

function expectedShards(under: ComputeUnderTest, shape: CodingShape, block: Uint8Array): Uint8Array[] {
  const slices = shape.kind === "copies" ? 1 : shape.k
  const shardBytes = 64 * Math.ceil(block.length / slices / 64)
  const padded = new Uint8Array(slices * shardBytes)
  padded.set(block)
  const data = Array.from({ length: slices }, (_, i) => padded.slice(i * shardBytes, (i + 1) * shardBytes))
  if (shape.kind === "code") return [...data, ...under.parityOf(shape, data)]
  return Array.from({ length: shape.copies }, () => padded)
}

function checkShards(shards: readonly CodedShard[], expected: readonly Uint8Array[]): void {
  assert.equal(shards.length, expected.length)
  const seeds = seedsOf(shards.length)
  for (const [slot, { bytes, checksums }] of shards.entries()) {
    assert.equal(Buffer.compare(bytes, expected[slot] ?? new Uint8Array()), 0, `shard ${slot}`)
    const subBlocks = Math.ceil(bytes.length / SUB_BLOCK_BYTES)
    const view = new DataView(checksums.buffer, checksums.byteOffset, checksums.length)
    assert.equal(checksums.length, 8 * subBlocks)
    for (let n = 0; n < subBlocks; n += 1) {
      const subBlock = bytes.subarray(n * SUB_BLOCK_BYTES, (n + 1) * SUB_BLOCK_BYTES)
      assert.equal(view.getBigUint64(8 * n, true), subBlockChecksum(subBlock, seeds[slot] ?? 0n, n))
    }
  }
}

/** Sends a body through a lane, a block to a slab, in pieces of `pieceBytes`. */
async function send(
  under: ComputeUnderTest,
  compute: Compute,
  plan: HashPipelinePlan,
  body: Uint8Array,
  shape: CodingShape,
  pieceBytes: number,
): Promise<Digests> {
  const pipeline = compute.openHashPipeline(plan)
  for (let at = 0; at < body.length; at += BLOCK_BYTES) {
    const block = body.subarray(at, at + BLOCK_BYTES)
    const slab = await compute.slabs.take(never)
    slab.bytes.fill(0xa5)
    for (let from = 0; from < block.length; from += pieceBytes) {
      const piece = block.subarray(from, from + pieceBytes)
      slab.bytes.set(piece, from)
      pipeline.feed(slab, from, from + piece.length)
    }
    const seeds = seedsOf(shape.kind === "copies" ? shape.copies : shape.k + shape.m)
    const shards = await pipeline.code({ slab, lengthBytes: block.length, shape, seeds })
    checkShards(shards, expectedShards(under, shape, block))
    slab.release()
  }
  const digests = await pipeline.digests()
  pipeline.close()
  return digests
}

const kept = new WeakMap<ComputeUnderTest, KeptCompute>()

const withCompute = (under: ComputeUnderTest, work: (compute: Compute) => Promise<void>): Promise<void> =>
  must(kept.get(under), "the suite has begun").with(work)

/** Waits some seconds at most until `wanted` slabs are free; returns how many are. */
async function slabsFreeSoon(compute: Compute, wanted: number): Promise<number> {
  for (let turn = 0; turn < 5000 && compute.slabs.slabsFree !== wanted; turn += 1) {
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  return compute.slabs.slabsFree
}

function bodies(under: ComputeUnderTest): void {
  const shapes: readonly CodingShape[] = [
    SHAPE,
    { kind: "code", k: 2, m: 1, matrix: "xor" },
    { kind: "code", k: 5, m: 2, matrix: "vandermonde" },
    { kind: "copies", copies: 3 },
  ]
  test(`${under.name}: bodies of all sizes give the right shards, checksums and digests`, LIMITED, async () => {
    await withCompute(under, async compute => {
      for (const [i, lengthBytes] of [
        1,
        63,
        4096,
        65_536,
        65_537,
        300_001,
        BLOCK_BYTES,
        2 * BLOCK_BYTES + 70_000,
      ].entries()) {
        const body = noise(lengthBytes, i)
        const shape = shapes[i % shapes.length] ?? SHAPE
        const digests = await send(under, compute, EVERYTHING, body, shape, 60_001)
        assert.equal(hex(digests.md5), createHash("md5").update(body).digest("hex"))
        assert.equal(hex(digests.sha256), createHash("sha256").update(body).digest("hex"))
        assert.deepEqual(hexDigests(digests), hexDigests(compute.hash(EVERYTHING, body)))
      }
      assert.equal(compute.slabs.slabsFree, SLABS)
    })
  })

  test(`${under.name}: a block is identified by a keyed digest, and coded afterwards`, LIMITED, async () => {
    const compute = under.open(SIZES)
    try {
      for (const lengthBytes of [1, 64 * KIB, 64 * KIB + 1, BLOCK_BYTES]) {
        const block = noise(lengthBytes, lengthBytes)
        const pipeline = compute.openHashPipeline(MD5)
        const slab = await compute.slabs.take(never)
        slab.bytes.set(block)
        pipeline.feed(slab, 0, lengthBytes)
        for (const key of [noise(32, 1), noise(32, 2)]) {
          const digest = await pipeline.identify(slab, lengthBytes, key)
          assert.equal(hex(digest), createHmac("sha256", key).update(block).digest("hex"))
        }
        const seeds = seedsOf(7)
        checkShards(
          await pipeline.code({ slab, lengthBytes, shape: SHAPE, seeds }),
          expectedShards(under, SHAPE, block),
        )
        slab.release()
        assert.equal(hex((await pipeline.digests()).md5), createHash("md5").update(block).digest("hex"))
        pipeline.close()
      }
    } finally {
      await compute.close()
    }
  })

  test(`${under.name}: a block that is only identified leaves its slab once it is hashed`, LIMITED, async () => {
    const compute = under.open(SIZES)
    try {
      const pipeline = compute.openHashPipeline(MD5)
      const expected = createHash("md5")
      for (let n = 0; n < 2 * SLABS; n += 1) {
        const slab = await compute.slabs.take(never)
        const block = noise(BLOCK_BYTES, n)
        slab.bytes.set(block)
        expected.update(block)
        pipeline.feed(slab, 0, BLOCK_BYTES)
        await pipeline.identify(slab, BLOCK_BYTES, noise(32, 1))
        slab.release()
      }
      assert.equal(hex((await pipeline.digests()).md5), expected.digest("hex"))
      pipeline.close()
      for (let n = 0; n < SLABS; n += 1) await compute.slabs.take(never)
    } finally {
      await compute.close()
    }
  })

  test(`${under.name}: concurrent bodies do not disturb one another`, LIMITED, async () => {
    await withCompute(under, async compute => {
      const sent = Array.from({ length: 2 * SLABS }, async (_, i) => {
        const body = noise(BLOCK_BYTES + 1000 * i, 100 + i)
        const plan = { ...EVERYTHING, md5: i % 3 !== 0 }
        const digests = await send(under, compute, plan, body, shapes[i % shapes.length] ?? SHAPE, 17_000 + i)
        assert.deepEqual(hexDigests(digests), hexDigests(compute.hash(plan, body)))
      })
      await Promise.all(sent)
    })
  })

  test(`${under.name}: digests match the catalogue, and only the requested ones are returned`, LIMITED, async () => {
    await withCompute(under, async compute => {
      const digits = new TextEncoder().encode("123456789")
      const checksumOf = (checksum: HashPipelinePlan["checksum"]) =>
        hex(compute.hash({ ...NOTHING, checksum }, digits).checksum)
      assert.equal(checksumOf("CRC32"), "cbf43926")
      assert.equal(checksumOf("CRC32C"), "e3069283")
      assert.equal(checksumOf("CRC64NVME"), "ae8b14860a799888")
      assert.equal(checksumOf("SHA1"), createHash("sha1").update(digits).digest("hex"))
      assert.equal(checksumOf("SHA256"), createHash("sha256").update(digits).digest("hex"))
      assert.equal(checksumOf("SHA512"), createHash("sha512").update(digits).digest("hex"))
      assert.equal(checksumOf("MD5"), createHash("md5").update(digits).digest("hex"))
      assert.equal(checksumOf("XXHASH64"), await xxhash64(digits))
      assert.equal(checksumOf("XXHASH3"), await xxhash3(digits))
      assert.equal(checksumOf("XXHASH128"), await xxhash128(digits))
      assert.deepEqual(hexDigests(compute.hash(NOTHING, digits)), [undefined, undefined, undefined])
      const empty = compute.openHashPipeline(EVERYTHING)
      assert.equal(hex((await empty.digests()).md5), "d41d8cd98f00b204e9800998ecf8427e")
      for (const checksum of CHECKSUM_ALGORITHMS) {
        const plan = { ...NOTHING, checksum }
        const body = noise(200_000, 5)
        const digests = await send(under, compute, plan, body, SHAPE, 65_536)
        assert.deepEqual(hexDigests(digests), hexDigests(compute.hash(plan, body)))
      }
    })
  })
}

/** Lanes that are fed a piece each in turn, some of them given up on the way. */
function batches(under: ComputeUnderTest): void {
  test(`${under.name}: many concurrent pipelines, fed in turn, one closed in the middle`, LIMITED, async () => {
    await withCompute(under, async compute => {
      const slabBytes = noise(BLOCK_BYTES, 200)
      for (const pipelines of [2, 3, 5, 9, 14]) {
        const slab = await compute.slabs.take(never)
        slab.bytes.set(slabBytes)
        const open = Array.from({ length: pipelines }, (_, i) => ({
          pipeline: compute.openHashPipeline(MD5),
          end: 70_000 * (i + 1),
        }))
        const gone = open[pipelines >> 1]
        for (let from = 0, turn = 0; from < BLOCK_BYTES; turn += 1) {
          const to = Math.min(from + 1 + ((turn * 7919) % 90_000), BLOCK_BYTES)
          for (const { pipeline, end } of open) if (from < end) pipeline.feed(slab, from, Math.min(to, end))
          if (turn === 5) gone?.pipeline.close()
          from = to
        }
        await Promise.all(
          open.map(async ({ pipeline, end }) => {
            if (pipeline === gone?.pipeline) return
            const { md5 } = await pipeline.digests()
            const expected = createHash("md5").update(slabBytes.subarray(0, end))
            assert.equal(hex(md5), expected.digest("hex"), `${end} bytes, ${pipelines} lanes`)
            pipeline.close()
          }),
        )
        slab.release()
      }
      assert.equal(await slabsFreeSoon(compute, SLABS), SLABS)
    })
  })

  test(`${under.name}: a body in a batch with an idle one gets its slabs back and its digests`, LIMITED, async () => {
    await withCompute(under, async compute => {
      const silent = compute.openHashPipeline(MD5)
      const held = await compute.slabs.take(never)
      silent.feed(held, 0, 100_000)
      // More blocks than there are slabs.
      const body = noise(3 * SLABS * BLOCK_BYTES, 300)
      const digests = await send(under, compute, MD5, body, { kind: "copies", copies: 1 }, 100_000)
      assert.equal(hex(digests.md5), createHash("md5").update(body).digest("hex"))
      const expected = createHash("md5").update(held.bytes.subarray(0, 100_000)).digest("hex")
      assert.equal(hex((await silent.digests()).md5), expected)
      silent.close()
      held.release()
      assert.equal(await slabsFreeSoon(compute, SLABS), SLABS)
    })
  })

  test(`${under.name}: a slab is granted again only after its last bytes are hashed`, LIMITED, async () => {
    await withCompute(under, async compute => {
      const silent = compute.openHashPipeline(MD5)
      const held = await compute.slabs.take(never)
      silent.feed(held, 0, 100_000)
      const pipeline = compute.openHashPipeline(MD5)
      const body = noise(BLOCK_BYTES, 4)
      const slab = await compute.slabs.take(never)
      slab.bytes.set(body)
      pipeline.feed(slab, 0, BLOCK_BYTES)
      await pipeline.code({ slab, lengthBytes: BLOCK_BYTES, shape: SHAPE, seeds: seedsOf(7) })
      slab.release()
      // Every new owner overwrites its slab.
      for (let i = 1; i < SLABS; i += 1) (await compute.slabs.take(never)).bytes.fill(0xee)
      assert.equal(compute.slabs.slabsFree, 0)
      assert.equal(hex((await pipeline.digests()).md5), createHash("md5").update(body).digest("hex"))
      pipeline.close()
      silent.close()
    })
  })
}

function scarcity(under: ComputeUnderTest): void {
  test(`${under.name}: a block is hashed immediately while another body waits for its slab`, LIMITED, async () => {
    await withCompute(under, async compute => {
      const pipelines = Array.from({ length: 3 }, () => compute.openHashPipeline(MD5))
      const taken: Slab[] = []
      for (let i = 0; i < SLABS; i += 1) taken.push(await compute.slabs.take(never))
      const slab = must(taken[0], "there are slabs")
      for (const pipeline of pipelines) pipeline.feed(slab, 0, 100_000)
      const waiting = compute.slabs.take(never)
      const first = must(pipelines[0], "there are lanes")
      first.feed(slab, 100_000, BLOCK_BYTES)
      await first.code({ slab, lengthBytes: BLOCK_BYTES, shape: SHAPE, seeds: seedsOf(7) })
      slab.release()
      await waiting
      for (const pipeline of pipelines) pipeline.close()
    })
  })
}

function rebuilding(under: ComputeUnderTest): void {
  test(`${under.name}: lost shards, and ranges of them, are rebuilt from any k`, LIMITED, async () => {
    await withCompute(under, async compute => {
      const shards = expectedShards(under, SHAPE, noise(900_001, 9))
      for (const lost of [[0], [1, 3], [0, 2, 5], [4, 5, 6]]) {
        const present = new Map([...shards.entries()].filter(([slot]) => !lost.includes(slot)))
        const shardBytes = shards[0]?.length ?? 0
        const whole = await compute.rebuild({ shape: SHAPE, shardBytes, present, wanted: lost })
        const cut = new Map([...present].map(([slot, bytes]) => [slot, bytes.subarray(640, 640 + 4096)]))
        const range = await compute.rebuild({ shape: SHAPE, shardBytes: 4096, present: cut, wanted: lost })
        for (const slot of lost) {
          assert.equal(Buffer.compare(whole.get(slot) ?? new Uint8Array(), shards[slot] ?? new Uint8Array()), 0)
          assert.equal(hex(range.get(slot)), hex(shards[slot]?.subarray(640, 640 + 4096)))
        }
      }
    })
  })

  test(`${under.name}: fewer than k shards are refused`, LIMITED, async () => {
    await withCompute(under, async compute => {
      const present = new Map([0, 1, 6].map(slot => [slot, new Uint8Array(64)]))
      const rebuilt = compute.rebuild({ shape: SHAPE, shardBytes: 64, present, wanted: [2] })
      await assert.rejects(rebuilt, error => isFailure(error, "notEnoughShards"))
    })
  })
}

/** Tests several shapes and lengths, in the memory of compute and in other memory. */
function mending(under: ComputeUnderTest): void {
  const shapes = [SHAPE, { kind: "code", k: 5, m: 2, matrix: "vandermonde" }] as const
  const lengths = [64, 4096, 64 * KIB + 64, 900 * KIB]
  const shardMemoryBytes = 12 * 960 * KIB

  test(`${under.name}: mended shards and their checksums equal those of a coded block`, LIMITED, async () => {
    const compute = under.open({ ...SIZES, shardMemoryBytes })
    for (const shape of shapes) {
      for (const [i, blockBytes] of lengths.entries()) {
        const shards = expectedShards(under, shape, noise(blockBytes * shape.k, i))
        const n = shards.length
        const seeds = seedsOf(n)
        const lost = [[0], [1, n - 1], [n - 2, n - 1]][i % 3] ?? []
        for (const take of [
          (length: number) => new Uint8Array(length),
          (length: number) => compute.shards.take(length),
        ]) {
          const lent: Uint8Array[] = []
          const lend = (length: number): Uint8Array => {
            lent.push(take(length))
            return lent.at(-1) ?? new Uint8Array()
          }
          const all = shards.map((expected, slot) => {
            const seed = seeds[slot] ?? 0n
            const bytes = lend(expected.length)
            bytes.set(lost.includes(slot) ? expected.map(() => 0xa5) : expected)
            return { slot, seed, bytes, checksums: checksumsOf(expected, seed) }
          })
          const present = all.filter(({ slot }) => !lost.includes(slot)).slice(0, shape.k)
          const wanted = all.filter(({ slot }) => lost.includes(slot))
          const { damaged, checksums } = await compute.mend({ shape, present, wanted })
          assert.deepEqual(damaged, [])
          for (const [w, { slot, bytes, checksums: expected }] of wanted.entries()) {
            assert.equal(Buffer.compare(bytes, shards[slot] ?? new Uint8Array()), 0, `shard ${slot} of ${blockBytes}`)
            assert.equal(hex(checksums[w]), hex(expected))
          }
          for (const bytes of lent) compute.shards.give(bytes)
        }
      }
    }
    await compute.close()
  })

  test(`${under.name}: every damaged shard is reported`, LIMITED, async () => {
    const compute = under.open({ ...SIZES, shardMemoryBytes })
    for (const lengthBytes of [640, 300 * KIB]) {
      const shards = expectedShards(under, SHAPE, noise(lengthBytes * SHAPE.k, 1))
      const seeds = seedsOf(shards.length)
      const present = shards.slice(0, SHAPE.k).map((expected, slot) => {
        const bytes = compute.shards.take(expected.length)
        bytes.set(expected)
        return { slot, seed: seeds[slot] ?? 0n, bytes, checksums: checksumsOf(expected, seeds[slot] ?? 0n) }
      })
      const wanted = [{ slot: 5, seed: seeds[5] ?? 0n, bytes: compute.shards.take(lengthBytes) }]
      const flip = (slot: number, at: number): void => {
        const bytes = present[slot]?.bytes ?? new Uint8Array()
        bytes[at] = (bytes[at] ?? 0) ^ 0x10
      }
      flip(1, lengthBytes - 1)
      flip(3, 0)
      assert.deepEqual([...(await compute.mend({ shape: SHAPE, present, wanted })).damaged].sort(), [1, 3])
      flip(1, lengthBytes - 1)
      flip(3, 0)
      assert.deepEqual((await compute.mend({ shape: SHAPE, present, wanted })).damaged, [])
      // Bytes of another needle count as damaged.
      const [first, ...others] = present
      assert.ok(first)
      const strange = { ...first, seed: first.seed + 1n }
      assert.deepEqual((await compute.mend({ shape: SHAPE, present: [strange, ...others], wanted })).damaged, [0])
    }
    await compute.close()
  })

  test(`${under.name}: a copy gets the checksums of the slot that it is written to`, LIMITED, async () => {
    const compute = under.open({ ...SIZES, shardMemoryBytes })
    const expected = noise(200 * KIB, 4)
    const bytes = compute.shards.take(expected.length)
    bytes.set(expected)
    const shape = { kind: "copies", copies: 2 } as const
    const present = [{ slot: 0, seed: 7n, bytes, checksums: checksumsOf(expected, 7n) }]
    const { damaged, checksums } = await compute.mend({ shape, present, wanted: [{ slot: 1, seed: 8n, bytes }] })
    assert.deepEqual(damaged, [])
    assert.equal(hex(checksums[0]), hex(checksumsOf(expected, 8n)))
    assert.equal(Buffer.compare(bytes, expected), 0)
    await compute.close()
  })
}

function checksumsOf(shard: Uint8Array, seed: bigint): Uint8Array {
  const checksums = new DataView(new ArrayBuffer(8 * Math.ceil(shard.length / SUB_BLOCK_BYTES)))
  for (let at = 0, n = 0; at < shard.length; at += SUB_BLOCK_BYTES, n += 1) {
    checksums.setBigUint64(8 * n, subBlockChecksum(shard.subarray(at, at + SUB_BLOCK_BYTES), seed, n), true)
  }
  return new Uint8Array(checksums.buffer)
}

function slabs(under: ComputeUnderTest): void {
  test(`${under.name}: an account with many bodies does not hold up another with few`, LIMITED, async () => {
    await withCompute(under, async compute => {
      const order: string[] = []
      const take = async (account: string): Promise<void> => {
        const slab = await compute.slabs.take(never, { account, address: account })
        order.push(account)
        await Promise.resolve()
        slab.release()
      }
      const many = Array.from({ length: 5 * SLABS }, () => take("many"))
      const few = [take("few"), take("few")]
      await Promise.all([...many, ...few])
      // A slab that is given back goes to the account with fewer slabs.
      assert.deepEqual(order.slice(SLABS, SLABS + 2), ["few", "few"])
      assert.equal(compute.slabs.slabsFree, SLABS)
    })
  })

  test(`${under.name}: waiters get slabs in order, and can stop waiting`, LIMITED, async () => {
    await withCompute(under, async compute => {
      const taken: Slab[] = []
      for (let i = 0; i < SLABS; i += 1) taken.push(await compute.slabs.take(never))
      assert.equal(new Set(taken.map(({ bytes }) => bytes.byteOffset)).size, SLABS)
      assert.equal(compute.slabs.slabsFree, 0)
      const order: string[] = []
      const quitter = new AbortController()
      const waitFor = async (name: string, signal: AbortSignal) => {
        const slab = await compute.slabs.take(signal)
        order.push(name)
        return slab
      }
      const waiting = [waitFor("first", never), waitFor("quitter", quitter.signal), waitFor("second", never)]
      quitter.abort(new Error("gone"))
      await assert.rejects(waiting[1] ?? Promise.resolve(), /gone/)
      taken[2]?.release()
      taken[2]?.release()
      await waiting[0]
      assert.deepEqual([...order, compute.slabs.slabsFree], ["first", 0], "a second release frees nothing")
      taken[0]?.release()
      await Promise.all([waiting[0], waiting[2]])
      assert.deepEqual(order, ["first", "second"])
      await assert.rejects(compute.slabs.take(quitter.signal), /gone/)
    })
  })

  test(`${under.name}: a second slab is granted only while more than half is free`, LIMITED, async () => {
    await withCompute(under, async compute => {
      const first = await compute.slabs.take(never)
      const second = compute.slabs.tryMore()
      assert.ok(second !== undefined, "3 of 4 are free")
      assert.equal(compute.slabs.tryMore(), undefined, "2 of 4 are free")
      first.release()
      assert.ok(compute.slabs.tryMore() !== undefined)
    })
  })
}

function endings(under: ComputeUnderTest): void {
  test(`${under.name}: a pipeline closed in the middle leaks no slab and disturbs no other`, LIMITED, async () => {
    await withCompute(under, async compute => {
      for (let round = 0; round < 3 * SLABS; round += 1) {
        const pipeline = compute.openHashPipeline(EVERYTHING)
        const slab = await compute.slabs.take(never)
        slab.bytes.fill(round)
        pipeline.feed(slab, 0, 500_000)
        const coding = pipeline.code({ slab, lengthBytes: BLOCK_BYTES, shape: SHAPE, seeds: seedsOf(7) })
        const digesting = round % 2 === 0 ? pipeline.digests() : undefined
        slab.release()
        pipeline.close()
        pipeline.close()
        if (round % 3 === 0) await Promise.allSettled([coding, digesting])
      }
      const body = noise(BLOCK_BYTES, 77)
      const digests = await send(under, compute, EVERYTHING, body, SHAPE, 65_536)
      assert.deepEqual(hexDigests(digests), hexDigests(compute.hash(EVERYTHING, body)))
      assert.equal(await slabsFreeSoon(compute, SLABS), SLABS)
    })
  })

  test(
    `${under.name}: a slab released too early is not given again while its block is being coded`,
    LIMITED,
    async () => {
      await withCompute(under, async compute => {
        const pipeline = compute.openHashPipeline(NOTHING)
        const slab = await compute.slabs.take(never)
        const body = noise(BLOCK_BYTES, 3)
        slab.bytes.set(body)
        const coding = pipeline.code({ slab, lengthBytes: BLOCK_BYTES, shape: SHAPE, seeds: seedsOf(7) })
        slab.release()
        const next = compute.slabs.tryMore()
        assert.ok(next !== undefined)
        next.bytes.fill(0xee)
        await coding
        const mine = next.bytes.every(byte => byte === 0xee)
        assert.ok(mine, "nothing wrote into the next owner's slab")
        next.release()
        pipeline.close()
        assert.equal(await slabsFreeSoon(compute, SLABS), SLABS)
      })
    },
  )

  test(
    `${under.name}: codes that do not exist and blocks that do not fit are rejected, and the slab is free again`,
    LIMITED,
    async () => {
      await withCompute(under, async compute => {
        const slab = await compute.slabs.take(never)
        const code = async (shape: CodingShape, lengthBytes: number, seeds: number) => {
          const pipeline = compute.openHashPipeline(NOTHING)
          try {
            return await pipeline.code({ slab, lengthBytes, shape, seeds: seedsOf(seeds) })
          } finally {
            pipeline.close()
          }
        }
        for (const lengthBytes of [1000, 500_000]) {
          const impossible = code({ kind: "code", k: 3, m: 2, matrix: "xor" }, lengthBytes, 5)
          await assert.rejects(impossible, error => isFailure(error, "invalidConfig"))
        }
        await assert.rejects(code(SHAPE, 2 * BLOCK_BYTES, 7), /fit the slab/)
        await assert.rejects(code(SHAPE, BLOCK_BYTES, 6), /seed/)
        slab.release()
        assert.equal(await slabsFreeSoon(compute, SLABS), SLABS)
      })
    },
  )

  test(`${under.name}: close rejects present and future waiters`, LIMITED, async () => {
    const compute = under.open(SIZES)
    const taken = [await compute.slabs.take(never), compute.slabs.tryMore()]
    const pipeline = compute.openHashPipeline(EVERYTHING)
    const slab = taken[0]
    assert.ok(slab !== undefined)
    pipeline.feed(slab, 0, BLOCK_BYTES)
    for (let i = 0; i < 2; i += 1) await compute.slabs.take(never)
    const waiting = compute.slabs.take(never)
    const refused = assert.rejects(waiting, error => isFailure(error, "stopping"))
    await compute.close()
    await refused
    await assert.rejects(compute.slabs.take(never), error => isFailure(error, "stopping"))
    pipeline.close()
    await assert.rejects(pipeline.digests(), error => isFailure(error, "stopping"))
    await compute.close()
  })
}

export function computeSuite(under: ComputeUnderTest): void {
  const computes = new KeptCompute(() => under.open(SIZES))
  kept.set(under, computes)
  after(() => computes.close())
  bodies(under)
  batches(under)
  scarcity(under)
  rebuilding(under)
  mending(under)
  slabs(under)
  endings(under)
}
