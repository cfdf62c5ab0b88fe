/**
 * Load: requests over so many connections, for so long; what it measured.
 *
 *   closed  each connection sends its next request once the answer to the last is there (and it has thought)
 *   open    requests are due at a steady rate; one that had to wait for a connection counts from when it was due
 *
 * A request succeeds with a status below 300 and the length that was expected. One that fails counts as an
 * error and gives no latency. Connections are opened before time counts.
 * Limits  `ERRORS_IN_A_ROW_MAX` without one success end a run.
 */
import { mapBounded } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { ReadAnswer } from "./answer-reader.js"
import { Latencies, type Summary } from "./latencies.js"
import { RawConnection, type RawOptions, type RawRequest } from "./raw-connection.js"

const ERRORS_IN_A_ROW_MAX = 100
const OPENED_AT_ONCE = 64

export interface LoadRequest {
  readonly request: RawRequest
  /** Of the answer's body. */
  readonly expectBytes?: number
  /** What was moved, for the rate. */
  readonly bytes: number
  /** Told how it ended. */
  readonly done?: (isSuccess: boolean) => void
}

export interface LoadPlan extends RawOptions {
  readonly endpoint: URL
  readonly connections: number
  /** Undefined: nothing is left to do. */
  readonly next: () => LoadRequest | undefined
  /** Default: until nothing is left. */
  readonly seconds?: number
  /** Ends the load without failing it. */
  readonly until?: AbortSignal
  /** Rest of a connection between an answer and its next request. */
  readonly thinkMs?: number
  /** Open load: requests a second in all. */
  readonly perSecond?: number
  readonly errorsInARowMax?: number
}

export interface LoadResult extends Summary {
  /** How many answers had which status; 0: none came. */
  readonly statuses: Readonly<Record<number, number>>
  /** 503 with `Retry-After`. */
  readonly askedToWait: number
  /** What the first error was; undefined without one. */
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
  private askedToWait = 0
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
      // A crowd at the door overruns a server's backlog. One that cannot be opened says so to its first request.
      await mapBounded(connections, OPENED_AT_ONCE, connection => connection.open().catch(() => undefined))
      this.beganMs = this.clock.monotonicMs()
      this.endMs = this.beganMs + seconds * 1000
      await mapBounded(connections, count, connection => this.drive(connection))
    } finally {
      for (const connection of connections) connection.close()
    }
    this.signal.throwIfAborted()
    const summary = this.latencies.summary((this.clock.monotonicMs() - this.beganMs) / 1000)
    const { statuses, askedToWait, firstError } = this
    return { ...summary, statuses, askedToWait, firstError }
  }

  private get isOver(): boolean {
    const { until, errorsInARowMax = ERRORS_IN_A_ROW_MAX } = this.plan
    if (this.signal.aborted || until?.aborted === true || this.errorsInARow >= errorsInARowMax) return true
    return this.clock.monotonicMs() >= this.endMs
  }

  private async drive(connection: RawConnection): Promise<void> {
    const { thinkMs = 0 } = this.plan
    while (!this.isOver) {
      const sinceMs = await this.turn()
      if (sinceMs === undefined || this.isOver) return
      const request = this.plan.next()
      if (request === undefined) return
      await this.one(connection, request, sinceMs)
      if (thinkMs > 0) await this.clock.sleep(thinkMs, this.signal)
    }
  }

  /** Waits until a request is due; resolves with the moment from which it counts, or undefined when none will be. */
  private async turn(): Promise<number | undefined> {
    const { perSecond } = this.plan
    const nowMs = this.clock.monotonicMs()
    if (perSecond === undefined) return nowMs
    const dueMs = this.beganMs + (this.due * 1000) / perSecond
    this.due += 1
    if (dueMs >= this.endMs) return undefined
    if (dueMs <= nowMs) return dueMs
    // That the timer was late is no slowness of the store.
    await this.clock.sleep(dueMs - nowMs, this.signal)
    return this.clock.monotonicMs()
  }

  private async one(connection: RawConnection, load: LoadRequest, sinceMs: number): Promise<void> {
    try {
      const answer = await connection.ask(load.request)
      this.count(answer, load, sinceMs)
    } catch (error) {
      if (this.signal.aborted) return
      this.statuses[0] = (this.statuses[0] ?? 0) + 1
      this.failed(load, error instanceof Error ? error.message : String(error))
    }
  }

  private count(answer: ReadAnswer, load: LoadRequest, sinceMs: number): void {
    const { status, bodyBytes, hasRetryAfter, errorText } = answer
    this.statuses[status] = (this.statuses[status] ?? 0) + 1
    if (status === 503 && hasRetryAfter) this.askedToWait += 1
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
