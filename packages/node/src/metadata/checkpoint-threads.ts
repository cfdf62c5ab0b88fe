/**
 * Checkpoint threads: a small pool that does checkpoint work beside the serving thread. Each device belongs to
 * one slot of the pool, since that slot's thread has its metadata store open.
 *
 * Promises  Work completes or fails: with `deviceFailed` if its device has not responded for `silenceMsMax` or
 *           is forgotten, with `internal` if its thread dies, with `tooManyInFlight` if the system starts none. Work that makes progress has no time limit, since a
 *           retry would take as long. A device that is slow or hangs delays others for `holdMsMax` at most: then
 *           its thread is set aside with it, and the slot gets a new thread.
 *           A thread that was set aside closes its open files when its work ends; until then no other thread
 *           works on its device. A thread whose work never ends is abandoned, and nothing waits for it, not even
 *           `close`. (Nothing can end a thread inside a call that the kernel does not finish; only a signal can
 *           end such a process.)
 *           A thread without work for `idleMsMax` closes its open files and ends.
 * Limits    CHECKPOINT_THREADS; at most one thread for each device is set aside or abandoned.
 */
import type { Worker } from "node:worker_threads"
import { asFailure, fail, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId, LogSequence } from "@hayloft/base/ids.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import type { RowScrubCursor, RowsScrubbed, LogScrubbed, MergeOutcome } from "@hayloft/engine/device/index.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { nextBeat } from "@hayloft/base/seams/clock/beats.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { startThread, type StartThread } from "@hayloft/base/seams/threads/real.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import type { CheckpointDevice, CheckpointJob, CheckpointJobResult, MergeJob } from "./checkpoint-job.js"
import { logRebuilt } from "../devices/device-stack.js"
import type { CheckpointRunner, CheckpointWorks } from "./checkpoint-job.js"
import { END, failureOfReply, parseCheckpointAnswer, parseCheckpointReply } from "./checkpoint-protocol.js"
import type { CheckpointOrder, CheckpointReply, CheckpointWork, CheckpointWorkKind } from "./checkpoint-protocol.js"

export const CHECKPOINT_THREADS = {
  /** Slots: the number of devices worked on concurrently. A thread uses about 17 MB, and 90 ms of processor time to start. */
  threadsMax: 2,
  /** A slot gets so many devices before the next slot gets its first: checkpoints take a third of the time of a load of PUTs. */
  devicesEach: 4,
  /** File calls time out much earlier; this is for the metadata store, where a large commit is one call. */
  silenceMsMax: 120_000,
  /** How long other work waits behind one task. */
  holdMsMax: 5_000,
  checkMs: 500,
  /** A thread that is idle for this long ends and frees its memory. */
  idleMsMax: 10_000,
  /** Time to close the files of one device, or of all, in an idle thread. */
  closeMsMax: 5_000,
  /** Queued work of one slot: a device requests at most one checkpoint, one scrub step and one closing at a time. */
  waitingMax: 256,
} as const

export type CheckpointThreadLimits = { readonly [Name in keyof typeof CHECKPOINT_THREADS]: number }

interface Task {
  readonly deviceId: DeviceId
  readonly work: CheckpointWork
  resolve(answer: unknown): void
  reject(failure: Failure): void
}

/** One worker; it has at most one order at a time. */
class Thread {
  private readonly worker: Worker
  private lastId = 0
  private waitsFor: ((reply: CheckpointReply | undefined) => void) | undefined
  /** The current task. */
  task: Task | undefined
  /** When the current task, or the idle time, began. */
  sinceMs = 0
  /** When the thread last got an order or reported progress. */
  lastReportMs = 0
  /** Settles when the thread is idle. */
  performing: Promise<void> = Promise.resolve()
  hasEnded = false
  isAbandoned = false

