/** The simulated disk as programs of others use it: bytes in and out, and errors with the codes of the system. */
import { isFailure } from "../failures.js"
import { LibraryError } from "../library-error.js"
import type { Disk, DiskFile } from "../seams/disk/index.js"
import { checkWhole } from "./numbers.js"

const READ_BYTES_MAX = 2 ** 30

/** Rejects with the code of the system (ENOENT, EEXIST, ENOSPC, EIO …) instead of a failure. */
export async function withCode<T>(call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    if (!isFailure(error)) throw error
    const { code = error.kind, path, address } = error.details
    throw new LibraryError(String(code), `${code}: ${path ?? address ?? error.message}`)
  }
}

class ProgramFile {
  constructor(
    private readonly file: DiskFile,
    readonly path: string,
  ) {}

  /** The bytes at the offset: fewer than asked for only at the end of the file. */
  async read(offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    checkWhole(`offsetBytes of a read of ${this.path}`, offsetBytes)
    checkWhole(`lengthBytes of a read of ${this.path}`, lengthBytes, 0, READ_BYTES_MAX)
    const bytes = new Uint8Array(lengthBytes)
    const count = await withCode(Promise.resolve(this.file.read(bytes, offsetBytes)))
    return bytes.subarray(0, count)
  }

  async write(bytes: Uint8Array, offsetBytes: number): Promise<void> {
    checkWhole(`offsetBytes of a write to ${this.path}`, offsetBytes, 0, Number.MAX_SAFE_INTEGER - bytes.length)
    return withCode(this.file.write([bytes], offsetBytes))
  }

  sync(): Promise<void> {
    return withCode(this.file.sync())
  }

  async truncate(lengthBytes: number): Promise<void> {
    checkWhole(`lengthBytes of a truncation of ${this.path}`, lengthBytes)
    return withCode(this.file.truncate(lengthBytes))
  }

  sizeBytes(): Promise<number> {
    return withCode(this.file.sizeBytes())
  }

  close(): Promise<void> {
    return withCode(this.file.close())
  }
}

export class ProgramDisk {
  constructor(private readonly disk: Disk) {}

  async open(
    path: string,
    mode: "read" | "write" | "create",
    { isDurable = false }: { readonly isDurable?: boolean } = {},
  ): Promise<ProgramFile> {
    return new ProgramFile(await withCode(this.disk.open(path, mode, { durable: isDurable })), path)
  }

  list(folder: string): Promise<string[]> {
    return withCode(this.disk.list(folder))
  }

  exists(path: string): Promise<boolean> {
    return withCode(this.disk.exists(path))
  }

  makeFolder(path: string): Promise<void> {
    return withCode(this.disk.makeFolder(path))
  }

  remove(path: string): Promise<void> {
    return withCode(this.disk.remove(path))
  }

  rename(from: string, to: string): Promise<void> {
    return withCode(this.disk.rename(from, to))
  }

  syncFolder(path: string): Promise<void> {
    return withCode(this.disk.syncFolder(path))
  }
}
