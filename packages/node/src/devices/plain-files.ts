/**
 * Plain files of one device of a store that was not encrypted from its beginning: what is left of them, and what makes
 * them less. Logs and tables are rewritten as soon as the device is open; volumes once no object is plain any more,
 * because copies of plain bodies would be plain again.
 */
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { unlessShort } from "@hayloft/base/space/full-disk.js"
import type { Checkpointer, SegmentedLog } from "@hayloft/engine/device/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Stores } from "@hayloft/base/seams/store/contract.js"
import { listVolumes, type DeviceCompaction, type DeviceVolumes } from "@hayloft/engine/volume/index.js"
import { foldersOf } from "./folders.js"

/** Volumes up to these may contain bytes of objects that were plain. */
interface VolumeNumbers {
  readonly needles: number
  readonly payloads: number
}

interface Parts {
  readonly place: { readonly id: DeviceId; readonly path: string }
  readonly disk: Disk
  readonly stores: Stores
  readonly cipher: DeviceCipher | undefined
  readonly log: SegmentedLog
  readonly volumes: DeviceVolumes
  readonly compaction: DeviceCompaction
  readonly checkpointer: Checkpointer
}

export class PlainFiles {
  constructor(private readonly parts: Parts) {}

  /** Above 0. */
  async newestVolumes(): Promise<VolumeNumbers> {
    const payloads = await this.payloadVolumes()
    return { needles: Math.max(1, this.parts.volumes.ordinary.upkeep.newest ?? 0), payloads: Math.max(1, ...payloads) }
  }

  /**
   * Returns what is left, for people; undefined if no file is plain. Goes on with the rest in the background. Throws
   * `deviceFailed`.
   */
  async remaining(upTo: VolumeNumbers): Promise<string | undefined> {
    const { volumes, compaction, checkpointer, log } = this.parts
    const expiring = compaction.empty(upTo.needles)
    const { usages } = volumes.ordinary.upkeep
    const needles = expiring + usages.list().filter(({ volumeId }) => volumeId <= upTo.needles).length
    const payloads = (await this.payloadVolumes()).filter(volume => volume <= upTo.payloads).length
    if (log.holdsPlain) await this.leaveLog()
    // Also what waits for a removal.
    const isMore = payloads > 0 || log.holdsPlain || (needles === 0 && (await this.hasPlainTables()))
    checkpointer.tidy(upTo.payloads, isMore)
    if (needles + payloads > 0) return `${needles + payloads} volumes are left`
    if (log.holdsPlain) return "the log is left"
    return isMore ? "tables of the metadata are left" : undefined
  }

  private async payloadVolumes(): Promise<readonly number[]> {
    const { disk, place } = this.parts
    return listVolumes(disk, foldersOf(place.path).payloads)
  }

  private hasPlainTables(): Promise<boolean> {
    const { stores, place, disk, cipher } = this.parts
    return stores.holdsPlain(foldersOf(place.path).metadataStore, { disk, deviceId: place.id, cipher })
  }

  /** A full disk delays it. */
  private async leaveLog(): Promise<void> {
    await unlessShort(
      () => this.parts.log.leavePlain(),
      () => undefined,
    )
  }
}