  constructor(
    worker: Worker,
    private readonly clock: Clock,
    private readonly output: Log,
    onEnd: (error: unknown) => void,
  ) {
    this.worker = worker
    const end = (error: unknown): void => {
      if (this.hasEnded) return
      this.hasEnded = true
      this.waitsFor?.(undefined)
      onEnd(error)
    }
    this.worker.on("message", (message: unknown) => this.receive(parseCheckpointReply(message)))
    this.worker.on("error", end)
    this.worker.on("exit", code => end(new Error(`the checkpoint thread ended with code ${code}`)))
  }

  /** Returns the reply; undefined if the thread ends first. */
  async order(work: CheckpointWork | undefined): Promise<CheckpointReply | undefined> {
    if (this.hasEnded) return undefined
    this.lastId += 1
    this.lastReportMs = this.clock.monotonicMs()
    const order: CheckpointOrder = { id: this.lastId, work }
    const reply = new Promise<CheckpointReply | undefined>(resolve => (this.waitsFor = resolve))
    this.worker.postMessage(order)
    return reply
  }

  private receive(reply: CheckpointReply): void {
    if (reply.rebuilt !== undefined) logRebuilt(this.output, reply.rebuilt.path, reply.rebuilt.offsetBytes)
    if (reply.id !== this.lastId) return
    this.lastReportMs = this.clock.monotonicMs()
    if (reply.goesOn !== true) this.waitsFor?.(reply)
  }

  /**
   * Tells the worker to end after its current call; does not wait. The worker ends itself, because terminating a thread
   * may leave a file half-written.
   */
  abandon(): void {
    if (this.isAbandoned) return
    this.isAbandoned = true
    this.worker.unref()
    this.worker.postMessage(END)
  }
}

/** A slot of the pool: at most one thread at a time, and the queue of its tasks. */
interface Slot {
  thread: Thread | undefined
  readonly waiting: Task[]
  devices: number
  /** The slot's thread is closing its files; the next thread waits for that. */
  isResting: boolean
}

export class CheckpointThreads implements CheckpointRunner {
  private readonly slots: readonly Slot[]
  private readonly slotOf = new Map<DeviceId, Slot>()
  /** Threads that were set aside with unfinished work, by device. */
  private readonly aside = new Map<DeviceId, Thread>()
  /** Threads that have not ended. */
  private readonly begun = new Set<Thread>()
  private isWatching = false
  private readonly closing = new AbortController()

  constructor(
    private readonly entry: URL,
    private readonly clock: Clock,
    private readonly output: Log,
    private readonly limits: CheckpointThreadLimits = CHECKPOINT_THREADS,
    private readonly startOne: StartThread = startThread,
  ) {
    this.slots = Array.from({ length: limits.threadsMax }, () => ({
      thread: undefined,
      waiting: [],
      devices: 0,
      isResting: false,
    }))
  }

  get threadsLeft(): number {
    return this.begun.size
  }

  private get isClosed(): boolean {
    return this.closing.signal.aborted
  }

  run(job: CheckpointJob): Promise<CheckpointJobResult> {
    return this.ask(job.device.id, "checkpoint", { kind: "checkpoint", request: job })
  }

  merge(job: MergeJob): Promise<MergeOutcome> {
    return this.ask(job.device.id, "merge", { kind: "merge", request: job })
  }

  scrubMetadata(device: CheckpointDevice, from: RowScrubCursor | undefined): Promise<RowsScrubbed> {
    return this.ask(device.id, "scrubMetadata", { kind: "scrubMetadata", request: { device, from } })
  }

  scrubLog(device: CheckpointDevice, after: LogSequence, upTo: LogSequence): Promise<LogScrubbed> {
    return this.ask(device.id, "scrubLog", { kind: "scrubLog", request: { device, after, upTo } })
  }

