/**
 * Compaction of one device: gives back the space of dead needles, volume by volume, beside readers, writers and
 * checkpoints.
 *
 * A volume whose live needles were copied is removed when the metadata store contains all rows that stopped pointing at
 * it, and no reader uses it. Volumes are removed in the order in which they were copied: tombstones that one of them
 * could drop because an older one was about to be removed stay droppable. A crash at any moment leaves two equal copies
 * of a needle at most, of which a scan uses the later.
 *
 * On a disk that is short of space a copy is begun only if all of it fits beside the space that the next checkpoint
 * needs, in a volume of its own; it ends when that space is used up. If a checkpoint still finds no space, copies that
 * no checkpoint contains are undone: their volume is removed, and the index points at the old places.
 *
 * Promises  Once appends stop, and checkpoints continue, no more than the limit's share of the device is dead, except
 *           for a few pages a volume and volumes held by damage; on a device that is short of space, hardly any. A wholly
 *           dead volume is removed without a copy, however little space there is.
 * Limits    CompactionLimits; copies that wait for their volume's removal occupy no more than one volume.
 */
import { lacksSpace } from "@hayloft/base/space/full-disk-core.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import type { VolumeId } from "@hayloft/base/ids.js"
import type { VolumePosition } from "../format/needles/volume.js"
import { InOrder, type Job, type StepOutcome } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { CompactionCandidate } from "./compaction-core.js"
import { COMPACTION_LIMITS, type CompactionLimits } from "./limits.js"
import { undoCopies } from "./copy-undo.js"
import { chooseVolume } from "./compaction-core.js"
import type { ScanEvents } from "./scan.js"
import type { VolumeUpkeep } from "./upkeep.js"
import type { VolumeUsage } from "./usage.js"
import type { OnDamage } from "./volume-copy.js"
import { VolumeCopy, type Copied, type CopySpace } from "./volume-copy.js"

/** A volume that nothing points at any more. */
interface Emptied {
  readonly volumeId: VolumeId
  /** The metadata store must contain everything up to here before the volume may be removed. */
  readonly changedUpTo: VolumePosition | undefined
  readonly copiedBytes: number
  /** Needles copied out of it; undefined if they are too many to be undone. */
  readonly copied: readonly Copied[] | undefined
}

/** Which copies are made. */
export interface CopyTerms extends CopySpace {
  /**
   * Returns true if live needles are copied out of a volume; otherwise it is only removed once it is wholly dead. If
   * absent, they always are.
   */
  mayCopy?(volume: VolumeUsage): boolean
}

const NO_BOUND: CopyTerms = { copySpaceBytes: Infinity, isFull: false, isShort: false }

/** The work that compaction has done in this process. */
export interface CompactionCounts {
  /** Bytes of copies. */
  readonly copiedBytes: number
  /** Bytes of removed volumes, and of those from which nothing was copied. */
  readonly freedBytes: number
  readonly freedWholeBytes: number
}

/** Counts, in steps, the tombstones of a volume that an earlier process wrote. */
class TombstoneCount {
  private readonly walk: ScanEvents
  private tombstoneBytes = 0
  private walkedBytes = 0

  constructor(
    private readonly upkeep: VolumeUpkeep,
    readonly volumeId: VolumeId,
    private readonly limits: CompactionLimits,
  ) {
    this.walk = upkeep.walkVolume(volumeId)
  }

  /** Throws `deviceFailed`. */
  async step(signal: AbortSignal): Promise<"busy" | "done"> {
    for (let taken = 0; taken < this.limits.stepNeedlesMax && !signal.aborted; taken += 1) {
      const { value: event, done } = await this.walk.next()
      if (done === true) {
        this.upkeep.usages.foundTombstones(this.volumeId, this.tombstoneBytes)
        return "done"
      }
      if (event.kind === "position") this.walkedBytes = event.position.offsetBytes
      if (event.kind !== "needle" || event.needle.header.kind !== "tombstone") continue
      this.tombstoneBytes += event.needle.place.headerBytes
    }
    return "busy"
  }

  progress(): string {
    return `counting tombstones in volume ${this.volumeId}, at byte ${this.walkedBytes}`
  }
}

