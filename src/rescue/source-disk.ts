/**
 * The disk as a rescue sees its sources: nothing can be written, and pages that cannot be read are zeros,
 * so that a bad sector costs what lies in it and no more. Checksums tell the zeros from data.
 */
import { assert } from "../base/assert.js"
import { isFailure } from "../base/failures.js"
import { KIB } from "../base/limits.js"
import type { Disk, DiskFile, OpenMode, Space } from "../seams/disk/contract.js"

const PAGE_BYTES = 4 * KIB

export class SourceDisk implements Disk {
  constructor(private readonly disk: Disk) {}

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    if (mode !== "read") return refuse()
    return new SourceFile(await this.disk.open(path, mode))
  }

  list(folder: string): Promise<string[]> {
    return this.disk.list(folder)
  }

  exists(path: string): Promise<boolean> {
    return this.disk.exists(path)
  }

  space(path: string): Promise<Space> {
    return this.disk.space(path)
  }

  readonly makeFolder = refuse
  readonly remove = refuse
  readonly rename = refuse
  readonly syncFolder = refuse
}

function refuse(): never {
  assert(false, "a rescue never writes to what it rescues from")
}

class SourceFile implements DiskFile {
  readonly path: string

  constructor(private readonly file: DiskFile) {
    this.path = file.path
  }

  async read(buffer: Uint8Array, offsetBytes: number): Promise<number> {
    try {
      return await this.file.read(buffer, offsetBytes)
    } catch (error) {
      if (!isFailure(error, "deviceFailed")) throw error
      return this.readPages(buffer, offsetBytes)
    }
  }

  private async readPages(buffer: Uint8Array, offsetBytes: number): Promise<number> {
    const end = Math.min(buffer.length, Math.max(0, (await this.file.sizeBytes()) - offsetBytes))
    for (let at = 0; at < end;) {
      const length = Math.min(PAGE_BYTES - ((offsetBytes + at) % PAGE_BYTES), end - at)
      const page = buffer.subarray(at, at + length)
      try {
        await this.file.read(page, offsetBytes + at)
      } catch (error) {
        if (!isFailure(error, "deviceFailed")) throw error
        page.fill(0)
      }
      at += length
    }
    return end
  }

  sizeBytes(): Promise<number> {
    return this.file.sizeBytes()
  }

  close(): Promise<void> {
    return this.file.close()
  }

  readonly write = refuse
  readonly sync = refuse
  readonly truncate = refuse
}
