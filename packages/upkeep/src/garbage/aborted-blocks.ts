/**
 * Aborted blocks: blocks that no row seems to reference, on their way to removal.
 *
 * A missing row may be damage to one metadata replica. So a block is aborted only if every replica of the configuration
 * confirms that no row references it, from metadata that was verified in this process. It is removed a day later, if
 * all replicas confirm it again after another verification.
 *
 * Promises  Waits while a replica is offline or not verified. Stops once the brake is on (`aborted-brake-core.ts`). The
 *           brake does not count blocks that cannot be read anyway (deleted while a device was offline), nor blocks for
 *           which all replicas reference a successor of another generation.
 *           The day starts over in each process: no persistent state decides about a removal.
 * Limits    ABORTED_LIMITS.
 */
import type { UploadId } from "@hayloft/base/ids.js"
import { shardsNeeded } from "@hayloft/base/policy.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { BlockGroup, Blocks } from "@hayloft/engine/block/index.js"
import type { NeedleOwner } from "@hayloft/engine/format/needles/needle.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { AbortedBrake } from "./aborted-brake-core.js"
import { namedBy, type OwnershipResolver } from "./ownership-resolver.js"
import { RETENTION_LIMITS } from "@hayloft/objects/index.js"
import { nameOfBlock, type Removals } from "./removals.js"
import type { ObjectBackend, Uploads } from "@hayloft/objects/door/bytes.js"

const ABORTED_LIMITS = {
  /** Further blocks are left alone until some of these are gone. */
  blocksMax: 10_000,
  resolvedPerStep: 64,
  /** How long the collector needs at most for deletions that are due. */
  collectorMs: 3_600_000,
} as const

/** Shorter in simulation. */
export interface AbortedWaits {
  /** From the decision to the removal: no reader that started before the decision lasts longer. */
  readonly removalWaitMs: number
  /** From the decision to the count: by then the collector has removed blocks that only waited for it. */
  readonly countWaitMs: number
}

/** If only this process opens the store: a deletion is due when the readers of this process have ended. */
export const ABORTED_WAITS: AbortedWaits = {
  removalWaitMs: RETENTION_LIMITS.retentionMs,
  countWaitMs: ABORTED_LIMITS.collectorMs,
}

const SHARED_COUNT_WAIT_MS = RETENTION_LIMITS.retentionMs + RETENTION_LIMITS.epochMs + 2 * ABORTED_LIMITS.collectorMs

/** If several processes do: a deletion is due after the retention, counted in epochs. */
export const SHARED_ABORTED_WAITS: AbortedWaits = {
  // Counted before they are removed, so that the brake comes before the removal.
  removalWaitMs: SHARED_COUNT_WAIT_MS + ABORTED_LIMITS.collectorMs,
  countWaitMs: SHARED_COUNT_WAIT_MS,
}

/** When aborted blocks may be removed. */
export interface RemovalConditions {
  readonly isEveryDeviceOnline: () => boolean
  readonly waits: AbortedWaits
}

/** An upload whose bytes are on devices, and which no row references. */
export interface PendingUpload {
  readonly uploadId: UploadId
  readonly owner: NeedleOwner
  readonly blocks: number
  /** Without blocks of unknown length. */
  readonly bytes: number
  /** 0: now. Infinity: not before every metadata replica has confirmed that no row references it. */
  readonly removableInMs: number
}

interface Candidate {
  readonly group: BlockGroup
  readonly owner: NeedleOwner
  /** When all replicas confirmed it (monotonic clock); undefined until then. */
  readonly decidedMs?: number
  /** Counts for the brake after `countWaitMs`. */
  readonly isToBeCounted?: boolean
}

export class AbortedBlocks {
  private readonly candidates = new Map<string, Candidate>()

  private readonly clock: Clock
  private readonly metadata: Metadata
  private readonly blocks: Blocks
  private readonly uploads: Uploads
  private readonly log: Log
  private readonly isEveryDeviceOnline: () => boolean
  private readonly waits: AbortedWaits

  constructor(
    { clock, metadata, blocks, uploads, log }: ObjectBackend,
    { isEveryDeviceOnline, waits }: RemovalConditions,
    private readonly resolver: OwnershipResolver,
    private readonly removals: Removals,
    private readonly brake: AbortedBrake,
  ) {
    this.clock = clock
    this.metadata = metadata
    this.blocks = blocks
    this.uploads = uploads
    this.log = log
    this.isEveryDeviceOnline = isEveryDeviceOnline
    this.waits = waits
  }

  get waiting(): number {
    return this.candidates.size
  }

  waitingOf(isMeant: (uploadId: UploadId) => boolean): number {
    return [...this.candidates.values()].filter(({ group }) => isMeant(group.uploadId)).length
  }

