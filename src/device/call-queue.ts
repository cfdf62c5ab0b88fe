/**
 * A device's call queue: a disk that lets at most two calls of one device into the thread pool, so
 * that a device that hangs cannot take the pool from the others.
 *
 * Promises  Calls begin in the order they came. A call that takes longer than `deviceTimeoutMs` makes
 *           the device suspect, once and for good: it and all that wait or come later fail with
 *           `deviceFailed`; what the pool still does for it is ignored when it ends. With the limits
 *           given here that is noticed at most 4.5 s after the call began.
 * Limits    `callsMax` (CALLS_MAX) at once, `queuedMax` (QUEUED_MAX) waiting; beyond, `tooManyInFlight`.
 */
import { fail, isFailure } from "../base/failures.js"
import type { Failure } from "../base/failures.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Disk, DiskFile, OpenMode, CacheUse, Space } from "../seams/disk/contract.js"

export const CALL_LIMITS = {
  callsMax: 2,
  queuedMax: 16_384,
  deviceTimeoutMs: 4_000,
} as const

/**
 * Of a store's only device: there is no other to answer in its place, so that giving it up soon gains nothing,
 * and would halt a store whose disk is only busy.
 */
export const ALONE_DEVICE_TIMEOUT_MS = 30_000

/** `deviceTimeoutMs` may change: it is read at each look at the calls that run. */
export interface CallLimits {
  readonly callsMax: number
  readonly queuedMax: number
  readonly deviceTimeoutMs: number
}

/** How often running calls are looked at, as a part of the timeout. */
const LOOKS_PER_TIMEOUT = 8

export interface QueuedDisk extends Disk {
  /** Set once a call took too long. */
  readonly suspect: Failure | undefined
  readonly queued: number
  /** The device was taken out: from now on every call fails with `deviceFailed`, those under way too, whatever the reason was. */
  retire(reason: Failure): void
}

/** The disk of one device behind its queue. The signal ends the watch over running calls, nothing else. */
export function queuedDisk(
  disk: Disk,
  clock: Clock,
  limits: CallLimits,
  signal: AbortSignal,
  onSuspect: (failure: Failure) => void,
): QueuedDisk {
  return new CallQueue(disk, clock, limits, signal, onSuspect)
}

interface Waiting {
  readonly begin: () => void
  readonly refuse: (failure: Failure) => void
}

interface Running {
  readonly path: string
  readonly beganMs: number
  readonly refuse: (failure: Failure) => void
}

class CallQueue implements QueuedDisk {
  #suspect: Failure | undefined
  /** The oldest first; what is before `#next` has begun. */
  #waiting: Waiting[] = []
  #next = 0
  readonly #running = new Set<Running>()
  #watching = false

  constructor(
    private readonly disk: Disk,
    private readonly clock: Clock,
    private readonly limits: CallLimits,
    private readonly signal: AbortSignal,
    private readonly onSuspect: (failure: Failure) => void,
  ) {}

  get suspect(): Failure | undefined {
    return this.#suspect
  }

  get queued(): number {
    return this.#waiting.length - this.#next
  }

