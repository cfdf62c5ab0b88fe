/**
 * Repair: brings every shard to where it should be. A job.
 *
 * After a start, and whenever devices or layouts change, it looks at everything that devices hold, by
 * their indexes alone; then it visits the partitions that need it, those that can spare the fewest
 * shards first. Debts and damaged shards bring their partitions back on the list at any time.
 *
 * Promises  A debt is dropped only when a visit found nothing missing. A device is called whole, and a
 *           transition done, only after a look at every partition that began after the change.
 * Limits    REPAIR_LIMITS; the bytes in memory are bounded in the block layer.
 */
import type { DeviceId, PartitionId, RowKey } from "../../base/ids.js"
import { parsePartitionId, rowKeyOf } from "../../base/ids.js"
import { MIB, PARTITIONS } from "../../base/limits.js"
import { after, type Soon } from "../../base/soon.js"
import { ALL_NEEDLES, type Blocks, type ShardCopy, type ShardScanPage } from "../../block/index.js"
import { needleKeyOf } from "../../format/needle.js"
import { mapBounded, type Job, type StepOutcome } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"
import type { Metadata } from "../../metadata/index.js"
import { OwnershipResolver } from "./ownership-resolver.js"
import {
  ALL_DEBTS,
  hintKeys,
  hintOfKey,
  hintsOfPartition,
  noteDamages,
  type HintRow,
} from "../commands/missing-shard-hints-core.js"
import type { UploadName } from "../queries/named-extents-core.js"
import type { Orphans } from "./orphans.js"
import { dropRows } from "../commands/pending-deletion-commands-core.js"
import { nameOf } from "./removals.js"
import { Census, type PartitionCount } from "./repair-census.js"
import type { RepairReport, RepairSource, ShardScanReport } from "./repair-contract.js"
import { haveChanged, takesPart, type States } from "./repair-core.js"
import { RepairLedger, SLACK_UNKNOWN, workOf } from "./repair-ledger.js"
import { WorkRate, type RateBound } from "./repair-rate-core.js"
import { PartitionScan, RepairVisits, type PassedOver, type VisitOutcome } from "./repair-visit.js"
import type { Uploads } from "../uploads.js"
import { recordHints, type MissingShardHint } from "../commands/version-commands-core.js"

export const REPAIR_LIMITS = {
  /** One step visits so many partitions, or until about so many bytes are to be written. */
  partitionsPerStep: 128,
  bytesPerStep: 128 * MIB,
  partitionsAtOnce: 64,
  hintsPerStep: 2_000,
  /** Damaged shards that wait to be noted; beyond, they are found by the next scrub. */
  damagesWaitingMax: 1_000,
  rowsPerCommand: 256,
  /** Blocks that are remembered to be lost; reads of others let their partitions be visited again. */
  unreadableKept: 100_000,
  /** What could not be done is tried again after this. */
  retryMs: 5_000,
  /** Everything is looked at again after this, should something have been missed. */
  checkEveryMs: 24 * 3_600_000,
  /** And after so long without re-encoding, when there was some: time for what it replaced to be removed. */
  reencodedQuietMs: 30_000,
} as const

/** A look at everything, under way. */
interface RepairScan {
  /** Where it goes on; undefined: it has ended. */
  readonly next: RowKey | undefined
  /** Blocks that it has met. */
  readonly blocks: number
  /** The partition that is being added up; those below are done. */
  readonly open: PartitionScan
}

/** What a look began with. */
interface Scene {
  readonly states: States
  readonly layoutVersion: number
  readonly atMs: number
}

