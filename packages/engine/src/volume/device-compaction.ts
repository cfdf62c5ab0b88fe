/**
 * Compaction of a device: of its ordinary volumes, and of each class of needles that end.
 *
 * A volume of a class is left alone until all of it is dead; then it is removed, and nothing is copied. There are three
 * exceptions. If most of a volume is dead for as long as a volume of its class is written, its needles were replaced or
 * removed before their time, and the rest is copied within the class; likewise while the device is short of space. Once
 * the time of a volume is over, what is left stays: it moves to the ordinary volumes.
 *
 * Promises  Those of `Compaction` for the ordinary volumes, and that the volumes of a class are removed.
 * Limits    CompactionLimits.
 */
import { lacksSpace } from "@hayloft/base/space/full-disk-core.js"
import type { VolumeId } from "@hayloft/base/ids.js"
import type { Job, StepOutcome } from "@hayloft/base/life/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { Compaction, type CompactionCounts, type CopyTerms } from "./compaction.js"
import type { DeviceVolumes, ExpiringVolumes } from "./device-volumes.js"
import { endsByOf, fillingMsOf, isMostlyDead, isOverdue } from "./expiring-core.js"
import { isAbsent, isUnreadable } from "./files.js"
import { COMPACTION_LIMITS, type CompactionLimits } from "./limits.js"
import { readHeaderInUse } from "./scan.js"
import { SurvivorMove } from "./survivor-move.js"
import type { VolumeUsage } from "./usage.js"
import type { CopySpace, OnDamage } from "./volume-copy.js"

/** The rest of a volume is tried again after so long. */
const MOVED_AGAIN_MS = 3_600_000

/** How a device is compacted. */
interface CompactionPlan {
  readonly name: string
  readonly volumes: DeviceVolumes
  readonly clock: Clock
  /** Called with each needle that was found rotten; it is suspect already. */
  readonly onDamage: OnDamage
  readonly limits?: CompactionLimits
  readonly space: CopySpace
}

/** The work that the removal of volumes of one class has done in this process. */
interface ExpiringCounts extends CompactionCounts {
  readonly name: string
  readonly volumes: number
  /** Bytes that moved to the ordinary volumes. */
  readonly movedBytes: number
}

/** Compaction of one class. */
class ExpiringCompaction {
  readonly compaction: Compaction
  private move: SurvivorMove | undefined
  private movedBefore = 0
  /** Since when each volume is mostly dead. */
  private readonly mostlyDeadMs = new Map<VolumeId, number>()
  private readonly endsByMs = new Map<VolumeId, number>()
  /** Volumes whose survivors have moved, as far as they can be read, and since when: what was rotten may be rebuilt later. */
  private readonly movedMs = new Map<VolumeId, number>()
  private readonly openedMs: number
  private emptyUpTo = 0

  constructor(
    readonly of: ExpiringVolumes,
    private readonly plan: CompactionPlan,
    private readonly limits: CompactionLimits,
  ) {
    const { name, clock, onDamage, space } = plan
    const { ends, volumes } = of
    this.openedMs = clock.wallMs()
    const terms: CopyTerms = {
      get copySpaceBytes() {
        return space.copySpaceBytes
      },
      get isFull() {
        return space.isFull
      },
      get isShort() {
        return space.isShort
      },
      mayCopy: volume => this.mayCopy(volume),
    }
    this.compaction = new Compaction(`${name} ${ends.name}`, volumes.upkeep, clock, onDamage, limits, terms)
  }

  get counts(): ExpiringCounts {
    const { of, compaction, movedBefore, move } = this
    const volumes = of.volumes.usage().volumes
    return { ...compaction.counts, name: of.ends.name, volumes, movedBytes: movedBefore + (move?.movedBytes ?? 0) }
  }

  /** Empties the class of everything written until now. */
  empty(): void {
    if (this.emptyUpTo > 0) return
    this.emptyUpTo = this.of.volumes.upkeep.newest ?? 0
    this.compaction.empty(this.emptyUpTo)
    this.movedMs.clear()
  }

  /** Volumes that are to be emptied and still exist. */
  get toEmpty(): number {
    return this.of.volumes.upkeep.usages.list().filter(({ volumeId }) => volumeId <= this.emptyUpTo).length
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    const mayMove = this.of.volumes.refusing === undefined && !this.plan.space.isFull
    // Needles that stay leave the class first, so that they are not copied within it.
    return mayMove && (await this.moveSome(signal)) ? "busy" : this.compaction.step(signal)
  }

  private mayCopy(volume: VolumeUsage): boolean {
    const { volumeId } = volume
    if (!isMostlyDead(volume)) {
      this.mostlyDeadMs.delete(volumeId)
      return this.plan.space.isShort
    }
    const nowMs = this.plan.clock.monotonicMs()
    const sinceMs = this.mostlyDeadMs.get(volumeId) ?? nowMs
    this.mostlyDeadMs.set(volumeId, sinceMs)
    return this.plan.space.isShort || nowMs - sinceMs >= fillingMsOf(this.of.ends)
  }

