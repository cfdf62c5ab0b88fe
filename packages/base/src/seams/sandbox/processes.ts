/**
 * A sandbox of processes. A task runs alone in a process that started with the first task that needed it; a process
 * is used again as long as its tasks keep to their limits, and ends after `idleMs` without one.
 *
 * Promises  Tasks start in the order of their calls. A task that exceeds `taskMs` or the heap of its process faults, and
 *           so does one whose process dies; the next task gets another process.
 *           There are never more than `processes` of them, also while some are ending.
 * Limits    `SandboxSizes`.
 */
import { fail } from "../../failures.js"
import type { Clock } from "../clock/contract.js"
import type { Sandbox, SandboxOutcome } from "./contract.js"
import { SandboxProcess } from "./real-process.js"

export interface SandboxSizes {
  readonly processes: number
  /** How long a task may take, with the start of its process. */
  readonly taskMs: number
  /** How long a process without a task is kept. */
  readonly idleMs: number
  /** The JavaScript heap of a process; bytes outside of it (buffers, native code) are not counted. */
  readonly heapMib: number
  /** Tasks that wait for a process. */
  readonly waitingMax: number
}

interface Place<Task extends object, Answer> {
  readonly process: SandboxProcess<Task, Answer>
  isTaken: boolean
  cancelIdle: () => void
}

type Start<Task extends object, Answer> = (place: Place<Task, Answer> | undefined) => void

export class ProcessSandbox<Task extends object, Answer> implements Sandbox<Task, Answer> {
  readonly processes: number
  private readonly places = new Set<Place<Task, Answer>>()
  private readonly queue = new Set<Start<Task, Answer>>()
  private closed = false

  /** `entry`: the file that calls `serveSandbox`. */
  constructor(
    private readonly entry: URL,
    private readonly sizes: SandboxSizes,
    private readonly clock: Clock,
  ) {
    if (!(sizes.processes >= 1)) throw fail("invalidConfig", { message: "a sandbox needs a process" })
    this.processes = sizes.processes
  }

  /** Processes with a task, and those that still end after one. */
  get running(): number {
    return [...this.places].filter(({ process, isTaken }) => isTaken || !process.alive).length
  }

  get waiting(): number {
    return this.queue.size
  }

  async run(task: Task, signal: AbortSignal): Promise<SandboxOutcome<Answer>> {
    const place = await this.enter(signal)
    try {
      signal.throwIfAborted()
      const outcome = await this.runIn(place.process, task, signal)
      signal.throwIfAborted()
      return outcome
    } finally {
      this.leave(place)
    }
  }

  private async enter(signal: AbortSignal): Promise<Place<Task, Answer>> {
    signal.throwIfAborted()
    return (this.queue.size === 0 ? this.take() : undefined) ?? (await this.turn(signal))
  }

  /** Ends the processes; resolves once they have ended. Running tasks fault, and those that wait reject with `stopping`. */
  async close(): Promise<void> {
    this.closed = true
    for (const start of this.queue) start(undefined)
    const ends = [...this.places].map(({ process, cancelIdle }) => {
      cancelIdle()
      process.end("died")
      return process.ended
    })
    for (const end of ends) await end
  }

  private async runIn(
    process: SandboxProcess<Task, Answer>,
    task: Task,
    signal: AbortSignal,
  ): Promise<SandboxOutcome<Answer>> {
    const onAbort = (): void => process.end("died")
    const cancelAlarm = this.clock.alarm(this.sizes.taskMs, () => process.end("time"))
    signal.addEventListener("abort", onAbort)
    try {
      return await process.run(task)
    } finally {
      signal.removeEventListener("abort", onAbort)
      cancelAlarm()
    }
  }

  /** A place for the caller, if there is one now. */
  private take(): Place<Task, Answer> | undefined {
    if (this.closed) throw fail("stopping")
    const idle = [...this.places].find(({ process, isTaken }) => !isTaken && process.alive)
    if (idle === undefined && this.places.size >= this.processes) return undefined
    const place = idle ?? this.start()
    place.cancelIdle()
    place.isTaken = true
    return place
  }

  private start(): Place<Task, Answer> {
    const process = new SandboxProcess<Task, Answer>(this.entry, this.sizes.heapMib)
    const place = { process, isTaken: false, cancelIdle: () => undefined }
    this.places.add(place)
    void process.ended.then(() => {
      place.cancelIdle()
      this.places.delete(place)
      this.giveOut()
    })
    return place
  }

  private leave(place: Place<Task, Answer>): void {
    place.isTaken = false
    this.giveOut()
    if (!place.isTaken && place.process.alive && !this.closed)
      place.cancelIdle = this.clock.alarm(this.sizes.idleMs, () => place.process.end("died"))
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
      throw fail("tooManyInFlight", { message: "too many tasks wait for a process" })
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
