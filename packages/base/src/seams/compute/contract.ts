/**
 * Compute: heavy bytes (hashing, coding) on worker threads, or inline in simulation.
 *
 * A `HashPipeline` is the path of one body through one thread: the main thread copies socket buffers into slabs of
 * shared memory, the pipeline hashes them in order and codes each block in place, and devices write from
 * the same slab: one copy in all.
 */

import type { ChecksumAlgorithm } from "../../http/checksum-algorithms.js"
import type { Party } from "../../places-core.js"
import type { MatrixKind } from "../../policy.js"

/** A fixed piece of shared memory for one block: its data shards first, its parity after them. */
export interface Slab {
  /** The whole slab. The block's data is contiguous, from offset 0. */
  readonly bytes: Uint8Array
  release(): void
}

export interface SlabPool {
  readonly slabBytes: number
  readonly slabsFree: number
  readonly slabsTotal: number
  /** The number of bodies that wait in `take`. */
  readonly waiting: number
  /**
   * Resolves with a slab when one is free. Of those that wait, the party with the fewest slabs gets the next one; within
   * a party the first come. A body always waits for its first slab; while it holds one, it requests a second with
   * `tryMore`. Rejects with the signal's reason if the signal fires.
   */
  take(signal?: AbortSignal, party?: Party): Promise<Slab>
  /** A further slab for a body that holds one: granted only while more than half of the pool is free. */
  tryMore(party?: Party): Slab | undefined
}

export interface HashPipelinePlan {
  readonly md5: boolean
  /** SHA-256 of the body as signed, for x-amz-content-sha256. */
  readonly sha256: boolean
  readonly checksum: ChecksumAlgorithm | undefined
}

export interface Digests {
  readonly md5: Uint8Array | undefined
  readonly sha256: Uint8Array | undefined
  /** Big-endian bytes, as S3 encodes them in base64. */
  readonly checksum: Uint8Array | undefined
}

/** How a block becomes shards. `copies` = the same bytes for each of n devices. */
export type CodingShape =
  | { readonly kind: "copies"; readonly copies: number }
  | { readonly kind: "code"; readonly k: number; readonly m: number; readonly matrix: MatrixKind }

export interface CodedShard {
  /** A view into the slab (for copies: the same view for each). Length is a multiple of 64. */
  readonly bytes: Uint8Array
  /** One XXH64 per sub-block of 64 KiB, 8 bytes each, little-endian, seeded by `seeds[slot]` and the sub-block number. */
  readonly checksums: Uint8Array
}

/** The place where a segment is in its extent, and the extent's key. Everything that is sealed under a key has another place. */
export interface SegmentAt {
  /** 32 bytes. */
  readonly key: Uint8Array
  readonly block: number
  /** In its block. */
  readonly segment: number
  /** No segment of the extent follows. */
  readonly isLast: boolean
}

/** How a block is sealed: its segments have the numbers 0, 1, 2 …; `isLast`: no block of the extent follows. */
export type SealedBlock = Omit<SegmentAt, "segment">

/** Neighbouring segments of one block. */
export interface OpenRequest {
  /** The stored bytes, with tags. Opening replaces them. */
  readonly bytes: Uint8Array
  readonly key: Uint8Array
  readonly block: number
  readonly firstSegment: number
  /** The extent ends with them. */
  readonly isLast: boolean
}

export interface CodeRequest {
  readonly slab: Slab
  /** Bytes of the block at the front of the slab; the pipeline zeroes the rest, up to k shards. */
  readonly lengthBytes: number
  /** The block is plaintext, and is sealed in place once it was hashed. The shards are those of the sealed block. */
  readonly seal?: SealedBlock
  readonly shape: CodingShape
  /** One 64-bit seed per slot, from the needle id. */
  readonly seeds: readonly bigint[]
}

