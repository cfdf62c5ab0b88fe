/**
 * Repair: brings every shard to the device that should have it. A job.
 *
 * After a start, and whenever devices or layouts change, it scans all shards by the indexes of devices alone. Then it
 * visits the partitions that need repairs, those with the fewest spare shards first. Missing-shard hints and damaged
 * shards put their partitions back on the list at any time.
 *
 * In a store of several nodes one of them coordinates: it scans, keeps census and ledger, and chooses what is visited.
 * The visits are made by all nodes (`RepairWorkers`).
 *
 * Promises  A hint is dropped only if a visit found nothing missing. A device is reported whole, and a transition done,
 *           only after a scan of every partition that started after the change.
 * Limits    REPAIR_LIMITS; the block layer limits the bytes in memory.
 */
import type { DeviceId, PartitionId, RowKey } from "@hayloft/base/ids.js"
import { parsePartitionId, rowKeyOf } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import { ALL_NEEDLES, type Blocks, type ShardCopy, type ShardScanPage } from "@hayloft/engine/block/index.js"
import { needleKeyOf } from "@hayloft/engine/format/needles/needle.js"
import type { RepairCount, RepairOutcome } from "@hayloft/engine/format/nodes/repair-calls.js"
import { mapBounded, type Job, type StepOutcome } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { OwnershipResolver } from "../garbage/ownership-resolver.js"
import {
  ALL_HINTS,
  readHints,
  hintsOfPartition,
  noteDamages,
  type HintRow,
  type UploadName,
  type ObjectBackend,
} from "@hayloft/objects/door/bytes.js"
import type { Orphans } from "../garbage/orphans.js"
import { dropRows, type MissingShardHint } from "@hayloft/objects/door/rows.js"
import { OtherHints } from "./other-hints.js"
import { nameOfBlock } from "../garbage/removals.js"
import { Census, isWholeOn } from "./repair-census.js"
import type { RepairJobReport, RepairSource, RepairWorkers, ShardScanReport, VisitOrder } from "./repair-contract.js"
import { haveChanged, isPutOff, takesPart, visitorsOf, type States } from "./repair-core.js"
import { PassedOver } from "./passed-over.js"
import { REPAIR_LIMITS } from "./repair-limits.js"
import { RepairLedger, SPARE_SHARDS_UNKNOWN, workOf } from "./repair-ledger.js"
import type { RateBound } from "@hayloft/objects/door/index.js"
import { WorkRate } from "./repair-rate-core.js"
import { UnreadableBlocks } from "./repair-unreadable.js"
import { PartitionScan, RepairVisits } from "./repair-visit.js"

/** The need of a partition that hints name. */
const UNKNOWN_NEED = { kind: "mend", spareShards: SPARE_SHARDS_UNKNOWN, bytes: 0 } as const

/** A full scan in progress. */
interface RepairScan {
  /** The place where it continues; undefined after its end. */
  readonly next: RowKey | undefined
  /** Blocks counted so far. */
  readonly blocks: number
  /** The partition being counted; lower ones are done. */
  readonly open: PartitionScan
}

/** The state at the start of a scan. */
interface ScanStart {
  readonly states: States
  readonly layoutVersion: number
  readonly atMs: number
}

export class Repair implements Job {
  readonly name = "repair"
  /** Visits by this process alone. */
  readonly own: RepairWorkers
  private workers: RepairWorkers
  private ledger = new RepairLedger()
  private census = new Census()
  private rate = new WorkRate()
  private readonly visits: RepairVisits
  /** Partitions with work for a visit, and the devices known to lack their shards. */
  private readonly lackingDevices = new Map<PartitionId, Set<DeviceId>>()
  private readonly passedOver: PassedOver
  private readonly damages = new Map<RowKey, ShardCopy>()
  /** Blocks with too few shards left, as found by visits since the last full scan. */
  private readonly unreadable = new UnreadableBlocks(REPAIR_LIMITS.unreadableKept)
  private scanStart: ScanStart | undefined
  private scan: RepairScan | undefined
  /** The place where the reading of hints continues; undefined: all have been read. */
  private hintsFrom: RowKey | undefined
  private hasScanned = false
  /** A scan that found blocks which may soon be gone is repeated, with growing delays. */
  private rescanMs: number | undefined
  private rescans = 0
  private isPaused = false
  private isShortOfSpace = false
  /** When something was last re-encoded (monotonic clock); undefined: nothing since the scan started. */
  private reencodedMs: number | undefined
  private writtenShards = 0
  /** Partitions whose latest visit was put off, and why. */
  private readonly putOff = new Map<PartitionId, string>()
  /** The reason why the scan does not go on now. */
  private scanPutOff: string | undefined
  /** It is undefined if no other process records hints. */
  private otherHints: OtherHints | undefined

