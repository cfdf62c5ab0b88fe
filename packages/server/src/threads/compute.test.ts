import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { CODEC_SCRATCH_BYTES, makeCodec } from "@hayloft/engine/erasure/index.js"
import { referenceEncode } from "@hayloft/engine/erasure/testing-reference.js"
import type { HashPipelinePlan, Slab } from "@hayloft/base/seams/compute/index.js"
import {
  CODER_SCRATCH_BYTES,
  computeThreadsFor,
  InlineCompute,
  ThreadCompute,
} from "@hayloft/base/seams/compute/index.js"
import { sealingSuite } from "@hayloft/base/seams/compute/sealing-suite.js"
import { startThread } from "@hayloft/base/seams/threads/real.js"
import { computeSuite } from "@hayloft/base/seams/compute/suite.js"

const ENTRY = new URL("./compute-worker.js", import.meta.url)
const PLAN: HashPipelinePlan = { md5: true, sha256: false, checksum: undefined }
const SIZES = { slabBytes: 2_000_000, poolBytes: 8_200_000, threads: 1 }
const SHAPE = { kind: "code", k: 4, m: 2, matrix: "cauchy" } as const
const SEEDS = [1n, 2n, 3n, 4n, 5n, 6n]
/** Only a hang takes this long, even on a busy machine. */
const HANGS_MS = 5 * 60_000
const LIMITED = { timeout: HANGS_MS }
const never = new AbortController().signal

for (const { name, open } of [
  { name: "inline", open: sizes => new InlineCompute(makeCodec, sizes) },
  { name: "one thread", open: sizes => new ThreadCompute(makeCodec, ENTRY, { ...sizes, threads: 1 }) },
  { name: "two threads", open: sizes => new ThreadCompute(makeCodec, ENTRY, { ...sizes, threads: 2 }) },
  { name: "sixteen threads", open: sizes => new ThreadCompute(makeCodec, ENTRY, { ...sizes, threads: 16 }) },
] satisfies Pick<Parameters<typeof computeSuite>[0], "name" | "open">[]) {
  computeSuite({ name, open, parityOf: referenceEncode })
  sealingSuite({ name, open, parityOf: referenceEncode })
}

/** Bytes at an address outside the memory: a thread that gets them ends. */
const nowhere = (): Slab => ({
  bytes: new Uint8Array(new ArrayBuffer(2 * SIZES.poolBytes), SIZES.poolBytes + 1_000_000),
  release: () => undefined,
})

test("the codec's tables fit the scratch area that compute grants", () => {
  assert.ok(CODEC_SCRATCH_BYTES <= CODER_SCRATCH_BYTES)
})

test("a thread that dies rejects what is pinned to it, frees its slabs, and is replaced", LIMITED, async () => {
  const compute = new ThreadCompute(makeCodec, ENTRY, SIZES)
  const doomed = compute.openHashPipeline(PLAN)
  const slab = await compute.slabs.take(never)
  doomed.feed(nowhere(), 0, 300_000)
  const coding = doomed.code({ slab, lengthBytes: 1_000_000, shape: SHAPE, seeds: SEEDS })
  slab.release()
  await assert.rejects(coding, error => isFailure(error, "internal"))
  await assert.rejects(doomed.digests(), error => isFailure(error, "internal"))
  doomed.close()
  assert.equal(compute.slabs.slabsFree, compute.slabs.slabsTotal)
  const next = compute.openHashPipeline(PLAN)
  const second = await compute.slabs.take(never)
  second.bytes.fill(0, 0, 200_000)
  next.feed(second, 0, 200_000)
  const shards = await next.code({ slab: second, lengthBytes: 200_000, shape: SHAPE, seeds: SEEDS })
  assert.equal(shards.length, 6)
  await next.digests()
  await compute.close()
})

test("a thread that cannot start rejects instead of hanging", LIMITED, async () => {
  const compute = new ThreadCompute(makeCodec, new URL("data:text/javascript,throw new Error('no')"), SIZES)
  const pipeline = compute.openHashPipeline(PLAN)
  const slab = await compute.slabs.take(never)
  const coding = pipeline.code({ slab, lengthBytes: 1_000_000, shape: SHAPE, seeds: SEEDS })
  await assert.rejects(coding, error => isFailure(error, "internal"))
  await compute.close()
})

