/**
 * Ballast disk: the disk of a device, which frees ballast if a write finds no space, and reports how much files grow.
 * Writes that must not use the reserve are refused before they reach it.
 *
 * Promises  A write, a new file, a new name or a new folder that finds no space is tried again after ballast was given
 *           back; it fails with `deviceFull` only when there is none left, or after SPACE_RETRIES_MAX retries. A write is
 *           repeated whole, so leftovers of the failed one do not count.
 * Refuses   To sync again: after a failed sync the next one proves nothing about lost bytes.
 */
import { retryWithSpace } from "@hayloft/base/space/full-disk.js"
import type { CacheUse, Disk, DiskFile, OpenMode, OpenOptions } from "@hayloft/base/seams/disk/contract.js"
import { WrappedDisk, WrappedFile } from "@hayloft/base/seams/disk/wrapped.js"

/** Assumed size of a name or a folder. */
const NAME_BYTES = 4096

/** Manages the space of the file system. */
export interface SpaceMaker {
  /** Gives back at least one piece of ballast, and about as much as requested; false if there is none. */
  giveBack(bytes: number): Promise<boolean>
  /** Reports that so many bytes were added to the disk. */
  grew(bytes: number): void
}

export function ballastDisk(disk: Disk, maker: SpaceMaker): Disk {
  return new BallastDisk(disk, maker)
}

const withSpace = <T>(maker: SpaceMaker, bytes: number, run: () => Promise<T>): Promise<T> =>
  retryWithSpace(run, () => maker.giveBack(bytes))

class BallastDisk extends WrappedDisk {
  constructor(
    disk: Disk,
    private readonly maker: SpaceMaker,
  ) {
    super(disk)
  }

  override async open(path: string, mode: OpenMode, options?: OpenOptions): Promise<DiskFile> {
    if (mode === "read") return this.below.open(path, mode, options)
    const file = await withSpace(this.maker, NAME_BYTES, () => this.below.open(path, mode, options))
    return new BallastFile(file, this.maker, mode === "create" ? 0 : undefined)
  }

  override makeFolder(path: string): Promise<void> {
    return withSpace(this.maker, NAME_BYTES, () => this.below.makeFolder(path))
  }

  override rename(from: string, to: string): Promise<void> {
    return withSpace(this.maker, NAME_BYTES, () => this.below.rename(from, to))
  }
}

class BallastFile extends WrappedFile {
  /** `endBytes`: the length of the file; undefined for one that existed before, which is assumed not to grow. */
  constructor(
    file: DiskFile,
    private readonly maker: SpaceMaker,
    private endBytes: number | undefined,
  ) {
    super(file)
  }

  override async write(buffers: readonly Uint8Array[], offsetBytes: number, use?: CacheUse): Promise<void> {
    const lengthBytes = buffers.reduce((sum, { length }) => sum + length, 0)
    await withSpace(this.maker, lengthBytes, () => this.below.write(buffers, offsetBytes, use))
    const grownBytes = offsetBytes + lengthBytes - (this.endBytes ?? Infinity)
    if (grownBytes <= 0) return
    this.endBytes = offsetBytes + lengthBytes
    this.maker.grew(grownBytes)
  }

  override async truncate(lengthBytes: number): Promise<void> {
    await this.below.truncate(lengthBytes)
    if (this.endBytes !== undefined) this.endBytes = lengthBytes
  }
}