  private readonly clock: Clock
  private readonly metadata: Metadata
  private readonly blocks: Blocks

  constructor(
    backend: ObjectBackend,
    private readonly orphans: Orphans,
    private readonly source: RepairSource,
    /** Limits moves. */
    private readonly bound: RateBound,
    /** Called for a block that a row references and that has too few shards left. */
    private readonly onUnreadable: (name: UploadName) => Promise<void>,
    /** Other processes of the store write blocks too. */
    private readonly isShared = false,
  ) {
    const { clock, metadata, blocks, uploads } = backend
    this.clock = clock
    this.metadata = metadata
    this.blocks = blocks
    this.passedOver = new PassedOver(clock, uploads, () => metadata.incarnations.own)
    this.otherHints = isShared ? new OtherHints() : undefined
    this.visits = new RepairVisits(blocks, uploads, new OwnershipResolver(backend), {
      layouts: source.layouts,
      states: () => source.states(),
      isUnreferenced: block => orphans.has(block),
      isForAnother: false,
      isNotAwaited: (partition, uploadId) => this.passedOver.isNotAwaited(partition, uploadId),
      isOver: () => false,
      policy: () => source.policy(),
      // The first scan finds all blocks of a store that has just grown.
      resolvesSingles: () => this.rescans > 0,
    })
    const visit = ({ partition, longPassedOver }: VisitOrder) => this.visits.visit(partition, longPassedOver)
    this.own = { count: 1, takingPart: 1, visit }
    this.workers = this.own
  }

  /** From now on these make the visits. */
  shareVisits(workers: RepairWorkers): void {
    this.workers = workers
  }

  progress(): string {
    const { mending, moving } = this.ledger
    if (this.isPaused) return "paused"
    if (this.scan?.next !== undefined) {
      const waits = this.scanPutOff === undefined ? "" : `; waits: ${this.scanPutOff}`
      return `${this.scan.open.count.partition} of ${PARTITIONS} partitions scanned${waits}`
    }
    const left = mending.partitionsRemaining + moving.partitionsRemaining
    const { takingPart } = this.workers
    const nodes = takingPart > 1 ? `, ${takingPart} nodes take part` : ""
    const [[, reason] = []] = this.putOff
    const putOff = reason === undefined ? "" : `; ${this.putOff.size} put off: ${reason}`
    return `${left} partitions to visit, ${this.writtenShards} shards written${nodes}${putOff}`
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    this.source.wake()
  }

  /** The location of all shards, as of the latest scan. */
  shardScan(): ShardScanReport {
    const isComplete = this.scan !== undefined && this.scan.next === undefined
    this.hasScanned ||= isComplete
    return { ...this.census.current(isComplete), hasScanned: this.hasScanned, beganMs: this.scanStart?.atMs }
  }

