/**
 * Upkeep: the operations of compaction and scrubbing on a device's volumes, beside readers and writers.
 */
import type { DeviceId, VolumeId } from "@hayloft/base/ids.js"
import { decodeNeedleHeader, encodeNeedleHeader, isEncryptedHeader } from "../format/needles/needle.js"
import type { VolumePosition } from "../format/needles/volume.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { VolumeUsages } from "./usage.js"
import { closeVolume } from "./closing.js"
import type { CachedPlace, NeedleId, NeedleRange, Volumes } from "./contract.js"
import type { ReadableFile, VolumeFiles } from "./files.js"
import { isAbsent, volumePath } from "./files.js"
import type { NeedleIndex } from "./needle-index.js"
import type { ScanEvents, VolumeShelf, WalkRequest } from "./scan.js"
import { readHeaderInUse, walkVolume } from "./scan.js"
import type { WholeNeedle } from "./needle-read.js"
import type { NeedleCopy, WriteQueue } from "./write-queue.js"
import type { VolumeDirectory } from "./writer.js"

/** A device's volumes, for compaction and scrubbing. */
export interface KeptVolumes extends Volumes {
  /**
   * Call it when a checkpoint of this device is done whose `VolumeScanSource` went up to here. The removal of old
   * volumes relies on it.
   */
  contained(upTo: VolumePosition | undefined): void
  /**
   * The place of a needle, if this range of it is likely in the page cache. A file that was opened before `removedVolumes`
   * changed may be one that was removed.
   */
  cachedPlaceOf(id: NeedleId, range: NeedleRange): CachedPlace | undefined
  /** The number of volumes that were removed since the volumes were opened. */
  readonly removedVolumes: number
  readonly upkeep: VolumeUpkeep
}

export class VolumeUpkeep {
  /** Needles appended in this process; copies and tombstones do not count. */
  appended = 0
  /** Volumes removed in this process. */
  removed = 0
  /** Behind the last group that changed the index. */
  changedUpTo: VolumePosition | undefined
  /** The metadata store contains everything before it. */
  containedUpTo: VolumePosition | undefined

  constructor(
    private readonly disk: Disk,
    private readonly directory: VolumeDirectory,
    /** It knows where each needle is. */
    readonly index: NeedleIndex,
    private readonly queue: WriteQueue,
    private readonly files: VolumeFiles,
    readonly volumeBytesMax: number,
  ) {}

  get deviceId(): DeviceId {
    return this.directory.deviceId
  }

  get usages(): VolumeUsages {
    return this.index.usages
  }

  /** Returns true if no more needles are accepted. */
  get isRefusing(): boolean {
    return this.queue.refusing !== undefined
  }

  /** The newest volume, that is written or was written last; undefined if there is none. */
  get newest(): VolumeId | undefined {
    return this.usages.list().at(-1)?.volumeId
  }

  get durable(): VolumePosition | undefined {
    return this.queue.position
  }

  fileOf(volumeId: VolumeId): ReadableFile {
    return this.files.readable(volumeId)
  }

  /**
   * The contents of a volume, from a position on that an earlier walk returned; for the newest volume up to the durable
   * position. Nothing stays open between two events. Throws `deviceFailed`, also if the volume is gone.
   */
  walkVolume(volumeId: VolumeId, options: Omit<WalkRequest, "volumeId" | "upTo"> = { from: undefined }): ScanEvents {
    const shelf: VolumeShelf = {
      deviceId: this.directory.deviceId,
      volumeIds: this.usages.list().map(usage => usage.volumeId),
      fileOf: id => this.fileOf(id),
    }
    const { durable } = this
    const upTo = durable?.volumeId === volumeId ? durable : undefined
    return walkVolume(shelf, { ...options, volumeId, upTo })
  }

  /** Writes copies to the open volume, also below the reserve; resolves with how many were still wanted. */
  copy(copies: readonly NeedleCopy[]): Promise<number> {
    return this.queue.copy(copies)
  }

  /** The header of a needle as a copy has it: on a device that is being converted it is encrypted from now on. */
  headerOfCopy({ header }: WholeNeedle): Uint8Array {
    const { cipher } = this.directory
    if (cipher?.acceptsPlain !== true || isEncryptedHeader(header)) return header
    return encodeNeedleHeader(decodeNeedleHeader(header, cipher), cipher)
  }

  /** Stops writing the open volume; another begins when there is something to write. */
  leaveVolume(): Promise<void> {
    return this.queue.leaveVolume()
  }

  /** Stops writing the newest volume. */
  beginVolume(): Promise<void> {
    return this.queue.beginVolume()
  }

  /**
   * Removes a volume that neither the index nor the metadata store points at any more; it is removed permanently if the
   * result is true. False while a reader uses it. Throws `deviceFailed`.
   */
  async removeVolume(volumeId: VolumeId): Promise<boolean> {
    if (this.files.isRead(volumeId)) return false
    try {
      await this.closeBefore(volumeId)
      if (this.files.isRead(volumeId)) return false
      await this.disk.remove(volumePath(this.directory.folder, volumeId))
    } catch (error) {
      // An earlier call removed it and could not sync the folder.
      if (!isAbsent(error)) throw error
    }
    this.removed += 1
    await this.files.giveUp(volumeId)
    await this.disk.syncFolder(this.directory.folder)
    this.usages.removed(volumeId)
    return true
  }

  /** Closes the volume before, whose end is known from this one's header. */
  private async closeBefore(volumeId: VolumeId): Promise<void> {
    const { header } = await readHeaderInUse(this.fileOf(volumeId), this.directory.deviceId, volumeId)
    const sealed = header?.sealed
    if (sealed === undefined || this.usages.get(sealed.volumeId) === undefined) return
    await unlessFull(
      async () => this.usages.wrote(sealed.volumeId, await closeVolume(this.disk, this.directory, sealed)),
      // Space now matters more than the later distinction of rot from a torn tail in one group.
      () => undefined,
    )
  }
}
