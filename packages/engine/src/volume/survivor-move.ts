/**
 * Survivor move: brings the needles that are still in a volume after its time to the ordinary volumes, so that the volume
 * can be removed whole.
 *
 * A needle is copied to the ordinary volumes first; once the copy is durable, a tombstone removes it from its class. A
 * crash in between leaves both, of which either is enough; the next move goes on from there. Removals of a needle wait
 * while it moves, so that none of its copies outlives them.
 *
 * Refuses   To move needles that fail their checksums: they are reported and marked suspect, and rebuilt in their class.
 *           While the device is short of space nothing moves.
 * Limits    CompactionLimits: needles of one step, bytes of one batch.
 */
import type { RowKey, VolumeId } from "@hayloft/base/ids.js"
import type { NeedlePlace } from "../format/needles/needle.js"
import { needleIdOfKey, needleKeyOf } from "../format/needles/needle.js"
import type { DeviceVolumes } from "./device-volumes.js"
import type { CompactionLimits } from "./limits.js"
import { isSameNeedlePlace } from "./needle-read-core.js"
import type { ScanEvents } from "./scan.js"
import type { KeptVolumes } from "./upkeep.js"
import { loadNeedle, type OnDamage } from "./volume-copy.js"
import type { NeedleCopy } from "./write-queue.js"

export class SurvivorMove {
  private readonly walk: ScanEvents
  private readonly keys = new Set<RowKey>()
  private readonly copies: NeedleCopy[] = []
  private batchBytes = 0
  private isWalked = false
  /** Bytes of the copies. */
  movedBytes = 0

  constructor(
    private readonly device: DeviceVolumes,
    private readonly from: KeptVolumes,
    readonly volumeId: VolumeId,
    private readonly onDamage: OnDamage,
    private readonly limits: CompactionLimits,
  ) {
    this.walk = from.upkeep.walkVolume(volumeId)
  }

  /** Throws `deviceFull`, `deviceFailed`. */
  async step(signal: AbortSignal): Promise<"busy" | "done"> {
    for (let taken = 0; !this.isStepOver(taken, signal); taken += 1) {
      const { value: event, done } = await this.walk.next()
      if (done === true) {
        this.isWalked = true
        break
      }
      if (event.kind !== "needle" || event.needle.header.kind !== "shard") continue
      await this.take(needleKeyOf(event.needle.header.id), event.needle.place)
    }
    await this.flush()
    return this.isWalked ? "done" : "busy"
  }

  private isStepOver(taken: number, signal: AbortSignal): boolean {
    const { copyBytes, copyNeedlesMax, stepNeedlesMax } = this.limits
    const isFull = this.batchBytes >= copyBytes || this.keys.size >= copyNeedlesMax
    return isFull || taken >= stepNeedlesMax || signal.aborted
  }

  private async take(key: RowKey, place: NeedlePlace): Promise<void> {
    const { upkeep } = this.from
    const { ordinary } = this.device
    for (const warm of [upkeep.index.warm(key), ordinary.upkeep.index.warm(key)]) if (warm) await warm
    const isHere = (): boolean => isSameNeedlePlace(upkeep.index.placeOf(key), place)
    if (!isHere()) return
    if (ordinary.has(needleIdOfKey(key))) {
      // An earlier move was interrupted.
      this.keys.add(key)
      return
    }
    const loaded = await loadNeedle(upkeep.fileOf(this.volumeId), key, place)
    if (loaded !== undefined) {
      const isWanted = (): boolean => isHere() && !this.device.isRemoving(key)
      this.keys.add(key)
      this.copies.push({ ...loaded, header: upkeep.headerOfCopy(loaded), isWanted })
      this.batchBytes += loaded.header.length + loaded.body.length
    } else if (isHere()) {
      upkeep.index.markSuspect(key)
      this.onDamage(needleIdOfKey(key))
    }
  }

  private async flush(): Promise<void> {
    const keys = new Set(this.keys)
    const copies = this.copies.splice(0)
    this.keys.clear()
    this.batchBytes = 0
    if (keys.size === 0) return
    const { ordinary } = this.device
    await this.device.move(keys, async () => {
      await ordinary.upkeep.copy(copies)
      const moved = [...keys].map(needleIdOfKey).filter(id => ordinary.has(id))
      await this.from.remove(moved)
    })
    this.movedBytes += copies.reduce((sum, { header, body }) => sum + header.length + body.length, 0)
  }
}