export class Compaction implements Job {
  private task: VolumeCopy | TombstoneCount | undefined
  private readonly emptied: Emptied[] = []
  /** Copies that were given up before their end; the part that they have copied counts. */
  private givenUp: Emptied[] = []
  /** Operations, one after another. */
  private readonly working = new InOrder()
  /** Volumes with needles that cannot be copied, or that cannot be walked. */
  private readonly held = new Set<VolumeId>()
  private appended = -1
  private quietSinceMs = 0
  /** Volumes up to this one are to be emptied. */
  private emptyUpTo = 0
  private counted = { copiedBytes: 0, freedBytes: 0, freedWholeBytes: 0 }

  /** `onDamage` is called with each needle that was found rotten; it is suspect already. */
  constructor(
    readonly name: string,
    private readonly upkeep: VolumeUpkeep,
    private readonly clock: Clock,
    private readonly onDamage: OnDamage,
    private readonly limits: CompactionLimits = COMPACTION_LIMITS,
    private readonly space: CopyTerms = NO_BOUND,
  ) {}

  get counts(): CompactionCounts {
    return this.counted
  }

  /** Empties all volumes up to this one, however little of them is dead: they hold what was written in plain. */
  empty(upTo: number): void {
    this.emptyUpTo = upTo
  }

  step(signal: AbortSignal): Promise<StepOutcome> {
    return this.working.run(() =>
      unlessFull(
        () => this.stepNow(signal),
        () => "throttled",
      ),
    )
  }

  /**
   * Releases the space of copies that no checkpoint contains, while no checkpoint of the device is under way. False if
   * there are none, or they cannot be undone.
   */
  undoCopies(): Promise<boolean> {
    return this.working.run(async () => {
      const { task } = this
      const underWay = task instanceof VolumeCopy ? [task] : []
      const undone = await undoCopies(this.upkeep, [...this.emptied, ...this.givenUp, ...underWay], volumeId =>
        this.copyOf(volumeId, true, NO_BOUND),
      )
      if (undone.size === 0) return false
      const first = this.emptied.findIndex(({ volumeId }) => undone.has(volumeId))
      // A later copy may have dropped tombstones that only mattered to a volume that now stays.
      if (first !== -1) this.emptied.splice(first)
      this.givenUp = this.givenUp.filter(({ volumeId }) => !undone.has(volumeId))
      if (task !== undefined) this.task = undefined
      return true
    })
  }

  private async stepNow(signal: AbortSignal): Promise<StepOutcome> {
    if (this.upkeep.isRefusing) return "idle"
    const isQuiet = this.isQuiet()
    if (await this.removeFirst()) return "busy"
    const { usages } = this.upkeep
    if (!usages.isCounted) {
      usages.countSome(this.limits.stepRowsMax)
      return "busy"
    }
    if (this.task !== undefined) await this.stepTask(this.task, signal)
    else if (!(await this.begin(isQuiet))) return this.isWaiting ? "throttled" : "idle"
    return "busy"
  }

  progress(): string {
    const { volumes, writtenBytes, liveBytes } = this.upkeep.usages.totals()
    if (liveBytes === undefined) return "counting live needles"
    if (this.task !== undefined) return this.task.progress()
    const waiting = this.emptied.length === 0 ? "" : `, ${this.emptied.length} to be removed after a checkpoint`
    const held = this.held.size === 0 ? "" : `, ${this.held.size} held by damage`
    return `${writtenBytes - liveBytes} of ${writtenBytes} bytes dead in ${volumes} volumes${waiting}${held}`
  }

  private isQuiet(): boolean {
    const { appended } = this.upkeep
    const nowMs = this.clock.monotonicMs()
    if (appended !== this.appended) this.quietSinceMs = nowMs
    this.appended = appended
    return nowMs - this.quietSinceMs >= this.limits.quietMs
  }

  private async removeFirst(): Promise<boolean> {
    const { containedUpTo } = this.upkeep
    this.givenUp = this.givenUp.filter(({ changedUpTo }) => !isContained(changedUpTo, containedUpTo))
    const [first] = this.emptied
    if (first === undefined || !isContained(first.changedUpTo, containedUpTo)) return false
    const freedBytes = this.upkeep.usages.get(first.volumeId)?.writtenBytes ?? 0
    if (!(await this.upkeep.removeVolume(first.volumeId))) return false
    this.emptied.shift()
    this.counted.freedBytes += freedBytes
    if (first.copiedBytes === 0) this.counted.freedWholeBytes += freedBytes
    return true
  }