  /** Runs the call when its turn comes. */
  call<T>(path: string, run: () => Promise<T>): Promise<T> {
    if (this.#suspect !== undefined) return Promise.reject(this.#suspect)
    if (this.queued >= this.limits.queuedMax) {
      return Promise.reject(fail("tooManyInFlight", { message: "too many calls wait for a device", path }))
    }
    return new Promise((resolve, reject) => {
      const begin = (): void => this.#begin(path, run, resolve, reject)
      if (this.#running.size < this.limits.callsMax) begin()
      else this.#waiting.push({ begin, refuse: reject })
    })
  }

  /** Fails a call on this thread, too. */
  checkNow(): void {
    if (this.#suspect !== undefined) throw this.#suspect
  }

  #begin<T>(path: string, run: () => Promise<T>, resolve: (value: T) => void, reject: (error: unknown) => void): void {
    const running = { path, beganMs: this.clock.monotonicMs(), refuse: reject }
    this.#running.add(running)
    const end = (): void => {
      this.#running.delete(running)
      this.#beginNext()
    }
    run().then(
      value => {
        resolve(value)
        end()
      },
      (error: unknown) => {
        reject(error)
        end()
      },
    )
    if (!this.#watching) void this.#watch()
  }

  #beginNext(): void {
    if (this.#suspect !== undefined || this.#running.size >= this.limits.callsMax) return
    const waiting = this.#waiting[this.#next]
    if (waiting === undefined) return
    this.#next += 1
    if (this.#next === this.#waiting.length || this.#next > this.limits.queuedMax) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
    waiting.begin()
  }

  /** Looks at what is running from time to time; ends when nothing is. */
  async #watch(): Promise<void> {
    this.#watching = true
    const lookMs = this.limits.deviceTimeoutMs / LOOKS_PER_TIMEOUT
    let lookedMs = this.clock.monotonicMs()
    let wasSkipped = false
    while (!this.signal.aborted && this.#running.size > 0 && this.#suspect === undefined) {
      await this.clock.sleep(lookMs, this.signal)
      const nowMs = this.clock.monotonicMs()
      // After this process itself stood still, calls that ended long ago seem to run: the next look tells,
      // also where the process keeps standing still.
      wasSkipped = !wasSkipped && nowMs - lookedMs > 2 * lookMs
      lookedMs = nowMs
      if (wasSkipped) continue
      const late = [...this.#running].find(({ beganMs }) => nowMs - beganMs >= this.limits.deviceTimeoutMs)
      if (late !== undefined && !this.signal.aborted) this.#giveUp(late)
    }
    this.#watching = false
  }

  #giveUp({ path }: Running): void {
    const message = `the device did not finish a call within ${this.limits.deviceTimeoutMs} ms`
    const failure = fail("deviceFailed", { message, path, code: "ETIMEDOUT" })
    this.#end(failure)
    this.onSuspect(failure)
  }

  retire(reason: Failure): void {
    if (this.#suspect !== undefined) return
    this.#end(fail("deviceFailed", { message: "the device was taken out", reason: reason.message }, reason))
  }

  #end(failure: Failure): void {
    this.#suspect = failure
    const waiting = this.#waiting.slice(this.#next)
    this.#waiting = []
    this.#next = 0
    for (const each of [...this.#running, ...waiting]) each.refuse(failure)
  }

  async open(path: string, mode: OpenMode, options?: { readonly durable?: boolean }): Promise<DiskFile> {
    return new QueuedFile(this, await this.call(path, () => this.disk.open(path, mode, options)))
  }

  list(folder: string): Promise<string[]> {
    return this.call(folder, () => this.disk.list(folder))
  }

  exists(path: string): Promise<boolean> {
    return this.call(path, () => this.disk.exists(path))
  }

  makeFolder(path: string): Promise<void> {
    return this.call(path, () => this.disk.makeFolder(path))
  }

  remove(path: string): Promise<void> {
    return this.call(path, () => this.disk.remove(path))
  }

  rename(from: string, to: string): Promise<void> {
    return this.call(from, () => this.disk.rename(from, to))
  }

  syncFolder(path: string): Promise<void> {
    return this.call(path, () => this.disk.syncFolder(path))
  }

  space(path: string): Promise<Space> {
    return this.call(path, () => this.disk.space(path))
  }
}

class QueuedFile implements DiskFile {
  constructor(
    private readonly queue: CallQueue,
    private readonly file: DiskFile,
  ) {}

  get path(): string {
    return this.file.path
  }

  read(buffer: Uint8Array, offsetBytes: number, use?: CacheUse): Promise<number> {
    return this.queue.call(this.path, () => this.file.read(buffer, offsetBytes, use))
  }

  readNow(buffer: Uint8Array, offsetBytes: number): number {
    this.queue.checkNow()
    return this.file.readNow(buffer, offsetBytes)
  }

  write(buffers: readonly Uint8Array[], offsetBytes: number, use?: CacheUse): Promise<void> {
    return this.queue.call(this.path, () => this.file.write(buffers, offsetBytes, use))
  }

  sync(): Promise<void> {
    return this.queue.call(this.path, () => this.file.sync())
  }

  truncate(lengthBytes: number): Promise<void> {
    return this.queue.call(this.path, () => this.file.truncate(lengthBytes))
  }

  sizeBytes(): Promise<number> {
    return this.queue.call(this.path, () => this.file.sizeBytes())
  }

  /** A file of a suspect device is closed behind the caller's back, if ever. */
  async close(): Promise<void> {
    try {
      await this.queue.call(this.path, () => this.file.close())
    } catch (error) {
      if (isFailure(error, "tooManyInFlight")) return this.file.close()
      if (this.queue.suspect === undefined) throw error
      void this.file.close().catch(() => undefined)
    }
  }
}
