/**
 * Load: sends requests over a number of connections for a time and measures them.
 *
 *   closed  each connection sends its next request after the last response (and a think time)
 *   open    requests are due at a constant rate; the latency of one that waits for a connection includes the wait
 *
 * A request succeeds with a status below 300 and the expected length. A failed one counts as an error and has no
 * latency. A request that the server answers with 503 and `Retry-After` is sent again after that time, as every client
 * of S3 does; its latency includes the wait. Connections are opened before the measurement.
 * Limits  `ERRORS_IN_A_ROW_MAX` consecutive errors before the first success end a run; `PATIENCE_MS` for one request.
 */
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { ReadAnswer } from "./answer-reader.js"
import { Latencies, type Summary } from "./latencies.js"
import { RawConnection, type RawOptions, type RawRequest } from "./raw-connection.js"

const ERRORS_IN_A_ROW_MAX = 100
/** The stall of a disk ends within this time, or the store is not usable. */
const PATIENCE_MS = 60_000
const OPENED_CONCURRENT = 64

export interface LoadRequest {
  readonly request: RawRequest
  /** Length of the response body. */
  readonly expectBytes?: number
  /** Payload bytes, for the throughput. */
  readonly bytes: number
  /** Called with the outcome. */
  readonly done?: (isSuccess: boolean) => void
}

export interface LoadPlan extends RawOptions {
  readonly endpoint: URL
  readonly connections: number
  /** Returns undefined if nothing remains to do. */
  readonly next: () => LoadRequest | undefined
  /** Default: until nothing remains. */
  readonly seconds?: number
  /** Ends the load without failing it. */
  readonly until?: AbortSignal
  /** Pause of a connection between a response and its next request. */
  readonly thinkMs?: number
  /** Open load: requests a second in total. */
  readonly perSecond?: number
  readonly errorsInARowMax?: number
  /** A request is retried for at most this long; with 0 each refusal counts as an error. */
  readonly patienceMs?: number
}

export interface LoadResult extends Summary {
  /** Number of requests by the status of their last response; 0: no response. */
  readonly statuses: Readonly<Record<number, number>>
  /** Number of responses with 503 and `Retry-After`. */
  readonly retryLater: number
  /** The first error; undefined without one. */
  readonly firstError: string | undefined
}

export function runLoad(plan: LoadPlan, clock: Clock, signal: AbortSignal): Promise<LoadResult> {
  return new Load(plan, clock, signal).run()
}

class Load {
  private readonly latencies = new Latencies()
  private readonly statuses: Record<number, number> = {}
  private beganMs = 0
  private endMs = 0
  private due = 0
  private retryLater = 0
  private errorsInARow = 0
  private firstError: string | undefined

  constructor(
    private readonly plan: LoadPlan,
    private readonly clock: Clock,
    private readonly signal: AbortSignal,
  ) {}

  async run(): Promise<LoadResult> {
    const { endpoint, connections: count, seconds = Infinity } = this.plan
    const connections = Array.from({ length: count }, () => new RawConnection(endpoint, this.signal, this.plan))
    try {
      // Many concurrent connects overrun a server's backlog. A failed connect is reported by its first request.
      await mapBounded(connections, OPENED_CONCURRENT, connection => connection.open().catch(() => undefined))
      this.beganMs = this.clock.monotonicMs()
      this.endMs = this.beganMs + seconds * 1000
      await mapBounded(connections, count, connection => this.drive(connection))
    } finally {
      for (const connection of connections) connection.close()
    }
    this.signal.throwIfAborted()
    const summary = this.latencies.summary((this.clock.monotonicMs() - this.beganMs) / 1000)
    const { statuses, retryLater, firstError } = this
    return { ...summary, statuses, retryLater, firstError }
  }

  private get isOver(): boolean {
    return this.isStopped || this.clock.monotonicMs() >= this.endMs
  }

  /** Something other than the time has ended it. */
  private get isStopped(): boolean {
    const { until, errorsInARowMax = ERRORS_IN_A_ROW_MAX } = this.plan
    return this.signal.aborted || until?.aborted === true || this.errorsInARow >= errorsInARowMax
  }

  private async drive(connection: RawConnection): Promise<void> {
    const { thinkMs = 0 } = this.plan
    // The first request is sent however late it is: a busy machine may begin after the end of a short load.
    let isFirst = this.plan.perSecond === undefined
    while (isFirst ? !this.isStopped : !this.isOver) {
      const sinceMs = await this.turn()
      if (sinceMs === undefined || (isFirst ? this.isStopped : this.isOver)) return
      isFirst = false
      const request = this.plan.next()
      if (request === undefined) return
      await this.one(connection, request, sinceMs)
      if (thinkMs > 0) await this.clock.sleep(thinkMs, this.signal)
    }
  }

  /** Waits until a request is due; resolves with the start of its latency, or undefined if none remain. */
  private async turn(): Promise<number | undefined> {
    const { perSecond } = this.plan
    const nowMs = this.clock.monotonicMs()
    if (perSecond === undefined) return nowMs
    const dueMs = this.beganMs + (this.due * 1000) / perSecond
    this.due += 1
    if (dueMs >= this.endMs) return undefined
    if (dueMs <= nowMs) return dueMs
    // A late timer is not part of the store's latency.
    await this.clock.sleep(dueMs - nowMs, this.signal)
    return this.clock.monotonicMs()
  }

  private async one(connection: RawConnection, load: LoadRequest, sinceMs: number): Promise<void> {
    try {
      this.count(await this.untilAnswered(connection, load.request), load, sinceMs)
    } catch (error) {
      if (this.signal.aborted) return
      this.statuses[0] = (this.statuses[0] ?? 0) + 1
      this.failed(load, error instanceof Error ? error.message : String(error))
    }
  }

  /** Resolves with the first response that is not to be retried, or with the last one once the time for retries is over. */
  private async untilAnswered(connection: RawConnection, request: RawRequest): Promise<ReadAnswer> {
    const lateMs = this.clock.monotonicMs() + (this.plan.patienceMs ?? PATIENCE_MS)
    while (true) {
      const answer = await connection.ask(request)
      const { status, retryAfterSeconds } = answer
      if (status !== 503 || retryAfterSeconds === undefined) return answer
      this.retryLater += 1
      const waitMs = retryAfterSeconds * 1000
      if (this.isStopped || this.clock.monotonicMs() + waitMs >= lateMs) return answer
      await this.clock.sleep(waitMs, this.signal)
    }
  }

  private count(answer: ReadAnswer, load: LoadRequest, sinceMs: number): void {
    const { status, bodyBytes, errorText } = answer
    this.statuses[status] = (this.statuses[status] ?? 0) + 1
    if (status >= 300) return this.failed(load, `${status} ${/<Code>(\w+)/.exec(errorText)?.[1] ?? ""}`.trim())
    const { expectBytes } = load
    if (expectBytes !== undefined && expectBytes !== bodyBytes)
      return this.failed(load, `got ${bodyBytes} bytes instead of ${expectBytes}`)
    this.errorsInARow = 0
    this.latencies.record(this.clock.monotonicMs() - sinceMs, load.bytes)
    load.done?.(true)
  }

  private failed(load: LoadRequest, why: string): void {
    this.firstError ??= why
    this.errorsInARow += 1
    this.latencies.fail()
    load.done?.(false)
  }
}
