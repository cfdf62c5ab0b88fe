/**
 * Compaction of one device: gives back the space of dead needles, volume by volume, beside readers,
 * writers and checkpoints.
 *
 * A volume whose living needles were copied is removed when the base contains all that let go of it,
 * and nobody reads it. Volumes are removed in the order in which they were copied: what one of them
 * could drop because an older one was on its way out stays true. A crash at any moment leaves two equal
 * copies of a needle at most, of which a scan takes the later.
 *
 * Promises  Once nothing is appended any more, and checkpoints go on, no more than the limit's share of
 *           the device is dead, but for a few pages a volume and what damage holds.
 * Limits    CompactionLimits; copies that wait for their volume's removal take no more than one volume.
 */
import { isFailure } from "../base/failures.js"
import type { VolumeId } from "../base/ids.js"
import type { VolumePosition } from "../format/volume.js"
import type { Chore, StepOutcome } from "../life/contract.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Candidate, CompactionLimits } from "./compaction-core.js"
import { chooseVolume } from "./compaction-core.js"
import { COMPACTION_LIMITS } from "./limits.js"
import type { VolumeUpkeep } from "./upkeep.js"
import type { OnDamage } from "./volume-copy.js"
import { VolumeCopy } from "./volume-copy.js"
import { VolumeSurvey } from "./volume-survey.js"

/** A volume that nothing points at any more. */
interface Emptied {
  readonly volumeId: VolumeId
  /** What the base has to contain before it may go. */
  readonly changedUpTo: VolumePosition | undefined
  readonly copiedBytes: number
}

export class Compaction implements Chore {
  private task: VolumeCopy | VolumeSurvey | undefined
  private readonly emptied: Emptied[] = []
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
  ) {}

  async step(signal: AbortSignal): Promise<StepOutcome> {
    if (this.upkeep.isRefusing) return "idle"
    const isQuiet = this.isQuiet()
    try {
      if (await this.removeFirst()) return "busy"
      const { accounts } = this.upkeep
      if (!accounts.isCounted) {
        accounts.countSome(this.limits.stepRowsMax)
        return "busy"
      }
      if (this.task !== undefined) await this.stepTask(this.task, signal)
      else if (!(await this.begin(isQuiet))) return this.emptied.length > 0 ? "throttled" : "idle"
      return "busy"
    } catch (error) {
      if (isFailure(error, "deviceFull")) return "throttled"
      throw error
    }
  }

  progress(): string {
    const { volumes, writtenBytes, livingBytes } = this.upkeep.accounts.totals()
    if (livingBytes === undefined) return "counting what lives"
    if (this.task !== undefined) return this.task.progress()
    const waiting = this.emptied.length === 0 ? "" : `, ${this.emptied.length} to be removed after a checkpoint`
    const held = this.held.size === 0 ? "" : `, ${this.held.size} held by damage`
    return `${writtenBytes - livingBytes} of ${writtenBytes} bytes dead in ${volumes} volumes${waiting}${held}`
  }

  private isQuiet(): boolean {
    const { appended } = this.upkeep
    const nowMs = this.clock.monotonicMs()
    if (appended !== this.appended) this.quietSinceMs = nowMs
    this.appended = appended
    return nowMs - this.quietSinceMs >= this.limits.quietMs
  }

  private async removeFirst(): Promise<boolean> {
    const [first] = this.emptied
    if (first === undefined || !isContained(first.changedUpTo, this.upkeep.containedUpTo)) return false
    if (!(await this.upkeep.removeVolume(first.volumeId))) return false
    this.emptied.shift()
    return true
  }

  private async stepTask(task: VolumeCopy | VolumeSurvey, signal: AbortSignal): Promise<void> {
    const { volumeId } = task
    try {
      const outcome = await task.step(signal)
      if (outcome === "busy") return
      if (outcome === "held") this.held.add(volumeId)
      if (outcome === "done" && task instanceof VolumeCopy) {
        const { changedUpTo } = this.upkeep
        this.emptied.push({ volumeId, changedUpTo, copiedBytes: task.copiedBytes })
      }
      this.task = undefined
    } catch (error) {
      if (!isFailure(error, "deviceFull")) {
        this.held.add(volumeId)
        this.task = undefined
      }
      throw error
    }
  }

  /** False where there is nothing to do now. */
  private async begin(isQuiet: boolean): Promise<boolean> {
    if (this.emptied.length >= this.limits.pendingMax) return false
    const candidates = this.candidates()
    const choice = chooseVolume(candidates, isQuiet, this.limits)
    if (choice.kind === "nothing") return false
    if (choice.kind === "begin") {
      await this.upkeep.beginVolume()
      return true
    }
    const { volumeId } = choice
    const chosen = candidates.find(candidate => candidate.volumeId === volumeId)
    if (choice.kind === "survey") this.task = new VolumeSurvey(this.upkeep, volumeId, this.limits)
    else {
      const copiedBytes = this.emptied.reduce((sum, emptied) => sum + emptied.copiedBytes, 0)
      const toCopyBytes = chosen?.livingBytes ?? 0
      if (copiedBytes > 0 && copiedBytes + toCopyBytes > this.upkeep.volumeBytesMax) return false
      const keepsTombstones = chosen?.isOldest !== true
      this.task = new VolumeCopy(this.upkeep, volumeId, keepsTombstones, this.onDamage, this.limits)
    }
    return true
  }

  private candidates(): readonly Candidate[] {
    const all = this.upkeep.accounts.list()
    const leaving = new Set(this.emptied.map(({ volumeId }) => volumeId))
    const staying = all.filter(({ volumeId }) => !leaving.has(volumeId))
    const [oldest, newest] = [staying[0], all.at(-1)]
    return staying
      .filter(({ volumeId, livingNeedles }) => livingNeedles === 0 || !this.held.has(volumeId))
      .map(account => ({ ...account, isOldest: account === oldest, isNewest: account === newest }))
  }
}

function isContained(position: VolumePosition | undefined, upTo: VolumePosition | undefined): boolean {
  if (position === undefined || upTo === undefined) return position === undefined
  return position.volumeId === upTo.volumeId
    ? position.offsetBytes <= upTo.offsetBytes
    : position.volumeId < upTo.volumeId
}
