/**
 * Front threads: the threads that serve the ports of clients, as the thread of the engine starts, watches and ends them.
 *
 * Promises  A thread that has ended is started again, until it listens; it loses its connections, and nothing that was
 *           acknowledged. One that does not answer is ended. What it has counted stays counted. Nothing waits for calls of a
 *           thread that has ended: a disk may hang.
 * Limits    FRONT_THREAD_LIMITS.
 */
import type { MessagePort, Worker } from "node:worker_threads"
import type { CountedAttempt, Denials, RateLimiter, SecretAttempts } from "@hayloft/access/index.js"
import type { AccessLog, Events, LiveRequests } from "@hayloft/admin/observe/index.js"
import { must } from "@hayloft/base/assert.js"
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import { FRONT_THREADS_MAX } from "@hayloft/base/limits.js"
import { mapBounded, type BackgroundService } from "@hayloft/base/life/index.js"
import { openChannel } from "@hayloft/base/seams/channel/real.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { hurried } from "@hayloft/base/seams/clock/hurried.js"
import { startThread, type StartThread } from "@hayloft/base/seams/threads/real.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { MergedMetrics, type MetricsSnapshot } from "@hayloft/base/seams/telemetry/metrics-text-core.js"
import type { Soon } from "@hayloft/base/soon.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import type { CopiesReport, HotCopies } from "@hayloft/engine/block/index.js"
import type { TransformBudgets } from "@hayloft/features/transforms/index.js"
import { ThreadLink } from "@hayloft/engine/thread/index.js"
import type { ServeConfig } from "@hayloft/node/config/index.js"
import { serveBudgets } from "@hayloft/node/front/front-budgets.js"
import { serveRates } from "@hayloft/node/front/front-rates.js"
import type { Fronts } from "@hayloft/node/front/fronts.js"
import type { FrontStart } from "@hayloft/node/front/methods.js"
import type { DeviceReport } from "@hayloft/node/status/contract.js"
import { ThreadShares } from "@hayloft/protocols/http/index.js"
import type { SyncRealms } from "@hayloft/protocols/swift/index.js"
import { SERVING_METHODS, TELLING_METHODS } from "./front-methods.js"
import type { MinioAdmin } from "../minio/admin/contract.js"
import { serveMinioAdmin } from "../minio/admin/link.js"
import type { MinioMetricsKind } from "../minio/metrics-core.js"
import type { SharedPort } from "../ports/ports.js"
import type { RemoteStoreConfigs } from "../read-stores.js"
import type { FrontOrder } from "./serve-front.js"
import { whenAborted } from "../process/shutdown.js"

const ENTRY = new URL("../main.js", import.meta.url)

const FRONT_THREAD_LIMITS = {
  /** A thread is asked for its metrics this often; one that has not answered so many times in sequence is ended. */
  askEveryMs: 5_000,
  unansweredMax: 6,
  /** One that does not listen yet has so many times: on a busy machine a start takes long. */
  startingUnansweredMax: 24,
  /** A scrape does not wait longer for a thread, and shows its metrics as they were. */
  scrapeMs: 1_000,
  /** Between two starts of a thread: the first wait, which doubles each time, and the longest. */
  restartMs: 500,
  restartMsMax: 30_000,
  /** After a thread that has run so long the next wait is the first one again. */
  provenMs: 60_000,
  /** A thread that is to cut its connections, or to end, and has not ended after so long is ended by force. */
  cutMs: 5_000,
  /** Requests under way may end before their store does; then their connections are cut. */
  holdMs: 5_000,
  /** New objects of a thread: V8's own limit follows the memory of the machine, and no request gains by more than this. */
  youngGenerationMib: 24,
} as const

const [NEWEST_MAJOR_WITHOUT, MINOR_WITH] = [22, 12]

/** Returns why this Node.js cannot share a port among threads; undefined: it can. */
export function whyNoSharedPorts(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  if (major > NEWEST_MAJOR_WITHOUT || (major === NEWEST_MAJOR_WITHOUT && minor >= MINOR_WITH)) return undefined
  return `Node.js ${version} cannot share a port among threads: 22.12 or later can`
}

/** The parts of the process and its store that threads work with. */
interface ThreadsHost {
  readonly clock: Clock
  readonly log: Log
  readonly events: Pick<Events, "note">
  readonly requests: LiveRequests
  readonly accessLog: AccessLog | undefined
  /**
   * A thread that has ended is started again so many times as fast, for tests. Default: 1. The time for which a thread may be
   * silent stays as it is: a test makes no thread answer faster.
   */
  readonly haste?: number | undefined
  /** Default: `startThread`. */
  readonly startOne?: StartThread | undefined
}