export class Repair implements Job {
  readonly name = "repair"
  private readonly ledger = new RepairLedger()
  private readonly census = new Census()
  private readonly rate = new WorkRate()
  private readonly visits: RepairVisits
  /** Partitions with something that a visit can pay, and the devices of which it is known that they owe it. */
  private readonly owing = new Map<PartitionId, Set<DeviceId>>()
  private readonly passedOver = new Map<PartitionId, PassedOver>()
  private readonly found = new Map<RowKey, ShardCopy>()
  /** Blocks that too few shards are left of, by the visits since everything was looked at. */
  private readonly unreadable = new Map<PartitionId, ReadonlySet<string>>()
  private unreadableBlocks = 0
  private scene: Scene | undefined
  private scan: RepairScan | undefined
  /** Where the reading of debts goes on; undefined: all have been read. */
  private hintsFrom: RowKey | undefined
  private hasLooked = false
  /** A look that met what soon may be gone is followed by another, later and later. */
  private rescanMs: number | undefined
  private rescans = 0
  private isPaused = false
  private isShortOfSpace = false
  /** When something was coded anew last, by the monotonic clock; undefined: nothing since the look began. */
  private reencodedMs: number | undefined
  private writtenShards = 0

  constructor(
    private readonly clock: Clock,
    private readonly metadata: Metadata,
    private readonly blocks: Blocks,
    private readonly orphans: Orphans,
    private readonly uploads: Uploads,
    private readonly source: RepairSource,
    /** Kept to by moves. */
    private readonly bound: RateBound,
    log: Log,
    /** A row names a block that too few shards are left of. */
    onUnreadable: (name: UploadName) => Promise<void>,
  ) {
    const resolver = new OwnershipResolver(metadata, blocks, uploads, log)
    this.visits = new RepairVisits(blocks, uploads, resolver, orphans, source, onUnreadable)
  }

  progress(): string {
    const { mending, moving } = this.ledger
    if (this.isPaused) return "paused"
    if (this.scan?.next !== undefined) return `${this.scan.open.count.partition} of ${PARTITIONS} partitions looked at`
    const left = mending.partitionsLeft + moving.partitionsLeft
    return `${left} partitions to visit, ${this.writtenShards} shards written`
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    this.source.wake()
  }

  /** What lies where, as it was looked at last. */
  shardScan(): ShardScanReport {
    const isComplete = this.scan !== undefined && this.scan.next === undefined
    this.hasLooked ||= isComplete
    return { ...this.census.current(isComplete), hasLooked: this.hasLooked, beganMs: this.scene?.atMs }
  }

  report(): RepairReport {
    const { mending, moving } = this.ledger
    const scan = this.scan?.next === undefined ? this.scan && PARTITIONS : this.scan.open.count.partition
    return {
      isPaused: this.isPaused,
      partitionsScanned: scan ?? 0,
      mending: workOf(mending),
      moving: workOf(moving),
      bytesPerSecond: this.rate.bytesPerSecond,
      secondsLeft: this.rate.secondsFor(mending.remainingBytes + moving.remainingBytes),
      writtenShards: this.writtenShards,
      isShortOfSpace: this.isShortOfSpace,
    }
  }

  /** Devices owe partitions shards that were not durable when a commit named them. */
  onHints(hints: readonly MissingShardHint[]): void {
    const states = this.source.states()
    for (const { partition, deviceId } of hints) {
      if (!takesPart(states.get(deviceId))) continue
      this.require(partition, deviceId)
    }
  }

  /** An upload lies otherwise than before: what is known of where it lies is to be found out anew. */
  noteReencoded(hints: readonly MissingShardHint[]): void {
    this.reencodedMs = this.clock.monotonicMs()
    this.rescans = 0
    this.onHints(hints)
  }

  /** A device has a damaged shard. It counts as missing until it is written anew. */
  noteDamage(copy: ShardCopy): void {
    const note = (isNews: boolean): void => this.noteDamaged(copy, isNews)
    const isNews = this.blocks.distrust(copy)
    // A device that could not be told is visited all the same.
    if (isNews instanceof Promise) void isNews.then(note, () => note(true))
    else note(isNews)
  }

  private noteDamaged(copy: ShardCopy, isNews: boolean): void {
    // Each reader of a lost object finds the same damage, and a visit could do nothing about it.
    if (!isNews && this.unreadable.get(copy.id.partition)?.has(nameOf(copy.id))) return
    if (this.found.size < REPAIR_LIMITS.damagesWaitingMax)
      this.found.set(rowKeyOf(copy.deviceId + needleKeyOf(copy.id)), copy)
    this.require(copy.id.partition, copy.deviceId)
  }

