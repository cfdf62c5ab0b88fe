/**
 * Source disk: a rescue's read-only view of its sources. Unreadable pages appear as zeros, so that a bad sector costs
 * only the data in it; checksums distinguish the zeros from data.
 */
import { assert } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import type { Disk, DiskFile, OpenMode } from "@hayloft/base/seams/disk/contract.js"
import { WrappedDisk, WrappedFile, type RunDiskCall } from "@hayloft/base/seams/disk/wrapped.js"

const PAGE_BYTES = 4 * KIB

/** Calls that change nothing. */
const READING: ReadonlySet<keyof Disk | keyof DiskFile> = new Set([
  "open",
  "list",
  "exists",
  "space",
  "sizeBytes",
  "close",
] as const)

function checkReading(call: keyof Disk | keyof DiskFile): void {
  assert(READING.has(call), "a rescue never writes to its source")
}

export class SourceDisk extends WrappedDisk {
  protected override async around<T>(call: keyof Disk, _path: string, run: RunDiskCall<T>): Promise<T> {
    checkReading(call)
    return run(this.below)
  }

  protected override wrap(file: DiskFile): DiskFile {
    return new SourceFile(file)
  }

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    assert(mode === "read", "a rescue never writes to its source")
    return super.open(path, mode)
  }
}

class SourceFile extends WrappedFile {
  protected override async around<T>(call: keyof DiskFile, run: () => Promise<T>): Promise<T> {
    checkReading(call)
    return run()
  }

  override async read(buffer: Uint8Array, offsetBytes: number): Promise<number> {
    try {
      return await this.below.read(buffer, offsetBytes)
    } catch (error) {
      if (!isFailure(error, "deviceFailed")) throw error
      return this.readPages(buffer, offsetBytes)
    }
  }

  private async readPages(buffer: Uint8Array, offsetBytes: number): Promise<number> {
    const end = Math.min(buffer.length, Math.max(0, (await this.below.sizeBytes()) - offsetBytes))
    for (let at = 0; at < end;) {
      const length = Math.min(PAGE_BYTES - ((offsetBytes + at) % PAGE_BYTES), end - at)
      const page = buffer.subarray(at, at + length)
      try {
        await this.below.read(page, offsetBytes + at)
      } catch (error) {
        if (!isFailure(error, "deviceFailed")) throw error
        page.fill(0)
      }
      at += length
    }
    return end
  }
}
