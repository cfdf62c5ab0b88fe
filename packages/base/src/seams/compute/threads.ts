/**
 * Compute on worker threads that share the slab pool's memory.
 *
 * A body larger than SMALL_BODY_BYTES is pinned to one thread, because a running hash cannot move; a
 * smaller one is processed synchronously on the calling thread, which costs less than a message. Bodies
 * that need mostly MD5 are collected on one thread, which hashes them together.
 *
 * Promises  A thread that dies fails only the bodies pinned to it (`internal`); the next body gets a
 *           new thread. Threads start with the first body that needs them. While the system starts none, those
 *           that run do the work; if there is none, calls that need one throw or reject with `tooManyInFlight`.
 * Limits    `threads`, the slab pool, FEED_BYTES between signals.
 */
import { setImmediate } from "node:timers/promises"
import { assert } from "../../assert.js"
import type { ChecksumAlgorithm } from "../../http/checksum-algorithms.js"
import { fail } from "../../failures.js"
import { KIB, MIB } from "../../limits.js"
import { SEGMENT_STORED_BYTES } from "../../encryption/segments.js"
import { BlockWork, codedBytesOf, codedShards, liesIn } from "./block-work.js"
import type { MakeCoder } from "./coder.js"
import type {
  CodedShard,
  CodeRequest,
  Compute,
  Digests,
  HashPipeline,
  HashPipelinePlan,
  MendOutcome,
  MendRequest,
  OpenRequest,
  RebuildRequest,
  SegmentAt,
  ShardMemory,
  Slab,
  SlabPool,
} from "./contract.js"
import { hashOnce } from "./hashes.js"
import type { SlabSizes } from "./inline.js"
import { InlineHashPipeline } from "./inline.js"
import { mendSteps } from "./mending.js"
import { Rebuilder } from "./rebuilder.js"
import { openInPlace, openSegment, openSteps, sealSegment } from "./sealing.js"
import { ShardRegion } from "./shard-memory.js"
import type { SlabMemory } from "./slabs.js"
import { allocateSlabs, GrantedSlab, scratchOf, Slabs } from "./slabs.js"
import { startThread } from "../threads/real.js"
import { ThreadHandle } from "./thread-handle.js"

/** Bodies up to this length are hashed and coded on the calling thread. */
const SMALL_BODY_BYTES = 64 * KIB
/** A thread is notified of new bytes in units of this size: a message per socket buffer costs more than hashing it. */
const FEED_BYTES = 256 * KIB
/** Input bytes that a rebuild processes before it yields: about a millisecond. */
const REBUILD_TURN_BYTES = 2 * MIB
/** The same for opening segments. */
const OPEN_TURN_BYTES = MIB
const THREADS_MAX = 64
/** This many bodies fill the MD5 lanes of a thread well; further ones use another thread. */
const BATCH_MAX = 8

/** More of them than this wait for the thread that serves, and for the disks. */
const USEFUL_THREADS_MAX = 16

/** The number of threads for a machine: one core is left to the thread that serves, unless there are no more than two. */
export const computeThreadsFor = (cores: number): number =>
  Math.min(USEFUL_THREADS_MAX, cores <= 2 ? Math.max(1, cores) : cores - 1)

interface ThreadSizes extends SlabSizes {
  readonly threads: number
}

interface Range {
  readonly slab: Slab
  readonly from: number
  to: number
}

/** A pipeline that a thread runs. */
class RemoteHashPipeline {
  private unsent: Range | undefined

  constructor(
    private readonly thread: ThreadHandle,
    private readonly number: number,
    private readonly plan: HashPipelinePlan,
    private readonly slabsAreScarce: () => boolean,
  ) {
    thread.pipelines += 1
    if (plan.md5) thread.md5Lanes += 1
    thread.tell({ order: "open", pipeline: number, plan })
  }

  feed(slab: Slab, from: number, to: number): void {
    if (this.unsent !== undefined && this.unsent.slab === slab && this.unsent.to === from) this.unsent.to = to
    else {
      this.flush()
      this.unsent = { slab, from, to }
    }
    if (this.unsent.to - this.unsent.from >= FEED_BYTES) this.flush()
  }