  private async moveSome(signal: AbortSignal): Promise<boolean> {
    const move = (this.move ??= await this.nextMove())
    if (move === undefined) return false
    try {
      if ((await move.step(signal)) === "busy") return true
    } catch (error) {
      this.end(move)
      // The volume has not moved: it is tried again once there is space.
      if (lacksSpace(error)) return false
      this.noteMoved(move)
      // The rest of the class goes on: this volume cannot be read, or was removed between two steps.
      if (isUnreadable(error) || isAbsent(error)) return false
      throw error
    }
    this.end(move)
    this.noteMoved(move)
    return true
  }

  private noteMoved({ volumeId }: SurvivorMove): void {
    this.movedMs.set(volumeId, this.plan.clock.monotonicMs())
  }

  /** Returns true if survivors of the volume have moved so lately that others have hardly been rebuilt meanwhile. */
  private isMoved(volumeId: VolumeId): boolean {
    const sinceMs = this.movedMs.get(volumeId)
    return sinceMs !== undefined && this.plan.clock.monotonicMs() - sinceMs < MOVED_AGAIN_MS
  }

  private end({ movedBytes }: SurvivorMove): void {
    this.movedBefore += movedBytes
    this.move = undefined
  }

  private async nextMove(): Promise<SurvivorMove | undefined> {
    const { upkeep } = this.of.volumes
    if (!upkeep.usages.isCounted) return undefined
    const all = upkeep.usages.list()
    this.forgetBut(new Set(all.map(({ volumeId }) => volumeId)))
    for (const { volumeId, liveNeedles } of all) {
      if (liveNeedles === 0 || this.isMoved(volumeId) || !(await this.isOver(volumeId))) continue
      // Nothing is added to it any more.
      if (volumeId === upkeep.newest) await upkeep.leaveVolume()
      const { onDamage, volumes } = this.plan
      return new SurvivorMove(volumes, this.of.volumes, volumeId, onDamage, this.limits)
    }
    return undefined
  }

  private async isOver(volumeId: VolumeId): Promise<boolean> {
    if (volumeId <= this.emptyUpTo) return true
    const endsByMs = this.endsByMs.get(volumeId) ?? (await this.readEnd(volumeId))
    this.endsByMs.set(volumeId, endsByMs)
    return isOverdue(endsByMs, this.plan.clock.wallMs())
  }

  /** If its header is damaged or cannot be read, the latest end that is possible. */
  private async readEnd(volumeId: VolumeId): Promise<number> {
    const { upkeep } = this.of.volumes
    const { header } = await readHeaderInUse(upkeep.fileOf(volumeId), upkeep.deviceId, volumeId)
    return header?.endsByMs ?? endsByOf(this.of.ends, this.openedMs)
  }

  private forgetBut(existing: ReadonlySet<VolumeId>): void {
    for (const known of [this.mostlyDeadMs, this.endsByMs, this.movedMs]) {
      for (const volumeId of known.keys()) if (!existing.has(volumeId)) known.delete(volumeId)
    }
  }
}

export class DeviceCompaction implements Job {
  readonly name: string
  private readonly ordinary: Compaction
  private readonly classes = new Map<number, ExpiringCompaction>()
  private readonly limits: CompactionLimits
  /** Whose turn it is: that of the ordinary volumes, then of one class after the other. */
  private turn = 0
  private isEmptying = false

  constructor(private readonly plan: CompactionPlan) {
    const { name, volumes, clock, onDamage, limits = COMPACTION_LIMITS, space } = plan
    this.name = name
    this.limits = limits
    this.ordinary = new Compaction(name, volumes.ordinary.upkeep, clock, onDamage, limits, space)
  }

  get counts(): CompactionCounts {
    return this.ordinary.counts
  }

  get expiringCounts(): readonly ExpiringCounts[] {
    return this.expiring.map(({ counts }) => counts)
  }

  private get expiring(): readonly ExpiringCompaction[] {
    return this.plan.volumes.expiring.map(of => {
      const { number } = of.ends
      const known = this.classes.get(number) ?? new ExpiringCompaction(of, this.plan, this.limits)
      this.classes.set(number, known)
      return known
    })
  }

  /**
   * Empties all ordinary volumes up to this one, and all volumes of classes: they hold what was written in plain.
   * Returns how many of the latter are left.
   */
  empty(upTo: number): number {
    this.ordinary.empty(upTo)
    const { expiring } = this
    if (!this.isEmptying) for (const each of expiring) each.empty()
    this.isEmptying = true
    return expiring.reduce((sum, each) => sum + each.toEmpty, 0)
  }

  /** See `Compaction.undoCopies`. */
  async undoCopies(): Promise<boolean> {
    let isUndone = false
    for (const each of this.all) isUndone = (await each.undoCopies()) || isUndone
    return isUndone
  }

  private get all(): readonly Compaction[] {
    return [this.ordinary, ...this.expiring.map(({ compaction }) => compaction)]
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    const parts: readonly (Compaction | ExpiringCompaction)[] = [this.ordinary, ...this.expiring]
    let outcome: StepOutcome = "idle"
    for (let i = 0; i < parts.length; i += 1) {
      const part = parts[this.turn % parts.length] ?? this.ordinary
      this.turn = (this.turn + 1) % parts.length
      const its = await part.step(signal)
      if (its === "busy") return "busy"
      if (its === "throttled") outcome = its
    }
    return outcome
  }

  progress(): string {
    const text = this.ordinary.progress()
    const classes = this.expiring.map(({ of, compaction }) => `; volumes of ${of.ends.name}: ${compaction.progress()}`)
    return `${text}${classes.join("")}`
  }
}
