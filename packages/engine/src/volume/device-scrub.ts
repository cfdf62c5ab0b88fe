/**
 * Scrub of a device: of the volumes of each class of needles that end, then of the ordinary ones.
 *
 * Promises  A pass verifies everything that `NeedleScrub` promises, in all volumes. The ordinary volumes come last, so
 *           that a place in them, which is all that is saved, says that the classes are done.
 */
import type { NeedleScrubState } from "../format/device/needle-scrub.js"
import type { DeviceVolumes } from "./device-volumes.js"
import { NEEDLE_SCRUB_LIMITS, type NeedleScrubLimits } from "./limits.js"
import { NeedleScrub } from "./needle-scrub.js"
import type { KeptVolumes } from "./upkeep.js"
import type { OnDamage } from "./volume-copy.js"

export class DeviceScrub {
  private readonly ordinary: NeedleScrub
  private readonly classes = new Map<KeptVolumes, NeedleScrub>()
  /** Volumes that the present pass has verified. */
  private readonly done = new Set<KeptVolumes>()

  constructor(
    private readonly volumes: DeviceVolumes,
    saved: NeedleScrubState | undefined,
    private readonly onDamage: OnDamage,
    private readonly limits: NeedleScrubLimits = NEEDLE_SCRUB_LIMITS,
  ) {
    this.ordinary = new NeedleScrub(volumes.ordinary.upkeep, saved, onDamage, limits)
    for (const { volumes: expiring } of volumes.expiring) {
      const damaged = { at: undefined, damaged: saved?.damaged ?? [] }
      this.classes.set(expiring, new NeedleScrub(expiring.upkeep, damaged, onDamage, limits))
      if (saved?.at !== undefined) this.done.add(expiring)
    }
  }

  private get expiring(): readonly (readonly [KeptVolumes, NeedleScrub])[] {
    return this.volumes.expiring.map(({ volumes }) => {
      const known = this.classes.get(volumes) ?? new NeedleScrub(volumes.upkeep, undefined, this.onDamage, this.limits)
      this.classes.set(volumes, known)
      return [volumes, known]
    })
  }

  private get all(): readonly NeedleScrub[] {
    return [...this.classes.values(), this.ordinary]
  }

  /** See `NeedleScrub.state`. */
  get state(): NeedleScrubState {
    const damaged = new Set(this.all.flatMap(({ state }) => state.damaged))
    return { at: this.ordinary.state.at, damaged: [...damaged].slice(0, this.limits.damagedKeptMax) }
  }

  get isLookingAgain(): boolean {
    return this.all.some(({ isLookingAgain }) => isLookingAgain)
  }

  /** Needles found bad in this process, counted each time that they were found. */
  get damagesFound(): number {
    return this.all.reduce((sum, { damagesFound }) => sum + damagesFound, 0)
  }

  /** Share of the written bytes that this pass has verified: 0 to 1. */
  get doneShare(): number {
    const { expiring } = this
    if (expiring.length === 0) return this.ordinary.doneShare
    let [done, all] = [0, 0]
    const add = (writtenBytes: number, share: number): void => {
      all += writtenBytes
      done += share * writtenBytes
    }
    for (const [volumes, scrub] of expiring) {
      add(volumes.usage().writtenBytes, this.done.has(volumes) ? 1 : scrub.doneShare)
    }
    add(this.volumes.ordinary.usage().writtenBytes, this.ordinary.doneShare)
    return all === 0 ? 1 : Math.min(1, done / all)
  }

  /** "done": a pass has ended; the next step begins another. Throws `deviceFailed`, `corruptRow`. */
  async step(signal: AbortSignal): Promise<"busy" | "done"> {
    const again = this.all.find(({ isLookingAgain }) => isLookingAgain)
    if (again !== undefined) {
      await again.step(signal)
      return "busy"
    }
    const next = this.expiring.find(([volumes]) => !this.done.has(volumes))
    if (next !== undefined) {
      const [volumes, scrub] = next
      if ((await scrub.step(signal)) === "done") this.done.add(volumes)
      return "busy"
    }
    const outcome = await this.ordinary.step(signal)
    if (outcome === "done") this.done.clear()
    return outcome
  }
}
