/**
 * Compaction of one device: gives back the space of dead needles, volume by volume, beside readers,
 * writers and checkpoints.
 *
 * A volume whose living needles were copied is removed when the base contains all that let go of it,
 * and nobody reads it. Volumes are removed in the order in which they were copied: what one of them
 * could drop because an older one was on its way out stays true. A crash at any moment leaves two equal
 * copies of a needle at most, of which a scan takes the later.
 *
 * On a disk that is short of space a copy is begun only where all of it fits beside what the next checkpoint
 * needs, in a volume of its own; it ends where that room is gone. A checkpoint that finds no room all the same
 * has copies undone that no checkpoint contains: their volume is removed, and the index points where it did.
 *
 * Promises  Once nothing is appended any more, and checkpoints go on, no more than the limit's share of
 *           the device is dead, but for a few pages a volume and what damage holds. A wholly dead volume
 *           is removed without a copy, whatever room there is.
 * Limits    CompactionLimits; copies that wait for their volume's removal take no more than one volume.
 */
import { isFailure } from "../base/failures.js"
import type { VolumeId } from "../base/ids.js"
import type { VolumePosition } from "../format/volume.js"
import type { Job, StepOutcome } from "../life/contract.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Candidate } from "./compaction-core.js"
import { COMPACTION_LIMITS, type CompactionLimits } from "./limits.js"
import { undoCopies } from "./copy-undo.js"
import { chooseVolume } from "./compaction-core.js"
import type { VolumeUpkeep } from "./upkeep.js"
import type { OnDamage } from "./volume-copy.js"
import { VolumeCopy, type Copied, type CopyRoom } from "./volume-copy.js"
import { VolumeShardScan } from "./volume-survey.js"

/** A volume that nothing points at any more. */
interface Emptied {
  readonly volumeId: VolumeId
  /** What the base has to contain before it may go. */
  readonly changedUpTo: VolumePosition | undefined
  readonly copiedBytes: number
  /** What was copied out of it; undefined where that is too much to be undone. */
  readonly copied: readonly Copied[] | undefined
}

const NO_BOUND: CopyRoom = { copyRoomBytes: Infinity, isFull: false }

export class Compaction implements Job {
  private task: VolumeCopy | VolumeShardScan | undefined
  private readonly emptied: Emptied[] = []
  /** Copies that were given up before their end; what they have copied counts. */
  private givenUp: Emptied[] = []
  /** What is being done, one after another; never rejects. */
  private working: Promise<unknown> = Promise.resolve()
  /** Volumes with needles that cannot be copied, or that cannot be walked. */
  private readonly held = new Set<VolumeId>()
  private appended = -1
  private quietSinceMs = 0

  /** `onDamage` is told of each needle that was found rotten; it is distrusted already. */
  constructor(
    readonly name: string,
    private readonly upkeep: VolumeUpkeep,
    private readonly clock: Clock,
    private readonly onDamage: OnDamage,
    private readonly limits: CompactionLimits = COMPACTION_LIMITS,
    private readonly room: CopyRoom = NO_BOUND,
  ) {}

  step(signal: AbortSignal): Promise<StepOutcome> {
    return this.inTurn(() => this.stepNow(signal))
  }

  /**
   * Releases what copies have taken that no checkpoint contains, while no checkpoint of the device is under way.
   * False where there are none, or they cannot be undone.
   */
  undoCopies(): Promise<boolean> {
    return this.inTurn(async () => {
      const { task } = this
      const underWay = task instanceof VolumeCopy ? [task] : []
      const undone = await undoCopies(this.upkeep, [...this.emptied, ...this.givenUp, ...underWay], volumeId =>
        this.copyOf(volumeId, true, NO_BOUND),
      )
      if (undone.size === 0) return false
      const first = this.emptied.findIndex(({ volumeId }) => undone.has(volumeId))
      // A later one may have dropped what only mattered to one that stays now.
      if (first !== -1) this.emptied.splice(first)
      this.givenUp = this.givenUp.filter(({ volumeId }) => !undone.has(volumeId))
      if (task !== undefined) this.task = undefined
      return true
    })
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.working.then(work)
    this.working = done.catch(() => undefined)
    return done
  }