  report(): RepairJobReport {
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

  /** Notes shards that were not durable when a commit referenced them. */
  onHints(hints: readonly MissingShardHint[]): void {
    const states = this.source.states()
    for (const { partition, deviceId } of hints) {
      if (!takesPart(states.get(deviceId))) continue
      this.require(partition, deviceId)
    }
  }

  /** An upload was re-encoded: the location of its shards must be scanned again. */
  noteReencoded(hints: readonly MissingShardHint[]): void {
    this.reencodedMs = this.clock.monotonicMs()
    this.rescans = 0
    this.onHints(hints)
  }

  /** A device has a damaged shard. It counts as missing until it is rewritten. */
  noteDamage(copy: ShardCopy): void {
    const note = (isNew: boolean): void => this.noteDamaged(copy, isNew)
    const isNew = this.blocks.markSuspect(copy)
    // If the device cannot be reached, the partition is visited all the same.
    if (isNew instanceof Promise) void isNew.then(note, () => note(true))
    else note(isNew)
  }

  private noteDamaged(copy: ShardCopy, isNew: boolean): void {
    // Each reader of a lost object finds the same damage, and a visit could not repair it.
    if (!isNew && this.unreadable.has(copy.id.partition, nameOfBlock(copy.id))) return
    if (this.damages.size < REPAIR_LIMITS.damagesWaitingMax)
      this.damages.set(rowKeyOf(copy.deviceId + needleKeyOf(copy.id)), copy)
    this.require(copy.id.partition, copy.deviceId)
  }

  private require(partition: PartitionId, deviceId: DeviceId): void {
    this.visitAgain(partition, deviceId)
    this.source.wake()
  }

  private visitAgain(partition: PartitionId, deviceId?: DeviceId): void {
    this.noteLacking(partition, deviceId)
    if (!this.ledger.needs(partition)) this.ledger.set(partition, UNKNOWN_NEED)
  }

  private noteLacking(partition: PartitionId, deviceId: DeviceId | undefined): void {
    const devices = this.lackingDevices.get(partition) ?? new Set()
    this.lackingDevices.set(partition, devices)
    if (deviceId === undefined) return
    devices.add(deviceId)
    this.census.lacks(deviceId, partition)
  }

  /** Records a partition's count, and hints that arrived since. */
  private noteCount(count: RepairCount): void {
    this.census.set(count)
    const partition = parsePartitionId(count.partition)
    for (const deviceId of this.lackingDevices.get(partition) ?? []) this.census.lacks(deviceId, partition)
  }

  /** Has partitions visited again whose uploads may have been released, committed or given up since. */
  private visitPassedOver(): void {
    const due = this.passedOver.takeDue(partition => this.ledger.needs(partition))
    for (const partition of due) this.visitAgain(partition)
  }

  /**
   * How soon the partition is visited next; Infinity: nothing is known that a visit could do. Undefined: a scan comes
   * first.
   */
  visitDueInMs(partition: PartitionId): number | undefined {
    if (this.scan === undefined || this.scan.next !== undefined || this.hasChanged()) return undefined
    const dueMs = Math.min(this.ledger.dueMs(partition), this.passedOver.visitDueMs(partition))
    return Math.max(0, dueMs - this.clock.monotonicMs())
  }

  /** Partitions in which devices wait for an upload that visits have passed over. */
  awaitedPartitions(): readonly PartitionId[] {
    return this.passedOver.awaited
  }

  /** The runner rests no longer than this after an idle step. */
  dueInMs(): number {
    const dueMs = Math.min(this.passedOver.checkDueMs, this.rescanMs ?? Infinity)
    return this.isPaused ? Infinity : Math.max(0, dueMs - this.clock.monotonicMs())
  }

  /** Records the damage that this process has found, whichever process repairs it. */
  get damageNotesJob(): Job {
    return {
      name: "damage-notes",
      progress: () => `${this.damages.size} damaged shards to record`,
      step: async () => {
        const isBusy = this.damages.size > 0
        await this.recordDamages()
        return isBusy ? "busy" : "idle"
      },
    }
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    if (this.isPaused) return "idle"
    await this.recordDamages()
    if (this.hasChanged()) this.begin()
    this.visitPassedOver()
    if (this.hintsFrom !== undefined) return this.readHints(this.hintsFrom)
    if (this.otherHints?.isDue(this.clock.monotonicMs())) return this.readOtherHints(this.otherHints)
    if (this.scan?.next !== undefined) return this.scanOrPutOff(this.scan, this.scan.next)
    return this.visitNext(signal)
  }

  /** Another process repairs from now on. Its work is unknown here: the next step begins a full scan. */
  async release(): Promise<void> {
    this.scanStart = undefined
    this.scan = undefined
    this.hasScanned = false
    this.rescans = 0
    this.isShortOfSpace = false
    this.ledger = new RepairLedger()
    this.census = new Census()
    this.rate = new WorkRate()
    this.otherHints = this.isShared ? new OtherHints() : undefined
    this.passedOver.clear()
    this.clearFindings()
  }

  /** Forgets what visits and scans have found of the partitions: a new scan finds it again. */
  private clearFindings(): void {
    this.lackingDevices.clear()
    this.putOff.clear()
    this.scanPutOff = undefined
    this.unreadable.clear()
  }

  private hasChanged(): boolean {
    const { scanStart, source } = this
    if (scanStart === undefined || scanStart.layoutVersion !== source.layouts.current.version) return true
    const nowMs = this.clock.monotonicMs()
    if (nowMs - scanStart.atMs >= REPAIR_LIMITS.checkEveryMs) return true
    if (this.reencodedMs !== undefined && nowMs - this.reencodedMs >= REPAIR_LIMITS.reencodedQuietMs) return true
    if (this.rescanMs !== undefined && nowMs >= this.rescanMs) return true
    const states = source.states()
    if (haveChanged(scanStart.states, states)) return true
    // A device that was reported whole counts as whole from now on.
    this.scanStart = { ...scanStart, states: new Map(states) }
    return false
  }

  /** Starts a full scan. */
  private begin(): void {
    const states = new Map(this.source.states())
    this.scanStart = { states, layoutVersion: this.source.layouts.current.version, atMs: this.clock.monotonicMs() }
    this.scan = { next: ALL_NEEDLES.start, blocks: 0, open: new PartitionScan(0) }
    this.reencodedMs = undefined
    this.rescanMs = undefined
    this.hintsFrom = ALL_HINTS.start
    this.otherHints?.begin()
    this.ledger.clear()
    this.clearFindings()
    this.census.keep(new Set(states.keys()))
    for (const [id, { state }] of states) if (state === "rebuilding") this.census.lacksAll(id)
  }

  /** Reads the next hints: they add partitions that a scan of the indexes might miss. */
  private async readHints(start: RowKey): Promise<StepOutcome> {
    const states = this.source.states()
    const gone: HintRow[] = []
    const damaged: ShardCopy[] = []
    const page = await this.metadata.ask(readHints({ ...ALL_HINTS, start }, REPAIR_LIMITS.hintsPerStep))
    const { hints, next } = page
    this.hintsFrom = next
    this.otherHints?.note(page, this.clock.monotonicMs())
    for (const hint of hints) {
      const state = states.get(hint.deviceId)
      if (state === undefined) gone.push(hint)
      if (!takesPart(state)) continue
      if (hint.damaged) damaged.push(hint.damaged)
      this.noteLacking(hint.partition, hint.deviceId)
    }
    for (const copy of damaged) await this.blocks.markSuspect(copy)
    await this.drop(gone)
    return "busy"
  }

  /** Puts partitions on the list for which another process has recorded hints. */
  private async readOtherHints(others: OtherHints): Promise<StepOutcome> {
    const range = { ...ALL_HINTS, start: others.from }
    const page = await this.metadata.ask(readHints(range, REPAIR_LIMITS.hintsPerStep))
    const states = this.source.states()
    for (const { partition, deviceId, damaged } of others.note(page, this.clock.monotonicMs())) {
      if (!takesPart(states.get(deviceId))) continue
      if (damaged) await this.blocks.markSuspect(damaged)
      this.visitAgain(partition, deviceId)
    }
    return "busy"
  }

  /**
   * A device that is about to go offline, or a node that restarts, answers nothing yet: the scan goes on where it is, or
   * begins again once the device is offline.
   */
  private async scanOrPutOff(scan: RepairScan, from: RowKey): Promise<StepOutcome> {
    try {
      const outcome = await this.scanFurther(scan, from)
      this.scanPutOff = undefined
      return outcome
    } catch (error) {
      if (!isPutOff(error)) throw error
      this.scanPutOff = error.message
      return "throttled"
    }
  }

  /** Scans the next page of the indexes. */
  private scanFurther(scan: RepairScan, from: RowKey): Soon<StepOutcome> {
    // Blocks still being written under an older layout would be stored where the scan no longer looks.
    if (!this.source.layouts.isDrained) return "throttled"
    return after(this.blocks.shardScan(from), page => {
      // If something changed during the wait, the scan starts over.
      if (this.scan !== scan || !this.source.layouts.isDrained) return "throttled"
      return this.addPage(scan, page)
    })
  }

  private addPage(scan: RepairScan, { groups, next }: ShardScanPage): StepOutcome {
    let { open } = scan
    for (const group of groups) {
      if (open.count.partition < group.partition) open = this.closeScan(open, group.partition)
      this.visits.addTo(open, group)
    }
    const blocks = scan.blocks + groups.length
    if (next === undefined) {
      this.orphans.noteAllBlocks(blocks)
      this.closeScan(open, PARTITIONS)
      this.rate.begin(this.clock.monotonicMs())
      this.planScan()
    }
    this.scan = { next, blocks, open }
    return "busy"
  }

  /** Blocks unlike all others may be overwritten or re-encoded ones that wait for the collector: scan again later. */
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

  /** Records the scan of a partition, and that those between it and `next` have no blocks; returns the scan of `next`. */
  private closeScan({ count, left, passedOver }: PartitionScan, next: number): PartitionScan {
    const partition = parsePartitionId(count.partition)
    // It knows the uploads that this process holds: which others no row references yet, visits find out.
    this.passedOver.noteHeld(partition, passedOver)
    this.ledger.set(partition, left ?? (this.lackingDevices.has(partition) ? UNKNOWN_NEED : undefined))
    this.noteCount(count)
    this.census.clear(partition + 1, next)
    // Most partitions of a small store: nothing but hints is known of them since the scan began.
    for (let number = partition + 1; number < next && this.lackingDevices.size > 0; number += 1) {
      const hinted = this.lackingDevices.get(parsePartitionId(number))
      if (hinted === undefined) continue
      this.ledger.set(number, UNKNOWN_NEED)
      for (const device of hinted) this.census.lacks(device, number)
    }
    return new PartitionScan(next)
  }

  private async visitNext(signal: AbortSignal): Promise<StepOutcome> {
    const { partitionsPerStep, bytesPerStep, maxConcurrentPartitions, workersMax } = REPAIR_LIMITS
    const nowMs = this.clock.monotonicMs()
    const workers = Math.min(this.workers.count, workersMax)
    const next = (bytesMax: number) => this.ledger.next(workers * partitionsPerStep, bytesMax, nowMs)
    const [first, ...others] = next(workers * bytesPerStep)
    if (first === undefined) {
      this.reportWhole()
      this.rate.begin(this.clock.monotonicMs())
      // An idle job runs again late, but the effect of re-encoding should be known soon.
      const isOver = this.ledger.isEmpty && this.reencodedMs === undefined
      return isOver ? "idle" : "throttled"
    }
    // All of them have the same urgency.
    const isMove = this.ledger.isMove(first)
    if (isMove && this.bound.isOver(nowMs)) return "throttled"
    const moveBytesMax = Math.min(workers * bytesPerStep, this.bound.bytesPerSecondMax)
    const chosen = isMove ? next(moveBytesMax) : [first, ...others]
    let writtenBytes = 0
    let isFull = false
    await mapBounded(chosen, workers * maxConcurrentPartitions, async partition => {
      // Under another layout a visit by another node may still be under way: the scan of that layout finds the rest.
      if (signal.aborted || this.source.layouts.current.version !== this.scanStart?.layoutVersion) return
      const outcome = await this.visitOrPutOff(parsePartitionId(partition), signal)
      writtenBytes += outcome?.writtenBytes ?? 0
      isFull ||= outcome?.isFull ?? false
    })
    this.rate.add(writtenBytes, this.clock.monotonicMs())
    if (isMove) this.bound.spend(writtenBytes, this.clock.monotonicMs())
    this.isShortOfSpace = isFull
    this.reportWhole()
    return isFull ? "throttled" : "busy"
  }

  private orderOf(partition: PartitionId): VisitOrder {
    const { layouts } = this.source
    const states = this.source.states()
    const by = this.passedOver.nextDecider(partition)
    return {
      partition,
      layoutVersion: layouts.current.version,
      longPassedOver: this.passedOver.notAwaited(partition),
      by,
      offline: [...states].flatMap(([id, { state }]) => (state === "offline" ? [id] : [])),
      slots: visitorsOf(layouts.current, partition, states),
    }
  }

  /** While a device is out of reach, other partitions can be visited. Undefined: the visit was put off. */
  private async visitOrPutOff(partition: PartitionId, signal: AbortSignal): Promise<RepairOutcome | undefined> {
    const order = this.orderOf(partition)
    try {
      const outcome = await this.visit(order, signal)
      this.putOff.delete(partition)
      return outcome
    } catch (error) {
      if (!isPutOff(error)) throw error
      this.putOff.set(partition, error.message)
      this.ledger.postpone(partition, this.clock.monotonicMs() + REPAIR_LIMITS.retryMs)
      return undefined
    }
  }

  private async visit(order: VisitOrder, signal: AbortSignal): Promise<RepairOutcome> {
    const { partition } = order
    // Hints that arrive from here on put the partition back on the list.
    this.lackingDevices.delete(partition)
    const { hints } = await this.metadata.ask(readHints(hintsOfPartition(partition), Infinity))
    const outcome = await this.workers.visit(order, signal)
    const { count, left, passedOver } = outcome
    this.passedOver.noteAbandoned(outcome.abandoned)
    for (const { group, owner } of outcome.unreferenced) this.orphans.add(group, owner)
    for (const name of outcome.unreadableUploads) await this.onUnreadable(name)
    this.passedOver.note(partition, passedOver, order.by, new Set([...order.longPassedOver, ...outcome.abandoned]))
    this.unreadable.set(partition, outcome.unreadable)
    this.writtenShards += outcome.writtenShards
    this.ledger.visited(partition, outcome.writtenBytes, left === undefined)
    await this.drop(this.resolved(hints, outcome))
    // Hints that arrived meanwhile have put the partition back on the list.
    this.ledger.set(partition, left ?? (this.lackingDevices.has(partition) ? UNKNOWN_NEED : undefined))
    const { retryMs, waitingMs } = REPAIR_LIMITS
    if (left) this.ledger.postpone(partition, this.clock.monotonicMs() + (outcome.isWaiting ? waitingMs : retryMs))
    this.noteCount(count)
    return outcome
  }

  /**
   * The hints of a partition that existed before a visit that found nothing missing. Hints of blocks that cannot be
   * rebuilt stay: after a restart they show which shards are damaged. All stay if the visit passed something over: a
   * process records hints of a block before the row that references it.
   */
  private resolved(hints: readonly HintRow[], { count, passedOver }: RepairOutcome): readonly HintRow[] {
    if (passedOver.size > 0) return []
    const states = this.source.states()
    return hints.filter(
      ({ deviceId }) =>
        states.get(deviceId)?.state !== "offline" && isWholeOn(count, deviceId) && !count.unrebuildableOn.has(deviceId),
    )
  }

  /** Hints that were recorded again since they were read stay. */
  private async drop(hints: readonly HintRow[]): Promise<void> {
    for (let at = 0; at < hints.length; at += REPAIR_LIMITS.rowsPerCommand) {
      const some = hints.slice(at, at + REPAIR_LIMITS.rowsPerCommand)
      await this.metadata.run(dropRows(some.map(({ rowKey, value }) => ["missingShardHints", rowKey, value])))
    }
  }

  /** Records damaged shards, so that they survive a restart. */
  private async recordDamages(): Promise<void> {
    if (this.damages.size === 0) return
    const some = [...this.damages].slice(0, REPAIR_LIMITS.rowsPerCommand)
    await this.metadata.run(noteDamages(some.map(([, copy]) => copy)))
    for (const [name] of some) this.damages.delete(name)
  }

  private reportWhole(): void {
    if (this.scanStart === undefined || this.scan === undefined || this.scan.next !== undefined) return
    const { source, census, ledger } = this
    for (const [id, { state, stateSinceMs }] of source.states()) {
      const scanned = this.scanStart.states.get(id)
      const wasScanned = scanned?.state === state && scanned.stateSinceMs === stateSinceMs
      if (state === "rebuilding" && wasScanned && census.hasAll(id)) source.onDeviceWhole(id)
    }
    const { current, previous } = source.layouts
    const isCurrent = current.version === this.scanStart.layoutVersion
    if (previous === undefined || !isCurrent || !ledger.isEmpty) return
    // Rows may reference by now what was passed over.
    if (!this.passedOver.isEmpty) this.rescanMs ??= this.clock.monotonicMs() + REPAIR_LIMITS.reencodedQuietMs
    source.onTransitionDone(current.version)
  }
}
