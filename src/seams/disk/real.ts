/**
 * The real disk: files through Node's callback calls, which run in libuv's thread pool.
 *
 * The promise calls of `node:fs` cost 1.4 to 4 times as much for small reads, so they are not used.
 * A short write is continued until everything is written; nothing else is ever tried again.
 */
import * as fs from "node:fs"
import { dirname } from "node:path"
import { fail, isFailure } from "../../base/failures.js"
import type { Failure } from "../../base/failures.js"
import { failureOfCode, falseIfAbsent } from "./codes.js"
import { DISK_PAGE_BYTES, type Disk, type DiskFile, type OpenMode, type ReadSource, type Space } from "./contract.js"

const { O_CREAT, O_DIRECT, O_DIRECTORY, O_DSYNC, O_EXCL, O_RDONLY, O_RDWR, O_SYNC } = fs.constants
const OPEN_FLAGS: Record<OpenMode, number> = {
  read: O_RDONLY,
  write: O_RDWR,
  create: O_RDWR | O_CREAT | O_EXCL,
}
/** macOS has no O_DSYNC in every version of Node; O_SYNC promises more. */
const DURABLE_FLAG = O_DSYNC || O_SYNC

/** `f_type` of statfs(2), by the names that operators know. */
const FILE_SYSTEM_KINDS: Readonly<Record<number, string>> = {
  0xef53: "ext4",
  0x58465342: "xfs",
  0x9123683e: "btrfs",
  0x01021994: "tmpfs",
  0x794c7630: "overlay",
  0x2fc12fc1: "zfs",
  0xf2f52010: "f2fs",
  0x6969: "nfs",
  0xff534d42: "cifs",
  0x65735546: "fuse",
  0x01021997: "9p",
}

const isCoded = (error: unknown): error is NodeJS.ErrnoException => error instanceof Error && "code" in error

const failureOf = (error: unknown, path: string): Failure =>
  failureOfCode(isCoded(error) ? String(error.code) : "unknown", path, error)

/** Makes a promise of one callback call. */
function call<T>(path: string, start: (done: (error: Error | null, result: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, result) => {
      if (error) reject(failureOf(error, path))
      else resolve(result)
    })
  })
}

/** The same for calls without a result. */
function act(path: string, start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start(error => {
      if (error) reject(failureOf(error, path))
      else resolve()
    })
  })
}

/** What is left of the buffers after `count` bytes. */
function dropFirst(buffers: readonly Uint8Array[], count: number): Uint8Array[] {
  const left: Uint8Array[] = []
  let skip = count
  for (const buffer of buffers) {
    if (buffer.length > skip) left.push(skip === 0 ? buffer : buffer.subarray(skip))
    skip = Math.max(0, skip - buffer.length)
  }
  return left
}

/** The file of a descriptor once more, for reads past the page cache; by its number: its name may be gone. */
function openDirect(descriptor: number): Promise<number | undefined> {
  // Only Linux has it.
  if (!O_DIRECT) return Promise.resolve(undefined)
  return new Promise(resolve => {
    fs.open(`/proc/self/fd/${descriptor}`, O_RDONLY | O_DIRECT, (error, fd) => resolve(error ? undefined : fd))
  })
}

class RealFile implements DiskFile {
  #open = true
  #running = 0
  #closeWhenIdle: (() => void) | undefined
  /** Another descriptor of the same file that reads past the page cache; undefined where there can be none. */
  #direct: Promise<number | undefined> | undefined

  constructor(
    readonly path: string,
    private readonly descriptor: number,
  ) {}

