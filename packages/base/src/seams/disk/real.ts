/**
 * The real disk: files through Node's callback calls, which run in libuv's thread pool.
 *
 * The promise calls of `node:fs` cost 1.4 to 4 times as much for small reads, so they are not used.
 * A short write is continued until everything is written; nothing else is retried.
 */
import { randomFill } from "node:crypto"
import * as fs from "node:fs"
import { dirname } from "node:path"
import { fail } from "../../failures.js"
import type { Failure } from "../../failures.js"
import type { Soon } from "../../soon.js"
import { failureOfCode, falseIfAbsent } from "./codes.js"
import type { CacheUse, Disk, DiskFile, OpenMode, OpenOptions, ReadUse, Space } from "./contract.js"
import { DirectCalls, DirectMemory } from "./real-direct.js"

const { O_CREAT, O_DIRECTORY, O_DSYNC, O_EXCL, O_RDONLY, O_RDWR, O_SYNC } = fs.constants
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

/** Turns one callback call into a promise. */
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

/** The remainder of the buffers after `count` bytes. */
function dropFirst(buffers: readonly Uint8Array[], count: number): Uint8Array[] {
  const left: Uint8Array[] = []
  let skip = count
  for (const buffer of buffers) {
    if (buffer.length > skip) left.push(skip === 0 ? buffer : buffer.subarray(skip))
    skip = Math.max(0, skip - buffer.length)
  }
  return left
}

class RealFile implements DiskFile {
  #open = true
  #running = 0
  #closeWhenIdle: (() => void) | undefined
  /** Created at the first direct call. */
  #direct: Promise<DirectCalls | undefined> | undefined

  constructor(
    readonly path: string,
    private readonly descriptor: number,
    private readonly isWritable: boolean,
    private readonly isDurable: boolean,
    private readonly directMemory: DirectMemory,
  ) {}

  read(buffer: Uint8Array, offsetBytes: number, use?: ReadUse): Soon<number> {
    if (use === "resident") return this.#readSync(buffer, offsetBytes)
    return this.#use(async fd => {
      let at = use === "direct" ? await this.#bytesDirect(fd, calls => calls.read(buffer, offsetBytes)) : 0
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

  /** Transfers a prefix with direct calls; returns its length. */
  async #bytesDirect(fd: number, run: (calls: DirectCalls) => Promise<number>): Promise<number> {
    this.#direct ??= DirectCalls.open(fd, this.isWritable, this.directMemory)
    const calls = await this.#direct
    try {
      return calls === undefined ? 0 : await run(calls)
    } catch (error) {
      throw failureOf(error, this.path)
    }
  }

  #readSync(buffer: Uint8Array, offsetBytes: number): number {
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

  write(buffers: readonly Uint8Array[], offsetBytes: number, use?: CacheUse): Promise<void> {
    return this.#use(async fd => {
      const written = use === "direct" ? await this.#writeDirect(fd, buffers, offsetBytes) : 0
      let left = dropFirst(buffers, written)
      let at = offsetBytes + written
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

  #writeDirect(fd: number, buffers: readonly Uint8Array[], offsetBytes: number): Promise<number> {
    return this.#bytesDirect(fd, async calls => {
      const written = await calls.write(buffers, offsetBytes)
      if (written > 0 && this.isDurable) await calls.sync()
      return written
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
    // If a descriptor is closed during a call, its number may belong to another file before the call uses it.
    if (this.#running > 0) await new Promise<void>(resolve => (this.#closeWhenIdle = resolve))
    await (await this.#direct)?.close().catch(() => undefined)
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

  /** A closed descriptor's number may already belong to another file. */
  #fd(): number {
    if (!this.#open) throw fail("deviceFailed", { path: this.path, code: "EBADF" })
    return this.descriptor
  }
}

export class RealDisk implements Disk {
  readonly #directMemory = new DirectMemory()

  async open(path: string, mode: OpenMode, options: OpenOptions = {}): Promise<DiskFile> {
    const flags = OPEN_FLAGS[mode] | (options.durable ? DURABLE_FLAG : 0)
    const descriptor = await call<number>(path, done => fs.open(path, flags, 0o600, done))
    return new RealFile(path, descriptor, mode !== "read", options.durable === true, this.#directMemory)
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
    try {
      await act(path, done => fs.mkdir(path, 0o700, done))
    } catch (error) {
      // Another caller was faster.
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

  /** Random numbers are drawn by the same threads, in turn with calls. */
  turn(): Promise<void> {
    return new Promise(resolve => randomFill(new Uint8Array(1), () => resolve()))
  }
}
