/**
 * Checkpoint source of the needle index: the index is not logged, so a checkpoint collects its changes from the volumes
 * themselves, by walking the needles written since the mark of the metadata store.
 *
 * Promises  The output of `collect`, applied in order to the index at the mark, is the index at `upTo`; without a mark
 *           it is the whole index, so an ordinary checkpoint rebuilds a lost one.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import type { CheckpointSource } from "../device/contract.js"
import type { VolumePosition } from "../format/needles/volume.js"
import { decodeVolumePosition, encodeVolumePosition } from "../format/needles/volume.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { StoreWrite } from "@hayloft/base/seams/store/contract.js"
import type { VolumeDamage } from "./contract.js"
import { indexWrite } from "./index-writes.js"
import { scanVolumes } from "./scan.js"

export const VOLUMES_SOURCE = "volumes"
const EMPTY = new Uint8Array(0)

export class VolumeScanSource implements CheckpointSource {
  readonly name = VOLUMES_SOURCE
  /** Found by the last `collect`. */
  readonly damages: VolumeDamage[] = []
  private mark: Uint8Array = EMPTY

  /** `upTo`: the position durable when the memtable was frozen, or later; undefined while nothing has been written. */
  constructor(
    private readonly disk: Disk,
    private readonly directory: { readonly folder: string; readonly deviceId: DeviceId },
    private readonly upTo: VolumePosition | undefined,
  ) {}

  async *collect(mark: Uint8Array | undefined): AsyncGenerator<StoreWrite> {
    this.damages.length = 0
    this.mark = mark ?? EMPTY
    if (this.upTo === undefined) return
    const from = positionOfMark(mark)
    for await (const event of scanVolumes(this.disk, { ...this.directory, from, upTo: this.upTo })) {
      if (event.kind === "needle") yield indexWrite(event.needle.header, event.needle.place)
      else if (event.kind === "damage") this.damages.push(event.damage)
    }
    this.mark = encodeVolumePosition(this.upTo)
  }

  markAfter(): Uint8Array {
    return this.mark
  }
}

/** The position in a store's mark; an empty mark means that there was no volume yet. */
export const positionOfMark = (mark: Uint8Array | undefined): VolumePosition | undefined =>
  mark === undefined || mark.length === 0 ? undefined : decodeVolumePosition(mark)