/** The store that the threads serve now. */
export interface ServedSession {
  readonly config: ServeConfig
  readonly fronts: Pick<Fronts, "begin">
  readonly denials: Denials
  readonly attempts: Pick<SecretAttempts, "countElsewhere">
  readonly rates: Pick<RateLimiter, "enter">
  /** Limits of the work of transforms. */
  readonly budgets: TransformBudgets
  /** They are undefined if none are kept. */
  readonly copies: Pick<HotCopies, "others"> | undefined
  readonly adminUrl: string
  readonly realms: SyncRealms
  readonly remoteStores: RemoteStoreConfigs | undefined
  readonly nodeName: string
  /** The audit log has new entries of a front. */
  readonly onAudited: () => void
  readonly devices: () => readonly DeviceReport[]
  readonly minioMetrics: (kind: MinioMetricsKind) => Soon<string>
  readonly minioAdmin: MinioAdmin
}

/** A port where it is bound. */
interface BoundPort extends SharedPort {
  readonly port: number
}

/** A front of the engine that its thread does not know yet. */
interface BegunFront {
  readonly name: string
  readonly start: FrontStart
  readonly link: ThreadLink
  /** The end of the link for the thread. */
  readonly port: MessagePort
}

/** One thread. */
class FrontThread {
  /** The ports at which it serves. Rejects if it ends before. */
  readonly listening: Promise<readonly number[]>
  /** Resolves with the reason once the thread has ended. The engine may still be busy with what it has called. */
  readonly ended: Promise<string>
  readonly name: string
  readonly link: ThreadLink
  snapshot: MetricsSnapshot = []
  isListening = false
  private unanswered = 0
  private readonly clock: Clock
  private readonly worker: Worker

  constructor(
    { name, start, link, port }: BegunFront,
    {
      clock,
      events,
      requests,
      accessLog,
      shares,
      startOne = startThread,
    }: ThreadsHost & { readonly shares: ThreadShares },
    {
      fronts: _,
      denials,
      attempts,
      rates,
      budgets,
      copies: __,
      onAudited,
      devices,
      minioMetrics,
      minioAdmin,
      ...served
    }: ServedSession,
    ports: readonly SharedPort[],
    onAttempted: (counted: CountedAttempt) => void,
  ) {
    this.clock = clock
    this.name = name
    this.link = link
    link.handle(TELLING_METHODS.event, line => events.note(line))
    link.handle(TELLING_METHODS.denied, denial => denials.keep(denial))
    link.handle(TELLING_METHODS.attempted, counted => {
      attempts.countElsewhere(counted)
      onAttempted(counted)
    })
    link.handle(TELLING_METHODS.used, used => shares.note(name, used, clock.monotonicMs()))
    serveRates(link, rates)
    serveBudgets(link, { ...budgets })
    link.handle(TELLING_METHODS.audited, onAudited)
    link.handle(TELLING_METHODS.devices, devices)
    link.handle(TELLING_METHODS.minioMetrics, minioMetrics)
    serveMinioAdmin(link, minioAdmin)
    link.handle(TELLING_METHODS.finished, batch => {
      requests.replay(batch)
      accessLog?.replay(batch)
    })
    const listening = new Promise<readonly number[]>(resolve => {
      link.handle(TELLING_METHODS.listening, numbers => {
        this.isListening = true
        resolve(numbers)
      })
    })
    link.start()
    const { isWatched } = requests
    const workerData: FrontOrder = { ...served, name, ports, start, isWatched, port }
    const resourceLimits = { maxYoungGenerationSizeMb: FRONT_THREAD_LIMITS.youngGenerationMib }
    this.worker = startOne(ENTRY, { workerData, transferList: [port], name, execArgv: [], resourceLimits })
    let reason = "it has ended by itself"
    this.worker.on("error", error => {
      reason = asFailure(error).message
    })
    this.ended = new Promise(resolve => {
      this.worker.once("exit", () => {
        link.close()
        resolve(reason)
      })
    })
    this.listening = Promise.race([
      listening,
      this.ended.then(why => Promise.reject(fail("invalidConfig", { message: why }))),
    ])
    this.listening.catch(() => undefined)
  }

  /** Asks whether the thread works; false: it has not answered for so long that it does not. */
  watch(): boolean {
    const { unansweredMax, startingUnansweredMax } = FRONT_THREAD_LIMITS
    if (this.unanswered >= (this.isListening ? unansweredMax : startingUnansweredMax)) return false
    this.unanswered += 1
    void this.ask()
    return true
  }

  /** Asks for the metrics. */
  async ask(): Promise<void> {
    try {
      this.snapshot = await this.link.call(SERVING_METHODS.metrics, undefined)
      this.unanswered = 0
    } catch {
      // It has ended, or is about to.
    }
  }

