/**
 * Compute on the calling thread: simulation and tests, where order must depend only on the calls.
 */
import { assert } from "../../assert.js"
import { fail } from "../../failures.js"
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
import { Hashes, hashOnce, keyedDigest } from "./hashes.js"
import { mendShards } from "./mending.js"
import { Rebuilder } from "./rebuilder.js"
import { openInPlace, openSegment, sealSegment } from "./sealing.js"
import { ShardRegion } from "./shard-memory.js"
import { allocateSlabs, GrantedSlab, Slabs } from "./slabs.js"

export interface SlabSizes {
  /** The smallest size of a slab, see `slabBytesOf`. */
  readonly slabBytes: number
  /** The limit for all slabs together. */
  readonly poolBytes: number
  /** The memory for shards that are being mended; default: none, they are in other memory. */
  readonly shardMemoryBytes?: number
}

/** A body hashed and coded on the calling thread. */
export class InlineHashPipeline implements HashPipeline {
  private readonly hashes: Hashes
  private state: "open" | "digested" | "closed" = "open"

  constructor(
    private readonly work: BlockWork,
    plan: HashPipelinePlan,
  ) {
    this.hashes = new Hashes(plan)
  }

  feed(slab: Slab, from: number, to: number): void {
    assert(this.state !== "digested", "nothing is fed after the digests")
    if (this.state === "open") this.hashes.update(slab.bytes.subarray(from, to))
  }

  async identify(slab: Slab, lengthBytes: number, key: Uint8Array): Promise<Uint8Array> {
    this.check()
    return keyedDigest(key, slab.bytes.subarray(0, lengthBytes))
  }

  async code({ slab, lengthBytes, seal, shape, seeds }: CodeRequest): Promise<readonly CodedShard[]> {
    this.check()
    assert(slab instanceof GrantedSlab, "the slab comes from this pool")
    const { byteOffset: slabAt, length: slabBytes } = slab.bytes
    const checksums = this.work.code({ slabAt, slabBytes, lengthBytes, seal, shape, seeds })
    return codedShards(slab.bytes, codedBytesOf({ lengthBytes, seal }), shape, checksums)
  }

  async digests(): Promise<Digests> {
    this.check()
    assert(this.state !== "digested", "the digests are requested once")
    this.state = "digested"
    return this.hashes.digests()
  }

  close(): void {
    this.state = "closed"
  }

  private check(): void {
    if (this.state === "closed") throw fail("stopping", { message: "the hash pipeline is closed" })
  }
}

export class InlineCompute implements Compute {
  readonly slabs: SlabPool
  readonly shards: ShardMemory
  private readonly pool: Slabs
  private readonly memory: WebAssembly.Memory
  private readonly work: BlockWork
  private readonly rebuilder: Rebuilder

  constructor(makeCoder: MakeCoder, sizes: SlabSizes) {
    const plan = allocateSlabs({ ...sizes, workers: 1, shared: false })
    this.memory = plan.memory
    this.pool = new Slabs(plan)
    this.slabs = this.pool
    this.shards = new ShardRegion(plan.memory, plan.shardsAt, sizes.shardMemoryBytes ?? 0)
    this.work = new BlockWork(plan.memory, makeCoder, 0)
    this.rebuilder = new Rebuilder(makeCoder)
  }

  openHashPipeline(plan: HashPipelinePlan): HashPipeline {
    return new InlineHashPipeline(this.work, plan)
  }

  async rebuild(request: RebuildRequest): Promise<ReadonlyMap<number, Uint8Array>> {
    const wanted = this.rebuilder.prepare(request)
    this.rebuilder.fill(request, wanted, 0, request.shardBytes)
    return wanted
  }

  async mend(request: MendRequest): Promise<MendOutcome> {
    if (liesIn(this.memory, request)) return this.work.mend(request)
    return mendShards(this.rebuilder.mendTools(), request)
  }

  hash(plan: HashPipelinePlan, bytes: Uint8Array): Digests {
    return hashOnce(plan, bytes)
  }

  seal(plain: Uint8Array, at: SegmentAt): Uint8Array {
    return sealSegment(plain, at)
  }

  open(sealed: Uint8Array, at: SegmentAt): Uint8Array {
    return openSegment(sealed, at)
  }

  async openSegments(request: OpenRequest): Promise<number> {
    return openInPlace(request)
  }

  async close(): Promise<void> {
    this.pool.close()
  }
}
