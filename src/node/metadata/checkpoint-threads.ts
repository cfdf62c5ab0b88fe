/**
 * Checkpoint threads: a small pool that does checkpoint work beside the serving thread. Each device
 * belongs to one place of the pool, since its base is open there.
 *
 * Promises  Work is answered, or fails: with `deviceFailed` when its device has not answered for `silenceMsMax`,
 *           or is forgotten; with `internal` when its thread dies. Work that goes on may take as long as it
 *           takes: begun again it would take no less. A device that is slow or hangs
 *           holds up others for `holdMsMax` at most: then its thread is set aside with it, and its place
 *           gets a new one.
 *           A thread that was set aside closes what it has open when its work ends; until then its
 *           device is not worked on elsewhere. One whose work never ends is left behind, and nobody
 *           waits for it, also not at `close`. (A thread inside a call that the kernel does not finish
 *           cannot be ended by anybody; nor can the process, other than by a signal.)
 *           A thread without work for `idleMsMax` closes what it has open, and ends.
 * Limits    CHECKPOINT_THREADS; threads that are set aside or left behind are at most one for each device.
 */
import { Worker } from "node:worker_threads"
import { fail, type Failure } from "../../base/failures.js"
import type { DeviceId, LogSequence } from "../../base/ids.js"
import { DEVICES_MAX } from "../../base/limits.js"
import type { RowScrubCursor, RowsScrubbed, LogScrubbed, MergeOutcome } from "../../device/index.js"
import { mapBounded } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"
import type { CheckpointDevice, CheckpointJob, CheckpointJobResult, MergeJob } from "./checkpoint-job.js"
import { logRebuilt } from "../devices/device-stack.js"
import type { CheckpointRunner, CheckpointWorks } from "./checkpoint-job.js"
import { END, failureOfReply, parseCheckpointAnswer, parseCheckpointReply } from "./checkpoint-protocol.js"
import type { CheckpointOrder, CheckpointReply, CheckpointWork, CheckpointWorkKind } from "./checkpoint-protocol.js"

export const CHECKPOINT_THREADS = {
  /** Places: this many devices are worked on at once. A thread takes some 17 MB. */
  threadsMax: 2,
  /** Calls to files fail long before; this is for the base, where a large commit is one call. */
  silenceMsMax: 120_000,
  /** Others wait behind one piece of work no longer than this. */
  holdMsMax: 5_000,
  checkMs: 500,
  /** A thread that has had nothing to do for so long gives its memory back. */
  idleMsMax: 10_000,
  /** Closing what is open of one device, or of all, in a thread that has nothing else to do. */
  closeMsMax: 5_000,
  /** Work waiting for one place: a device asks for one checkpoint, one scrub step and one closing at a time. */
  waitingMax: 256,
} as const

export type CheckpointThreadLimits = { readonly [Name in keyof typeof CHECKPOINT_THREADS]: number }

interface Task {
  readonly deviceId: DeviceId
  readonly work: CheckpointWork
  resolve(answer: unknown): void
  reject(failure: Failure): void
}

/** One worker, with at most one order at a time. */
class Thread {
  private readonly worker: Worker
  private lastId = 0
  private waitsFor: ((reply: CheckpointReply | undefined) => void) | undefined
  /** What it is doing. */
  task: Task | undefined
  /** Since when it does this, or nothing. */
  sinceMs = 0
  /** When it was given an order, or was last heard to be at it. */
  heardMs = 0
  /** Settles when it has nothing to do. */
  performing: Promise<void> = Promise.resolve()
  hasEnded = false
  isAbandoned = false

  constructor(
    entry: URL,
    private readonly clock: Clock,
    private readonly output: Log,
    onEnd: (error: unknown) => void,
  ) {
    this.worker = new Worker(entry, { name: "checkpoint" })
    const end = (error: unknown): void => {
      if (this.hasEnded) return
      this.hasEnded = true
      this.waitsFor?.(undefined)
      onEnd(error)
    }
    this.worker.on("message", (message: unknown) => this.hear(parseCheckpointReply(message)))
    this.worker.on("error", end)
    this.worker.on("exit", code => end(new Error(`the checkpoint thread ended with code ${code}`)))
  }

  /** The reply; undefined when the thread ends before it comes. */
  async order(work: CheckpointWork | undefined): Promise<CheckpointReply | undefined> {
    if (this.hasEnded) return undefined
    this.lastId += 1
    this.heardMs = this.clock.monotonicMs()
    const order: CheckpointOrder = { id: this.lastId, work }
    const reply = new Promise<CheckpointReply | undefined>(resolve => (this.waitsFor = resolve))
    this.worker.postMessage(order)
    return reply
  }