  giveUp(id: DeviceId): void {
    const slot = this.slotOf.get(id)
    if (slot === undefined) return
    const gone = fail("deviceFailed", { message: "the device was taken offline", device: id })
    for (const task of slot.waiting.filter(({ deviceId }) => deviceId === id)) task.reject(gone)
    slot.waiting.splice(0, slot.waiting.length, ...slot.waiting.filter(({ deviceId }) => deviceId !== id))
    if (slot.thread?.task?.deviceId === id) this.setAside(slot, slot.thread)
    this.aside.get(id)?.task?.reject(gone)
  }

  async forget(id: DeviceId): Promise<void> {
    this.giveUp(id)
    const slot = this.slotOf.get(id)
    if (slot === undefined) return
    const isOpen = !this.aside.has(id) && slot.thread !== undefined
    if (isOpen) await this.inTime(this.ask(id, "forget", { kind: "forget", request: id }).catch(() => undefined))
    if (this.slotOf.delete(id)) slot.devices -= 1
  }

  async close(): Promise<void> {
    this.closing.abort()
    for (const { waiting } of this.slots) for (const task of waiting.splice(0)) task.reject(fail("stopping"))
    const threads = [...this.slots.flatMap(({ thread }) => thread ?? []), ...this.aside.values()]
    await mapBounded(threads, DEVICES_MAX, thread => this.closeThread(thread))
  }

  private inTime<T>(work: Promise<T>): Promise<T | "late"> {
    return within(this.clock, this.limits.closeMsMax, work)
  }

  /** Waits, with a limit, until the thread has finished its task and closed its files. */
  private async closeThread(thread: Thread): Promise<void> {
    const closed = await this.inTime(thread.performing.then(() => thread.order(undefined)))
    const { task } = thread
    if (closed === "late") {
      this.output.warn("checkpoint_thread_does_not_end", { device: task?.deviceId ?? "" })
      task?.reject(fail("deviceFailed", { message: "the device does not respond", device: task.deviceId }))
    }
    thread.abandon()
  }

  private ask<Kind extends CheckpointWorkKind>(
    deviceId: DeviceId,
    kind: Kind,
    work: CheckpointWork,
  ): Promise<CheckpointWorks[Kind]["answer"]> {
    if (this.isClosed) return Promise.reject(fail("stopping"))
    const slot = this.slotFor(deviceId)
    if (slot.waiting.length >= this.limits.waitingMax) {
      return Promise.reject(fail("tooManyInFlight", { message: "the checkpoint queue is full", device: deviceId }))
    }
    return new Promise((resolve, reject) => {
      slot.waiting.push({
        deviceId,
        work,
        reject,
        resolve: answer => resolve(parseCheckpointAnswer(kind, answer)),
      })
      this.pump(slot)
      if (!this.isWatching) void this.watch()
    })
  }

  private slotFor(id: DeviceId): Slot {
    const known = this.slotOf.get(id)
    if (known) return known
    const slot =
      this.slots.find(({ devices }) => devices < this.limits.devicesEach) ??
      this.slots.reduce((best, each) => (each.devices < best.devices ? each : best))
    slot.devices += 1
    this.slotOf.set(id, slot)
    return slot
  }

  /** Gives an idle thread of the slot its next task. */
  private pump(slot: Slot): void {
    if (slot.isResting || slot.thread?.task !== undefined) return
    for (;;) {
      const at = slot.waiting.findIndex(({ deviceId }) => !this.aside.has(deviceId))
      const [task] = at === -1 ? [] : slot.waiting.splice(at, 1)
      if (task === undefined) return
      try {
        const thread = (slot.thread ??= this.start(slot))
        thread.task = task
        thread.sinceMs = this.clock.monotonicMs()
        thread.performing = this.perform(thread, task)
        return
      } catch (error) {
        task.reject(asFailure(error))
      }
    }
  }

  private start(slot: Slot): Thread {
    const worker = this.startOne(this.entry, { name: "checkpoint" })
    const thread: Thread = new Thread(worker, this.clock, this.output, error => {
      this.begun.delete(thread)
      if (slot.thread === thread) slot.thread = undefined
      if (!this.isClosed && !thread.isAbandoned) this.output.error("checkpoint_thread_ended", { error: String(error) })
    })
    this.begun.add(thread)
    return thread
  }