  async identify(slab: Slab, lengthBytes: number, key: Uint8Array): Promise<Uint8Array> {
    assert(slab instanceof GrantedSlab, "the slab comes from this pool")
    this.flush()
    slab.hold()
    try {
      const at = slab.bytes.byteOffset
      const own = Uint8Array.from(key)
      const identified = this.thread.ask(
        { order: "identify", pipeline: this.number, at, lengthBytes, key: own },
        "identified",
      )
      void this.holdUntilHashed(slab)
      return (await identified).digest
    } finally {
      slab.drop()
    }
  }

  async code({ slab, lengthBytes, seal, shape, seeds }: CodeRequest): Promise<readonly CodedShard[]> {
    assert(slab instanceof GrantedSlab, "the slab comes from this pool")
    this.flush()
    const { byteOffset: slabAt, length: slabBytes } = slab.bytes
    const block = { slabAt, slabBytes, lengthBytes, seal: seal && withOwnKey(seal), shape, seeds }
    slab.hold()
    try {
      const coded = this.thread.ask({ order: "code", pipeline: this.number, block }, "coded")
      void this.holdUntilHashed(slab)
      const { checksums } = await coded
      return codedShards(slab.bytes, codedBytesOf(block), shape, checksums)
    } finally {
      slab.drop()
    }
  }

  /** A block may be coded and written before it is hashed. */
  private async holdUntilHashed(slab: GrantedSlab): Promise<void> {
    slab.hold()
    const hashed = this.thread.ask({ order: "hashed", pipeline: this.number }, "hashed")
    if (this.slabsAreScarce()) this.thread.tell({ order: "flush" })
    // A dead thread reads nothing any more.
    await hashed.catch(() => undefined)
    slab.drop()
  }

  async digests(): Promise<Digests> {
    this.flush()
    const { digests } = await this.thread.ask({ order: "digests", pipeline: this.number }, "digested")
    return digests
  }

  close(): void {
    this.unsent = undefined
    this.thread.pipelines -= 1
    if (this.plan.md5) this.thread.md5Lanes -= 1
    this.thread.tell({ order: "close", pipeline: this.number })
  }

  private flush(): void {
    if (this.unsent === undefined) return
    const { slab, from, to } = this.unsent
    this.unsent = undefined
    this.thread.tell({ order: "feed", pipeline: this.number, at: slab.bytes.byteOffset + from, lengthBytes: to - from })
  }
}

/** Starts undecided, and moves to the calling thread or another once its size is known. */
class ThreadHashPipeline implements HashPipeline {
  private chosen: RemoteHashPipeline | InlineHashPipeline | undefined
  private early: Range[] = []
  private earlyBytes = 0
  private state: "open" | "digested" | "closed" = "open"

  constructor(
    private readonly openInline: () => InlineHashPipeline,
    private readonly openRemote: () => RemoteHashPipeline,
  ) {}

  feed(slab: Slab, from: number, to: number): void {
    assert(from >= 0 && from <= to && to <= slab.bytes.length, "the bytes lie in the slab")
    assert(this.state !== "digested", "nothing is fed after the digests")
    if (this.state === "closed") return
    if (this.chosen !== undefined) {
      this.chosen.feed(slab, from, to)
      return
    }
    this.early.push({ slab, from, to })
    this.earlyBytes += to - from
    if (this.earlyBytes > SMALL_BODY_BYTES) this.choose(this.openRemote)
  }

  identify(slab: Slab, lengthBytes: number, key: Uint8Array): Promise<Uint8Array> {
    return this.underWay(async () => await this.forBlock(lengthBytes).identify(slab, lengthBytes, key))
  }

  code(request: CodeRequest): Promise<readonly CodedShard[]> {
    return this.underWay(async () => await this.forBlock(request.lengthBytes).code(request))
  }

  private forBlock(lengthBytes: number): RemoteHashPipeline | InlineHashPipeline {
    const small = this.earlyBytes <= SMALL_BODY_BYTES && lengthBytes <= SMALL_BODY_BYTES
    return this.choose(small ? this.openInline : this.openRemote)
  }