  private hear(reply: CheckpointReply): void {
    if (reply.rebuilt !== undefined) logRebuilt(this.output, reply.rebuilt.path, reply.rebuilt.offsetBytes)
    if (reply.id !== this.lastId) return
    this.heardMs = this.clock.monotonicMs()
    if (reply.goesOn !== true) this.waitsFor?.(reply)
  }

  /**
   * Ends it as soon as it leaves what it is doing; not waited for. It ends by itself: a thread that is terminated
   * may leave a file half-written.
   */
  abandon(): void {
    if (this.isAbandoned) return
    this.isAbandoned = true
    this.worker.unref()
    this.worker.postMessage(END)
  }
}

/** A place in the pool: one thread at a time, and what waits for it. */
interface Place {
  thread: Thread | undefined
  readonly waiting: Task[]
  devices: number
  /** Its thread closes what it has open; the next one waits for that. */
  isResting: boolean
}

export class CheckpointThreads implements CheckpointRunner {
  private readonly places: readonly Place[]
  private readonly placeOf = new Map<DeviceId, Place>()
  /** Set aside with work that has not ended, by its device. */
  private readonly aside = new Map<DeviceId, Thread>()
  /** Those whose thread has not ended. */
  private readonly begun = new Set<Thread>()
  private isWatching = false
  private readonly closing = new AbortController()