  private require(partition: PartitionId, deviceId: DeviceId): void {
    this.visitAgain(partition, deviceId)
    this.source.wake()
  }

  private visitAgain(partition: PartitionId, deviceId?: DeviceId): void {
    this.noteOwing(partition, deviceId)
    if (!this.ledger.needs(partition))
      this.ledger.set(partition, { kind: "mend", spareShards: SLACK_UNKNOWN, bytes: 0 })
  }

  private noteOwing(partition: PartitionId, deviceId: DeviceId | undefined): void {
    const devices = this.owing.get(partition) ?? new Set()
    this.owing.set(partition, devices)
    if (deviceId === undefined) return
    devices.add(deviceId)
    this.census.lacks(deviceId, partition)
  }

  /** What was counted, and what has come to be owed since it was. */
  private noteCount(count: PartitionCount): void {
    this.census.set(count)
    const partition = parsePartitionId(count.partition)
    for (const deviceId of this.owing.get(partition) ?? []) this.census.lacks(deviceId, partition)
  }

  private notePassedOver(partition: PartitionId, uploads: PassedOver): void {
    if (uploads.size > 0) this.passedOver.set(partition, uploads)
    else this.passedOver.delete(partition)
  }

  /** What was held when it was looked at, and is no longer. */
  private visitLetGo(): void {
    for (const [partition, uploads] of this.passedOver) {
      if ([...uploads].some(uploadId => this.uploads.isHeld(uploadId))) continue
      this.passedOver.delete(partition)
      this.visitAgain(partition)
    }
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    if (this.isPaused) return "idle"
    await this.noteFound()
    if (this.hasChanged()) this.begin()
    this.visitLetGo()
    if (this.hintsFrom !== undefined) return this.readHints(this.hintsFrom)
    if (this.scan?.next !== undefined) return this.scanFurther(this.scan, this.scan.next)
    return this.visitNext(signal)
  }

  private hasChanged(): boolean {
    const { scene, source } = this
    if (scene === undefined || scene.layoutVersion !== source.layouts.current.version) return true
    const nowMs = this.clock.monotonicMs()
    if (nowMs - scene.atMs >= REPAIR_LIMITS.checkEveryMs) return true
    if (this.reencodedMs !== undefined && nowMs - this.reencodedMs >= REPAIR_LIMITS.reencodedQuietMs) return true
    if (this.rescanMs !== undefined && nowMs >= this.rescanMs) return true
    const states = source.states()
    if (haveChanged(scene.states, states)) return true
    // Whoever was called whole is so from now on.
    this.scene = { ...scene, states: new Map(states) }
    return false
  }

  /** Everything is to be looked at anew. */
  private begin(): void {
    const states = new Map(this.source.states())
    this.scene = { states, layoutVersion: this.source.layouts.current.version, atMs: this.clock.monotonicMs() }
    this.scan = { next: ALL_NEEDLES.start, blocks: 0, open: new PartitionScan(0) }
    this.reencodedMs = undefined
    this.rescanMs = undefined
    this.hintsFrom = ALL_DEBTS.start
    this.ledger.clear()
    this.owing.clear()
    this.passedOver.clear()
    this.unreadable.clear()
    this.unreadableBlocks = 0
    this.census.keep(new Set(states.keys()))
    for (const [id, { state }] of states) if (state === "rebuilding") this.census.lacksAll(id)
  }

  /** Some debts further: they bring partitions on the list that a look at the indexes might pass over. */
  private async readHints(start: RowKey): Promise<StepOutcome> {
    const states = this.source.states()
    const gone: HintRow[] = []
    const damaged: ShardCopy[] = []
    const { rowKeys, next } = await this.metadata.ask(hintKeys({ ...ALL_DEBTS, start }, REPAIR_LIMITS.hintsPerStep))
    this.hintsFrom = next
    for (const rowKey of rowKeys) {
      const hint = hintOfKey(rowKey)
      const state = states.get(hint.deviceId)
      if (state === undefined) gone.push(hint)
      if (!takesPart(state)) continue
      if (hint.damaged) damaged.push(hint.damaged)
      this.noteOwing(hint.partition, hint.deviceId)
    }
    for (const copy of damaged) await this.blocks.distrust(copy)
    await this.drop(gone.map(({ rowKey }) => rowKey))
    return "busy"
  }