  private async perform(thread: Thread, task: Task): Promise<void> {
    const reply = await thread.order(task.work)
    if (reply === undefined) task.reject(fail("internal", { reason: "the checkpoint thread ended" }))
    else if (reply.failure !== undefined) task.reject(failureOfReply(reply))
    else task.resolve(reply.answer)
    thread.task = undefined
    thread.sinceMs = this.clock.monotonicMs()
    if (this.aside.get(task.deviceId) === thread) await this.dismiss(thread, task.deviceId)
    for (const slot of this.slots) this.pump(slot)
  }

  /** A thread that was set aside has ended its work: the slot of its device may work on the device again. */
  private async dismiss(thread: Thread, deviceId: DeviceId): Promise<void> {
    await this.inTime(thread.order(undefined))
    thread.abandon()
    this.aside.delete(deviceId)
  }

  /** Ends an idle thread; the slot gets another one with its next task. */
  private async rest(slot: Slot, thread: Thread): Promise<void> {
    slot.isResting = true
    await this.inTime(thread.order(undefined))
    thread.abandon()
    if (slot.thread === thread) slot.thread = undefined
    slot.isResting = false
    this.pump(slot)
  }

  /** The slot gets another thread with its next task. */
  private setAside(slot: Slot, thread: Thread): void {
    if (thread.task === undefined) return
    this.aside.set(thread.task.deviceId, thread)
    slot.thread = undefined
    this.pump(slot)
  }

  /** Checks running tasks periodically; ends when none is left. */
  private async watch(): Promise<void> {
    this.isWatching = true
    while (!this.isClosed && this.isBusy()) {
      await nextBeat(this.clock, this.limits.checkMs, this.closing.signal)
      for (const slot of this.slots) this.inspect(slot)
      for (const [id, thread] of this.aside) this.failIfSilent(id, thread)
    }
    this.isWatching = false
  }

  private isBusy(): boolean {
    return this.aside.size > 0 || this.slots.some(({ thread, waiting }) => thread !== undefined || waiting.length > 0)
  }

  private inspect(slot: Slot): void {
    const { thread } = slot
    if (thread === undefined || slot.isResting) return
    const tookMs = this.clock.monotonicMs() - thread.sinceMs
    if (thread.task === undefined) {
      if (tookMs >= this.limits.idleMsMax) thread.performing = this.rest(slot, thread)
      return
    }
    const { deviceId } = thread.task
    const holdsUp = slot.waiting.some(task => task.deviceId !== deviceId && !this.aside.has(task.deviceId))
    if (!this.isSilent(thread) && (!holdsUp || tookMs < this.limits.holdMsMax)) return
    // Long work that reports progress says nothing about its disk.
    const silentMs = this.clock.monotonicMs() - thread.lastReportMs
    if (silentMs >= this.limits.holdMsMax) this.output.warn("checkpoint_slow", { device: deviceId, tookMs: silentMs })
    this.setAside(slot, thread)
  }

  private isSilent({ lastReportMs }: Thread): boolean {
    return this.clock.monotonicMs() - lastReportMs >= this.limits.silenceMsMax
  }

  /** Fails work that was set aside and makes no progress, and all queued work of its device. */
  private failIfSilent(id: DeviceId, thread: Thread): void {
    if (thread.task === undefined || !this.isSilent(thread)) return
    const message = `a checkpoint on the device made no progress for ${this.limits.silenceMsMax} ms`
    const failure = fail("deviceFailed", { message, device: id, code: "ETIMEDOUT" })
    thread.task.reject(failure)
    thread.abandon()
    for (const { waiting } of this.slots) {
      for (const task of waiting) if (task.deviceId === id) task.reject(failure)
      waiting.splice(0, waiting.length, ...waiting.filter(task => task.deviceId !== id))
    }
  }
}