test(
  "while the system starts no thread, those that run do the work, and without one it is refused",
  LIMITED,
  async () => {
    let startsLeft = 0
    const compute = new ThreadCompute(makeCodec, ENTRY, { ...SIZES, threads: 2 }, (entry, options) => {
      if (startsLeft === 0) throw fail("tooManyInFlight", { message: "the system starts no further thread" })
      startsLeft -= 1
      return startThread(entry, options)
    })
    const isShort = (error: unknown): boolean => isFailure(error, "tooManyInFlight")
    const slab = await compute.slabs.take(never)
    const request = { slab, lengthBytes: 1_000_000, shape: SHAPE, seeds: SEEDS }
    const refused = compute.openHashPipeline(PLAN)
    await assert.rejects(refused.code(request), isShort)
    assert.throws(() => refused.feed(slab, 0, 1_000_000), isShort)
    refused.close()
    startsLeft = 1
    const pipelines = [1, 2].map(() => compute.openHashPipeline(PLAN))
    for (const pipeline of pipelines) assert.equal((await pipeline.code(request)).length, 6)
    for (const pipeline of pipelines) pipeline.close()
    await compute.close()
  },
)

test("closing while a thread works rejects its calls", LIMITED, async () => {
  const compute = new ThreadCompute(makeCodec, ENTRY, SIZES)
  const pipeline = compute.openHashPipeline(PLAN)
  const slab = await compute.slabs.take(never)
  for (let i = 0; i < 50; i += 1) pipeline.feed(slab, 0, 2_000_000)
  const coding = pipeline.code({ slab, lengthBytes: 1_000_000, shape: SHAPE, seeds: SEEDS })
  const rejected = assert.rejects(coding, error => isFailure(error, "internal"))
  await compute.close()
  await rejected
  assert.throws(
    () => compute.openHashPipeline(PLAN),
    error => isFailure(error, "stopping"),
  )
})

test("close resolves although a last answer arrives meanwhile", LIMITED, async () => {
  for (let round = 0; round < 5; round += 1) {
    const compute = new ThreadCompute(makeCodec, ENTRY, SIZES)
    const pipeline = compute.openHashPipeline(PLAN)
    const slab = await compute.slabs.take(never)
    await pipeline.code({ slab, lengthBytes: 500_000, shape: SHAPE, seeds: SEEDS })
    pipeline.close()
    // The hash of its bytes is still pending.
    await compute.close()
  }
})

test("compute threads follow the cores of the machine, and leave one to the thread that serves", () => {
  const threads = [1, 2, 3, 4, 8, 17, 32].map(computeThreadsFor)
  assert.deepEqual(threads, [1, 2, 2, 3, 7, 16, 16])
})

test("a pool smaller than one slab, and an invalid number of threads, are refused", () => {
  const refused = (error: unknown) => isFailure(error, "invalidConfig")
  assert.throws(() => new InlineCompute(makeCodec, { slabBytes: 1000, poolBytes: 1000 }), refused)
  assert.throws(() => new ThreadCompute(makeCodec, ENTRY, { ...SIZES, threads: 0 }), refused)
})

test("a process with an idle pool of 384 MiB is small, and ends without close", () => {
  const source = `
    import { makeCodec } from ${JSON.stringify(new URL("../../../engine/src/erasure/index.js", import.meta.url).href)}
    import { computeThreadsFor, ThreadCompute } from ${JSON.stringify(new URL("../../../base/src/seams/compute/index.js", import.meta.url).href)}
    const before = process.memoryUsage().rss
    const compute = new ThreadCompute(makeCodec, new URL(${JSON.stringify(ENTRY.href)}), {
      slabBytes: 7 << 20, poolBytes: 384 << 20, threads: 1,
    })
    const grownIdle = process.memoryUsage().rss - before
    const pipeline = compute.openHashPipeline({ md5: true, sha256: false, checksum: undefined })
    const slab = await compute.slabs.take(new AbortController().signal)
    pipeline.feed(slab, 0, 1 << 20)
    const { md5 } = await pipeline.digests()
    process.stdout.write([grownIdle, process.memoryUsage().rss, md5.length].join(" "))`
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", source], {
    encoding: "utf8",
    timeout: HANGS_MS,
  })
  assert.equal(child.status, 0, child.stderr)
  const [grownIdle = NaN, rss = NaN, md5] = child.stdout.split(" ").map(Number)
  assert.equal(md5, 16)
  assert.ok(grownIdle < 8 << 20, `${grownIdle} bytes for an untouched pool`)
  assert.ok(rss < 150 << 20, `${rss} bytes in all`)
})
