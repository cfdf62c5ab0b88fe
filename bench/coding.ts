/**
 * Speed of coding, checksums and hash pipelines, in 10^9 bytes of data a second: one table.
 *
 *   node dist/bench/coding.js
 *
 * Coding is measured on 4 MiB blocks in place (encode) and after the loss of two data shards (decode); pipelines
 * with all the work of a PUT between socket and disk: copy, MD5, coding, checksums.
 */
import { createHash } from "node:crypto"
import { fileURLToPath } from "node:url"
import { must } from "@hayloft/base/assert.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import type { CodeShape } from "@hayloft/engine/erasure/index.js"
import { CODEC_SCRATCH_BYTES, FastCodec, makeCodec } from "@hayloft/engine/erasure/index.js"
import type { Compute } from "@hayloft/base/seams/compute/index.js"
import { slabBytesOf, ThreadCompute } from "@hayloft/base/seams/compute/index.js"

const BLOCK_BYTES = 4 * MIB
const PIECE_BYTES = 64 * KIB
const PART_BYTES = 64 * MIB
const REPEATS = 5
const LANE_SHAPE = { kind: "code", k: 4, m: 3, matrix: "cauchy" } as const

export interface Measured {
  readonly what: string
  readonly gigabytesPerSecond: number
}

const median = (values: readonly number[]): number =>
  must([...values].sort((a, b) => a - b)[values.length >> 1], "values")

/** The median rate of a few runs, after a warm-up run. */
async function rateOf(dataBytes: number, work: () => unknown): Promise<number> {
  const rates: number[] = []
  await work()
  for (let run = 0; run < REPEATS; run += 1) {
    const started = performance.now()
    await work()
    rates.push(dataBytes / 1e6 / (performance.now() - started))
  }
  return median(rates)
}

async function measureShape(k: number, m: number): Promise<Measured[]> {
  const shape: CodeShape = { k, m, matrix: "cauchy" }
  const shardBytes = BLOCK_BYTES / k
  const pages = Math.ceil((CODEC_SCRATCH_BYTES + (k + m + 2) * shardBytes) / (64 * KIB))
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  new Uint8Array(memory.buffer, CODEC_SCRATCH_BYTES).fill(0x5a)
  const codec = new FastCodec(memory, 0)
  const shard = (slot: number): Uint8Array =>
    new Uint8Array(memory.buffer, CODEC_SCRATCH_BYTES + slot * shardBytes, shardBytes)
  const slots = Array.from({ length: k + m }, (_, slot) => slot)
  const [data, parity] = [slots.slice(0, k).map(shard), slots.slice(k).map(shard)]
  const present = new Map(slots.slice(2).map(slot => [slot, shard(slot)]))
  const wanted = new Map([0, 1].map(slot => [slot, shard(k + m + slot)]))
  const times = 20
  const repeat = (work: () => void) => () => {
    for (let i = 0; i < times; i += 1) work()
  }
  const encoded = await rateOf(
    times * BLOCK_BYTES,
    repeat(() => codec.encode(shape, data, parity)),
  )
  const decoded = await rateOf(
    times * BLOCK_BYTES,
    repeat(() => codec.rebuild(shape, present, wanted)),
  )
  return [
    { what: `encode ${k}+${m}`, gigabytesPerSecond: encoded },
    { what: `decode ${k}+${m}, 2 lost`, gigabytesPerSecond: decoded },
  ]
}

async function sendPart(compute: Compute, source: Uint8Array): Promise<void> {
  const lane = compute.openHashPipeline({ md5: true, sha256: false, checksum: undefined })
  const signal = new AbortController().signal
  for (let sent = 0; sent < PART_BYTES; sent += BLOCK_BYTES) {
    const slab = await compute.slabs.take(signal)
    for (let at = 0; at < BLOCK_BYTES; at += PIECE_BYTES) {
      slab.bytes.set(source, at)
      lane.feed(slab, at, at + PIECE_BYTES)
    }
    await lane.code({ slab, lengthBytes: BLOCK_BYTES, shape: LANE_SHAPE, seeds: [1n, 2n, 3n, 4n, 5n, 6n, 7n] })
    slab.release()
  }
  await lane.digests()
  lane.close()
}

async function measureLanes(lanes: number, threads: number): Promise<Measured> {
  const entry = new URL("../packages/server/src/threads/compute-worker.js", import.meta.url)
  const slabBytes = slabBytesOf(LANE_SHAPE, BLOCK_BYTES)
  const compute = new ThreadCompute(makeCodec, entry, { slabBytes, poolBytes: 384 * MIB, threads })
  const source = new Uint8Array(PIECE_BYTES).fill(7)
  const rate = await rateOf(lanes * PART_BYTES, () =>
    Promise.all(Array.from({ length: lanes }, () => sendPart(compute, source))),
  )
  await compute.close()
  return { what: `${lanes} lanes, ${threads} thread(s): MD5, 4+3, checksums`, gigabytesPerSecond: rate }
}

async function measureHashes(): Promise<Measured[]> {
  const bytes = new Uint8Array(32 * MIB).fill(3)
  const subBlock = bytes.subarray(0, 64 * KIB)
  const checksummed = await rateOf(1000 * subBlock.length, () => {
    for (let i = 0; i < 1000; i += 1) xxh64(subBlock, 1n)
  })
  const md5 = await rateOf(bytes.length, () => createHash("md5").update(bytes).digest())
  return [
    { what: "XXH64, 64 KiB", gigabytesPerSecond: checksummed },
    { what: "MD5 of node:crypto, for comparison", gigabytesPerSecond: md5 },
  ]
}

/** This runs for some ten seconds. */
export async function measureCoding(): Promise<Measured[]> {
  return [
    ...(await measureShape(4, 2)),
    ...(await measureShape(4, 3)),
    ...(await measureShape(8, 4)),
    ...(await measureHashes()),
    await measureLanes(1, 1),
    await measureLanes(4, 1),
    await measureLanes(8, 1),
    await measureLanes(4, 2),
  ]
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { what, gigabytesPerSecond } of await measureCoding()) {
    process.stdout.write(`${what.padEnd(48)} ${gigabytesPerSecond.toFixed(2).padStart(6)} GB/s\n`)
  }
}