  constructor(
    private readonly entry: URL,
    private readonly clock: Clock,
    private readonly output: Log,
    private readonly limits: CheckpointThreadLimits = CHECKPOINT_THREADS,
  ) {
    this.places = Array.from({ length: limits.threadsMax }, () => ({
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
    const place = this.placeOf.get(id)
    if (place === undefined) return
    const gone = fail("deviceFailed", { message: "the device was taken out", device: id })
    for (const task of place.waiting.filter(({ deviceId }) => deviceId === id)) task.reject(gone)
    place.waiting.splice(0, place.waiting.length, ...place.waiting.filter(({ deviceId }) => deviceId !== id))
    if (place.thread?.task?.deviceId === id) this.setAside(place, place.thread)
    this.aside.get(id)?.task?.reject(gone)
  }

  async forget(id: DeviceId): Promise<void> {
    this.giveUp(id)
    const place = this.placeOf.get(id)
    if (place === undefined) return
    const isOpen = !this.aside.has(id) && place.thread !== undefined
    if (isOpen) await this.within(this.ask(id, "forget", { kind: "forget", request: id }).catch(() => undefined))
    if (this.placeOf.delete(id)) place.devices -= 1
  }

  async close(): Promise<void> {
    this.closing.abort()
    for (const { waiting } of this.places) for (const task of waiting.splice(0)) task.reject(fail("stopping"))
    const threads = [...this.places.flatMap(({ thread }) => thread ?? []), ...this.aside.values()]
    await mapBounded(threads, DEVICES_MAX, thread => this.closeThread(thread))
  }

  /** Waits for what it does, and for it to close what it has open, but not for ever. */
  private async closeThread(thread: Thread): Promise<void> {
    const isClosed = await this.within(thread.performing.then(() => thread.order(undefined)).then(() => true))
    const { task } = thread
    if (isClosed === undefined) {
      this.output.warn("a checkpoint thread does not end", { device: task?.deviceId ?? "" })
      task?.reject(fail("deviceFailed", { message: "the device does not answer", device: task.deviceId }))
    }
    thread.abandon()
  }

  /** What the promise gives; undefined where it takes longer than closing may. */
  private async within<T>(promise: Promise<T>): Promise<T | undefined> {
    const over = new AbortController()
    const late = this.clock.sleep(this.limits.closeMsMax, over.signal).then(() => undefined)
    try {
      return await Promise.race([promise, late])
    } finally {
      over.abort()
    }
  }

  private ask<Kind extends CheckpointWorkKind>(
    deviceId: DeviceId,
    kind: Kind,
    work: CheckpointWork,
  ): Promise<CheckpointWorks[Kind]["answer"]> {
    if (this.isClosed) return Promise.reject(fail("stopping"))
    const place = this.placeFor(deviceId)
    if (place.waiting.length >= this.limits.waitingMax) {
      return Promise.reject(fail("tooManyInFlight", { message: "too much checkpoint work waits", device: deviceId }))
    }
    return new Promise((resolve, reject) => {
      place.waiting.push({
        ...{ deviceId, work, reject },
        resolve: answer => resolve(parseCheckpointAnswer(kind, answer)),
      })
      this.pump(place)
      if (!this.isWatching) void this.watch()
    })
  }

  private placeFor(id: DeviceId): Place {
    const known = this.placeOf.get(id)
    if (known) return known
    const place = this.places.reduce((best, each) => (each.devices < best.devices ? each : best))
    place.devices += 1
    this.placeOf.set(id, place)
    return place
  }

  /** Gives the place's thread its next task, if it has nothing to do. */
  private pump(place: Place): void {
    if (place.isResting || place.thread?.task !== undefined) return
    const at = place.waiting.findIndex(({ deviceId }) => !this.aside.has(deviceId))
    const [task] = at === -1 ? [] : place.waiting.splice(at, 1)
    if (task === undefined) return
    const thread = (place.thread ??= this.start(place))
    thread.task = task
    thread.sinceMs = this.clock.monotonicMs()
    thread.performing = this.perform(thread, task)
  }

  private start(place: Place): Thread {
    const thread: Thread = new Thread(this.entry, this.clock, this.output, error => {
      this.begun.delete(thread)
      if (place.thread === thread) place.thread = undefined
      if (!this.isClosed && !thread.isAbandoned)
        this.output.error("a checkpoint thread ended", { error: String(error) })
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
    for (const place of this.places) this.pump(place)
  }

  /** A thread that was set aside has ended its work: its device may be worked on where it belongs. */
  private async dismiss(thread: Thread, deviceId: DeviceId): Promise<void> {
    await this.within(thread.order(undefined))
    thread.abandon()
    this.aside.delete(deviceId)
  }

  /** Ends a thread that nobody needs; its place gets another one with the next work. */
  private async rest(place: Place, thread: Thread): Promise<void> {
    place.isResting = true
    await this.within(thread.order(undefined))
    thread.abandon()
    if (place.thread === thread) place.thread = undefined
    place.isResting = false
    this.pump(place)
  }

  /** Its place gets another thread as soon as there is work for one. */
  private setAside(place: Place, thread: Thread): void {
    if (thread.task === undefined) return
    this.aside.set(thread.task.deviceId, thread)
    place.thread = undefined
    this.pump(place)
  }

  /** Looks at what is going on from time to time; ends when nothing is. */
  private async watch(): Promise<void> {
    this.isWatching = true
    while (!this.isClosed && this.isBusy()) {
      await this.clock.sleep(this.limits.checkMs, this.closing.signal)
      for (const place of this.places) this.inspect(place)
      for (const [id, thread] of this.aside) this.judge(id, thread)
    }
    this.isWatching = false
  }

  private isBusy(): boolean {
    return this.aside.size > 0 || this.places.some(({ thread, waiting }) => thread !== undefined || waiting.length > 0)
  }

  private inspect(place: Place): void {
    const { thread } = place
    if (thread === undefined || place.isResting) return
    const tookMs = this.clock.monotonicMs() - thread.sinceMs
    if (thread.task === undefined) {
      if (tookMs >= this.limits.idleMsMax) thread.performing = this.rest(place, thread)
      return
    }
    const { deviceId } = thread.task
    const holdsUp = place.waiting.some(task => task.deviceId !== deviceId && !this.aside.has(task.deviceId))
    if (!this.isSilent(thread) && (!holdsUp || tookMs < this.limits.holdMsMax)) return
    this.output.warn("a device is slow to checkpoint; others go on without it", { device: deviceId, tookMs })
    this.setAside(place, thread)
  }

  private isSilent({ heardMs }: Thread): boolean {
    return this.clock.monotonicMs() - heardMs >= this.limits.silenceMsMax
  }

  /** Gives up work that was set aside and does not go on. What is asked for its device meanwhile fails, too. */
  private judge(id: DeviceId, thread: Thread): void {
    if (thread.task === undefined || !this.isSilent(thread)) return
    const message = `the device did not go on with a checkpoint for ${this.limits.silenceMsMax} ms`
    const failure = fail("deviceFailed", { message, device: id, code: "ETIMEDOUT" })
    thread.task.reject(failure)
    thread.abandon()
    for (const { waiting } of this.places) {
      for (const task of waiting) if (task.deviceId === id) task.reject(failure)
      waiting.splice(0, waiting.length, ...waiting.filter(task => task.deviceId !== id))
    }
  }
}