  digests(): Promise<Digests> {
    return this.underWay(async () => {
      assert(this.state !== "digested", "the digests are requested once")
      this.state = "digested"
      return await this.choose(this.openInline).digests()
    })
  }

  close(): void {
    if (this.state === "closed") return
    this.state = "closed"
    this.early = []
    this.chosen?.close()
  }

  private choose(open: () => RemoteHashPipeline | InlineHashPipeline): RemoteHashPipeline | InlineHashPipeline {
    if (this.chosen !== undefined) return this.chosen
    const chosen = open()
    this.chosen = chosen
    for (const { slab, from, to } of this.early) chosen.feed(slab, from, to)
    this.early = []
    return chosen
  }

  /** An owner that closes the pipeline may not await pending calls: their failures are then ignored. */
  private underWay<T>(work: () => Promise<T>): Promise<T> {
    const promise =
      this.state === "closed" ? Promise.reject(fail("stopping", { message: "the hash pipeline is closed" })) : work()
    promise.catch(() => undefined)
    return promise
  }
}

export class ThreadCompute implements Compute {
  readonly slabs: SlabPool
  readonly shards: ShardMemory
  private readonly pool: Slabs
  private readonly memory: SlabMemory
  private readonly inlineWork: BlockWork
  private readonly rebuilder: Rebuilder
  private readonly threads: (ThreadHandle | undefined)[]
  private hashPipelinesOpened = 0
  private closed = false

  /** `entry`: the file that calls `serveCompute`. Throws `invalidConfig` if the pool is too small for one slab. */
  constructor(
    makeCoder: MakeCoder,
    private readonly entry: URL,
    sizes: ThreadSizes,
    private readonly startOne = startThread,
  ) {
    const { threads } = sizes
    if (!(threads >= 1 && threads <= THREADS_MAX))
      throw fail("invalidConfig", { message: "no such number of threads", threads })
    this.memory = allocateSlabs({ ...sizes, workers: threads + 1, shared: true })
    this.pool = new Slabs(this.memory, () => this.flushHashes())
    this.slabs = this.pool
    this.shards = new ShardRegion(this.memory.memory, this.memory.shardsAt, sizes.shardMemoryBytes ?? 0)
    this.inlineWork = new BlockWork(this.memory.memory, makeCoder, scratchOf(0).coderAt)
    this.rebuilder = new Rebuilder(makeCoder)
    this.threads = Array.from({ length: threads }, () => undefined)
  }

  openHashPipeline(plan: HashPipelinePlan): HashPipeline {
    if (this.closed) throw fail("stopping")
    return new ThreadHashPipeline(
      () => new InlineHashPipeline(this.inlineWork, plan),
      () => {
        this.hashPipelinesOpened += 1
        return new RemoteHashPipeline(this.threadFor(plan), this.hashPipelinesOpened, plan, () => this.pool.waiting > 0)
      },
    )
  }

  async rebuild(request: RebuildRequest): Promise<ReadonlyMap<number, Uint8Array>> {
    const wanted = this.rebuilder.prepare(request)
    const turnBytes = Math.max(SMALL_BODY_BYTES, Math.floor(REBUILD_TURN_BYTES / request.shape.k / KIB) * KIB)
    for (let from = 0; from < request.shardBytes; from += turnBytes) {
      if (from > 0) await setImmediate()
      this.rebuilder.fill(request, wanted, from, Math.min(from + turnBytes, request.shardBytes))
    }
    return wanted
  }

  async mend(request: MendRequest): Promise<MendOutcome> {
    const bytes = request.present.reduce((sum, shard) => sum + shard.bytes.length, 0)
    if (!liesIn(this.memory.memory, request)) return this.mendElsewhere(request)
    if (bytes <= SMALL_BODY_BYTES) return this.inlineWork.mend(request)
    const { present, wanted, ...rest } = request
    const thread = this.leastBusyThread()
    const block = { ...rest, present: present.map(shardAt), wanted: wanted.map(shardAt) }
    thread.pipelines += 1
    try {
      return (await thread.ask({ order: "mend", block }, "mended")).outcome
    } finally {
      thread.pipelines -= 1
    }
  }

