/**
 * Roomy disk: the disk of a device that gives back ballast where a write finds no room, and tells how
 * much files grow. What must not use the reserve is refused before it comes here.
 *
 * Promises  A write, a new file, a new name or a new folder that finds no room is tried again after
 *           ballast was given back; it fails with `deviceFull` only when there is none left, or after
 *           GIVE_BACKS_MAX times. A write is made again whole, so what the failed one left does not count.
 * Refuses   To sync again: after a failed sync the next one says nothing about what was lost.
 */
import { isFailure } from "../base/failures.js"
import type { Soon } from "../base/soon.js"
import type { CacheUse, Disk, DiskFile, OpenMode, OpenOptions, ReadUse, Space } from "../seams/disk/contract.js"
import { GIVE_BACKS_MAX } from "./ballast.js"

/** A name or a folder takes this much, for all we know. */
const NAME_BYTES = 4096

/** Who knows about the room. */
export interface RoomMaker {
  /** Gives back at least one piece of ballast, and about as much as asked for; false where there is none. */
  giveBack(bytes: number): Promise<boolean>
  /** So many bytes are on the disk that were not there before. */
  grew(bytes: number): void
}

export function roomyDisk(disk: Disk, maker: RoomMaker): Disk {
  return new RoomyDisk(disk, maker)
}

async function withRoom<T>(maker: RoomMaker, bytes: number, run: () => Promise<T>): Promise<T> {
  for (let left = GIVE_BACKS_MAX; ; left -= 1) {
    try {
      return await run()
    } catch (error) {
      if (left === 0 || !isFailure(error, "deviceFull") || !(await maker.giveBack(bytes))) throw error
    }
  }
}

class RoomyDisk implements Disk {
  constructor(
    private readonly disk: Disk,
    private readonly maker: RoomMaker,
  ) {}

  async open(path: string, mode: OpenMode, options?: OpenOptions): Promise<DiskFile> {
    if (mode === "read") return this.disk.open(path, mode, options)
    const file = await withRoom(this.maker, NAME_BYTES, () => this.disk.open(path, mode, options))
    return new RoomyFile(file, this.maker, mode === "create" ? 0 : undefined)
  }

  list(folder: string): Promise<string[]> {
    return this.disk.list(folder)
  }

  exists(path: string): Promise<boolean> {
    return this.disk.exists(path)
  }

  makeFolder(path: string): Promise<void> {
    return withRoom(this.maker, NAME_BYTES, () => this.disk.makeFolder(path))
  }

  remove(path: string): Promise<void> {
    return this.disk.remove(path)
  }

  rename(from: string, to: string): Promise<void> {
    return withRoom(this.maker, NAME_BYTES, () => this.disk.rename(from, to))
  }

  syncFolder(path: string): Promise<void> {
    return this.disk.syncFolder(path)
  }

  space(path: string): Promise<Space> {
    return this.disk.space(path)
  }
}

class RoomyFile implements DiskFile {
  /** `endBytes`: how long the file is; undefined for one that was there before, and is taken not to grow. */
  constructor(
    private readonly file: DiskFile,
    private readonly maker: RoomMaker,
    private endBytes: number | undefined,
  ) {}

  get path(): string {
    return this.file.path
  }

  read(buffer: Uint8Array, offsetBytes: number, use?: ReadUse): Soon<number> {
    return this.file.read(buffer, offsetBytes, use)
  }

  async write(buffers: readonly Uint8Array[], offsetBytes: number, use?: CacheUse): Promise<void> {
    const lengthBytes = buffers.reduce((sum, { length }) => sum + length, 0)
    await withRoom(this.maker, lengthBytes, () => this.file.write(buffers, offsetBytes, use))
    const grownBytes = offsetBytes + lengthBytes - (this.endBytes ?? Infinity)
    if (grownBytes <= 0) return
    this.endBytes = offsetBytes + lengthBytes
    this.maker.grew(grownBytes)
  }

  sync(): Promise<void> {
    return this.file.sync()
  }

  async truncate(lengthBytes: number): Promise<void> {
    await this.file.truncate(lengthBytes)
    if (this.endBytes !== undefined) this.endBytes = lengthBytes
  }

  sizeBytes(): Promise<number> {
    return this.file.sizeBytes()
  }

  close(): Promise<void> {
    return this.file.close()
  }
}