  private async stepTask(task: VolumeCopy | TombstoneCount, signal: AbortSignal): Promise<void> {
    const { volumeId } = task
    try {
      const outcome = await task.step(signal)
      if (outcome === "busy") return
      if (outcome === "held") this.held.add(volumeId)
      if (outcome === "done" && task instanceof VolumeCopy) this.emptied.push(this.recordOf(task))
      this.task = undefined
    } catch (error) {
      this.task = undefined
      if (!lacksSpace(error)) this.held.add(volumeId)
      // Another volume may fit in the remaining space; needles copied from this one need not be copied again.
      else if (task instanceof VolumeCopy && task.copiedBytes > 0) this.givenUp.push(this.recordOf(task))
      throw error
    }
  }

  /** Returns true if a volume waits for a checkpoint. */
  private get isWaiting(): boolean {
    return this.emptied.length + this.givenUp.length > 0
  }

  private recordOf({ volumeId, copiedBytes, copied }: VolumeCopy): Emptied {
    this.counted.copiedBytes += copiedBytes
    return { volumeId, changedUpTo: this.upkeep.changedUpTo, copiedBytes, copied }
  }

  private copyOf(volumeId: VolumeId, keepsTombstones: boolean, space: CopySpace = this.space): VolumeCopy {
    return new VolumeCopy(this.upkeep, volumeId, keepsTombstones, this.onDamage, this.limits, space)
  }

  /** Returns false if there is nothing to do now. */
  private async begin(isQuiet: boolean): Promise<boolean> {
    if (this.emptied.length + this.givenUp.length >= this.limits.pendingMax) return false
    const candidates = this.candidates()
    const { emptyUpTo } = this
    const { isShort, copySpaceBytes: spaceBytes } = this.space
    const choice = chooseVolume(candidates, { isQuiet, isShort, spaceBytes, emptyUpTo }, this.limits)
    if (choice.kind === "nothing") return false
    if (choice.kind === "begin") {
      await this.upkeep.beginVolume()
      return true
    }
    const { volumeId } = choice
    const chosen = candidates.find(candidate => candidate.volumeId === volumeId)
    if (choice.kind === "countTombstones") this.task = new TombstoneCount(this.upkeep, volumeId, this.limits)
    else {
      const copiedBytes = this.emptied.reduce((sum, emptied) => sum + emptied.copiedBytes, 0)
      const toCopyBytes = chosen?.liveBytes ?? 0
      if (copiedBytes > 0 && copiedBytes + toCopyBytes > this.upkeep.volumeBytesMax) return false
      if (this.space.isFull && toCopyBytes > 0 && !this.isNewestUncontained()) await this.upkeep.leaveVolume()
      this.task = this.copyOf(volumeId, chosen?.isOldest !== true)
    }
    return true
  }

  /** Returns true if the metadata store contains nothing of the newest volume. */
  private isNewestUncontained(): boolean {
    const { newest, containedUpTo } = this.upkeep
    return newest !== undefined && newest > (containedUpTo?.volumeId ?? 0)
  }

  private mayCopy(volume: VolumeUsage): boolean {
    return this.space.mayCopy?.(volume) !== false
  }

  private candidates(): readonly CompactionCandidate[] {
    const all = this.upkeep.usages.list()
    const leaving = new Set(this.emptied.map(({ volumeId }) => volumeId))
    const staying = all.filter(({ volumeId }) => !leaving.has(volumeId))
    const [oldest, newest] = [staying[0], all.at(-1)]
    return staying
      .filter(volume => volume.liveNeedles === 0 || (!this.held.has(volume.volumeId) && this.mayCopy(volume)))
      .map(usage => ({ ...usage, isOldest: usage === oldest, isNewest: usage === newest }))
  }
}

function isContained(position: VolumePosition | undefined, upTo: VolumePosition | undefined): boolean {
  if (position === undefined || upTo === undefined) return position === undefined
  return position.volumeId === upTo.volumeId
    ? position.offsetBytes <= upTo.offsetBytes
    : position.volumeId < upTo.volumeId
}