export interface HashPipeline {
  /**
   * Hashes bytes [from, to) of the slab, after everything fed before. Does not wait; the owner keeps
   * the slab until `code` or `digests` resolves. After `code` the pipeline itself keeps it as long as it needs.
   */
  feed(slab: Slab, from: number, to: number): void
  /**
   * The HMAC-SHA-256 of the block at the front of the slab, before it is coded. Like `code`, the pipeline keeps the slab until
   * what was fed is hashed, even if its owner releases it.
   */
  identify(slab: Slab, lengthBytes: number, key: Uint8Array): Promise<Uint8Array>
  /** Codes one block in place and checksums its shards. */
  code(request: CodeRequest): Promise<readonly CodedShard[]>
  /** Digests of everything fed. `feed` must not be called after it. */
  digests(): Promise<Digests>
  /** Closes the pipeline. Safe at any time, also after `digests`. Pending calls still settle. */
  close(): void
}

export interface RebuildRequest {
  readonly shape: Extract<CodingShape, { kind: "code" }>
  readonly shardBytes: number
  /** By slot: the available shards, at least k. */
  readonly present: ReadonlyMap<number, Uint8Array>
  /** Slots wanted. */
  readonly wanted: readonly number[]
  /** Returns memory of exactly the requested length; default: newly allocated. */
  readonly allocate?: (lengthBytes: number) => Uint8Array
}

/** Memory for whole shards, in which compute works in place; it copies shards in other memory. */
export interface ShardMemory {
  /** A buffer of this length, not cleared, which ends on a multiple of 64 bytes. */
  take(lengthBytes: number): Uint8Array
  /** Returns a view that `take` returned; the caller must not use it any more. Abandoned reads into it may go on. */
  give(bytes: Uint8Array): void
}

interface SeededShard {
  readonly slot: number
  readonly bytes: Uint8Array
  /** See `CodeRequest.seeds`. */
  readonly seed: bigint
}

export interface MendRequest {
  readonly shape: CodingShape
  /** The bytes are ranges of shards that begin with this sub-block; default: whole shards. */
  readonly firstSubBlock?: number
  /** Shards as read, with their expected checksums: k of them, or one copy. */
  readonly present: readonly (SeededShard & { readonly checksums: Uint8Array })[]
  /** Wanted slots, with the memory to fill; a copy is filled from the one that is present. All are of equal length. */
  readonly wanted: readonly (Omit<SeededShard, "seed"> & {
    /** If undefined, its checksums are not needed. */
    readonly seed: bigint | undefined
  })[]
}

export interface MendOutcome {
  /** Slots of damaged shards. If there are any, the other results are invalid. */
  readonly damaged: readonly number[]
  /** Checksums of the wanted shards, as in `CodedShard.checksums`; zeros for those without a seed. */
  readonly checksums: readonly Uint8Array[]
}

export interface Compute {
  readonly slabs: SlabPool
  readonly shards: ShardMemory
  openHashPipeline(plan: HashPipelinePlan): HashPipeline
  /** Rebuilds the wanted shards (or equal ranges of them) from k others. */
  rebuild(request: RebuildRequest): Promise<ReadonlyMap<number, Uint8Array>>
  /** Verifies the present shards, and rebuilds the wanted ones from them. The bytes must stay until it settles. */
  mend(request: MendRequest): Promise<MendOutcome>
  /** Synchronous, for small bodies and for reads. */
  hash(plan: HashPipelinePlan, bytes: Uint8Array): Digests
  /** Synchronous, for one segment: small bodies and small ranges. Returns the ciphertext and its tag. */
  seal(plain: Uint8Array, at: SegmentAt): Uint8Array
  /** Its reverse. Throws `corruptSeal` if key, place or bytes are not those that were sealed. */
  open(sealed: Uint8Array, at: SegmentAt): Uint8Array
  /**
   * Opens segments in place, and resolves with the length of their plaintext, which is then at the front of the bytes.
   * The bytes must stay until it settles. Rejects with `corruptSeal`; the bytes are then not to be used.
   */
  openSegments(request: OpenRequest): Promise<number>
  /** Ends the threads. Rejects pending calls; those that wait for a slab get `stopping`. */
  close(): Promise<void>
}
