/**
 * Aborted blocks: blocks that no row seems to name, on their way to removal.
 *
 * A missing row may be damage to one metadata replica. So a block is aborted only if every replica of the
 * configuration says so, from metadata that was verified in this process; it is removed a day later, if all replicas
 * say so again after another verification.
 *
 * Promises  Waits while a replica is offline or not verified. Stops once the brake is on (`aborted-brake-core.ts`);
 *           blocks that cannot be read anyway do not count for it, which were deleted while a device was offline, nor
 *           do blocks in whose place all replicas name one of another generation.
 *           The day begins anew with each process: nothing persistent decides about a removal.
 * Limits    ABORTED_LIMITS.
 */
import type { RowKey } from "../../base/ids.js"
import { shardsNeeded } from "../../base/policy.js"
import { after, type Soon } from "../../base/soon.js"
import type { BlockGroup, Blocks } from "../../block/index.js"
import type { NeedleOwner } from "../../format/needle.js"
import { objectRowKey, uploadRowKey } from "../../format/row-key.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"
import type { Metadata } from "../../metadata/index.js"
import type { AbortedBrake } from "./aborted-brake-core.js"
import { namedBy, type OwnershipResolver } from "./ownership-resolver.js"
import { READ_PIN_LIMITS } from "../read-pins.js"
import { resolveUpload } from "../commands/pending-deletion-commands-core.js"
import { nameOf, type Removals } from "./removals.js"
import type { Uploads } from "../uploads.js"

export const ABORTED_LIMITS = {
  /** More are left where they are until some of these are gone. */
  blocksMax: 10_000,
  resolvedPerStep: 64,
  /** From the decision to the removal: no reader that began before it lasts longer. */
  removalWaitMs: READ_PIN_LIMITS.ageMsMax,
  /** From the decision to the count: by then the collector has removed what merely waited for it. */
  countWaitMs: 3_600_000,
} as const

/** Shorter in simulation. */
export interface AbortedWaits {
  readonly removalWaitMs: number
  readonly countWaitMs: number
}

interface Candidate {
  readonly group: BlockGroup
  readonly owner: NeedleOwner
  /** When all replicas confirmed it, by the monotonic clock; undefined until then. */
  readonly decidedMs?: number
  /** Counts for the brake, once `countWaitMs` have passed. */
  readonly isToBeCounted?: boolean
}

export class AbortedBlocks {
  private readonly candidates = new Map<string, Candidate>()
  /** Marks of uploads whose blocks are being removed. */
  readonly marks = new Set<RowKey>()

  constructor(
    private readonly clock: Clock,
    private readonly metadata: Metadata,
    private readonly blocks: Blocks,
    private readonly uploads: Uploads,
    private readonly resolver: OwnershipResolver,
    private readonly removals: Removals,
    private readonly brake: AbortedBrake,
    private readonly isEveryDeviceIn: () => boolean,
    private readonly waits: AbortedWaits,
    private readonly log: Log,
  ) {}

  get waiting(): number {
    return this.candidates.size
  }

  get isFull(): boolean {
    return this.candidates.size >= ABORTED_LIMITS.blocksMax
  }

  has(name: string): boolean {
    return this.candidates.has(name) || this.removals.has(name)
  }

  /** All replicas have confirmed that no row names it; it waits for its removal. */
  isConfirmed(name: string): boolean {
    if (this.brake.isOn) return false
    return this.candidates.get(name)?.decidedMs !== undefined || this.removals.has(name)
  }

  /** One replica has no row that names the block. False if there are too many already. */
  add(group: BlockGroup, owner: NeedleOwner): boolean {
    const name = nameOf(group)
    if (this.has(name)) return true
    if (this.isFull) return false
    this.candidates.set(name, { group, owner })
    return true
  }

  /** Asks the replicas about some blocks that are due; true if it got any further. */
  async step(signal: AbortSignal): Promise<boolean> {
    for (const [name, candidate] of [...this.candidates]) await this.count(name, candidate)
    let asked = 0
    for (const [name, candidate] of [...this.candidates]) {
      if (signal.aborted || asked >= ABORTED_LIMITS.resolvedPerStep || this.removals.isFull || this.brake.isOn) break
      if (!this.isDue(candidate)) continue
      // What keeps the replicas from being asked about one block holds for all.
      if (!(await this.ask(name, candidate))) break
      asked += 1
    }
    return asked > 0
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

  /** Its shards may lie elsewhere by now, or be gone. */
  private find(group: BlockGroup): Soon<BlockGroup | undefined> {
    const name = nameOf(group)
    return after(this.blocks.shardScanOf(group.partition), groups => groups.find(each => nameOf(each) === name))
  }

  private isDue({ group, decidedMs }: Candidate): boolean {
    if (this.uploads.isHeld(group.uploadId)) return false
    return decidedMs === undefined || this.clock.monotonicMs() >= decidedMs + this.waits.removalWaitMs
  }

  /** False if the replicas cannot be asked now. */
  private async ask(name: string, { group, owner, decidedMs }: Candidate): Promise<boolean> {
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

  /** Or might be, with devices that are offline. */
  private isReadable({ shape, shards }: BlockGroup): boolean {
    if (shape === undefined || !this.isEveryDeviceIn()) return true
    return new Set(shards.map(({ slot }) => slot)).size >= shardsNeeded(shape.policy)
  }

  private async remove(name: string, { uploadId, ...block }: BlockGroup, owner: NeedleOwner): Promise<void> {
    // From here on a commit that names the upload is refused.
    const verdict = await this.metadata.run(resolveUpload({ ...owner, uploadId }))
    if (verdict === "void") this.marks.add(uploadRowKey(objectRowKey(owner.bucketId, owner.key), uploadId))
    this.candidates.delete(name)
    const group = await this.find({ uploadId, ...block })
    if (group === undefined) return
    const remove = async (): Promise<boolean> => !this.brake.isOn && (await this.resolver.remove(group, owner))
    this.removals.add(name, remove)
  }
}