  /** Lets requests under way end, and then the thread. */
  async stop(): Promise<void> {
    await this.link.call(SERVING_METHODS.stop, undefined).catch(() => undefined)
    await this.ask()
    this.link.close()
    // A filter may have timers, which keep a thread running.
    this.endWithin(FRONT_THREAD_LIMITS.cutMs)
    await this.ended
  }

  /** Closes connections whose requests are under way. */
  cut(): void {
    this.link.call(SERVING_METHODS.cut, undefined).catch(() => undefined)
    this.endWithin(FRONT_THREAD_LIMITS.cutMs)
  }

  terminate(): void {
    void this.worker.terminate()
  }

  private endWithin(durationMs: number): void {
    const cancel = this.clock.alarm(durationMs, () => this.terminate())
    void this.ended.then(cancel)
  }
}

export class FrontThreads implements BackgroundService {
  readonly name = "front threads"
  private readonly threads = new Map<string, FrontThread>()
  private readonly metrics = new MergedMetrics()
  /** Accounts are weighed over all threads. */
  private readonly shares = new ThreadShares()
  /** Each keeps one thread running, until the session ends for another one. */
  private keeping: Promise<unknown> = Promise.resolve()
  private ending = new AbortController()
  private isOver = false
  /** The reason why no thread is started any more. */
  private exhausted: string | undefined
  private readonly pace: Clock

  constructor(private readonly host: ThreadsHost) {
    this.pace = hurried(host.clock, host.haste ?? 1)
  }

  /** Returns why the process should be restarted; undefined: it is alive. */
  get unhealthy(): string | undefined {
    return this.exhausted
  }

  /** Connections whose requests are under way when the signal fires are closed. */
  cutBy(signal: AbortSignal): void {
    signal.addEventListener("abort", () => this.cutAll())
  }

  /** Starts the threads; resolves with the ports once all of them listen. Throws `invalidConfig`. */
  async open(session: ServedSession, ports: readonly SharedPort[]): Promise<readonly BoundPort[]> {
    // Nothing but plain data goes to another thread.
    const plain = ports.map(({ name, listen }) => ({ name, listen }))
    const bound = await this.startAll(namesOf(session), session, plain)
    this.resume(session, bound)
    return bound
  }

  /** Keeps threads running that serve this session, from now on, unless the process stops. */
  resume(session: ServedSession, ports: readonly SharedPort[], onListening = (): void => undefined): void {
    if (this.isOver) return
    this.exhausted = undefined
    if (session.copies !== undefined) session.copies.others = max => this.hotCopies(max)
    const { signal } = (this.ending = new AbortController())
    this.keeping = mapBounded(namesOf(session), FRONT_THREADS_MAX, name =>
      this.keep(
        async () => this.threads.get(name) ?? (await this.startAgain(name, session, ports, onListening)),
        signal,
      ),
    )
  }

  /** Adds counts of the process at the ports of the threads. */
  count(counted: MetricsSnapshot): void {
    this.metrics.retire(counted)
  }

  /** If one cannot be started, those that were are ended. */
  private async startAll(
    names: readonly string[],
    session: ServedSession,
    ports: readonly SharedPort[],
  ): Promise<readonly BoundPort[]> {
    const [first = "", ...others] = names
    try {
      // The first one chooses the ports where any free one will do.
      const { listening } = await this.start(first, session, ports)
      const numbers = await listening
      const bound = ports.map(({ name, listen }, at) => {
        const port = must(numbers[at], "a thread listens on each port")
        return { name, port, listen: { ...listen, port } }
      })
      const started = await mapBounded(others, FRONT_THREADS_MAX, name => this.start(name, session, bound))
      await mapBounded(started, FRONT_THREADS_MAX, thread => thread.listening)
      return bound
    } catch (error) {
      const started = [...this.threads.values()]
      for (const thread of started) thread.terminate()
      await mapBounded(started, FRONT_THREADS_MAX, ({ ended }) => ended)
      throw error
    }
  }

  /** The requests of the session end, and with them its threads; those that take too long are cut. */
  async hold(): Promise<void> {
    const cancel = this.host.clock.alarm(FRONT_THREAD_LIMITS.holdMs, () => this.cutAll())
    await this.end()
    cancel()
  }

  /** Serves until the signal fires; then requests under way end. */
  async run(signal: AbortSignal): Promise<void> {
    const over = new AbortController()
    const watching = this.watchAll(over.signal)
    await new Promise<void>(resolve => whenAborted(signal, resolve))
    this.isOver = true
    await this.end()
    over.abort()
    await watching
  }

