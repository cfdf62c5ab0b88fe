/**
 * A sandbox of worker threads. A task runs alone on a thread that started with the first task that needed it; a thread
 * is used again as long as its tasks keep to their limits, and ends after `idleMs` without one.
 *
 * Promises  Tasks start in the order of their calls. A task that exceeds `taskMs` or the heap of its thread faults, and
 *           so does one whose thread dies; the next task gets another thread.
 *           There are never more than `threads` threads, also while some of them are ending: a thread in native code
 *           ends only when that code returns, and until then its place stays taken.
 * Limits    `SandboxSizes`.
 */
import { fail } from "../../failures.js"
import type { Clock } from "../clock/contract.js"
import type { Sandbox, SandboxOutcome } from "./contract.js"
import { SandboxThread } from "./thread-handle.js"

export interface SandboxSizes {
  readonly threads: number
  /** How long a task may take, with the start of its thread. */
  readonly taskMs: number
  /** How long a thread without a task is kept. */
  readonly idleMs: number
  /** The JavaScript heap of a thread; bytes outside of it (buffers, native code) are not counted. */
  readonly heapMib: number
  /** Tasks that wait for a thread. */
  readonly waitingMax: number
}

interface Place<Task, Answer> {
  readonly thread: SandboxThread<Task, Answer>
  isTaken: boolean
  cancelIdle: () => void
}

type Start<Task, Answer> = (place: Place<Task, Answer> | undefined) => void

export class ThreadSandbox<Task, Answer> implements Sandbox<Task, Answer> {
  readonly threads: number
  private readonly places = new Set<Place<Task, Answer>>()
  private readonly queue = new Set<Start<Task, Answer>>()
  private closed = false

  /** `entry`: the file that calls `serveSandbox`. */
  constructor(
    private readonly entry: URL,
    private readonly sizes: SandboxSizes,
    private readonly clock: Clock,
  ) {
    if (!(sizes.threads >= 1)) throw fail("invalidConfig", { message: "a sandbox needs a thread" })
    this.threads = sizes.threads
  }

  /** Threads with a task, and those that still end after one. */
  get running(): number {
    return [...this.places].filter(({ thread, isTaken }) => isTaken || !thread.alive).length
  }

  get waiting(): number {
    return this.queue.size
  }

  async run(
    task: Task,
    transfer: readonly ArrayBuffer[],
    signal: AbortSignal,
    onEnded: () => void = () => undefined,
  ): Promise<SandboxOutcome<Answer>> {
    const place = await this.enter(signal).catch((error: unknown) => {
      onEnded()
      throw error
    })
    try {
      signal.throwIfAborted()
      const outcome = await this.runOn(place.thread, task, transfer, signal)
      signal.throwIfAborted()
      return outcome
    } finally {
      if (place.thread.alive) onEnded()
      else void place.thread.ended.then(onEnded)
      this.leave(place)
    }
  }

  private async enter(signal: AbortSignal): Promise<Place<Task, Answer>> {
    signal.throwIfAborted()
    return (this.queue.size === 0 ? this.take() : undefined) ?? (await this.turn(signal))
  }

  /** Ends the threads; resolves once they have ended. Running tasks fault, and those that wait reject with `stopping`. */
  async close(): Promise<void> {
    this.closed = true
    for (const start of this.queue) start(undefined)
    const ends = [...this.places].map(({ thread, cancelIdle }) => {
      cancelIdle()
      thread.end("died")
      return thread.ended
    })
    for (const end of ends) await end
  }

  private async runOn(
    thread: SandboxThread<Task, Answer>,
    task: Task,
    transfer: readonly ArrayBuffer[],
    signal: AbortSignal,
  ): Promise<SandboxOutcome<Answer>> {
    const onAbort = (): void => thread.end("died")
    const cancelAlarm = this.clock.alarm(this.sizes.taskMs, () => thread.end("time"))
    signal.addEventListener("abort", onAbort)
    try {
      return await thread.run(task, transfer)
    } finally {
      signal.removeEventListener("abort", onAbort)
      cancelAlarm()
    }
  }

  /** A place for the caller, if there is one now. */
  private take(): Place<Task, Answer> | undefined {
    if (this.closed) throw fail("stopping")
    const idle = [...this.places].find(({ thread, isTaken }) => !isTaken && thread.alive)
    if (idle === undefined && this.places.size >= this.threads) return undefined
    const place = idle ?? this.start()
    place.cancelIdle()
    place.isTaken = true
    return place
  }

  private start(): Place<Task, Answer> {
    const thread = new SandboxThread<Task, Answer>(this.entry, this.sizes.heapMib)
    const place = { thread, isTaken: false, cancelIdle: () => undefined }
    this.places.add(place)
    void thread.ended.then(() => {
      place.cancelIdle()
      this.places.delete(place)
      this.giveOut()
    })
    return place
  }

  private leave(place: Place<Task, Answer>): void {
    place.isTaken = false
    this.giveOut()
    if (!place.isTaken && place.thread.alive && !this.closed)
      place.cancelIdle = this.clock.alarm(this.sizes.idleMs, () => place.thread.end("died"))
  }

  /** Gives places to those that have waited longest. */
  private giveOut(): void {
    if (this.closed) return
    for (const start of this.queue) {
      const place = this.take()
      if (place === undefined) return
      start(place)
    }
  }

  private turn(signal: AbortSignal): Promise<Place<Task, Answer>> {
    if (this.queue.size >= this.sizes.waitingMax)
      throw fail("tooManyInFlight", { message: "too many tasks wait for a thread" })
    return new Promise((resolve, reject) => {
      const start: Start<Task, Answer> = place => {
        leaveQueue()
        if (place === undefined) reject(fail("stopping"))
        else resolve(place)
      }
      const onAbort = (): void => {
        leaveQueue()
        reject(signal.reason)
      }
      const leaveQueue = (): void => {
        this.queue.delete(start)
        signal.removeEventListener("abort", onAbort)
      }
      this.queue.add(start)
      signal.addEventListener("abort", onAbort)
    })
  }
}
