/**
 * The tests of sealing that every Compute must pass. They run where a codec is available.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { after, test } from "node:test"
import { must } from "../../assert.js"
import { concatBytes } from "../../bytes.js"
import { isFailure } from "../../failures.js"
import { KIB, MIB, SUB_BLOCK_BYTES } from "../../limits.js"
import { openedBytesOf, sealedBytesOf } from "../../encryption/segments.js"
import type { ErasureCodingShape } from "./coder.js"
import type { CodedShard, CodingShape, Compute, HashPipelinePlan } from "./contract.js"
import type { SlabSizes } from "./inline.js"
import { KeptCompute } from "./testing-kept.js"
import { shardBytesOf, slabBytesOf, slotsOf } from "./layout.js"

interface ComputeUnderTest {
  readonly name: string
  open(sizes: SlabSizes): Compute
  /** The reference codec: parity of the data shards. */
  parityOf(shape: ErasureCodingShape, data: readonly Uint8Array[]): readonly Uint8Array[]
}

const BLOCK_BYTES = 256 * KIB
const SHAPE = { kind: "code", k: 4, m: 3, matrix: "cauchy" } as const
const COPIES = { kind: "copies", copies: 2 } as const
const SLABS = 4
const SIZES = {
  slabBytes: slabBytesOf(SHAPE, BLOCK_BYTES),
  poolBytes: SLABS * (slabBytesOf(SHAPE, BLOCK_BYTES) + 4096),
  shardMemoryBytes: 4 * MIB,
}
/** The plaintext of a full block. */
const FULL = openedBytesOf(BLOCK_BYTES)
const KEY = createHash("sha256").update("a key").digest()
const MD5: HashPipelinePlan = { md5: true, sha256: false, checksum: undefined }
const EVERYTHING: HashPipelinePlan = { md5: true, sha256: true, checksum: "CRC64NVME" }
const LIMITED = { timeout: 30_000 }
const never = new AbortController().signal

const digestOf = (algorithm: string, bytes: Uint8Array): string => createHash(algorithm).update(bytes).digest("hex")
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex")
const seedsOf = (shape: CodingShape): bigint[] => Array.from({ length: slotsOf(shape) }, (_, i) => 7n + BigInt(i))

function noise(lengthBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes)
  for (let i = 0; i < lengthBytes; i += 1) bytes[i] = (Math.imul(i + seed, 2_654_435_761) >>> 13) & 0xff
  return bytes
}

/** Segment by segment. */
function sealedBlock(compute: Compute, plain: Uint8Array, block: number, isLast: boolean): Uint8Array {
  const count = Math.ceil(plain.length / SUB_BLOCK_BYTES)
  const segments = Array.from({ length: count }, (_, segment) => {
    const part = plain.subarray(segment * SUB_BLOCK_BYTES, (segment + 1) * SUB_BLOCK_BYTES)
    return compute.seal(part, { key: KEY, block, segment, isLast: isLast && segment === count - 1 })
  })
  return concatBytes(segments)
}

function checkShards(
  { parityOf }: ComputeUnderTest,
  shape: CodingShape,
  stored: Uint8Array,
  shards: readonly CodedShard[],
): void {
  const shardBytes = shardBytesOf(shape, stored.length)
  const data = shape.kind === "copies" ? 1 : shape.k
  const padded = new Uint8Array(data * shardBytes)
  padded.set(stored)
  const slices = Array.from({ length: data }, (_, i) => padded.subarray(i * shardBytes, (i + 1) * shardBytes))
  const expected = shape.kind === "copies" ? shards.map(() => padded) : [...slices, ...parityOf(shape, slices)]
  assert.equal(shards.length, expected.length)
  for (const [slot, shard] of shards.entries())
    assert.equal(Buffer.compare(shard.bytes, expected[slot] ?? new Uint8Array()), 0, `shard ${slot}`)
}

/** Sends a body through a pipeline, sealed, a block to a slab. Returns its MD5. */
async function send(under: ComputeUnderTest, compute: Compute, body: Uint8Array, shape: CodingShape): Promise<string> {
  const pipeline = compute.openHashPipeline(EVERYTHING)
  for (let at = 0, block = 0; at < body.length; at += FULL, block += 1) {
    const plain = body.subarray(at, at + FULL)
    const isLast = at + FULL >= body.length
    const slab = await compute.slabs.take(never)
    slab.bytes.fill(0xa5)
    slab.bytes.set(plain)
    pipeline.feed(slab, 0, plain.length)
    const seal = { key: KEY, block, isLast }
    const shards = await pipeline.code({ slab, lengthBytes: plain.length, seal, shape, seeds: seedsOf(shape) })
    checkShards(under, shape, sealedBlock(compute, plain, block, isLast), shards)
    slab.release()
  }
  const digests = await pipeline.digests()
  pipeline.close()
  assert.deepEqual(
    [hex(digests.sha256), hex(digests.checksum)],
    [digestOf("sha256", body), hex(compute.hash(EVERYTHING, body).checksum)],
  )
  return hex(digests.md5)
}

const kept = new WeakMap<ComputeUnderTest, KeptCompute>()