  private async watchAll(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.host.clock.sleep(FRONT_THREAD_LIMITS.askEveryMs, signal)
      for (const thread of this.threads.values()) if (!thread.watch()) this.giveUp(thread)
    }
  }

  private async end(): Promise<void> {
    this.ending.abort()
    await this.keeping
  }

  private cutAll(): void {
    for (const thread of this.threads.values()) thread.cut()
  }

  /** All metrics; `own`: those of this thread. */
  async metricsOf(own: MetricsSnapshot): Promise<MetricsSnapshot> {
    const asked = mapBounded([...this.threads.values()], FRONT_THREADS_MAX, thread => thread.ask())
    await within(this.host.clock, FRONT_THREAD_LIMITS.scrapeMs, asked)
    return this.metrics.merge(
      own,
      Array.from(this.threads.values(), ({ snapshot }) => snapshot),
    )
  }

  /** The copies of hot pieces of each thread that keeps some. */
  private async hotCopies(max: number): Promise<readonly CopiesReport[]> {
    const listening = [...this.threads.values()].filter(({ isListening }) => isListening)
    const reports = await mapBounded(listening, FRONT_THREADS_MAX, ({ link }) =>
      // Copies of a thread that has ended are gone.
      link.call(SERVING_METHODS.hotCopies, max).catch(() => undefined),
    )
    return reports.filter(report => report !== undefined)
  }

  /** Requests are shown to someone, or to no one any more. */
  watched(isWatched: boolean): void {
    for (const { link } of this.threads.values()) {
      link.call(SERVING_METHODS.watched, isWatched).catch(() => undefined)
    }
  }

  /** An attempt to prove a secret counts; `by`: the thread that knows it already, if it is one of these. */
  attempted(counted: CountedAttempt, by?: string): void {
    for (const [name, { link }] of this.threads) {
      if (name !== by) link.call(SERVING_METHODS.attempted, counted).catch(() => undefined)
    }
  }

  /** Throws as `Fronts.begin` and `startThread`. */
  private async start(name: string, session: ServedSession, ports: readonly SharedPort[]): Promise<FrontThread> {
    const { channel, port } = openChannel()
    const link = new ThreadLink(channel, this.host.clock)
    const begun = { name, link, port, start: await session.fronts.begin(link) }
    const host = { ...this.host, shares: this.shares }
    let thread: FrontThread
    try {
      thread = new FrontThread(begun, host, session, ports, counted => this.attempted(counted, name))
    } catch (error) {
      // The front that has begun ends with its link.
      link.close()
      throw error
    }
    this.threads.set(name, thread)
    void thread.ended.then(() => {
      this.metrics.retire(thread.snapshot)
      if (this.threads.get(name) === thread) this.threads.delete(name)
    })
    return thread
  }

  /** Starts the thread again whenever it ends, until the signal fires. */
  private async keep(start: () => Promise<FrontThread | undefined>, signal: AbortSignal): Promise<void> {
    const { log } = this.host
    const { pace } = this
    const { restartMs, restartMsMax, provenMs } = FRONT_THREAD_LIMITS
    const stopped = new Promise<undefined>(resolve => signal.addEventListener("abort", () => resolve(undefined)))
    for (let waitMs: number = restartMs; !signal.aborted && this.exhausted === undefined;) {
      const beganMs = pace.monotonicMs()
      const thread = await start()
      if (thread !== undefined) {
        const reason = await Promise.race([thread.ended, stopped])
        if (reason === undefined) return thread.stop()
        log.error("front_thread_ended", { thread: thread.name, reason })
        if (pace.monotonicMs() - beganMs >= provenMs) waitMs = restartMs
      }
      await pace.sleep(waitMs, signal)
      waitMs = Math.min(restartMsMax, 2 * waitMs)
    }
  }

  /** Returns undefined if no thread can begin now, or none any more: this start of the process has used them up. */
  private async startAgain(
    name: string,
    session: ServedSession,
    ports: readonly SharedPort[],
    onListening: () => void,
  ): Promise<FrontThread | undefined> {
    try {
      const thread = await this.start(name, session, ports)
      thread.listening.then(onListening, () => undefined)
      return thread
    } catch (error) {
      const reason = asFailure(error).message
      if (isFailure(error, "limitExceeded")) this.exhausted = reason
      this.host.log.error("front_thread_ended", { thread: name, reason })
      return undefined
    }
  }

  private giveUp(thread: FrontThread): void {
    this.host.log.error("front_thread_silent", { thread: thread.name })
    thread.terminate()
  }
}

const namesOf = ({ config }: ServedSession): readonly string[] =>
  Array.from({ length: config.threads }, (_, at) => `front-${at + 1}`)
