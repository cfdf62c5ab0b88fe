/**
 * A file of lines that grows at its end, and is renamed when it is full: to `FILE.1`, and so on.
 *
 * Promises  A batch of lines is never split between files. A line that a crash has cut is ended before the next batch.
 *           The file is opened by its name for each batch: once another program has renamed or removed it, a new one is created.
 * Limits    `bytesMax` for a file that has more than one batch; `filesMax` renamed files, beyond which the oldest is
 *           replaced.
 */
import type { Disk, DiskFile } from "./contract.js"

export interface RotationLimits {
  readonly bytesMax: number
  readonly filesMax: number
}

const LINE_END = 0x0a

export class RotatedFile {
  constructor(
    private readonly disk: Disk,
    private readonly path: string,
    private readonly limits: RotationLimits,
  ) {}

  /** Appends whole lines. With `isSynced` they survive a power cut once it resolves. */
  async append(lines: Uint8Array, { isSynced }: { readonly isSynced: boolean }): Promise<void> {
    const file = await this.open(lines.length)
    try {
      const sizeBytes = await file.sizeBytes()
      const last = new Uint8Array(1)
      if (sizeBytes > 0) await file.read(last, sizeBytes - 1)
      const isCut = sizeBytes > 0 && last[0] !== LINE_END
      await file.write(isCut ? [Buffer.from("\n"), lines] : [lines], sizeBytes)
      if (isSynced) await file.sync()
    } finally {
      await file.close()
    }
  }

  private async open(bytesToWrite: number): Promise<DiskFile> {
    const { disk, path } = this
    if (!(await disk.exists(path))) return this.create()
    const file = await disk.open(path, "write")
    const sizeBytes = await file.sizeBytes()
    if (sizeBytes === 0 || sizeBytes + bytesToWrite <= this.limits.bytesMax) return file
    await file.close()
    await this.rotate()
    return this.create()
  }

  private async create(): Promise<DiskFile> {
    const file = await this.disk.open(this.path, "create")
    await this.disk.syncFolder(this.path.replace(/\/[^/]*$/, "") || "/")
    return file
  }

  /** The oldest is replaced by the one after it. */
  private async rotate(): Promise<void> {
    for (let number = this.limits.filesMax - 1; number >= 0; number -= 1) {
      const from = number === 0 ? this.path : `${this.path}.${number}`
      if (await this.disk.exists(from)) await this.disk.rename(from, `${this.path}.${number + 1}`)
    }
  }
}
