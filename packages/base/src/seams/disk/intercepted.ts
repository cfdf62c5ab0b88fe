/**
 * A disk with an interceptor in front of it: faults for files of any kind, real ones too.
 *
 * The interceptor's decision is applied to the disk below: a torn write leaves its first bytes there, a
 * hung one has not begun. Only the simulated disk supports faults of the medium (pages marked clean after a failed
 * sync, sectors dropped by a power cut).
 */
import { assert } from "../../assert.js"
import { concatBytes } from "../../bytes.js"
import { fail } from "../../failures.js"
import { after, type Soon } from "../../soon.js"
import { syncVerdict, type Bend, type DiskCall, type Intercept } from "./calls.js"
import { failureOfCode, falseIfAbsent } from "./codes.js"
import type { Disk, DiskFile, OpenMode, OpenOptions, CacheUse, ReadUse, Space } from "./contract.js"
import { WrappedDisk, WrappedFile, type RunDiskCall } from "./wrapped.js"

export function interceptedDisk(disk: Disk, intercept: Intercept): Disk {
  return new InterceptedDisk(disk, intercept)
}

class InterceptedDisk extends WrappedDisk {
  #lastFile = 0

  constructor(
    disk: Disk,
    readonly intercept: Intercept,
  ) {
    super(disk)
  }

  async call<T>(call: DiskCall, run: (bend: Bend) => Soon<T>): Promise<T> {
    const bend = (await this.intercept(call)) ?? {}
    const result = await run(bend)
    await bend.answered
    return result
  }

  protected override around<T>(call: keyof Disk, path: string, run: RunDiskCall<T>): Promise<T> {
    assert(call !== "remove" && call !== "rename", "calls that change a name report the change")
    assert(call !== "turn", "a turn of the threads touches no device")
    return this.call({ kind: call, path }, () => run(this.below))
  }

  override open(path: string, mode: OpenMode, options: OpenOptions = {}): Promise<DiskFile> {
    this.#lastFile += 1
    const file = this.#lastFile
    const call: DiskCall =
      mode === "create" ? { kind: "name", path, change: { kind: "create", path, file } } : { kind: "open", path }
    return this.call(
      call,
      async () => new InterceptedFile(this, await this.below.open(path, mode, options), file, options.durable === true),
    )
  }

  override exists(path: string): Promise<boolean> {
    return super.exists(path).catch(falseIfAbsent)
  }

  override remove(path: string): Promise<void> {
    return this.call({ kind: "name", path, change: { kind: "remove", path } }, () => this.below.remove(path))
  }

  override rename(from: string, to: string): Promise<void> {
    const change = { kind: "rename", from, to, file: 0 } as const
    return this.call({ kind: "name", path: from, change }, () => this.below.rename(from, to))
  }

  override space(path: string): Promise<Space> {
    return this.call({ kind: "space", path }, async bend => ({ ...(await this.below.space(path)), ...bend.space }))
  }
}

class InterceptedFile extends WrappedFile {
  #open = true
  #running = 0
  #closeWhenIdle: (() => void) | undefined

  constructor(
    private readonly on: InterceptedDisk,
    below: DiskFile,
    private readonly file: number,
    private readonly durable: boolean,
  ) {
    super(below)
  }

  override read(buffer: Uint8Array, offsetBytes: number, use?: ReadUse): Soon<number> {
    const kind = use === "resident" ? "readSync" : "read"
    const call = { kind, path: this.path, offsetBytes, lengthBytes: buffer.length } as const
    const run = (bend: Bend): Soon<number> =>
      after(this.below.read(buffer, bend.offsetBytes ?? offsetBytes, use), count => {
        bend.rot?.(buffer.subarray(0, count), offsetBytes)
        return count
      })
    if (use !== "resident") return this.#use(call, run)
    this.#check()
    return run(syncVerdict(this.on.intercept, call) ?? {})
  }

  override write(buffers: readonly Uint8Array[], offsetBytes: number, use?: CacheUse): Promise<void> {
    const { path, file, durable } = this
    const bytes = concatBytes(buffers)
    const call = { kind: "write", path, file, durable, change: { kind: "write", offsetBytes, bytes } } as const
    return this.#use(call, async bend => {
      const torn = bend.torn ?? (bend.isFull ? await this.#full(bytes.length, offsetBytes) : undefined)
      if (torn === undefined) return this.below.write(buffers, offsetBytes, use)
      if (torn.keptBytes > 0) await this.below.write([bytes.subarray(0, torn.keptBytes)], offsetBytes)
      throw torn.failure
    })
  }

  /** How a full disk cuts this write; undefined if it does not grow the file. */
  async #full(lengthBytes: number, offsetBytes: number): Promise<Bend["torn"] | undefined> {
    const fits = Math.max(0, (await this.below.sizeBytes()) - offsetBytes)
    if (fits >= lengthBytes) return undefined
    return { keptBytes: fits, failure: fail("deviceFull", { path: this.path, code: "ENOSPC" }) }
  }

  override sync(): Promise<void> {
    return this.#use({ kind: "sync", path: this.path, file: this.file }, () => this.below.sync())
  }

  override truncate(lengthBytes: number): Promise<void> {
    const { path, file, durable } = this
    const call = { kind: "truncate", path, file, durable, change: { kind: "truncate", lengthBytes } } as const
    return this.#use(call, () => this.below.truncate(lengthBytes))
  }

  override sizeBytes(): Promise<number> {
    return this.#use({ kind: "size", path: this.path }, () => this.below.sizeBytes())
  }

  override async close(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    if (this.#running > 0) await new Promise<void>(resolve => (this.#closeWhenIdle = resolve))
    await this.below.close()
  }

  /** A call that waits here is pending, like a call on the disk itself: `close` waits for it. */
  async #use<T>(call: DiskCall, run: (bend: Bend) => Soon<T>): Promise<T> {
    this.#check()
    this.#running += 1
    try {
      return await this.on.call(call, run)
    } finally {
      this.#running -= 1
      if (this.#running === 0) this.#closeWhenIdle?.()
    }
  }

  #check(): void {
    if (!this.#open) throw failureOfCode("EBADF", this.path)
  }
}