  read(buffer: Uint8Array, offsetBytes: number, source?: ReadSource): Promise<number> {
    return this.#use(async fd => {
      let at = source === "device" ? await this.#readDirect(fd, buffer, offsetBytes) : 0
      while (at < buffer.length) {
        const from = at
        const count = await call<number>(this.path, done =>
          fs.read(fd, buffer, from, buffer.length - from, offsetBytes + from, done),
        )
        if (count === 0) break
        at += count
      }
      return at
    })
  }

  /** As many of the bytes as can be had from the device itself. */
  async #readDirect(fd: number, buffer: Uint8Array, offsetBytes: number): Promise<number> {
    if (offsetBytes % DISK_PAGE_BYTES !== 0 || buffer.length % DISK_PAGE_BYTES !== 0) return 0
    this.#direct ??= openDirect(fd)
    const direct = await this.#direct
    if (direct === undefined) return 0
    try {
      return await call<number>(this.path, done => fs.read(direct, buffer, 0, buffer.length, offsetBytes, done))
    } catch (error) {
      // What the file system asks of memory and places differs: then it is read as usual.
      if (isFailure(error, "deviceFailed") && error.details["code"] === "EINVAL") return 0
      throw error
    }
  }

  readNow(buffer: Uint8Array, offsetBytes: number): number {
    const fd = this.#fd()
    try {
      let at = 0
      while (at < buffer.length) {
        const count = fs.readSync(fd, buffer, at, buffer.length - at, offsetBytes + at)
        if (count === 0) break
        at += count
      }
      return at
    } catch (error) {
      throw failureOf(error, this.path)
    }
  }

  write(buffers: readonly Uint8Array[], offsetBytes: number): Promise<void> {
    return this.#use(async fd => {
      let left = dropFirst(buffers, 0)
      let at = offsetBytes
      while (left.length > 0) {
        const [now, position] = [left, at]
        const count = await call<number>(this.path, done => fs.writev(fd, now, position, done))
        if (count === 0)
          throw fail("deviceFailed", { path: this.path, code: "EIO", message: "a write made no progress" })
        left = dropFirst(left, count)
        at += count
      }
    })
  }

  sync(): Promise<void> {
    return this.#use(fd => act(this.path, done => fs.fdatasync(fd, done)))
  }

  truncate(lengthBytes: number): Promise<void> {
    return this.#use(fd => act(this.path, done => fs.ftruncate(fd, lengthBytes, done)))
  }

  sizeBytes(): Promise<number> {
    return this.#use(async fd => (await call<fs.Stats>(this.path, done => fs.fstat(fd, done))).size)
  }

  async close(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    // A descriptor closed under a running call could be another file's before the call uses it.
    if (this.#running > 0) await new Promise<void>(resolve => (this.#closeWhenIdle = resolve))
    const direct = await this.#direct
    if (direct !== undefined) await act(this.path, done => fs.close(direct, done))
    await act(this.path, done => fs.close(this.descriptor, done))
  }

  async #use<T>(run: (fd: number) => Promise<T>): Promise<T> {
    const fd = this.#fd()
    this.#running += 1
    try {
      return await run(fd)
    } finally {
      this.#running -= 1
      if (this.#running === 0) this.#closeWhenIdle?.()
    }
  }

  /** A closed descriptor's number may already be another file's. */
  #fd(): number {
    if (!this.#open) throw fail("deviceFailed", { path: this.path, code: "EBADF" })
    return this.descriptor
  }
}

export class RealDisk implements Disk {
  async open(path: string, mode: OpenMode, options: { readonly durable?: boolean } = {}): Promise<DiskFile> {
    const flags = OPEN_FLAGS[mode] | (options.durable ? DURABLE_FLAG : 0)
    return new RealFile(path, await call<number>(path, done => fs.open(path, flags, 0o600, done)))
  }

  async list(folder: string): Promise<string[]> {
    return (await call<string[]>(folder, done => fs.readdir(folder, done))).sort()
  }

  async exists(path: string): Promise<boolean> {
    try {
      await act(path, done => fs.access(path, done))
      return true
    } catch (error) {
      return falseIfAbsent(error)
    }
  }

  async makeFolder(path: string): Promise<void> {
    if (await this.exists(path)) return
    const parent = dirname(path)
    await this.makeFolder(parent)
    try {
      await act(path, done => fs.mkdir(path, 0o700, done))
    } catch (error) {
      // Someone else was quicker.
      if (!(await this.exists(path))) throw error
    }
    await this.syncFolder(parent)
  }

  async remove(path: string): Promise<void> {
    await act(path, done => fs.unlink(path, done))
  }

  async rename(from: string, to: string): Promise<void> {
    await act(from, done => fs.rename(from, to, done))
  }

  async syncFolder(path: string): Promise<void> {
    const fd = await call<number>(path, done => fs.open(path, O_RDONLY | (O_DIRECTORY ?? 0), done))
    try {
      await act(path, done => fs.fsync(fd, done))
    } finally {
      await act(path, done => fs.close(fd, done))
    }
  }

  async space(path: string): Promise<Space> {
    const system = await call<fs.StatsFs>(path, done => fs.statfs(path, done))
    const folder = await call<fs.Stats>(path, done => fs.stat(path, done))
    return {
      totalBytes: system.blocks * system.bsize,
      freeBytes: system.bavail * system.bsize,
      fileSystemId: String(folder.dev),
      fileSystemKind: FILE_SYSTEM_KINDS[system.type] ?? "unknown",
    }
  }
}
