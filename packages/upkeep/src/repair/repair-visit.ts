/**
 * Repair visits: brings one partition at a time to the state that its rows and the layout require.
 *
 * Blocks that need nothing are skipped. The ownership of all others is resolved at their rows: live blocks are mended;
 * unreferenced ones are reported, and left alone unless they are on a device that is being emptied: their shards move as
 * they are, as do those of blocks that only the retention keeps. Held uploads (being written or re-encoded) are left alone
 * until they are released.
 *
 * Promises  A visit changes nothing but shards. What it found is in its outcome.
 * Limits    VISIT_LIMITS.
 */
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { lacksSpace } from "@hayloft/base/space/full-disk-core.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import type { DeviceId, PartitionId, UploadId } from "@hayloft/base/ids.js"
import { shardCount, shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import { needleIdOf, type BlockGroup, type Blocks, type LiveBlock } from "@hayloft/engine/block/index.js"
import type { RepairOutcome, UnreferencedBlock } from "@hayloft/engine/format/nodes/repair-calls.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { OwnershipResolver } from "../garbage/ownership-resolver.js"
import type { UploadName, Uploads } from "@hayloft/objects/door/bytes.js"
import { nameOfBlock, type BlockName } from "../garbage/removals.js"
import { outcomeOf } from "./block-outcome-core.js"
import { PartitionCount } from "./repair-census.js"
import { isEmptying, scanBlock, takesPart, type BlockScan, type LayoutPair, type States } from "./repair-core.js"
import type { PartitionNeed } from "./repair-ledger.js"

const VISIT_LIMITS = {
  /** Blocks of one partition that are visited concurrently; the block layer limits their bytes. */
  maxConcurrentBlocks: 8,
  /** Unreferenced blocks that one outcome reports; later visits report further ones. */
  unreferencedMax: 1_000,
  /** Uploads with unreadable blocks that one outcome reports; the integrity audit finds further ones. */
  unreadableUploadsMax: 1_000,
} as const

/** The view that a visit goes by, beside rows and indexes. */
interface VisitView {
  readonly layouts: LayoutPair
  states(): States
  /** Returns true if the block is known as unreferenced. */
  isUnreferenced(block: BlockName): boolean
  /**
   * The visit is for another process, which knows the uploads that it holds itself: blocks of all live processes count
   * as young.
   */
  readonly isForAnother: boolean
  /** Uploads that no device waits for, beside those that the order of a visit names. */
  isNotAwaited(partition: PartitionId, uploadId: UploadId): boolean
  /** Returns true if no further block should be begun. */
  isOver(): boolean
  /** Returns the policy of buckets without their own. */
  policy(): Policy
  /** Single copies are visited, too: perhaps only rows that wait for the collector name them. */
  resolvesSingles(): boolean
}

/** Knowledge about a partition's blocks beyond their indexes. */
type Known = Pick<RepairOutcome, "unreadable"> & {
  /** No row references these, and none will. */
  readonly unnamed?: ReadonlySet<string>
  readonly settled?: ReadonlySet<string>
  /** None of their needles can be read. */
  readonly unknown?: ReadonlySet<string>
  /** No row references these yet; another process may still be writing them. */
  readonly young?: ReadonlySet<string>
  readonly live?: ReadonlySet<string>
  /** Only rows that wait for the collector name these. */
  readonly released?: ReadonlySet<string>
  /** Uploads that no device waits for any more. */
  readonly notAwaited?: ReadonlySet<UploadId>
}

/** The results for a partition's blocks that needed attention. */
class Visit {
  writtenBytes = 0
  writtenShards = 0
  isFull = false
  isWaiting = false
  /** Blocks with all shards that their rows and the online devices allow. */
  readonly settled = new Set<string>()
  readonly unreadable = new Set<string>()
  readonly unreadableUploads = new Map<UploadId, UploadName>()
  readonly unreferenced = new Map<string, UnreferencedBlock>()
  /** All of these, also those that the outcome has no room for: the walk for orphans finds them. */
  readonly unnamed = new Set<string>()
  readonly unknown = new Set<string>()
  /** Blocks that their rows reference. */
  readonly live = new Set<string>()
  /** Blocks that are kept for the retention alone: how they are stored says nothing of the store. */
  readonly released = new Set<string>()
  readonly young = new Set<string>()
  /** Uploads of this process that it does not hold, and no row references. */
  readonly abandoned = new Set<UploadId>()
  readonly notAwaited: Set<UploadId>

  constructor(longPassedOver: ReadonlySet<UploadId>) {
    this.notAwaited = new Set(longPassedOver)
  }
}

export class RepairVisits {
  constructor(
    private readonly blocks: Blocks,
    private readonly uploads: Uploads,
    private readonly resolver: OwnershipResolver,
    private readonly view: VisitView,
  ) {}

  /** `longPassedOver`: young uploads whose missing shards count no more. */
  async visit(partition: PartitionId, longPassedOver: ReadonlySet<UploadId>): Promise<RepairOutcome> {
    const visit = new Visit(longPassedOver)
    await mapBounded(await this.blocks.shardScanOf(partition), VISIT_LIMITS.maxConcurrentBlocks, group =>
      this.visitBlock(group, visit),
    )
    const { count, left, passedOver } = await this.scan(partition, visit)
    const { writtenBytes, writtenShards, isFull, isWaiting, unreadable, abandoned } = visit
    const unreadableUploads = [...visit.unreadableUploads.values()]
    const unreferenced = [...visit.unreferenced.values()]
    return {
      count,
      writtenBytes,
      writtenShards,
      isFull,
      isWaiting,
      left,
      passedOver,
      unreadable,
      unreadableUploads,
      unreferenced,
      abandoned,
    }
  }

  /** The state of the partition by its indexes, and what a visit could do about it. */
  scan(partition: PartitionId, visit?: Known): Soon<PartitionScan> {
    return after(this.blocks.shardScanOf(partition), groups => {
      const scan = new PartitionScan(partition)
      for (const group of groups) this.addTo(scan, group, visit)
      return scan
    })
  }

  /** Adds a block to the scan of its partition. */
  addTo(scan: PartitionScan, group: BlockGroup, visit?: Known): void {
    const name = nameOfBlock(group)
    const isUnnamed = this.view.isUnreferenced(group) || visit?.unnamed?.has(name) === true
    const facts = {
      isDescribed: group.shape !== undefined,
      hasShards: group.shards.length > 0,
      isUnnamed,
      isUnreadable: visit?.unreadable.has(name) === true,
      isUnknown: visit?.unknown?.has(name) === true,
      isSettled: visit?.settled?.has(name) === true,
      isYoung: visit?.young?.has(name) === true,
      mustLeave: (isUnnamed || visit !== undefined) && this.leavingIn(group).size > 0,
    }
    const outcome = outcomeOf(facts)
    switch (outcome) {
      case "nothing":
        return
      case "visit":
        scan.addVisit()
        return
      case "lost":
        for (const { deviceId } of group.damaged) scan.count.unrebuildableOn.add(deviceId)
        return
      default:
        this.addSeen(scan, group, { ...facts, outcome, name }, visit)
    }
  }

  /** Adds a block with shards and a policy. */
  private addSeen(
    scan: PartitionScan,
    group: BlockGroup,
    block: {
      readonly outcome: "young" | "unrebuildable" | "counted"
      readonly name: string
      readonly isSettled: boolean
      readonly isYoung: boolean
      readonly mustLeave: boolean
    },
    visit: Known | undefined,
  ): void {
    const { policy, blockLengthBytes } = must(group.shape, "a block that counts has facts")
    const seen = this.seen(group, policy)
    const { outcome, name, mustLeave } = block
    const isHeld = block.isYoung || this.uploads.isHeld(group.uploadId)
    const isNotAwaited =
      visit?.notAwaited?.has(group.uploadId) ?? this.view.isNotAwaited(group.partition, group.uploadId)
    if (isHeld && seen.need === "mend") this.passOver(scan, group, seen, isNotAwaited)
    switch (outcome) {
      case "young":
        if (mustLeave) scan.addWork("move", seen.spareShards, seen.bytesToWrite)
        // It may have been released and be kept for the retention: no transition waits for it. Reads find it anywhere.
        scan.passedOver.add(group.uploadId)
        return
      case "unrebuildable":
        for (const device of seen.lackingOn) scan.count.unrebuildableOn.add(device)
        return
      case "counted":
        if (visit === undefined && this.isStraySingleCopy(policy) && this.view.resolvesSingles())
          scan.addWork("move", seen.spareShards, 0)
        scan.add(
          policy,
          { ...seen, isDoubtful: seen.isDoubtful && visit?.live?.has(name) !== true },
          blockLengthBytes ?? 0,
          {
            isHeld,
            isSettled: !mustLeave && block.isSettled,
            isReleased: visit?.released?.has(name) === true,
            isAwaited: !(isHeld && isNotAwaited),
          },
        )
    }
  }

  /** A single copy in a store that makes none by intention. */
  private isStraySingleCopy(policy: Policy): boolean {
    return shardCount(policy) === 1 && shardCount(this.view.policy()) > 1
  }

  /** A device that had the shard may have left since, and the writer of the block does not notice. */
  private passOver(
    scan: PartitionScan,
    { uploadId }: BlockGroup,
    { lackingOn }: BlockScan,
    isNotAwaited: boolean,
  ): void {
    scan.passedOver.add(uploadId)
    if (isNotAwaited) return
    const states = this.view.states()
    for (const id of lackingOn) if (states.get(id)?.state === "rebuilding") scan.count.lackingOn.add(id)
  }

  private seen(group: BlockGroup, policy: Policy): BlockScan {
    return scanBlock(group, policy, this.view.layouts, this.view.states())
  }

  private async visitBlock(group: BlockGroup, visit: Visit): Promise<void> {
    const name = nameOfBlock(group)
    if (this.view.isOver() || this.uploads.isHeld(group.uploadId)) return
    if (this.view.isUnreferenced(group)) return this.moveAway(group, visit)
    const policy = group.shape?.policy
    const isWhole = policy !== undefined && this.seen(group, policy).need === "nothing"
    if (isWhole && !this.isStraySingleCopy(policy)) return
    const verdict = await this.resolver.resolve(group)
    if (verdict.kind === "live") {
      visit.live.add(name)
      if (!isWhole) return this.mendUnlessFull(group, verdict.live, visit)
      if (!(await this.resolver.isKept(group, verdict.live.owner))) visit.released.add(name)
      return
    }
    if (this.isYoung(verdict.kind, group.uploadId)) {
      visit.young.add(name)
      if (verdict.kind === "unnamed") this.noteAbandoned(group.uploadId, visit)
    } else if (verdict.kind === "unnamed") {
      visit.unnamed.add(name)
      if (visit.unreferenced.size < VISIT_LIMITS.unreferencedMax)
        visit.unreferenced.set(name, { group, owner: verdict.owner })
    } else if (verdict.kind === "unknown") {
      visit.settled.add(name)
      visit.unknown.add(name)
    }
    if (verdict.kind !== "changing") await this.moveAway(group, visit)
  }

  /**
   * The rows were read after this process was found not to hold the upload: what it wrote for it was refused or released,
   * and no row will reference it.
   */
  private noteAbandoned(uploadId: UploadId, visit: Visit): void {
    if (!this.uploads.isDecided(uploadId)) return
    visit.abandoned.add(uploadId)
    visit.notAwaited.add(uploadId)
  }

  private isYoung(verdict: "unnamed" | "changing" | "unknown", uploadId: UploadId): boolean {
    if (verdict === "unknown") return false
    if (this.view.isForAnother) return verdict === "changing" || this.uploads.isOfLiveProcess(uploadId)
    return verdict === "unnamed" && this.uploads.mayBeYoung(uploadId)
  }

  /** The devices with shards of the block that are being emptied. */
  private leavingIn({ shards }: BlockGroup): ReadonlySet<DeviceId> {
    const states = this.view.states()
    const { devices } = this.view.layouts.current
    const isLeaving = (id: DeviceId): boolean => !devices.includes(id) && isEmptying(states.get(id))
    return new Set(shards.flatMap(({ deviceId }) => (isLeaving(deviceId) ? [deviceId] : [])))
  }

  /**
   * A block that no row references leaves a device that is being emptied as it is: its bytes are kept for the retention,
   * or a row may reference them yet.
   */
  private async moveAway(group: BlockGroup, visit: Visit): Promise<void> {
    const from = this.leavingIn(group)
    if (from.size === 0) return
    try {
      const moved = await this.blocks.moveAway(group, from)
      visit.writtenBytes += moved.writtenBytes
      visit.writtenShards += moved.writtenShards
      visit.isWaiting ||= moved.waitingFor.length > 0
    } catch (error) {
      if (lacksSpace(error)) visit.isFull = true
      else if (isFailure(error, "corruptNeedle")) await this.markAllSuspect(group)
      else if (!isFailure(error, "noSuchNeedle")) throw error
    }
  }

  /** No needle of the block can be read: they keep no device. */
  private async markAllSuspect(group: BlockGroup): Promise<void> {
    for (const { slot, deviceId } of group.shards)
      await this.blocks.markSuspect({ deviceId, id: needleIdOf(group, slot) })
  }

  private mendUnlessFull(group: BlockGroup, live: LiveBlock, visit: Visit): Promise<void> {
    return unlessFull(
      () => this.mend(group, live, visit),
      () => {
        visit.isFull = true
      },
    )
  }

  private async mend(group: BlockGroup, live: LiveBlock, visit: Visit): Promise<void> {
    const mended = await this.blocks.mend(group, live)
    visit.writtenBytes += mended.writtenBytes
    visit.writtenShards += mended.writtenShards
    const name = nameOfBlock(group)
    if (!(await this.resolver.isKept(group, live.owner))) {
      visit.released.add(name)
      // If it was released meanwhile, it may have been removed without the new shards: resolve it again.
      if (mended.writtenShards > 0) return
      // Nothing re-encodes it: also shards for which a narrower layout has no device leave one that is being emptied.
      await this.moveAway(group, visit)
    }
    if (mended.isUnreadable) {
      visit.unreadable.add(name)
      if (visit.unreadableUploads.size < VISIT_LIMITS.unreadableUploadsMax && !visit.released.has(name))
        visit.unreadableUploads.set(group.uploadId, { ...live.owner, uploadId: group.uploadId })
    }
    const states = this.view.states()
    const isWaiting = mended.waitingFor.some(id => takesPart(states.get(id)))
    visit.isWaiting ||= isWaiting
    if (mended.lacking.length === 0 && !isWaiting && !mended.leftSurplus) visit.settled.add(name)
  }
}

interface BlockStanding {
  readonly isHeld: boolean
  readonly isSettled: boolean
  readonly isReleased: boolean
  /** Devices wait for its shards. */
  readonly isAwaited: boolean
}

/** The sums of one partition's blocks. */
export class PartitionScan {
  readonly count: PartitionCount
  readonly passedOver = new Set<UploadId>()
  left: RepairOutcome["left"]

  constructor(partition: number) {
    this.count = new PartitionCount(partition)
  }

  /** A visit finds out what a block needs: it is as urgent as one without spare shards. */
  addVisit(): void {
    this.addWork("move", 0, 0)
  }

  addWork(kind: PartitionNeed, spareShards: number, bytes: number): void {
    const { left } = this
    this.left = {
      kind: kind === "mend" || left?.kind === "mend" ? "mend" : "move",
      spareShards: Math.min(spareShards, left?.spareShards ?? spareShards),
      bytes: bytes + (left?.bytes ?? 0),
    }
  }

  add(
    policy: Policy,
    seen: BlockScan,
    blockBytes: number,
    { isHeld, isSettled, isReleased, isAwaited }: BlockStanding,
  ): void {
    // Fewer shards than a read needs: deleted while a device was away, or lost; a visit finds out which.
    const isReadable = seen.spareShards >= 0
    let lacking: Set<DeviceId> | undefined
    if (seen.isDoubtful) {
      if (isAwaited) lacking = this.count.perhapsLackingOn
    } else if (seen.isMisplaced && isReadable) {
      if (!isReleased) this.count.addMisplaced(shardsNeeded(policy), seen.holders, blockBytes)
    } else {
      if (isReadable && !isReleased) this.count.add(policy, blockBytes)
      // The writer of a held upload records missing shards itself.
      if (!isHeld) lacking = this.count.lackingOn
    }
    const isCounted = lacking !== undefined && seen.lackingOn.length > 0
    for (const device of seen.lackingOn) lacking?.add(device)
    // A device that is counted as lacking has a visit to come, also if this one found nothing to do.
    if (seen.need === "nothing" || (isSettled && !isCounted)) return
    if (isHeld && seen.need !== "move") return
    this.addWork(seen.need === "mend" ? "mend" : "move", seen.spareShards, seen.bytesToWrite)
  }
}