  /** Mends on the calling thread, for shards in other memory. */
  private mendElsewhere(request: MendRequest): Promise<MendOutcome> {
    return inTurns(mendSteps(this.rebuilder.mendTools(), request), REBUILD_TURN_BYTES)
  }

  seal(plain: Uint8Array, at: SegmentAt): Uint8Array {
    return sealSegment(plain, at)
  }

  open(sealed: Uint8Array, at: SegmentAt): Uint8Array {
    return openSegment(sealed, at)
  }

  async openSegments(request: OpenRequest): Promise<number> {
    if (request.bytes.length <= SEGMENT_STORED_BYTES) return openInPlace(request)
    if (request.bytes.buffer !== this.memory.memory.buffer) return inTurns(openSteps(request), OPEN_TURN_BYTES)
    const thread = this.leastBusyThread()
    thread.pipelines += 1
    try {
      return (await thread.ask({ order: "unseal", segments: shardAt(withOwnKey(request)) }, "unsealed")).plainBytes
    } finally {
      thread.pipelines -= 1
    }
  }

  hash(plan: HashPipelinePlan, bytes: Uint8Array): Digests {
    return hashOnce(plan, bytes)
  }

  /** Ends the threads. Rejects pending calls with `internal`, and those that wait for a slab with `stopping`. */
  async close(): Promise<void> {
    this.closed = true
    this.pool.close()
    for (const thread of this.threads) await thread?.close()
  }

  /** Called when a body waits for memory: hashes the bytes that hold memory without waiting for other bodies. */
  private flushHashes(): void {
    for (const thread of this.threads) if (thread !== undefined && thread.md5Lanes > 0) thread.tell({ order: "flush" })
  }

  private threadFor(plan: HashPipelinePlan): ThreadHandle {
    const [batching] = this.threads
      .filter(thread => thread !== undefined)
      .filter(({ alive, md5Lanes }) => alive && md5Lanes > 0 && md5Lanes < BATCH_MAX)
      .sort((a, b) => b.md5Lanes - a.md5Lanes)
    return batching !== undefined && isMostlyMd5(plan) ? batching : this.leastBusyThread()
  }

  private leastBusyThread(): ThreadHandle {
    if (this.closed) throw fail("stopping")
    for (const [i, thread] of this.threads.entries()) {
      if (thread?.alive !== true) this.threads[i] = undefined
    }
    const idle = this.threads.findIndex(thread => thread === undefined)
    const running = this.threads.filter(thread => thread !== undefined).sort((a, b) => a.pipelines - b.pipelines)
    const [best] = running
    if (best !== undefined && (best.pipelines === 0 || idle < 0)) return best
    try {
      // Scratch area 0 is the calling thread's.
      const start = { memory: this.memory.memory, worker: idle + 1 }
      return (this.threads[idle] = new ThreadHandle(this.entry, start, this.startOne))
    } catch (error) {
      if (best === undefined) throw error
      return best
    }
  }
}

/** Unlike MD5 in a batch, these take as long as the body alone would. */
const SLOW: readonly (ChecksumAlgorithm | undefined)[] = ["SHA1", "SHA256", "SHA512", "MD5"]
const isMostlyMd5 = ({ md5, sha256, checksum }: HashPipelinePlan): boolean => md5 && !sha256 && !SLOW.includes(checksum)

/** Runs steps that yield the number of processed bytes, and lets other work run after each `turnBytes` of them. */
async function inTurns<Outcome>(steps: Generator<number, Outcome>, turnBytes: number): Promise<Outcome> {
  let doneBytes = 0
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
    doneBytes += value
    if (doneBytes < turnBytes) continue
    doneBytes = 0
    await setImmediate()
  }
}

/** A copy: a message copies the whole memory that its arrays are part of. */
const withOwnKey = <Request extends { readonly key: Uint8Array }>(request: Request): Request => ({
  ...request,
  key: Uint8Array.from(request.key),
})

/** Bytes never travel, only their addresses. */
function shardAt<Shard extends { readonly bytes: Uint8Array }>({ bytes, ...rest }: Shard) {
  return { ...rest, at: bytes.byteOffset, lengthBytes: bytes.length }
}