const withCompute = (under: ComputeUnderTest, work: (compute: Compute) => Promise<void>): Promise<void> =>
  must(kept.get(under), "the suite has begun").with(work)

function sealing(under: ComputeUnderTest): void {
  test(`${under.name}: shards are those of the sealed block, digests those of the plaintext`, LIMITED, async () => {
    await withCompute(under, async compute => {
      for (const length of [1, 4097, 65_535, 65_536, 65_537, 200_001, FULL - 1, FULL, FULL + 1, 2 * FULL + 70_000]) {
        for (const shape of [SHAPE, COPIES]) {
          const body = noise(length, length)
          assert.equal(await send(under, compute, body, shape), digestOf("md5", body), `${length} bytes`)
        }
      }
      assert.equal(compute.slabs.slabsFree, SLABS)
    })
  })

  test(`${under.name}: MD5 is that of the plaintext although another body of the batch stalls`, LIMITED, async () => {
    await withCompute(under, async compute => {
      const stalled = compute.openHashPipeline(MD5)
      const held = await compute.slabs.take(never)
      const begun = noise(200_000, 1)
      held.bytes.set(begun)
      stalled.feed(held, 0, 200_000)
      const pipeline = compute.openHashPipeline(MD5)
      const slab = await compute.slabs.take(never)
      const body = noise(FULL, 2)
      slab.bytes.set(body)
      pipeline.feed(slab, 0, FULL)
      const seal = { key: KEY, block: 0, isLast: true }
      await pipeline.code({ slab, lengthBytes: FULL, seal, shape: COPIES, seeds: seedsOf(COPIES) })
      slab.release()
      assert.equal(hex((await pipeline.digests()).md5), digestOf("md5", body))
      assert.equal(hex((await stalled.digests()).md5), digestOf("md5", begun))
      for (const each of [pipeline, stalled]) each.close()
      held.release()
    })
  })

  test(
    `${under.name}: a sealed block that does not fit its slab is refused, before and after hashes`,
    LIMITED,
    async () => {
      await withCompute(under, async compute => {
        for (const plan of [MD5, { ...MD5, md5: false }]) {
          const pipeline = compute.openHashPipeline(plan)
          const slab = await compute.slabs.take(never)
          const lengthBytes = slab.bytes.length
          pipeline.feed(slab, 0, lengthBytes)
          const seal = { key: KEY, block: 0, isLast: true }
          const coding = pipeline.code({ slab, lengthBytes, seal, shape: COPIES, seeds: seedsOf(COPIES) })
          await assert.rejects(coding, /fit the slab/)
          slab.release()
          pipeline.close()
        }
      })
    },
  )
}

function opening(under: ComputeUnderTest): void {
  test(
    `${under.name}: segments are opened in place, in the memory of compute and in other memory`,
    LIMITED,
    async () => {
      await withCompute(under, async compute => {
        for (const length of [1, 65_536, 65_537, FULL]) {
          const plain = noise(length, 9)
          const stored = sealedBlock(compute, plain, 3, true)
          assert.equal(stored.length, sealedBytesOf(length))
          for (const bytes of [new Uint8Array(stored.length), compute.shards.take(stored.length)]) {
            bytes.set(stored)
            const opened = await compute.openSegments({ bytes, key: KEY, block: 3, firstSegment: 0, isLast: true })
            assert.equal(opened, length)
            assert.equal(Buffer.compare(bytes.subarray(0, length), plain), 0, `${length} bytes`)
            compute.shards.give(bytes)
          }
        }
      })
    },
  )

  test(`${under.name}: a flipped bit, and segments in another place, are rejected`, LIMITED, async () => {
    await withCompute(under, async compute => {
      const stored = sealedBlock(compute, noise(200_000, 4), 3, true)
      const request = { key: KEY, block: 3, firstSegment: 0, isLast: true }
      for (const allocate of [(length: number) => new Uint8Array(length), compute.shards.take.bind(compute.shards)]) {
        const rejected = async (change: Partial<typeof request>, at?: number): Promise<void> => {
          const bytes = allocate(stored.length)
          bytes.set(stored)
          if (at !== undefined) bytes[at] = (bytes[at] ?? 0) ^ 0x40
          const opening = compute.openSegments({ ...request, ...change, bytes })
          await assert.rejects(opening, error => isFailure(error, "corruptSeal"))
          compute.shards.give(bytes)
        }
        await rejected({}, 0)
        await rejected({}, stored.length - 1)
        await rejected({ block: 4 })
        await rejected({ firstSegment: 1 })
        await rejected({ isLast: false })
        await rejected({ key: Buffer.alloc(32) })
      }
      const at = { key: KEY, block: 0, segment: 0, isLast: true }
      const payload = compute.seal(noise(4096, 5), at)
      assert.deepEqual(Uint8Array.from(compute.open(payload, at)), noise(4096, 5))
      assert.throws(
        () => compute.open(payload, { ...at, isLast: false }),
        error => isFailure(error, "corruptSeal"),
      )
    })
  })
}

export function sealingSuite(under: ComputeUnderTest): void {
  const computes = new KeptCompute(() => under.open(SIZES))
  kept.set(under, computes)
  after(() => computes.close())
  sealing(under)
  opening(under)
}