  private async stepNow(signal: AbortSignal): Promise<StepOutcome> {
    if (this.upkeep.isRefusing) return "idle"
    const isQuiet = this.isQuiet()
    try {
      if (await this.removeFirst()) return "busy"
      const { usages } = this.upkeep
      if (!usages.isCounted) {
        usages.countSome(this.limits.stepRowsMax)
        return "busy"
      }
      if (this.task !== undefined) await this.stepTask(this.task, signal)
      else if (!(await this.begin(isQuiet))) return this.isWaiting ? "throttled" : "idle"
      return "busy"
    } catch (error) {
      if (isFailure(error, "deviceFull")) return "throttled"
      throw error
    }
  }

  progress(): string {
    const { volumes, writtenBytes, liveBytes } = this.upkeep.usages.totals()
    if (liveBytes === undefined) return "counting what lives"
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
    if (!(await this.upkeep.removeVolume(first.volumeId))) return false
    this.emptied.shift()
    return true
  }

  private async stepTask(task: VolumeCopy | VolumeShardScan, signal: AbortSignal): Promise<void> {
    const { volumeId } = task
    try {
      const outcome = await task.step(signal)
      if (outcome === "busy") return
      if (outcome === "held") this.held.add(volumeId)
      if (outcome === "done" && task instanceof VolumeCopy) this.emptied.push(this.recordOf(task))
      this.task = undefined
    } catch (error) {
      this.task = undefined
      if (!isFailure(error, "deviceFull")) this.held.add(volumeId)
      // Another volume may fit in the room that is left; what is copied of this one need not be copied again.
      else if (task instanceof VolumeCopy && task.copiedBytes > 0) this.givenUp.push(this.recordOf(task))
      throw error
    }
  }

  /** For a checkpoint. */
  private get isWaiting(): boolean {
    return this.emptied.length + this.givenUp.length > 0
  }

  private recordOf({ volumeId, copiedBytes, copied }: VolumeCopy): Emptied {
    return { volumeId, changedUpTo: this.upkeep.changedUpTo, copiedBytes, copied }
  }

  private copyOf(volumeId: VolumeId, keepsTombstones: boolean, room = this.room): VolumeCopy {
    return new VolumeCopy(this.upkeep, volumeId, keepsTombstones, this.onDamage, this.limits, room)
  }

  /** False where there is nothing to do now. */
  private async begin(isQuiet: boolean): Promise<boolean> {
    if (this.emptied.length + this.givenUp.length >= this.limits.pendingMax) return false
    const candidates = this.candidates()
    const choice = chooseVolume(candidates, isQuiet, this.limits, this.room.copyRoomBytes)
    if (choice.kind === "nothing") return false
    if (choice.kind === "begin") {
      await this.upkeep.beginVolume()
      return true
    }
    const { volumeId } = choice
    const chosen = candidates.find(candidate => candidate.volumeId === volumeId)
    if (choice.kind === "survey") this.task = new VolumeShardScan(this.upkeep, volumeId, this.limits)
    else {
      const copiedBytes = this.emptied.reduce((sum, emptied) => sum + emptied.copiedBytes, 0)
      const toCopyBytes = chosen?.liveBytes ?? 0
      if (copiedBytes > 0 && copiedBytes + toCopyBytes > this.upkeep.volumeBytesMax) return false
      if (this.room.isFull && toCopyBytes > 0 && !this.isNewestUncontained()) await this.upkeep.leaveVolume()
      this.task = this.copyOf(volumeId, chosen?.isOldest !== true)
    }
    return true
  }

  /** Nothing of the newest volume is in the base. */
  private isNewestUncontained(): boolean {
    const { newest, containedUpTo } = this.upkeep
    return newest !== undefined && newest > (containedUpTo?.volumeId ?? 0)
  }

  private candidates(): readonly Candidate[] {
    const all = this.upkeep.usages.list()
    const leaving = new Set(this.emptied.map(({ volumeId }) => volumeId))
    const staying = all.filter(({ volumeId }) => !leaving.has(volumeId))
    const [oldest, newest] = [staying[0], all.at(-1)]
    return staying
      .filter(({ volumeId, liveNeedles }) => liveNeedles === 0 || !this.held.has(volumeId))
      .map(usage => ({ ...usage, isOldest: usage === oldest, isNewest: usage === newest }))
  }
}

function isContained(position: VolumePosition | undefined, upTo: VolumePosition | undefined): boolean {
  if (position === undefined || upTo === undefined) return position === undefined
  return position.volumeId === upTo.volumeId
    ? position.offsetBytes <= upTo.offsetBytes
    : position.volumeId < upTo.volumeId
}