  /** The uploads that the blocks are of, the oldest finds first. */
  pending(): readonly PendingUpload[] {
    const uploads = new Map<UploadId, PendingUpload>()
    const nowMs = this.clock.monotonicMs()
    for (const { group, owner, decidedMs = Infinity } of this.candidates.values()) {
      const { blocks, bytes, removableInMs } = uploads.get(group.uploadId) ?? { blocks: 0, bytes: 0, removableInMs: 0 }
      uploads.set(group.uploadId, {
        uploadId: group.uploadId,
        owner,
        blocks: blocks + 1,
        bytes: bytes + (group.shape?.blockLengthBytes ?? 0),
        removableInMs: Math.max(removableInMs, decidedMs + this.waits.removalWaitMs - nowMs),
      })
    }
    return [...uploads.values()]
  }

  get isFull(): boolean {
    return this.candidates.size >= ABORTED_LIMITS.blocksMax
  }

  has(name: string): boolean {
    return this.candidates.has(name) || this.removals.has(name)
  }

  /** Adds a block that no row of one replica references. Returns false if there are too many already. */
  add(group: BlockGroup, owner: NeedleOwner): boolean {
    const name = nameOfBlock(group)
    if (this.has(name)) return true
    if (this.isFull) return false
    this.candidates.set(name, { group, owner })
    return true
  }

  /** Discards earlier conclusions, which do not hold any more. */
  forget(): void {
    this.candidates.clear()
    this.removals.clear()
  }

  /** Checks some due blocks against all replicas; returns true if it made progress. */
  async step(signal: AbortSignal): Promise<boolean> {
    for (const [name, candidate] of [...this.candidates]) await this.count(name, candidate)
    let checked = 0
    for (const [name, candidate] of [...this.candidates]) {
      if (signal.aborted || checked >= ABORTED_LIMITS.resolvedPerStep || this.removals.isFull || this.brake.isOn) break
      if (!this.isDue(candidate)) continue
      // An obstacle to querying the replicas about one block applies to all blocks.
      if (!(await this.check(name, candidate))) break
      checked += 1
    }
    return checked > 0
  }

  private async count(name: string, candidate: Candidate): Promise<void> {
    const { group, decidedMs = Infinity, isToBeCounted = false } = candidate
    if (!isToBeCounted || this.clock.monotonicMs() < decidedMs + this.waits.countWaitMs) return
    if ((await this.find(group)) === undefined) this.candidates.delete(name)
    else {
      this.candidates.set(name, { ...candidate, isToBeCounted: false })
      this.brake.count(name)
    }
  }

  /** The block's current shards; they may have moved, or be gone. */
  private find(group: BlockGroup): Soon<BlockGroup | undefined> {
    const name = nameOfBlock(group)
    return after(this.blocks.shardScanOf(group.partition), groups => groups.find(each => nameOfBlock(each) === name))
  }

  private isDue({ group, decidedMs }: Candidate): boolean {
    if (this.uploads.isHeld(group.uploadId) || this.uploads.mayBeYoung(group.uploadId)) return false
    return decidedMs === undefined || this.clock.monotonicMs() >= decidedMs + this.waits.removalWaitMs
  }

  /** Returns false if the replicas cannot be queried now. */
  private async check(name: string, { group, owner, decidedMs }: Candidate): Promise<boolean> {
    const verifiedSinceMs = decidedMs === undefined ? -Infinity : decidedMs + this.waits.removalWaitMs
    const named = await this.metadata.askEveryReplica(verifiedSinceMs, namedBy(group, owner))
    if (named === undefined) return false
    if (named.includes("block")) this.keep(name, group, !named.every(each => each === "block"))
    else if (decidedMs === undefined) this.decide(name, { group, owner }, named.includes(undefined))
    else await this.remove(name, group, owner)
    return true
  }

  private keep(name: string, { uploadId, block }: BlockGroup, doReplicasDiffer: boolean): void {
    this.candidates.delete(name)
    if (!doReplicasDiffer) return
    this.log.error("metadata_replicas_differ", { upload: uploadId, block, outcome: "the block is kept" })
  }

  private decide(name: string, { group, owner }: Candidate, hasNoSuccessor: boolean): void {
    const isToBeCounted = hasNoSuccessor && this.isReadable(group)
    this.candidates.set(name, { group, owner, decidedMs: this.clock.monotonicMs(), isToBeCounted })
  }

  /** Returns true if enough shards exist to read the block, or if offline devices may have them. */
  private isReadable({ shape, shards }: BlockGroup): boolean {
    if (shape === undefined || !this.isEveryDeviceOnline()) return true
    return new Set(shards.map(({ slot }) => slot)).size >= shardsNeeded(shape.policy)
  }

  private async remove(name: string, { uploadId, ...block }: BlockGroup, owner: NeedleOwner): Promise<void> {
    this.candidates.delete(name)
    const group = await this.find({ uploadId, ...block })
    if (group === undefined) return
    const remove = async (): Promise<boolean> => !this.brake.isOn && (await this.resolver.remove(group, owner))
    this.removals.add(name, remove)
  }
}