  /** One page of the indexes further. */
  private scanFurther(scan: RepairScan, from: RowKey): Soon<StepOutcome> {
    // What is still being written by an older layout would come to lie where nobody looks any more.
    if (!this.source.layouts.isDrained) return "throttled"
    return after(this.blocks.shardScan(from), page => {
      // What has changed while it was waited for is looked at anew.
      if (this.scan !== scan || !this.source.layouts.isDrained) return "throttled"
      return this.addPage(scan, page)
    })
  }

  private addPage(scan: RepairScan, { groups, next }: ShardScanPage): StepOutcome {
    let { open } = scan
    for (const group of groups) {
      while (open.count.partition < group.partition) open = this.closeScan(open)
      this.visits.addTo(open, group)
    }
    const blocks = scan.blocks + groups.length
    if (next === undefined) {
      this.orphans.noteAllBlocks(blocks)
      while (open.count.partition < PARTITIONS - 1) open = this.closeScan(open)
      this.closeScan(open)
      this.rate.begin(this.clock.monotonicMs())
      this.planScan()
    }
    this.scan = { next, blocks, open }
    return "busy"
  }

  /** What lies otherwise than all else may have been overwritten or coded anew, and wait for the collector. */
  private planScan(): void {
    const { misplacedBlocks, policies, singleCopyBlocks } = this.census.current(true)
    if (misplacedBlocks.length === 0 && policies.length <= 1 && singleCopyBlocks === 0) {
      this.rescans = 0
      return
    }
    const waitMs = Math.min(REPAIR_LIMITS.checkEveryMs, REPAIR_LIMITS.reencodedQuietMs * 2 ** this.rescans)
    this.rescans += 1
    this.rescanMs = this.clock.monotonicMs() + waitMs
  }

  /** Notes what was found of a partition; the look at the next one. */
  private closeScan({ count, left, passedOver }: PartitionScan): PartitionScan {
    const partition = parsePartitionId(count.partition)
    this.notePassedOver(partition, passedOver)
    const hint = this.owing.has(partition)
      ? ({ kind: "mend", spareShards: SLACK_UNKNOWN, bytes: 0 } as const)
      : undefined
    this.ledger.set(partition, left ?? hint)
    this.noteCount(count)
    return new PartitionScan(partition + 1)
  }

  private async visitNext(signal: AbortSignal): Promise<StepOutcome> {
    const { partitionsPerStep, bytesPerStep, partitionsAtOnce } = REPAIR_LIMITS
    const nowMs = this.clock.monotonicMs()
    const next = (bytesMax: number) => this.ledger.next(partitionsPerStep, bytesMax, nowMs)
    const [first, ...others] = next(bytesPerStep)
    if (first === undefined) {
      this.tellWhole()
      this.rate.begin(this.clock.monotonicMs())
      // Who idles looks again late; what was re-encoded is to be known soon after.
      const isOver = this.ledger.isEmpty && this.reencodedMs === undefined
      return isOver ? "idle" : "throttled"
    }
    // They are all of one kind.
    const isMove = this.ledger.isMove(first)
    if (isMove && this.bound.isOver(nowMs)) return "throttled"
    const chosen = isMove ? next(Math.min(bytesPerStep, this.bound.bytesPerSecondMax)) : [first, ...others]
    let writtenBytes = 0
    let isFull = false
    await mapBounded(chosen, partitionsAtOnce, async partition => {
      if (signal.aborted) return
      const outcome = await this.visit(parsePartitionId(partition))
      writtenBytes += outcome.writtenBytes
      isFull ||= outcome.isFull
    })
    this.rate.add(writtenBytes, this.clock.monotonicMs())
    if (isMove) this.bound.spend(writtenBytes, this.clock.monotonicMs())
    this.isShortOfSpace = isFull
    this.tellWhole()
    return isFull ? "throttled" : "busy"
  }

