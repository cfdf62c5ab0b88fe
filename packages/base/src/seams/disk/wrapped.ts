/**
 * A disk around another disk: the base of everything that queues, retries, counts, breaks or replaces disk calls.
 *
 * A wrapper overrides what it changes and inherits the rest:
 * - `around` runs before and after every call that the wrapper does not override, and may skip it or send it to
 *   another disk;
 * - a method that is overridden replaces the call; `this.below` is the wrapped disk or file;
 * - `wrap` makes the file that `open` returns.
 *
 * Promises  Without overrides a call does what the wrapped disk does. A "resident" read stays synchronous and does not
 *           go through `around`.
 */
import { asPromise, type Soon } from "../../soon.js"
import type { CacheUse, Disk, DiskFile, OpenMode, OpenOptions, ReadUse, Space } from "./contract.js"

/** Runs a call on the given disk. */
export type RunDiskCall<T> = (on: Disk) => Promise<T>

export class WrappedDisk implements Disk {
  constructor(protected readonly below: Disk) {}

  protected around<T>(_call: keyof Disk, _path: string, run: RunDiskCall<T>): Promise<T> {
    return run(this.below)
  }

  protected wrap(file: DiskFile, _mode: OpenMode, _options: OpenOptions): DiskFile {
    return file
  }

  open(path: string, mode: OpenMode, options: OpenOptions = {}): Promise<DiskFile> {
    return this.around("open", path, async on => this.wrap(await on.open(path, mode, options), mode, options))
  }

  list(folder: string): Promise<string[]> {
    return this.around("list", folder, on => on.list(folder))
  }

  exists(path: string): Promise<boolean> {
    return this.around("exists", path, on => on.exists(path))
  }

  makeFolder(path: string): Promise<void> {
    return this.around("makeFolder", path, on => on.makeFolder(path))
  }

  remove(path: string): Promise<void> {
    return this.around("remove", path, on => on.remove(path))
  }

  rename(from: string, to: string): Promise<void> {
    return this.around("rename", from, on => on.rename(from, to))
  }

  syncFolder(path: string): Promise<void> {
    return this.around("syncFolder", path, on => on.syncFolder(path))
  }

  space(path: string): Promise<Space> {
    return this.around("space", path, on => on.space(path))
  }

  turn(): Promise<void> {
    return this.below.turn?.() ?? Promise.resolve()
  }
}

export class WrappedFile implements DiskFile {
  constructor(protected readonly below: DiskFile) {}

  get path(): string {
    return this.below.path
  }

  protected around<T>(_call: keyof DiskFile, run: () => Promise<T>): Promise<T> {
    return run()
  }

  read(buffer: Uint8Array, offsetBytes: number, use?: ReadUse): Soon<number> {
    if (use === "resident") return this.below.read(buffer, offsetBytes, use)
    return this.around("read", () => asPromise(() => this.below.read(buffer, offsetBytes, use)))
  }

  write(buffers: readonly Uint8Array[], offsetBytes: number, use?: CacheUse): Promise<void> {
    return this.around("write", () => this.below.write(buffers, offsetBytes, use))
  }

  sync(): Promise<void> {
    return this.around("sync", () => this.below.sync())
  }

  truncate(lengthBytes: number): Promise<void> {
    return this.around("truncate", () => this.below.truncate(lengthBytes))
  }

  sizeBytes(): Promise<number> {
    return this.around("sizeBytes", () => this.below.sizeBytes())
  }

  close(): Promise<void> {
    return this.around("close", () => this.below.close())
  }
}
