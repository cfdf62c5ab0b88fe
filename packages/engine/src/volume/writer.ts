/**
 * Volume writer: one open volume, written group by group, each write durable before the next begins.
 *
 * Promises  Every later scan of the volume finds the needles whose `write` resolved.
 * Refuses   To write to a volume after a write to it failed: the contents of the disk are unknown, so the volume is
 *           left at its last durable position, which the next one records. Only if the disk was full and the volume
 *           could be cut back to that position, the writer continues with it: others need the space, and each attempt
 *           would leave a file.
 * Callers   wait for each call before the next; `position` is durable at any time.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { lacksSpace } from "@hayloft/base/space/full-disk-core.js"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import type { DeviceId, Incarnation, VolumeId } from "@hayloft/base/ids.js"
import { encodeNeedleHeader, type NeedleHeader, type NeedlePlace } from "../format/needles/needle.js"
import type { VolumeKind, VolumePosition } from "../format/needles/volume.js"
import { encodeVolumeHeader, firstPosition, VOLUME_PAGE_BYTES } from "../format/needles/volume.js"
import type { Disk, DiskFile } from "@hayloft/base/seams/disk/contract.js"
import type { NeedleRange } from "./contract.js"
import { volumePath } from "./files.js"
import type { EncodedNeedle } from "./group-core.js"
import { cacheUseOf, packGroup } from "./group-core.js"

/** One device's folder of volumes, in one process incarnation. */
export interface VolumeDirectory {
  readonly folder: string
  readonly deviceId: DeviceId
  readonly incarnation: Incarnation
  /** Encrypts the names of needles. */
  readonly cipher?: DeviceCipher | undefined
  /** When all needles of a volume that begins now are expected to be removed; absent: they may stay. */
  readonly endsByMs?: () => number
}

export class VolumeWriter {
  private file: DiskFile | undefined

  /**
   * `position`: where the newest volume was sealed; undefined if there is none. `onCached` is called with each group
   * that was written through the page cache.
   */
  constructor(
    private readonly disk: Disk,
    private readonly directory: VolumeDirectory,
    private readonly kind: VolumeKind,
    private at: VolumePosition | undefined,
    private readonly onCached?: (volumeId: VolumeId, group: NeedleRange) => void,
  ) {}

  /** Everything before it is durable: earlier volumes whole, this one up to its offset. */
  get position(): VolumePosition | undefined {
    return this.at
  }

  get isOpen(): boolean {
    return this.file !== undefined
  }

  /** The header as it is to be stored. */
  encode(header: NeedleHeader): Uint8Array {
    return encodeNeedleHeader(header, this.directory.cipher)
  }

  /** Leaves the open volume, if any; the next one records this position as its end. */
  async seal(position: VolumePosition): Promise<void> {
    await this.leave()
    this.at = position
  }

  /** Leaves the open volume, if any, and begins one of this number, which must not exist. */
  async begin(volumeId: VolumeId): Promise<void> {
    await this.leave()
    const { endsByMs } = this.directory
    const path = volumePath(this.directory.folder, volumeId)
    const page = encodeVolumeHeader({
      kind: this.kind,
      deviceId: this.directory.deviceId,
      volumeId,
      incarnation: this.directory.incarnation,
      sealed: this.at,
      ...(endsByMs && { endsByMs: endsByMs() }),
    })
    const file = await this.disk.open(path, "create", { durable: true })
    try {
      await file.write([page], 0)
      await this.disk.syncFolder(this.directory.folder)
    } catch (error) {
      await file.close().catch(() => undefined)
      // On a full disk each attempt would leave a file; a file that cannot be removed counts as never begun.
      await this.disk.remove(path).catch(() => undefined)
      throw error
    }
    this.file = file
    this.at = firstPosition(volumeId, page)
  }

  /** Writes one group. Throws `deviceFull` or `deviceFailed`; then the volume may be left. */
  async write(needles: readonly EncodedNeedle[]): Promise<readonly NeedlePlace[]> {
    const file = must(this.file, "a volume is open")
    const at = must(this.at, "an open volume has a position")
    const { buffers, places, after } = packGroup(this.directory.deviceId, at, needles)
    const use = cacheUseOf(needles)
    try {
      await file.write(buffers, at.offsetBytes, use)
    } catch (error) {
      // The header may be in the page cache, marked clean, and not on the disk: a checkpoint would accept it as
      // written. Best effort.
      await file.write([new Uint8Array(VOLUME_PAGE_BYTES)], at.offsetBytes).catch(() => undefined)
      const isCutBack = lacksSpace(error) && (await cutBack(file, at.offsetBytes))
      if (!isCutBack) await this.leave()
      throw error
    }
    assert(this.at === at, "one write at a time")
    this.at = after
    const { offsetBytes } = at
    if (use === "cached") this.onCached?.(at.volumeId, { offsetBytes, lengthBytes: after.offsetBytes - offsetBytes })
    return places
  }

  /** Leaves the open volume; every group in it is durable already. */
  async leave(): Promise<void> {
    const file = this.file
    this.file = undefined
    await file?.close().catch(() => undefined)
  }
}

/** Returns false if the file cannot be cut back to this length. */
async function cutBack(file: DiskFile, lengthBytes: number): Promise<boolean> {
  try {
    await file.truncate(lengthBytes)
    await file.sync()
    return true
  } catch (error) {
    if (!isFailure(error)) throw error
    return false
  }
}