  private async visit(partition: PartitionId): Promise<VisitOutcome> {
    // What comes to be owed from here on brings the partition back on the list.
    this.owing.delete(partition)
    const { rowKeys } = await this.metadata.ask(hintKeys(hintsOfPartition(partition), Infinity))
    const hints = rowKeys.map(hintOfKey)
    const outcome = await this.visits.visit(partition)
    const { count, left, passedOver } = outcome
    this.notePassedOver(partition, passedOver)
    this.noteUnreadable(partition, outcome.unreadable)
    this.writtenShards += outcome.writtenShards
    this.ledger.visited(partition, outcome.writtenBytes, left === undefined)
    await this.pay(hints, outcome)
    // Whoever owed the partition something meanwhile has put it back on the list.
    const again =
      left ??
      (this.owing.has(partition) ? ({ kind: "mend", spareShards: SLACK_UNKNOWN, bytes: 0 } as const) : undefined)
    this.ledger.set(partition, again)
    if (left) this.ledger.postpone(partition, this.clock.monotonicMs() + REPAIR_LIMITS.retryMs)
    this.noteCount(count)
    return outcome
  }

  private noteUnreadable(partition: PartitionId, blocks: ReadonlySet<string>): void {
    this.unreadableBlocks -= this.unreadable.get(partition)?.size ?? 0
    this.unreadable.delete(partition)
    if (blocks.size === 0 || this.unreadableBlocks + blocks.size > REPAIR_LIMITS.unreadableKept) return
    this.unreadable.set(partition, blocks)
    this.unreadableBlocks += blocks.size
  }

  /**
   * Drops the debts of a partition that were there before a visit that found nothing missing. Those of blocks that
   * cannot be rebuilt stay: they say after a restart which shards are damaged.
   */
  private async pay(hints: readonly HintRow[], { count: visited, unreadable }: VisitOutcome): Promise<void> {
    const states = this.source.states()
    const isPaid = ({ deviceId }: MissingShardHint): boolean =>
      states.get(deviceId)?.state !== "offline" && visited.isWholeOn(deviceId) && !visited.unpayableOn.has(deviceId)
    const paid = hints.filter(isPaid)
    if (paid.length === 0) return
    await this.drop(paid.map(({ rowKey }) => rowKey))
    // One of the rows may have been written again while it was being dropped.
    const partition = parsePartitionId(visited.partition)
    const { count } = await this.visits.scan(partition, { unreadable })
    const lacking = new Set([...count.lackingOn, ...count.perhapsLackingOn])
    const owed = [...lacking].map(deviceId => ({ partition, deviceId }))
    if (owed.length === 0) return
    await this.metadata.run(recordHints(owed))
    this.onHints(owed)
  }

  private async drop(rowKeys: readonly RowKey[]): Promise<void> {
    for (let at = 0; at < rowKeys.length; at += REPAIR_LIMITS.rowsPerCommand) {
      const some = rowKeys.slice(at, at + REPAIR_LIMITS.rowsPerCommand)
      await this.metadata.run(dropRows(some.map(rowKey => ["debts", rowKey])))
    }
  }

  /** Damaged shards are noted, so that a restart does not forget them. */
  private async noteFound(): Promise<void> {
    if (this.found.size === 0) return
    const some = [...this.found].slice(0, REPAIR_LIMITS.rowsPerCommand)
    await this.metadata.run(noteDamages(some.map(([, copy]) => copy)))
    for (const [name] of some) this.found.delete(name)
  }

  private tellWhole(): void {
    if (this.scene === undefined || this.scan === undefined || this.scan.next !== undefined) return
    const { source, census, ledger } = this
    for (const [id, { state }] of source.states()) {
      const wasLookedAt = takesPart(this.scene.states.get(id))
      if (state === "rebuilding" && wasLookedAt && census.hasAll(id)) source.onDeviceWhole(id)
    }
    const { current, previous } = source.layouts
    const isCurrent = current.version === this.scene.layoutVersion
    if (previous !== undefined && isCurrent && ledger.isEmpty) source.onTransitionDone(current.version)
  }
}
