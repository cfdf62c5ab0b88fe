/**
 * Volume files: their names, and the handles that readers share.
 *
 * A handle is closed when it is the least recently used of too many, or its volume was given up, and no read uses it.
 * The readers of a volume are counted, so that it is not removed under them.
 */
import { assert } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { VolumeId } from "@hayloft/base/ids.js"
import { parseVolumeId } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Disk, DiskFile } from "@hayloft/base/seams/disk/contract.js"

const NAME = /^(\d{10})\.volume$/

export const volumePath = (folder: string, volumeId: number): string =>
  `${folder}/${String(volumeId).padStart(10, "0")}.volume`

/** The volumes in a folder, ascending. Other names are ignored. */
export async function listVolumes(disk: Disk, folder: string): Promise<VolumeId[]> {
  const names = await disk.list(folder)
  return names.flatMap(name => NAME.exec(name)?.[1] ?? []).map(digits => parseVolumeId(Number(digits)))
}

/** Returns true if the error means that a file is missing. */
export const isAbsent = (error: unknown): boolean =>
  isFailure(error, "deviceFailed") && error.details["code"] === "ENOENT"

/** Returns true if the error is a place that the disk cannot read, while the disk as such answers. */
export const isUnreadable = (error: unknown): boolean =>
  isFailure(error, "deviceFailed") && error.details["code"] === "EIO"

/** The part of a file that readers use. */
export type ReadableFile = Pick<DiskFile, "read" | "sizeBytes">

interface Shared {
  readonly file: Promise<DiskFile>
  /** Set once it is open. */
  opened: DiskFile | undefined
  users: number
}

export class VolumeFiles {
  /** In the order of last use. */
  private readonly open = new Map<number, Shared>()
  /** How many reads of each volume are running, through any handle. */
  private readonly readers = new Map<number, number>()
  private readonly givenUp = new Set<number>()
  private uses = 0
  private onIdle: (() => void) | undefined

  constructor(
    private readonly disk: Disk,
    private readonly folder: string,
    private readonly openMax: number,
  ) {}

  /** Calls `read` with the volume's file, which stays open until its promise settles. */
  async use<T>(volume: number, read: (file: DiskFile) => Soon<T>): Promise<T> {
    const shared = this.open.get(volume) ?? this.begin(volume)
    this.open.delete(volume)
    this.open.set(volume, shared)
    shared.users += 1
    this.uses += 1
    this.countReaders(volume, 1)
    try {
      shared.opened = await shared.file
      return await read(shared.opened)
    } catch (error) {
      // After a failure the next reader opens the file again.
      if (this.open.get(volume) === shared) this.open.delete(volume)
      throw error
    } finally {
      shared.users -= 1
      this.countReaders(volume, -1)
      if (!this.isRead(volume) && this.givenUp.delete(volume)) this.open.delete(volume)
      if (shared.users === 0 && this.open.get(volume) !== shared) await closed(shared)
      await this.closeIdle(this.openMax)
      this.uses -= 1
      if (this.uses === 0) this.onIdle?.()
    }
  }

  /** The volume's file if it is open; for synchronous use only. */
  opened(volume: number): DiskFile | undefined {
    return this.open.get(volume)?.opened
  }

  private begin(volume: number): Shared {
    return { file: this.disk.open(volumePath(this.folder, volume), "read"), opened: undefined, users: 0 }
  }

  /** A volume's file that opens for each call, so that it needs no close. */
  readable(volume: number): ReadableFile {
    return {
      read: (buffer, offsetBytes, use) => this.use(volume, file => file.read(buffer, offsetBytes, use)),
      sizeBytes: () => this.use(volume, file => file.sizeBytes()),
    }
  }

  isRead(volume: number): boolean {
    return this.readers.has(volume)
  }

  /** Handles of this volume are closed as soon as no read uses them. */
  async giveUp(volume: number): Promise<void> {
    const shared = this.open.get(volume)
    if (this.isRead(volume)) this.givenUp.add(volume)
    else if (shared !== undefined) {
      this.open.delete(volume)
      await closed(shared)
    }
  }

  /** Waits for running reads: pieces fetched ahead for a client that has left are still on their way. */
  async close(): Promise<void> {
    if (this.uses > 0) await new Promise<void>(resolve => (this.onIdle = resolve))
    await this.closeIdle(0)
    assert(this.open.size === 0, "no read runs when volumes are closed")
  }

  private countReaders(volume: number, change: number): void {
    const count = (this.readers.get(volume) ?? 0) + change
    if (count === 0) this.readers.delete(volume)
    else this.readers.set(volume, count)
  }

  private async closeIdle(openMax: number): Promise<void> {
    for (const [volume, shared] of this.open) {
      if (this.open.size <= openMax) return
      if (shared.users > 0) continue
      this.open.delete(volume)
      await closed(shared)
    }
  }
}

/** Closing a file that was only read cannot lose anything; one that could not be opened is closed already. */
const closed = (shared: Shared): Promise<void> => shared.file.then(file => file.close()).catch(() => undefined)
