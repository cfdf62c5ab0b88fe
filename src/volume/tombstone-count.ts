/** Counts, in steps, the tombstones of a volume that an earlier process wrote. */
import type { VolumeId } from "../base/ids.js"
import type { CompactionLimits } from "./limits.js"
import type { ScanEvents } from "./scan.js"
import type { VolumeUpkeep } from "./upkeep.js"

export class TombstoneCount {
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
